package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.baseline.Importance;
import io.github.dl4jretention.baseline.ImportanceEstimator;
import io.github.dl4jretention.baseline.QuadraticPenalty;
import io.github.dl4jretention.baseline.SelfReplay;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.teacher.NetworkIdentity;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Collectors;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.FrozenVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/**
 * The pretrained model from which every candidate of a sweep starts. Candidates are copies: the model never changes.
 * Safe for several threads.
 */
public abstract class FinetuneModel {

    private static final RetentionConfiguration PLAIN =
            RetentionConfiguration.builder().coefficient(0).build();

    private static final List<String> COUNTS = List.of("iterationCount", "epochCount");

    private final Teacher teacher;

    FinetuneModel(Teacher teacher) {
        this.teacher = teacher;
    }

    /**
     * {@return the model of a MultiLayerNetwork}
     *
     * @param pretrained is copied; ends in softmax cross-entropy, see {@link
     *     io.github.dl4jretention.teacher.SoftmaxOutput}
     * @throws IllegalArgumentException if its last layer is another one
     */
    public static FinetuneModel of(MultiLayerNetwork pretrained) {
        return new MultiLayerModel(Objects.requireNonNull(pretrained, "pretrained"));
    }

    /**
     * {@return the model of a ComputationGraph}
     *
     * @param pretrained is copied
     * @param outputs    names of the outputs to finetune; default: all
     * @throws IllegalArgumentException if an output computes no softmax cross-entropy
     */
    public static FinetuneModel of(ComputationGraph pretrained, String... outputs) {
        return new GraphModel(Objects.requireNonNull(pretrained, "pretrained"), outputs);
    }

