package io.github.dl4jretention;

import io.github.dl4jretention.checkpoint.RestartableIterator;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import java.util.Objects;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.learning.config.IUpdater;

/**
 * Start here. {@code attach} makes a student from your pretrained network: a copy whose output layer also computes the
 * distance to a teacher. {@code detach} turns the student back into an ordinary DL4J network.
 *
 * <pre>{@code
 * Teacher teacher = Teacher.of(pretrained);
 * MultiLayerNetwork student = Retention.attach(pretrained, conf);
 * student.fit(new TeacherIterator(iterator, teacher), epochs);
 * MultiLayerNetwork plain = Retention.detach(student);
 * }</pre>
 *
 * <p>{@code attach}, {@code detach} and {@code withUpdater} return copies and don't change what you pass in. MultiLayerNetwork,
 * ComputationGraph and SameDiff have the same verbs.
 */
public final class Retention {

    private Retention() {}

    /**
     * {@return a student: a copy of a pretrained network with a
     * {@link io.github.dl4jretention.loss.RetentionOutputLayer} in place of its output layer} Weights, updater state,
     * iteration count, training settings and frozen layers stay as they are. The student trains near
     * {@code Teacher.of(pretrained)} and refuses any other teacher; it keeps that teacher's SHA-256, and saves it.
     *
     * @param pretrained    a network that ends in a softmax with cross-entropy, see
     *     {@link io.github.dl4jretention.teacher.SoftmaxOutput}
     * @param configuration divergence, coefficient and temperature of the loss
     * @throws IllegalArgumentException if the last layer is of another kind; the message names it
     */
    public static MultiLayerNetwork attach(MultiLayerNetwork pretrained, RetentionConfiguration configuration) {
        Objects.requireNonNull(pretrained, "pretrained");
        return MultiLayerRetention.attach(pretrained, configuration, null);
    }

    /**
     * Does what {@link #attach(MultiLayerNetwork, RetentionConfiguration)} does, for a teacher that isn't the pretrained
     * network itself: another network with the same vocabulary, a mixture, a moving average.
     *
     * @param pretrained    a network that ends in a softmax with cross-entropy
     * @param configuration divergence, coefficient and temperature of the loss
     * @param teacher       the only teacher that the student will accept
     * @return the student, which shares nothing with the pretrained network
     * @throws IllegalArgumentException if the last layer is of another kind; the message names it
     */
    public static MultiLayerNetwork attach(
            MultiLayerNetwork pretrained, RetentionConfiguration configuration, Teacher teacher) {
        Objects.requireNonNull(pretrained, "pretrained");
        return MultiLayerRetention.attach(pretrained, configuration, teacher.sha256());
    }

    /**
     * Does what {@link #attach(MultiLayerNetwork, RetentionConfiguration)} does, for a ComputationGraph.
     *
     * @param pretrained    a graph whose outputs are softmax with cross-entropy
     * @param configuration the loss of each of these outputs
     * @param outputs       names of the outputs that get the loss, all by default; others keep their layers and losses
     * @return the student, which shares nothing with the pretrained graph
     * @throws IllegalArgumentException if an output doesn't exist, or isn't a softmax with cross-entropy
     */
    public static ComputationGraph attach(
            ComputationGraph pretrained, RetentionConfiguration configuration, String... outputs) {
        Objects.requireNonNull(pretrained, "pretrained");
        return GraphRetention.attach(pretrained, configuration, null, outputs);
    }

    /**
     * Does what {@link #attach(ComputationGraph, RetentionConfiguration, String...)} does, for a teacher that isn't the
     * graph itself.
     *
     * @param pretrained    a graph whose outputs are softmax with cross-entropy
     * @param configuration the loss of each of these outputs
     * @param teacher       the only teacher that the student will accept; it teaches the same outputs
     * @param outputs       names of the outputs that get the loss, all by default
     * @return the student, which shares nothing with the pretrained graph
     * @throws IllegalArgumentException if an output doesn't exist, or isn't a softmax with cross-entropy
     */
    public static ComputationGraph attach(
            ComputationGraph pretrained, RetentionConfiguration configuration, Teacher teacher, String... outputs) {
        Objects.requireNonNull(pretrained, "pretrained");
        return GraphRetention.attach(pretrained, configuration, teacher.sha256(), outputs);
    }

