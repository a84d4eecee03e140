package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.baseline.Importance;
import io.github.dl4jretention.baseline.ImportanceEstimator;
import io.github.dl4jretention.baseline.QuadraticPenalty;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Collectors;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.IUpdater;

/**
 * A pretrained model from which every candidate of a sweep starts. It is never changed: candidates are copies. Safe for
 * several threads.
 */
public abstract class FinetuneModel {

    private final Teacher teacher;

    FinetuneModel(Teacher teacher) {
        this.teacher = teacher;
    }

    /**
     * {@return a model of a network}
     *
     * @param pretrained is copied; ends in softmax cross-entropy, see {@link
     *     io.github.dl4jretention.teacher.SoftmaxOutput}
     * @throws IllegalArgumentException if its last layer is another one
     */
    public static FinetuneModel of(MultiLayerNetwork pretrained) {
        return new MultiLayerModel(Objects.requireNonNull(pretrained, "pretrained"));
    }

    /**
     * {@return a model of a graph}
     *
     * @param pretrained is copied
     * @param outputs    names of the outputs to finetune; default: all
     * @throws IllegalArgumentException if an output computes no softmax cross-entropy
     */
    public static FinetuneModel of(ComputationGraph pretrained, String... outputs) {
        return new GraphModel(Objects.requireNonNull(pretrained, "pretrained"), outputs);
    }

    /**
     * {@return a model of a SameDiff graph}
     *
     * @param pretrained a graph without a loss, is copied; its variables are trained
     * @param logits     name of the variable of the logits {@code [..., V]}
     * @param labels     name of the placeholder of the labels, see {@link io.github.dl4jretention.loss.RetentionLoss}
     * @param features   names of the placeholders of a batch's features, in their order
     * @throws IllegalArgumentException if a variable does not exist
     */
    public static FinetuneModel of(SameDiff pretrained, String logits, String labels, String... features) {
        return new SameDiffModel(Objects.requireNonNull(pretrained, "pretrained"), logits, labels, List.of(features));
    }

    /** {@return the frozen copy of the model, one for all candidates} */
    public final Teacher teacher() {
        return teacher;
    }

    /** {@return SHA-256 of the model, see {@link io.github.dl4jretention.teacher.NetworkIdentity}} */
    public final String sha256() {
        return teacher.sha256();
    }

    /**
     * {@return SHA-256 of how the model trains: its whole configuration (dropout, weight noise, regularization,
     * constraints, gradient normalization, truncated backpropagation, loss weights, frozen layers, ...) but updaters,
     * iteration and epoch counts, which a candidate has of its own; of a SameDiff graph its operations with dropout,
     * and which variables are trained}
     */
    public abstract String settings();

    /** {@return names of the outputs that are finetuned; of a SameDiff graph those of its placeholders, too} */
    public String outputs() {
        return teacher.outputs().stream().map(TeacherOutput::name).collect(Collectors.joining(", "));
    }

    /**
     * {@return mean cross-entropies on two held-out texts of this model as it is, in nats per token}
     *
     * @param target what is to be learned
     * @param source what must not be forgotten
     */
    public final Losses losses(Batches target, Batches source) {
        return lossesOf(teacher, target, source);
    }

    /**
     * {@return mean cross-entropies of a network that {@link #load} or a task has made from this model, in nats per
     * token}
     *
     * @param plain  of the model's class
     * @param target what is to be learned
     * @param source what must not be forgotten
     */
    public final Losses losses(Object plain, Batches target, Batches source) {
        return lossesOf(predictor(plain), target, source);
    }

    /** The mean cross-entropy of this model as it is on a text, in nats per token. */
    final double loss(Batches text) {
        return TokenEvaluation.of(teacher, text.iterator()).crossEntropy();
    }

    private static Losses lossesOf(Teacher predictor, Batches target, Batches source) {
        return new Losses(
                TokenEvaluation.of(predictor, target.iterator()).crossEntropy(),
                TokenEvaluation.of(predictor, source.iterator()).crossEntropy());
    }

    /**
     * {@return what {@link #save} has written, a network of the model's class}
     *
     * @param file to read
     * @throws IOException if it cannot be read
     */
    public abstract Object load(Path file) throws IOException;

    /**
     * Writes a candidate's network, without its updater.
     *
     * @param plain of the model's class
     * @param file  to write; replaced if it is there
     * @throws IOException if it cannot be written
     */
    public abstract void save(Object plain, Path file) throws IOException;

    /** How many layers can be frozen at most: all but the outputs; 0 if none can. */
    abstract int freezable();

    /**
     * A new candidate.
     *
     * @param importance of the parameters, for methods that need it; else null
     */
    abstract Student student(
            FinetuneConfiguration configuration, IUpdater updater, Teacher teacher, Importance importance);

    /** An estimator of how much each parameter matters. */
    abstract ImportanceEstimator importance();

    /** The pull of a network towards where it is now; empty for methods without. */
    static Optional<QuadraticPenalty> penalty(Model start, FinetuneConfiguration configuration, Importance importance) {
        return switch (configuration.method()) {
            case L2_SP -> Optional.of(QuadraticPenalty.toStart(start, configuration.strength()));
            case EWC, MAS -> Optional.of(QuadraticPenalty.weighted(start, importance, configuration.strength()));
            case PLAIN, RETENTION, REPLAY, LABEL_SMOOTHING -> Optional.empty();
        };
    }

    abstract Teacher predictor(Object plain);

    /** Sum of all parameters: not finite if one of them is not, which clipped logits may hide. */
    abstract double parameterSum(Object plain);

    /** A sum that has room: one in half precision ends at 65504. */
    static double wideSum(INDArray array) {
        INDArray wide = array.dataType().width() < DataType.FLOAT.width() ? array.castTo(DataType.FLOAT) : array;
        return wide.sumNumber().doubleValue();
    }

    /** Whether plain finetuning can do without the teacher's values. */
    boolean plainWithoutTeacher() {
        return true;
    }
}
