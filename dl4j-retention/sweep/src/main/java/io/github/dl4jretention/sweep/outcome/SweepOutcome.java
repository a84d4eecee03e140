package io.github.dl4jretention.sweep.outcome;

import io.github.dl4jretention.eval.ParetoFront;
import io.github.dl4jretention.internal.JsonFields;
import io.github.dl4jretention.loss.Divergence;
import io.github.dl4jretention.loss.Preference;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.task.Losses;
import io.github.dl4jretention.sweep.task.RetentionScore;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.annotation.JsonProperty;
import org.nd4j.shade.jackson.core.JsonProcessingException;

/**
 * A sweep so far: what {@code sweep.json} holds.
 *
 * @param configuration the sweep's settings by name; a sweep with other values is another sweep
 * @param score         what candidates are chosen by
 * @param base          losses of the pretrained model on validation text
 * @param baseTest      losses of the pretrained model on test text
 * @param budget        candidates in all, of a grid or as asked for; null if their number is not known
 * @param seconds       time that the sweep has taken, over all its starts
 * @param finished      whether there is nothing left to run
 * @param candidates    those that have ended, by index
 */
@JsonFields
public record SweepOutcome(
        @JsonProperty("configuration") Map<String, String> configuration,
        @JsonProperty("score") RetentionScore score,
        @JsonProperty("base") Losses base,
        @JsonProperty("baseTest") @Nullable Losses baseTest,
        @JsonProperty("budget") @Nullable Integer budget,
        @JsonProperty("seconds") double seconds,
        @JsonProperty("finished") boolean finished,
        @JsonProperty("candidates") List<CandidateOutcome> candidates) {

    /** {@return candidates that were trained to their end, by index} */
    public List<CandidateOutcome> complete() {
        return candidates.stream().filter(CandidateOutcome::isComplete).toList();
    }

    /** {@return candidates that have failed, by index} */
    public List<CandidateOutcome> failed() {
        return candidates.stream()
                .filter(candidate -> candidate.status() == CandidateOutcome.Status.FAILED)
                .toList();
    }

    /**
     * {@return the complete candidates that no other beats in gain and forgetting on validation text, from the least
     * forgetting and gain to the most; see {@link ParetoFront}}
     */
    public List<CandidateOutcome> front() {
        return paretoFront().points();
    }

    /**
     * {@return how much better than the pretrained model a candidate is on target validation text, in nats per token; NaN
     * unless it's complete}
     *
     * @param candidate of this sweep
     */
    public double gain(CandidateOutcome candidate) {
        return candidate.validation() == null
                ? Double.NaN
                : candidate.validation().gain(base);
    }

    /**
     * {@return how much worse than the pretrained model a candidate is on source validation text, in nats per token; NaN
     * unless it's complete}
     *
     * @param candidate of this sweep
     */
    public double forgetting(CandidateOutcome candidate) {
        return candidate.validation() == null
                ? Double.NaN
                : candidate.validation().forgetting(base);
    }

    /**
     * {@return whether a candidate is complete and keeps forgetting within the score's limit}
     *
     * @param candidate of this sweep
     */
    public boolean isFeasible(CandidateOutcome candidate) {
        return candidate.validation() != null && score.isFeasible(base, candidate.validation());
    }

    private ParetoFront<CandidateOutcome> paretoFront() {
        return ParetoFront.of(complete(), this::gain, this::forgetting);
    }

    /**
     * {@return gain and forgetting, in nats per token, against which the hypervolume is measured: none of the gain, and
     * the largest forgetting of all complete candidates, at least 0}
     */
    public double[] reference() {
        double most = complete().stream().mapToDouble(this::forgetting).max().orElse(0);
        return new double[] {0, Math.max(0, most)};
    }

    /** {@return area of gain and forgetting between front and {@link #reference()}, in squared nats per token} */
    public double hypervolume() {
        return paretoFront().hypervolume(reference()[0], reference()[1]);
    }

    /**
     * {@return the complete candidate of the best score, of those that keep forgetting within the score's limit}
     *
     * <p>It's empty if no candidate was trained to its end, if all of them forget too much, or if none scores better
     * than the pretrained model itself; then it's best to keep the model as it is. With {@code weighted(w)} a candidate
     * must lower {@code target + w source}, with {@code constrained(x)} the target loss.
     */
    public Optional<CandidateOutcome> recommended() {
        return complete().stream()
                .filter(this::isFeasible)
                .min(Comparator.comparing(CandidateOutcome::score).thenComparing(CandidateOutcome::index))
                .filter(candidate -> Objects.requireNonNull(candidate.score()) < score.score(base, base));
    }

    /**
     * {@return a line of Java with which the {@code Sweep} that found a candidate trains it again}
     *
     * @param candidate with a configuration
     * @throws IllegalArgumentException if it failed while it was generated: there is no configuration to train
     */
    public String javaLine(CandidateOutcome candidate) {
        if (candidate.configuration() == null) {
            throw new IllegalArgumentException("candidate: expected one with a configuration, got " + candidate.index()
                    + ", which failed while it was generated");
        }
        return javaLine(candidate.configuration());
    }

    /**
     * {@return training time in seconds that pruning has saved: the steps that were not trained, at the pace of those
     * that were, less the time for scores on the way} It's below 0 if those scores took more time than was saved.
     */
    public double secondsSaved() {
        double saved = 0;
        for (CandidateOutcome candidate : candidates) {
            int rungs = candidate.rungs().size();
            if (candidate.status() == CandidateOutcome.Status.PRUNED) {
                int left = candidate.plannedSteps() - candidate.steps();
                saved += left * candidate.trainingSeconds() / candidate.steps();
                saved -= candidate.evaluationSeconds() * (rungs - 1) / rungs;
            } else if (rungs > 0) {
                saved -= candidate.evaluationSeconds() * rungs / (rungs + 1);
            }
        }
        return saved;
    }

    /** {@return this as indented JSON} */
    public String toJson() {
        try {
            return NeuralNetConfiguration.mapper().writeValueAsString(this);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("the sweep cannot be written as JSON", e);
        }
    }

    /**
     * {@return the sweep that {@link #toJson()} wrote}
     *
     * @param json as in {@code sweep.json}
     * @throws IllegalArgumentException if it is no sweep's JSON
     */
    public static SweepOutcome fromJson(String json) {
        try {
            return NeuralNetConfiguration.mapper().readValue(json, SweepOutcome.class);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("json: expected a sweep's, got: " + e.getOriginalMessage(), e);
        }
    }

    private static String javaLine(FinetuneConfiguration configuration) {
        return "var tuned = sweep.finetune(new FinetuneConfiguration(FinetuneMethod." + configuration.method() + ", "
                + (configuration.retention() == null ? "null" : builder(configuration.retention())) + ", "
                + configuration.learningRate() + ", " + configuration.epochs() + ", " + configuration.steps() + ", "
                + configuration.frozenUpTo()
                + (configuration.strength() == 0 && configuration.warmUp() == 0 ? "" : ", " + configuration.strength())
                + (configuration.warmUp() == 0 ? "" : ", " + configuration.warmUp())
                + "));";
    }

    private static String builder(RetentionConfiguration retention) {
        StringBuilder line = new StringBuilder("RetentionConfiguration.builder()");
        if (retention.getDivergence() != Divergence.FORWARD_KL) {
            line.append(".divergence(Divergence.")
                    .append(retention.getDivergence())
                    .append(')');
        }
        if (retention.getDivergence() == Divergence.JENSEN_SHANNON) {
            line.append(".beta(").append(retention.getBeta()).append(')');
        }
        line.append(".coefficient(").append(retention.getCoefficient()).append(')');
        if (retention.getTemperature() != 1) {
            line.append(".temperature(").append(retention.getTemperature()).append(')');
        }
        if (retention.getLabelSmoothing() != 0) {
            line.append(".labelSmoothing(")
                    .append(retention.getLabelSmoothing())
                    .append(')');
        }
        if (retention.getPreference() != null) {
            Preference preference = retention.getPreference();
            line.append(".preference(new Preference(Preference.Kind.")
                    .append(preference.kind())
                    .append(", ")
                    .append(preference.beta())
                    .append(", ")
                    .append(preference.parameter())
                    .append("))");
        }
        if (retention.getTokenWeight() != null) {
            line.append(".tokenWeight(TokenWeight.")
                    .append(retention.getTokenWeight())
                    .append(')');
        }
        return line.append(".build()").toString();
    }
}
