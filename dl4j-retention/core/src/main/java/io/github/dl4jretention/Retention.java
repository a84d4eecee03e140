package io.github.dl4jretention;

import io.github.dl4jretention.internal.RetentionLayers;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.teacher.MovingAverageTeacher;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.util.Collection;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.learning.config.IUpdater;

/**
 * The front door: puts retention into a pretrained network, and takes it out again.
 *
 * <pre>{@code
 * Teacher teacher = Teacher.of(pretrained);
 * MultiLayerNetwork student = Retention.attach(pretrained, conf);
 * student.fit(new TeacherIterator(iterator, teacher), epochs);
 * MultiLayerNetwork plain = Retention.detach(student);
 * }</pre>
 *
 * <p>All methods leave the networks that they are given as they are. For SameDiff graphs see
 * {@link io.github.dl4jretention.loss.RetentionLoss}.
 */
public final class Retention {

    private Retention() {}

    /**
     * {@return a copy of a pretrained network with a {@link io.github.dl4jretention.loss.RetentionOutputLayer} in place
     * of its output layer: same weights, updater state, iteration count and training settings, frozen layers frozen} It
     * accepts {@code Teacher.of(pretrained)} as its teacher and no other; the teacher's SHA-256 is saved with it.
     *
     * @param pretrained    a network that ends in softmax cross-entropy, see
     *     {@link io.github.dl4jretention.teacher.SoftmaxOutput}
     * @param configuration the loss
     * @throws IllegalArgumentException if its last layer is another one
     */
    public static MultiLayerNetwork attach(MultiLayerNetwork pretrained, RetentionConfiguration configuration) {
        Objects.requireNonNull(pretrained, "pretrained");
        return MultiLayerRetention.attach(pretrained, configuration, null);
    }

    /**
     * As {@link #attach(MultiLayerNetwork, RetentionConfiguration)}, for another teacher than the pretrained network:
     * one of the same vocabulary, a mixture, a moving average.
     *
     * @param pretrained    a network that ends in softmax cross-entropy
     * @param configuration the loss
     * @param teacher       the only teacher that the student will accept
     * @return the student, which shares nothing with the pretrained network
     * @throws IllegalArgumentException if its last layer is another one
     */
    public static MultiLayerNetwork attach(
            MultiLayerNetwork pretrained, RetentionConfiguration configuration, Teacher teacher) {
        Objects.requireNonNull(pretrained, "pretrained");
        return MultiLayerRetention.attach(pretrained, configuration, teacher.sha256());
    }

    /**
     * As {@link #attach(MultiLayerNetwork, RetentionConfiguration)}, for a graph.
     *
     * @param pretrained    a graph with outputs of softmax cross-entropy
     * @param configuration the loss of each of these outputs
     * @param outputs       names of the outputs to attach to; default: all. Others keep their layers and losses
     * @return the student, which shares nothing with the pretrained graph
     * @throws IllegalArgumentException if an output does not exist or computes no softmax cross-entropy
     */
    public static ComputationGraph attach(
            ComputationGraph pretrained, RetentionConfiguration configuration, String... outputs) {
        Objects.requireNonNull(pretrained, "pretrained");
        return GraphRetention.attach(pretrained, configuration, null, outputs);
    }

    /**
     * As {@link #attach(ComputationGraph, RetentionConfiguration, String...)}, for another teacher than the graph.
     *
     * @param pretrained    a graph with outputs of softmax cross-entropy
     * @param configuration the loss of each of these outputs
     * @param teacher       the only teacher that the student will accept, of the same outputs
     * @param outputs       names of the outputs to attach to; default: all
     * @return the student, which shares nothing with the pretrained graph
     * @throws IllegalArgumentException if an output does not exist or computes no softmax cross-entropy
     */
    public static ComputationGraph attach(
            ComputationGraph pretrained, RetentionConfiguration configuration, Teacher teacher, String... outputs) {
        Objects.requireNonNull(pretrained, "pretrained");
        return GraphRetention.attach(pretrained, configuration, teacher.sha256(), outputs);
    }

    /**
     * {@return a copy of a student with a stock output layer: same weights, updater state and training settings; it
     * needs no class of this library}
     *
     * @param student a network whose last layer is a {@link io.github.dl4jretention.loss.RetentionOutputLayer}
     * @throws IllegalArgumentException if its last layer is another one
     */
    public static MultiLayerNetwork detach(MultiLayerNetwork student) {
        return MultiLayerRetention.detach(Objects.requireNonNull(student, "student"));
    }

    /**
     * {@return a copy of a student with stock output layers in place of all its retention layers}
     *
     * @param student a graph with one retention layer at least
     * @throws IllegalArgumentException if it has none
     */
    public static ComputationGraph detach(ComputationGraph student) {
        return GraphRetention.detach(Objects.requireNonNull(student, "student"));
    }

