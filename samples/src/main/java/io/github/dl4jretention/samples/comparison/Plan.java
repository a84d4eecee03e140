package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.text.Domain;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/**
 * What is compared, read from JSON: every method at every strength, on every model, pair of domains, learning rate and seed,
 * with the same number of steps on the same windows of text in the same order.
 *
 * @param models            base models
 * @param pairs             of a target and its sources
 * @param methods           with their strengths
 * @param learningRates     Adam's, where a method has none of its own
 * @param seeds             of batches, adapters and draws
 * @param steps             minibatches of a trial
 * @param batch             sequences of a minibatch
 * @param evaluationBatches minibatches of 16 held-out sequences of each domain and part
 * @param importanceExamples sequences from which importance is estimated
 */
public record Plan(
        List<ModelKind> models,
        List<Pair> pairs,
        List<MethodPlan> methods,
        List<Double> learningRates,
        List<Long> seeds,
        int steps,
        int batch,
        int evaluationBatches,
        int importanceExamples) {

    /** @throws IllegalArgumentException if something is missing or not positive; the message names it */
    @JsonCreator
    public Plan(
            @JsonProperty("models") List<ModelKind> models,
            @JsonProperty("pairs") List<Pair> pairs,
            @JsonProperty("methods") List<MethodPlan> methods,
            @JsonProperty("learningRates") List<Double> learningRates,
            @JsonProperty("seeds") List<Long> seeds,
            @JsonProperty("steps") int steps,
            @JsonProperty("batch") int batch,
            @JsonProperty("evaluationBatches") int evaluationBatches,
            @JsonProperty("importanceExamples") int importanceExamples) {
        this.models = required("models", models);
        this.pairs = required("pairs", pairs);
        this.methods = required("methods", methods);
        this.learningRates = required("learningRates", learningRates);
        this.seeds = required("seeds", seeds);
        this.steps = positive("steps", steps);
        this.batch = positive("batch", batch);
        this.evaluationBatches = positive("evaluationBatches", evaluationBatches);
        this.importanceExamples = positive("importanceExamples", importanceExamples);
        if (methods.stream().noneMatch(method -> method.method() == Method.PLAIN)) {
            throw new IllegalArgumentException("methods: expected PLAIN among them, to which costs are compared");
        }
    }

    /** What is learned, and what must not be forgotten. */
    public record Pair(Domain target, List<Domain> sources) {

        /** For JSON. */
        @JsonCreator
        public Pair(@JsonProperty("target") Domain target, @JsonProperty("sources") List<Domain> sources) {
            this.target = target;
            this.sources = required("sources", sources);
            if (target == null || sources.contains(target)) {
                throw new IllegalArgumentException(
                        "pairs: expected a target that is none of its sources, got " + target + " of " + sources);
            }
        }
    }

    /**
     * A method and its strengths.
     *
     * @param strengths what they are depends on the {@link Method}; none for a method without
     * @param merges    what is tried on every tuned model afterwards, without training
     * @param stops     steps after which the model is measured too, as if training had ended there
     * @param learningRates in place of the plan's; empty for those
     */
    public record MethodPlan(
            Method method,
            List<Double> strengths,
            List<MergePlan> merges,
            List<Integer> stops,
            List<Double> learningRates) {

        /** For JSON. */
        @JsonCreator
        public MethodPlan(
                @JsonProperty("method") Method method,
                @JsonProperty("strengths") List<Double> strengths,
                @JsonProperty("merges") List<MergePlan> merges,
                @JsonProperty("stops") List<Integer> stops,
                @JsonProperty("learningRates") List<Double> learningRates) {
            this.method = method;
            this.strengths = strengths == null ? List.of(Double.NaN) : List.copyOf(strengths);
            this.merges = merges == null ? List.of() : List.copyOf(merges);
            this.stops = stops == null ? List.of() : List.copyOf(stops);
            this.learningRates = learningRates == null ? List.of() : List.copyOf(learningRates);
            if (method == null || method.hasStrength() != (strengths != null)) {
                throw new IllegalArgumentException("methods: expected a method, and strengths if it has any, got "
                        + method + " with " + strengths);
            }
        }
    }

    /** A merge with the start and its strengths. */
    public record MergePlan(MergeKind merge, List<Double> strengths) {

        /** For JSON. */
        @JsonCreator
        public MergePlan(@JsonProperty("merge") MergeKind merge, @JsonProperty("strengths") List<Double> strengths) {
            this.merge = merge;
            this.strengths = required("strengths", strengths);
        }
    }

    /**
     * Reads a plan.
     *
     * @throws IOException if the file cannot be read or is no plan; the message says why
     */
    public static Plan read(Path file) throws IOException {
        try {
            return new ObjectMapper().readValue(file.toFile(), Plan.class);
        } catch (JsonProcessingException e) {
            Throwable cause = e.getCause() == null ? e : e.getCause();
            throw new IOException(
                    "plan " + file + ": "
                            + cause.getMessage().lines().findFirst().orElse(""),
                    e);
        }
    }

    /** All trials, in an order that finishes one seed of all methods before the next. */
    List<Trial> trials() {
        List<Trial> trials = new ArrayList<>();
        for (long seed : seeds) {
            for (ModelKind model : models) {
                for (Pair pair : pairs) {
                    for (MethodPlan method : methods) {
                        List<Double> rates = method.learningRates().isEmpty() ? learningRates : method.learningRates();
                        for (double strength : method.strengths()) {
                            for (double learningRate : rates) {
                                trials.add(new Trial(model, pair, method, strength, learningRate, seed));
                            }
                        }
                    }
                }
            }
        }
        return trials;
    }

    private static <T> List<T> required(String name, List<T> values) {
        if (values == null || values.isEmpty()) {
            throw new IllegalArgumentException(name + ": expected at least one, got " + values);
        }
        return List.copyOf(values);
    }

    private static int positive(String name, int value) {
        if (value < 1) {
            throw new IllegalArgumentException(name + ": expected at least 1, got " + value);
        }
        return value;
    }
}