    /**
     * {@return an ordinary DL4J network with the student's weights, updater state and training settings} It has the
     * output layer that the pretrained network had, so its file loads without this library.
     *
     * @param student a network whose last layer is a {@link io.github.dl4jretention.loss.RetentionOutputLayer}
     * @throws IllegalArgumentException if the last layer is of another kind
     */
    public static MultiLayerNetwork detach(MultiLayerNetwork student) {
        return MultiLayerRetention.detach(Objects.requireNonNull(student, "student"));
    }

    /**
     * {@return an ordinary ComputationGraph with the student's weights, updater state and training settings}
     *
     * @param student a graph with at least one {@link io.github.dl4jretention.loss.RetentionOutputLayer}
     * @throws IllegalArgumentException if it has none
     */
    public static ComputationGraph detach(ComputationGraph student) {
        return GraphRetention.detach(Objects.requireNonNull(student, "student"));
    }

    /**
     * Checks that the teacher is the student's, then trains the student as
     * {@code student.fit(new TeacherIterator(iterator, teacher), epochs)} does.
     *
     * @param student  changed in place, with its own updater
     * @param teacher  the one that the student is bound to; the listener of a moving average is added to the student
     * @param iterator batches whose labels are one-hot, distributions, or class ids
     * @param epochs   passes over the iterator
     * @throws IllegalArgumentException if the student has no retention layer
     * @throws IllegalStateException if the teacher is not the student's; the message gives both SHA-256
     */
    public static void finetune(MultiLayerNetwork student, Teacher teacher, DataSetIterator iterator, int epochs) {
        NetworkFinetuning.run(student, teacher, iterator, epochs);
    }

    /**
     * Does what {@link #finetune(ComputationGraph, Teacher, MultiDataSetIterator, int)} does, for a graph with one input
     * and one output.
     *
     * @param student  changed in place, with its own updater
     * @param teacher  the one that the student is bound to
     * @param iterator batches whose labels are one-hot, distributions, or class ids
     * @param epochs   passes over the iterator
     * @throws IllegalArgumentException if the student has no retention layer, or the teacher teaches other outputs
     * @throws IllegalStateException if the teacher is not the student's; the message gives both SHA-256
     */
    public static void finetune(ComputationGraph student, Teacher teacher, DataSetIterator iterator, int epochs) {
        finetune(student, teacher, RestartableIterator.multi(iterator), epochs);
    }

    /**
     * Checks that the teacher is the student's, then trains the student as
     * {@code student.fit(new TeacherMultiDataSetIterator(iterator, teacher), epochs)} does.
     *
     * @param student  changed in place, with its own updater
     * @param teacher  the one that the student is bound to; the listener of a moving average is added to the student
     * @param iterator batches whose taught labels are one-hot, distributions, or class ids
     * @param epochs   passes over the iterator
     * @throws IllegalArgumentException if the student has no retention layer, or the teacher teaches other outputs
     * @throws IllegalStateException if the teacher is not the student's; the message gives both SHA-256
     */
    public static void finetune(ComputationGraph student, Teacher teacher, MultiDataSetIterator iterator, int epochs) {
        NetworkFinetuning.run(student, teacher, iterator, epochs);
    }

    /**
     * Does what {@link #finetune(MultiLayerNetwork, Teacher, DataSetIterator, int)} does, and averages what came out with
     * the start.
     *
     * @param student   changed in place, with its own updater; where it is now is the start
     * @param teacher   the one that the student is bound to
     * @param iterator  batches whose labels are one-hot, distributions, or class ids
     * @param epochs    passes over the iterator
     * @param averaging how the start's share is chosen
     * @return the average without retention, and the curve that it was chosen from
     * @throws IllegalArgumentException if the student has no retention layer, or a validation text doesn't fit
     * @throws IllegalStateException if the teacher is not the student's; the message gives both SHA-256
     */
    public static Averaged<MultiLayerNetwork> finetune(
            MultiLayerNetwork student, Teacher teacher, DataSetIterator iterator, int epochs, Averaging averaging) {
        return NetworkFinetuning.averaged(
                student,
                averaging.start(AveragedModels.NETWORKS, student),
                () -> finetune(student, teacher, iterator, epochs));
    }