    /**
     * Trains a student near its teacher, as {@code student.fit(new TeacherIterator(iterator, teacher), epochs)} does,
     * after checking that the teacher is the student's.
     *
     * @param student  trained in place, with its own updater
     * @param teacher  the student's; a moving average's listener is added to the student
     * @param iterator batches whose labels are one-hot, distributions, or class ids
     * @param epochs   passes over the iterator
     * @throws IllegalArgumentException if the student has no retention layer
     * @throws IllegalStateException if the teacher is not the student's; the message gives both SHA-256
     */
    public static void finetune(MultiLayerNetwork student, Teacher teacher, DataSetIterator iterator, int epochs) {
        requireSame(RetentionLayers.of(student), teacher);
        withListener(teacher, student, student.getListeners());
        student.fit(new TeacherIterator(iterator, teacher).setReleaseLabels(true), epochs);
    }

    /**
     * Trains a graph of one input and one output, as
     * {@link #finetune(ComputationGraph, Teacher, MultiDataSetIterator, int)} does.
     *
     * @param student  trained in place, with its own updater
     * @param teacher  the student's
     * @param iterator batches whose labels are one-hot, distributions, or class ids
     * @param epochs   passes over the iterator
     * @throws IllegalArgumentException if the student has no retention layer, or the teacher teaches other outputs
     * @throws IllegalStateException if the teacher is not the student's; the message gives both SHA-256
     */
    public static void finetune(ComputationGraph student, Teacher teacher, DataSetIterator iterator, int epochs) {
        finetune(student, teacher, new MultiDataSetIteratorAdapter(iterator), epochs);
    }

    /**
     * Trains a graph near its teacher, as
     * {@code student.fit(new TeacherMultiDataSetIterator(iterator, teacher), epochs)} does, after checking that the
     * teacher is the student's.
     *
     * @param student  trained in place, with its own updater
     * @param teacher  the student's; a moving average's listener is added to the student
     * @param iterator batches whose taught labels are one-hot, distributions, or class ids
     * @param epochs   passes over the iterator
     * @throws IllegalArgumentException if the student has no retention layer, or the teacher teaches other outputs
     * @throws IllegalStateException if the teacher is not the student's; the message gives both SHA-256
     */
    public static void finetune(ComputationGraph student, Teacher teacher, MultiDataSetIterator iterator, int epochs) {
        Map<String, RetentionOutputLayer> heads = RetentionLayers.of(student);
        Set<String> taught = teacher.outputs().stream().map(TeacherOutput::name).collect(Collectors.toSet());
        if (!taught.equals(heads.keySet())) {
            throw new IllegalArgumentException("teacher: expected one of the outputs " + heads.keySet()
                    + ", where the student has retention layers, got one of " + taught);
        }
        heads.values().forEach(head -> requireSame(head, teacher));
        withListener(teacher, student, student.getListeners());
        student.fit(new TeacherMultiDataSetIterator(iterator, teacher).setReleaseLabels(true), epochs);
    }

    /**
     * {@return a copy of a network that starts finetuning afresh: every layer has the given updater, the updater's
     * state is empty, iteration and epoch counts are 0} DL4J's own {@code setLearningRate} passes over SameDiff layers,
     * and an empty Adam state at a high iteration count makes first steps several times too long.
     *
     * @param network an initialised network
     * @param updater for weights and biases of all layers; cloned
     */
    public static MultiLayerNetwork withUpdater(MultiLayerNetwork network, IUpdater updater) {
        return MultiLayerRetention.withUpdater(network, Objects.requireNonNull(updater, "updater"));
    }

    /**
     * {@return the same as {@link #withUpdater(MultiLayerNetwork, IUpdater)}, of a graph}
     *
     * @param graph   an initialised graph
     * @param updater for weights and biases of all layers; cloned
     */
    public static ComputationGraph withUpdater(ComputationGraph graph, IUpdater updater) {
        return GraphRetention.withUpdater(graph, Objects.requireNonNull(updater, "updater"));
    }

    private static void withListener(Teacher teacher, Model student, Collection<TrainingListener> present) {
        for (MovingAverageTeacher average : teacher.movingAverages()) {
            if (!present.contains(average.listener())) {
                student.addListeners(average.listener());
            }
        }
    }

    private static void requireSame(RetentionOutputLayer head, Teacher teacher) {
        boolean afresh = teacher.movingAverages().stream().anyMatch(average -> !average.hasMoved());
        if (head.getTaughtMinibatches() > 0 && afresh) {
            throw new IllegalStateException(
                    "teacher: this student was trained for " + head.getTaughtMinibatches()
                            + " minibatches near a moving average, got one that starts afresh; restore the saved average first");
        }
        String expected = head.getTeacher();
        if (expected != null && !expected.equals(teacher.sha256())) {
            throw new IllegalStateException("teacher: this student belongs to teacher " + expected
                    + " (SHA-256), got teacher " + teacher.sha256());
        }
    }
}
