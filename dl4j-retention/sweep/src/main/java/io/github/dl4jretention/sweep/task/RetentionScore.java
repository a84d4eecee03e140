package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.internal.JsonFields;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import org.deeplearning4j.arbiter.optimize.api.data.DataProvider;
import org.deeplearning4j.arbiter.optimize.api.data.DataSource;
import org.deeplearning4j.arbiter.optimize.api.score.ScoreFunction;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * One number for learning and forgetting, from the losses on validation text; the less the better:
 *
 * <pre>
 * weighted(w)       target + w source
 * constrained(x)    target                               where source is at most x above the base's
 *                   1e6 + source - base source - x       elsewhere: worse than all that keep to it
 * </pre>
 *
 * All in nats per token. A sweep's default is {@code weighted(1)}; {@code constrained(x)} says how much forgetting you
 * accept. The 1e6 keeps searches away from candidates that forget too much; reports and tables don't show it.
 */
@JsonFields
public final class RetentionScore implements ScoreFunction {

    private static final long serialVersionUID = 1L;
    private static final double INFEASIBLE = 1e6;

    /** The w of a weighted score; 0 for a constrained one. */
    private final double sourceWeight;

    /** The x of a constrained score, in nats per token; null for a weighted one. */
    private final @Nullable Double largestForgetting;

    @JsonCreator
    private RetentionScore(
            @JsonProperty("sourceWeight") double sourceWeight,
            @JsonProperty("largestForgetting") @Nullable Double largestForgetting) {
        this.sourceWeight = sourceWeight;
        this.largestForgetting = largestForgetting;
    }

    /**
     * {@return target loss plus weighted source loss}
     *
     * @param sourceWeight w, finite and at least 0
     * @throws IllegalArgumentException if it is outside of its range
     */
    public static RetentionScore weighted(double sourceWeight) {
        if (!(sourceWeight >= 0 && Double.isFinite(sourceWeight))) {
            throw new IllegalArgumentException(
                    "sourceWeight: expected a finite number of at least 0, got " + sourceWeight);
        }
        return new RetentionScore(sourceWeight, null);
    }

    /**
     * {@return the least target loss among candidates that forget at most so much}
     *
     * @param largestForgetting x, how far the source loss may be above the base's, in nats per token; finite
     * @throws IllegalArgumentException if it is not finite
     */
    public static RetentionScore constrained(double largestForgetting) {
        if (!Double.isFinite(largestForgetting)) {
            throw new IllegalArgumentException(
                    "largestForgetting: expected a finite number of nats per token, got " + largestForgetting);
        }
        return new RetentionScore(0, largestForgetting);
    }

    /**
     * {@return the score of a candidate, from its losses and those of the pretrained model; the less the better}
     *
     * @param base      of the pretrained model, on validation text
     * @param candidate of the candidate, on the same text
     */
    public double score(Losses base, Losses candidate) {
        if (largestForgetting == null) {
            return candidate.target() + sourceWeight * candidate.source();
        }
        double excess = candidate.forgetting(base) - largestForgetting;
        return excess <= 0 ? candidate.target() : INFEASIBLE + excess;
    }

    /**
     * {@return whether a candidate keeps to the constraint; true if there is none}
     *
     * @param base      of the pretrained model, on validation text
     * @param candidate of the candidate, on the same text
     */
    public boolean isFeasible(Losses base, Losses candidate) {
        return largestForgetting == null || candidate.forgetting(base) <= largestForgetting;
    }

    /** {@return this score in words} */
    public String description() {
        return largestForgetting == null
                ? "least target loss + " + sourceWeight + " x source loss"
                : "least target loss with source loss at most " + largestForgetting + " nats per token above the base";
    }

    /**
     * For Arbiter's own task creators.
     *
     * @param dataSource a {@link FinetuneDataSource}
     * @throws IllegalArgumentException if it is another
     */
    @Override
    public double score(Object model, Class<? extends DataSource> dataSource, Properties dataSourceProperties) {
        FinetuneProblem problem = FinetuneDataSource.problem(dataSource, dataSourceProperties);
        return score(problem.baseLosses(), problem.validation(withoutRetention(model)));
    }

    /** Not supported: Arbiter itself has replaced DataProvider by DataSource. */
    @Override
    @SuppressWarnings("deprecation")
    public double score(Object model, DataProvider dataProvider, Map<String, Object> dataParameters) {
        throw new UnsupportedOperationException(
                "dataProvider: expected a FinetuneDataSource in the OptimizationConfiguration, got " + dataProvider);
    }

    private static Object withoutRetention(Object model) {
        if (model instanceof MultiLayerNetwork network
                && isRetention(network.getOutputLayer().conf().getLayer())) {
            return Retention.detach(network);
        }
        if (model instanceof ComputationGraph graph
                && graph.getConfiguration().getNetworkOutputs().stream()
                        .anyMatch(
                                name -> isRetention(graph.getLayer(name).conf().getLayer()))) {
            return Retention.detach(graph);
        }
        return model;
    }

    private static boolean isRetention(Layer layer) {
        return layer instanceof RetentionOutputLayer;
    }

    @Override
    public boolean minimize() {
        return true;
    }

    @Override
    public List<Class<?>> getSupportedModelTypes() {
        return List.of(MultiLayerNetwork.class, ComputationGraph.class, SameDiff.class);
    }

    @Override
    public List<Class<?>> getSupportedDataTypes() {
        return List.of(MultiDataSetIterator.class);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof RetentionScore that
                && Double.compare(sourceWeight, that.sourceWeight) == 0
                && Objects.equals(largestForgetting, that.largestForgetting);
    }

    @Override
    public int hashCode() {
        return Objects.hash(sourceWeight, largestForgetting);
    }

    @Override
    public String toString() {
        return largestForgetting == null ? "weighted(" + sourceWeight + ")" : "constrained(" + largestForgetting + ")";
    }
}
