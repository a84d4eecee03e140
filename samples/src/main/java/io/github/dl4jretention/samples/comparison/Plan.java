package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.text.Domain;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/**
 * What is compared, read from JSON: every method at every strength, on every model, pair of domains, learning rate and
 * seed, with the same number of steps on the same windows of text in the same order.
 *
 * @param models            base models; none for a plan of a model folder
 * @param pairs             of a target and its sources
 * @param methods           with their strengths
 * @param learningRates     Adam's, where a method has none of its own
 * @param seeds             of batches, adapters and draws
 * @param steps             minibatches of a trial
 * @param batch             sequences of a minibatch
 * @param evaluationBatches minibatches of 16 held-out sequences of each domain and part
 * @param importanceExamples sequences from which importance is estimated, and that the base writes for self-replay
 * @param widen             trainings a method may have in addition on each model and pair, seeds apart, until its best is inside
 *     of what was tried, see {@link TriedTrainings}; 0 for none
 * @param window            tokens that a model of a folder is trained on and measured with at once; 0 for 64
 * @param warmUps           steps in which the learning rate rises, where a method has none of its own; 0 for none
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
        int importanceExamples,
        int window,
        List<Integer> warmUps,
        int widen)
        implements Serializable {

    /** @throws IllegalArgumentException if something is missing or not positive; the message names it */
    @JsonCreator
    public Plan(
            @JsonProperty("models") @Nullable List<ModelKind> models,
            @JsonProperty("pairs") List<Pair> pairs,
            @JsonProperty("methods") List<MethodPlan> methods,
            @JsonProperty("learningRates") List<Double> learningRates,
            @JsonProperty("seeds") List<Long> seeds,
            @JsonProperty("steps") int steps,
            @JsonProperty("batch") int batch,
            @JsonProperty("evaluationBatches") int evaluationBatches,
            @JsonProperty("importanceExamples") int importanceExamples,
            @JsonProperty("window") int window,
            @JsonProperty("warmUps") @Nullable List<Integer> warmUps,
            @JsonProperty("widen") int widen) {
        this.models = optional("models", models);
        this.pairs = required("pairs", pairs);
        this.methods = required("methods", methods);
        this.learningRates = rates(required("learningRates", learningRates));
        this.seeds = required("seeds", seeds);
        this.steps = positive("steps", steps);
        this.batch = positive("batch", batch);
        this.evaluationBatches = positive("evaluationBatches", evaluationBatches);
        this.importanceExamples = positive("importanceExamples", importanceExamples);
        this.warmUps = warmUps == null || warmUps.isEmpty() ? List.of(0) : warmUps(warmUps);
        this.window = window;
        this.widen = widen;
        if (window < 0) {
            throw new IllegalArgumentException("window: expected at least 0 tokens, got " + window);
        }
        if (widen < 0) {
            throw new IllegalArgumentException("widen: expected at least 0 trainings, got " + widen);
        }
        if (pairs.stream().map(Pair::target).distinct().count() < pairs.size()) {
            throw new IllegalArgumentException("pairs: expected targets that differ, got " + pairs);
        }
        for (MethodPlan method : methods) {
            if (method.stops().stream().anyMatch(stop -> stop < 1 || stop >= steps)) {
                throw new IllegalArgumentException(
                        "stops: expected steps from 1 to below " + steps + ", got " + method.stops());
            }
            requireReplayed(method);
        }
        requireDifferentTrials();
        if (methods.stream().noneMatch(method -> method.method() == Method.PLAIN)) {
            throw new IllegalArgumentException("methods: expected PLAIN among them, to which costs are compared");
        }
    }

    private void requireReplayed(MethodPlan method) {
        List<Integer> shares = new ArrayList<>();
        for (double strength : method.strengths()) {
            int replayed = method.replayedExamples(batch, strength);
            if (method.method().replays() && (replayed < 1 || method.targetExamples(batch, strength) < 1)) {
                throw new IllegalArgumentException("batch: expected target and source examples in one of "
                        + method.method() + " at " + strength + ", got " + replayed + " source examples of " + batch);
            }
            shares.add(replayed);
        }
        if (method.method() == Method.REPLAY) {
            requireEachOnce("strengths: source examples of " + batch, shares);
        }
    }

    private void requireDifferentTrials() {
        Set<String> keys = new HashSet<>();
        for (Trial trial : trials()) {
            if (!keys.add(trial.key())) {
                throw new IllegalArgumentException(
                        "methods: expected each model, target, method, strength, rate and seed once, got twice "
                                + trial.key());
            }
        }
    }

    /** What is learned, and what must not be forgotten. */
    public record Pair(Domain target, List<Domain> sources) implements Serializable {

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

    /** A merge with the start and its strengths. */
    public record MergePlan(MergeKind merge, List<Double> strengths) implements Serializable {

        /** For JSON. */
        @JsonCreator
        public MergePlan(@JsonProperty("merge") MergeKind merge, @JsonProperty("strengths") List<Double> strengths) {
            this.merge = merge;
            this.strengths = required("strengths", strengths);
            for (double strength : this.strengths) {
                if (merge == null || !merge.allows(strength)) {
                    throw new IllegalArgumentException(
                            "strengths: got " + strength + ", which " + merge + " cannot have");
                }
            }
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
                            + String.valueOf(cause.getMessage())
                                    .lines()
                                    .findFirst()
                                    .orElse(""),
                    e);
        }
    }

    void write(Path file) throws IOException {
        new ObjectMapper().writerWithDefaultPrettyPrinter().writeValue(file.toFile(), this);
    }

    /** @throws IllegalStateException if results of this plan and of another must not stand in one table */
    void requireMeasuresAs(Plan other) {
        requireSame("steps", steps, other.steps);
        requireSame("batch", batch, other.batch);
        requireSame("evaluationBatches", evaluationBatches, other.evaluationBatches);
        requireSame("importanceExamples", importanceExamples, other.importanceExamples);
        requireSame("window", window, other.window);
        for (Pair pair : other.pairs) {
            pairs.stream()
                    .filter(own -> own.target() == pair.target())
                    .forEach(own -> requireSame("sources", own.sources(), pair.sources()));
        }
    }

    /** This plan, with the pairs of another that it lacks: what results were measured with. */
    Plan withPairsOf(Plan other) {
        List<Pair> all = new ArrayList<>(pairs);
        other.pairs.stream()
                .filter(pair -> pairs.stream().noneMatch(own -> own.target() == pair.target()))
                .forEach(all::add);
        return new Plan(
                models,
                all,
                methods,
                learningRates,
                seeds,
                steps,
                batch,
                evaluationBatches,
                importanceExamples,
                window,
                warmUps,
                widen);
    }

    private static void requireSame(String name, Object kept, Object given) {
        if (!kept.equals(given)) {
            throw new IllegalStateException(
                    name + ": expected " + kept + ", as the results there were measured with, got " + given);
        }
    }

    /**
     * All trials of the plan's models, or of that of a folder, in an order that finishes one seed of all methods before the
     * next.
     */
    List<Trial> trials() {
        return models.isEmpty()
                ? trials("a folder")
                : trials(models.stream().map(ModelKind::label).toArray(String[]::new));
    }

    /** All trials of some bases, likewise. */
    List<Trial> trials(String... bases) {
        List<Trial> trials = new ArrayList<>();
        for (long seed : seeds) {
            for (String base : bases) {
                for (Pair pair : pairs) {
                    for (MethodPlan method : methods) {
                        List<Double> rates = method.learningRates().isEmpty() ? learningRates : method.learningRates();
                        List<Double> strengths =
                                method.strengths().isEmpty() ? List.of(Double.NaN) : method.strengths();
                        List<Integer> warm = method.warmUps().isEmpty() ? warmUps : method.warmUps();
                        for (double strength : strengths) {
                            for (double learningRate : rates) {
                                for (int warmUp : warm) {
                                    trials.add(new Trial(base, pair, method, strength, learningRate, warmUp, seed));
                                }
                            }
                        }
                    }
                }
            }
        }
        return trials;
    }

    static <T> List<T> required(String name, List<T> values) {
        if (values == null || values.isEmpty()) {
            throw new IllegalArgumentException(name + ": expected at least one, got " + values);
        }
        return optional(name, values);
    }

    static <T> List<T> optional(String name, @Nullable List<T> values) {
        if (values == null) {
            return List.of();
        }
        if (values.stream().anyMatch(Objects::isNull)) {
            throw new IllegalArgumentException(name + ": expected values, got null among " + values);
        }
        requireEachOnce(name, values);
        return List.copyOf(values);
    }

    static void requireEachOnce(String name, List<?> values) {
        if (new HashSet<>(values).size() < values.size()) {
            throw new IllegalArgumentException(name + ": expected each once, got " + values);
        }
    }

    static List<Double> rates(List<Double> rates) {
        if (!rates.stream().allMatch(rate -> rate > 0 && Double.isFinite(rate))) {
            throw new IllegalArgumentException("learningRates: expected positive numbers, got " + rates);
        }
        return rates;
    }

    static List<Integer> warmUps(List<Integer> warmUps) {
        if (!optional("warmUps", warmUps).stream().allMatch(steps -> steps >= 0)) {
            throw new IllegalArgumentException("warmUps: expected numbers of steps of at least 0, got " + warmUps);
        }
        return List.copyOf(warmUps);
    }

    private static int positive(String name, int value) {
        if (value < 1) {
            throw new IllegalArgumentException(name + ": expected at least 1, got " + value);
        }
        return value;
    }
}