    /**
     * Does what {@link #finetune(ComputationGraph, Teacher, MultiDataSetIterator, int)} does, and averages what came out
     * with the start.
     *
     * @param student   changed in place, with its own updater; where it is now is the start
     * @param teacher   the one that the student is bound to
     * @param iterator  batches whose taught labels are one-hot, distributions, or class ids
     * @param epochs    passes over the iterator
     * @param averaging how the start's share is chosen
     * @return the average without retention, and the curve that it was chosen from
     * @throws IllegalArgumentException if the student has no retention layer, the teacher teaches other outputs, or a
     *     validation text doesn't fit
     * @throws IllegalStateException if the teacher is not the student's; the message gives both SHA-256
     */
    public static Averaged<ComputationGraph> finetune(
            ComputationGraph student, Teacher teacher, MultiDataSetIterator iterator, int epochs, Averaging averaging) {
        return NetworkFinetuning.averaged(
                student,
                averaging.start(AveragedModels.GRAPHS, student),
                () -> finetune(student, teacher, iterator, epochs));
    }

    /**
     * {@return a copy of a network, ready to start finetuning: every layer has the given updater, whose state is empty,
     * and the counts of iterations and epochs are 0} Use it instead of DL4J's {@code setLearningRate}, which passes over
     * SameDiff layers. Adam with an empty state at a high count of iterations takes its first steps several times too
     * long.
     *
     * @param network an initialised network
     * @param updater for the weights and biases of all layers; every layer gets a copy
     */
    public static MultiLayerNetwork withUpdater(MultiLayerNetwork network, IUpdater updater) {
        return MultiLayerRetention.withUpdater(network, Objects.requireNonNull(updater, "updater"));
    }

    /**
     * {@return what {@link #withUpdater(MultiLayerNetwork, IUpdater)} returns, with a warm-up: in step i, from 1, the
     * learning rate is {@code i / warmUp} of the updater's, and from step {@code warmUp} on all of it} A warm-up of more
     * than 100 steps rises in 100 levels. It's a schedule of DL4J, so the network's file loads without this library.
     *
     * @param network an initialised network
     * @param updater with a constant learning rate
     * @param warmUp  in steps, at least 0; 0 for none
     * @throws IllegalArgumentException if the updater has no constant learning rate, or the warm-up is below 0
     */
    public static MultiLayerNetwork withUpdater(MultiLayerNetwork network, IUpdater updater, int warmUp) {
        return withUpdater(network, LayerUpdaters.warmedUp(Objects.requireNonNull(updater, "updater"), warmUp));
    }

    /**
     * {@return what {@link #withUpdater(MultiLayerNetwork, IUpdater, int)} returns, for a ComputationGraph}
     *
     * @param graph   an initialised graph
     * @param updater with a constant learning rate
     * @param warmUp  in steps, at least 0
     * @throws IllegalArgumentException if the updater has no constant learning rate, or the warm-up is below 0
     */
    public static ComputationGraph withUpdater(ComputationGraph graph, IUpdater updater, int warmUp) {
        return withUpdater(graph, LayerUpdaters.warmedUp(Objects.requireNonNull(updater, "updater"), warmUp));
    }

    /**
     * {@return what {@link #withUpdater(MultiLayerNetwork, IUpdater, int)} returns, for a SameDiff model}
     *
     * @param sd      a model with a training configuration
     * @param updater with a constant learning rate
     * @param warmUp  in steps, at least 0
     * @throws IllegalArgumentException if the updater has no constant learning rate, the warm-up is below 0, or the model
     *     has no training configuration
     */
    public static SameDiff withUpdater(SameDiff sd, IUpdater updater, int warmUp) {
        return withUpdater(sd, LayerUpdaters.warmedUp(Objects.requireNonNull(updater, "updater"), warmUp));
    }

    /**
     * {@return what {@link #withUpdater(MultiLayerNetwork, IUpdater)} returns, for a ComputationGraph}
     *
     * @param graph   an initialised graph
     * @param updater for the weights and biases of all layers; every layer gets a copy
     */
    public static ComputationGraph withUpdater(ComputationGraph graph, IUpdater updater) {
        return GraphRetention.withUpdater(graph, Objects.requireNonNull(updater, "updater"));
    }