    /**
     * {@return the model of a SameDiff}
     *
     * @param pretrained without a loss; is copied, and its variables are trained
     * @param logits     name of the variable of the logits {@code [..., V]}
     * @param labels     name of the placeholder of the labels, see {@link io.github.dl4jretention.loss.RetentionLoss}
     * @param features   names of the placeholders of a batch's features, in their order
     * @throws IllegalArgumentException if a variable does not exist
     */
    public static FinetuneModel of(SameDiff pretrained, String logits, String labels, String... features) {
        return new SameDiffFinetuneModel(
                Objects.requireNonNull(pretrained, "pretrained"), logits, labels, List.of(features));
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
     * constraints, gradient normalization, truncated backpropagation, loss weights, frozen layers, ...) without updaters,
     * iteration and epoch counts, which each candidate has for itself. For SameDiff it's of the operations, dropout
     * included, and of which variables are trained}
     */
    public abstract String settings();

    /** {@return names of the outputs that are finetuned, and for SameDiff of its placeholders} */
    public String outputs() {
        return teacher.outputs().stream().map(TeacherOutput::name).collect(Collectors.joining(", "));
    }

    /**
     * {@return mean cross-entropies on two held-out texts of this model as it is, in nats per token, or what the texts are
     * measured by}
     *
     * @param target what is to be learned
     * @param source what must not be forgotten
     */
    public final Losses losses(Batches target, Batches source) {
        return new Losses(loss(target), loss(source));
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
        return new Losses(loss(plain, target), loss(plain, source));
    }

    /** The mean cross-entropy of this model as it is on a text, in nats per token, or what the text is measured by. */
    final double loss(Batches text) {
        if (text instanceof Batches.Measured measured) {
            Object copy = copyOfPretrained();
            try {
                return measured.of(copy);
            } finally {
                // SameDiff has no close().
                if (copy instanceof MultiLayerNetwork network) {
                    network.close();
                } else if (copy instanceof ComputationGraph graph) {
                    graph.close();
                }
            }
        }
        return TokenEvaluation.of(teacher, text.iterator()).crossEntropy();
    }

    private double loss(Object plain, Batches text) {
        if (text instanceof Batches.Measured measured) {
            return measured.of(plain);
        }
        try (Teacher predictor = predictor(plain)) {
            return TokenEvaluation.of(predictor, text.iterator()).crossEntropy();
        }
    }

    /** A copy of this model as it is, of its class. */
    abstract Object copyOfPretrained();

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

    /** Writes the model itself as {@link #save} writes candidates. */
    abstract void savePretrained(Path file) throws IOException;

    /** What makes the same model of the file: outputs, or variables. */
    abstract List<String> names();

    /** The most layers that can be frozen: all but the outputs, and none of SameDiff. */
    abstract int freezable();

    /**
     * A new candidate.
     *
     * @param importance of the parameters, for methods that need it; else null
     */
    abstract CandidateTraining training(
            FinetuneConfiguration configuration, IUpdater updater, Teacher teacher, @Nullable Importance importance);

    /** An estimator of how much each parameter matters. */
    abstract ImportanceEstimator importance();

    /** What the model writes: a whole window for each token, unless it has a faster way. */
    SelfReplay.Builder writing(MultiDataSetIterator target) {
        return SelfReplay.of(teacher, target);
    }

    /** The pull of a network towards where it is now; empty for methods without. */
    static Optional<QuadraticPenalty> penalty(
            Model start, FinetuneConfiguration configuration, @Nullable Importance importance) {
        return switch (configuration.method()) {
            case L2_SP -> Optional.of(QuadraticPenalty.toStart(start, configuration.strength()));
            case EWC, MAS -> Optional.of(
                    QuadraticPenalty.weighted(start, Objects.requireNonNull(importance), configuration.strength()));
            case PLAIN, RETENTION, REPLAY, SELF_REPLAY, SELF_REPLAY_RETENTION, LABEL_SMOOTHING -> Optional.empty();
        };
    }

    abstract Teacher predictor(Object plain);

    /** Sum of all parameters. It isn't finite if one of them isn't, which clipped logits may hide. */
    abstract double parameterSum(Object plain);

    /** A sum in at least FLOAT: HALF ends at 65504. */
    static double wideSum(INDArray array) {
        INDArray wide = array.dataType().width() < DataType.FLOAT.width() ? array.castTo(DataType.FLOAT) : array;
        return wide.sumNumber().doubleValue();
    }

    /** Whether plain finetuning can do without the teacher's values. */
    boolean plainWithoutTeacher() {
        return true;
    }

    /** A candidate in training. */
    interface CandidateTraining {

        /**
         * One update.
         *
         * @param batch with the teacher's values, but for plain finetuning
         * @param epoch from 0
         * @return the loss before the update
         */
        TokenLoss fit(MultiDataSet batch, int epoch);

        /** The network in training, for listeners. */
        Object network();

        /** A copy without any part of this library: the stock network with the tuned weights. */
        Object plain();
    }

    /** Methods without a teacher are retention at coefficient 0, whose numbers are the stock layer's. */
    static RetentionConfiguration lossOf(FinetuneConfiguration configuration) {
        return switch (configuration.method()) {
            case RETENTION, SELF_REPLAY, SELF_REPLAY_RETENTION -> Objects.requireNonNull(configuration.retention());
            case LABEL_SMOOTHING -> RetentionConfiguration.builder()
                    .coefficient(0)
                    .labelSmoothing(configuration.strength())
                    .build();
            case PLAIN, L2_SP, EWC, MAS, REPLAY -> PLAIN;
        };
    }

    /**
     * Freezes the layer of a configuration. DL4J's TransferLearning does the same, but loses the network's backpropagation
     * type and modes, and turns DOUBLE graphs into FLOAT ones.
     */
    static void freeze(NeuralNetConfiguration conf) {
        Layer layer = conf.getLayer();
        if (!(layer instanceof FrozenLayer)) {
            FrozenLayer frozen = new FrozenLayer(layer);
            frozen.setLayerName(layer.getLayerName());
            conf.setLayer(frozen);
        }
    }

    /** What stands in place of a frozen vertex. One without parameters is frozen too: no gradient goes back to it. */
    static GraphVertex frozen(GraphVertex vertex) {
        if (vertex instanceof LayerVertex layer) {
            freeze(layer.getLayerConf());
            return layer;
        }
        return vertex instanceof FrozenVertex ? vertex : new FrozenVertex(vertex);
    }

    /** @param configuration of a network or graph as DL4J writes it, with an updater that is the same for all models */
    static String settingsOfNetwork(String configuration) {
        try {
            return NetworkIdentity.sha256(
                    List.of(without(new ObjectMapper().readTree(configuration)).toString()));
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("DL4J wrote a configuration that is not JSON", e);
        }
    }

    private static JsonNode without(JsonNode node) {
        if (node instanceof ObjectNode object) {
            object.remove(COUNTS);
        }
        node.forEach(FinetuneModel::without);
        return node;
    }

    /** Dropout, which a teacher is rid of, and what is trained: variables, not constants. */
    static String settingsOfSameDiff(SameDiff sameDiff, String logits) {
        List<String> parts = new ArrayList<>(List.of(NetworkIdentity.sha256(sameDiff, logits)));
        for (SDVariable variable : sameDiff.variables()) {
            if (variable.getVariableType() != VariableType.ARRAY) {
                parts.add(variable.name() + " " + variable.getVariableType());
            }
        }
        return NetworkIdentity.sha256(parts);
    }

    /**
     * The loss of one step: of all outputs and, under truncated backpropagation, which makes an update for each segment, of
     * all segments.
     */
    static final class StepLoss extends BaseTrainingListener {

        private final List<RetentionOutputLayerRuntime> outputs;
        private @Nullable TokenLoss loss;

        StepLoss(List<RetentionOutputLayerRuntime> outputs) {
            this.outputs = outputs;
        }

        @Override
        public void iterationDone(Model model, int iteration, int epoch) {
            for (RetentionOutputLayerRuntime output : outputs) {
                TokenLoss last = Objects.requireNonNull(output.lastTokenLoss());
                loss = loss == null ? last : sum(loss, last);
            }
        }

        /** The loss since it was last taken. */
        TokenLoss take() {
            TokenLoss taken = Objects.requireNonNull(loss);
            loss = null;
            return taken;
        }

        /** The coefficient of two segments may differ: the divergence is multiplied by the mean of both. */
        static TokenLoss sum(TokenLoss one, TokenLoss other) {
            double divergence = one.divergenceSum() + other.divergenceSum();
            double product = one.factor() * one.divergenceSum() + other.factor() * other.divergenceSum();
            return new TokenLoss(
                    one.crossEntropySum() + other.crossEntropySum(),
                    divergence,
                    one.factor() == other.factor() || divergence == 0 ? other.factor() : product / divergence,
                    one.tokens() + other.tokens(),
                    one.divergenceTokens() + other.divergenceTokens(),
                    one.agreements() + other.agreements(),
                    one.objectiveSum() + other.objectiveSum());
        }
    }
}