    /**
     * {@return a student: a copy of a pretrained SameDiff model with a
     * {@link io.github.dl4jretention.loss.RetentionLoss} in place of the losses it was pretrained with; losses of
     * parameters alone, such as penalties, stay} The student trains near {@code Teacher.of(pretrained, logits, features)}
     * and refuses any other teacher. It has a {@link io.github.dl4jretention.loss.RetentionListener}, which isn't saved;
     * {@link #finetune(SameDiff, Teacher, MultiDataSetIterator, int) finetune} adds it again after loading. It keeps the
     * pretrained model's training configuration, with its counts, its updater and the updater's state; a model without one
     * gets Adam with a learning rate of 1e-4. {@link #withUpdater(SameDiff, IUpdater)} starts afresh. Labels go into the
     * placeholder that the model was trained with, else into {@code "labels"}, which is made if it's missing: class ids
     * {@code [batch, time]} or {@code [batch, time, 1]}, one-hot labels or distributions {@code [batch, time, V]}. A mask of
     * the labels goes into the placeholder that the model's training configuration has for it, and weights the tokens.
     *
     * @param pretrained    isn't changed
     * @param configuration divergence, coefficient and temperature of the loss
     * @param logits        name of the variable of the logits, {@code [batch, time, V]} or {@code [batch, V]}
     * @param features      names of the placeholders that take a batch's features, in order
     * @throws IllegalArgumentException if a name isn't there, the logits are no floating-point numbers, or the model has
     *     a retention loss already
     */
    public static SameDiff attach(
            SameDiff pretrained, RetentionConfiguration configuration, String logits, String... features) {
        return SameDiffRetention.attach(pretrained, configuration, null, logits, features);
    }

    /**
     * Does what {@link #attach(SameDiff, RetentionConfiguration, String, String...)} does, for a teacher that isn't the
     * pretrained model itself.
     *
     * @param pretrained    isn't changed
     * @param configuration divergence, coefficient and temperature of the loss
     * @param teacher       the only teacher that the student will accept
     * @param logits        name of the variable of the logits
     * @param features      names of the placeholders that take a batch's features, in order
     * @return the student, which shares nothing with the pretrained model
     * @throws IllegalArgumentException as above
     */
    public static SameDiff attach(
            SameDiff pretrained,
            RetentionConfiguration configuration,
            Teacher teacher,
            String logits,
            String... features) {
        return SameDiffRetention.attach(pretrained, configuration, teacher.sha256(), logits, features);
    }

    /**
     * {@return an ordinary SameDiff model: a copy of the student without the loss, with the student's variables and the
     * losses it was pretrained with} It has the student's training configuration and updater state, with the placeholders
     * of the pretrained model's; none if that had none. A student that was made by {@code RetentionLoss.add} keeps all its
     * placeholders but the teacher's, and where an older version added the loss, losses of batches aren't known any more:
     * set them by {@code setLossVariables}.
     *
     * @param student isn't changed
     * @throws IllegalStateException if it has no retention loss
     */
    public static SameDiff detach(SameDiff student) {
        return SameDiffRetention.detach(student);
    }

    /**
     * Checks that the teacher is the student's, then trains the student as
     * {@code student.fit(new TeacherMultiDataSetIterator(iterator, teacher), epochs)} does.
     *
     * @param student  changed in place, with its own updater; gets a RetentionListener if it has none
     * @param teacher  the one that the student is bound to
     * @param iterator batches with the features and the labels, in the order of the student's placeholders
     * @param epochs   passes over the iterator
     * @throws IllegalStateException if the model has no retention loss, or the teacher isn't the student's; the message
     *     gives both SHA-256
     */
    public static void finetune(SameDiff student, Teacher teacher, MultiDataSetIterator iterator, int epochs) {
        SameDiffRetention.finetune(student, teacher, iterator, epochs);
    }

    /**
     * Does what {@link #finetune(SameDiff, Teacher, MultiDataSetIterator, int)} does, and averages what came out with the
     * start.
     *
     * @param student   changed in place, with its own updater; where it is now is the start
     * @param teacher   the one that the student is bound to
     * @param iterator  batches with the features and the labels, in the order of the student's placeholders
     * @param epochs    passes over the iterator
     * @param averaging how the start's share is chosen
     * @return the average without retention, and the curve that it was chosen from
     * @throws IllegalArgumentException if a validation text doesn't fit
     * @throws IllegalStateException if the model has no retention loss, or the teacher isn't the student's; the message
     *     gives both SHA-256
     */
    public static Averaged<SameDiff> finetune(
            SameDiff student, Teacher teacher, MultiDataSetIterator iterator, int epochs, Averaging averaging) {
        return SameDiffRetention.finetune(student, teacher, iterator, epochs, averaging);
    }

    /**
     * {@return what {@link #withUpdater(MultiLayerNetwork, IUpdater)} returns, for a SameDiff model} A student gets a new
     * RetentionListener; other listeners aren't copied.
     *
     * @param sd      a model with a training configuration
     * @param updater for all variables
     * @throws IllegalArgumentException if it has no training configuration
     */
    public static SameDiff withUpdater(SameDiff sd, IUpdater updater) {
        return SameDiffRetention.withUpdater(sd, Objects.requireNonNull(updater, "updater"));
    }
}
