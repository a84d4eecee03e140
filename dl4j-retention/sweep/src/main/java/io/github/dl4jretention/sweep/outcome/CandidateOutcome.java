package io.github.dl4jretention.sweep.outcome;

import io.github.dl4jretention.internal.JsonFields;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.task.CurvePoint;
import io.github.dl4jretention.sweep.task.FinetuneResult;
import io.github.dl4jretention.sweep.task.Losses;
import io.github.dl4jretention.sweep.task.RungScore;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * A candidate of a sweep that has ended.
 *
 * @param index             from 0, in the order in which candidates were drawn
 * @param status            how it ended
 * @param configuration     how it was finetuned; null if it failed while it was generated
 * @param reason            why it failed; null if it did not
 * @param score             on validation text, the less the better; null unless it is complete
 * @param validation        losses on validation text; null unless it is complete
 * @param test              losses on test text; null unless it is on the Pareto front of a finished sweep
 * @param steps             minibatches trained
 * @param plannedSteps      minibatches of the whole candidate
 * @param trainingSeconds   time in training steps
 * @param evaluationSeconds time in losses on validation text
 * @param curve             of training
 * @param rungs             scores on the way, where there is a pruning rule
 */
@JsonFields
public record CandidateOutcome(
        @JsonProperty("index") int index,
        @JsonProperty("status") Status status,
        @JsonProperty("configuration") @Nullable FinetuneConfiguration configuration,
        @JsonProperty("reason") @Nullable String reason,
        @JsonProperty("score") @Nullable Double score,
        @JsonProperty("validation") @Nullable Losses validation,
        @JsonProperty("test") @Nullable Losses test,
        @JsonProperty("steps") int steps,
        @JsonProperty("plannedSteps") int plannedSteps,
        @JsonProperty("trainingSeconds") double trainingSeconds,
        @JsonProperty("evaluationSeconds") double evaluationSeconds,
        @JsonProperty("curve") List<CurvePoint> curve,
        @JsonProperty("rungs") List<RungScore> rungs) {

    /** How a candidate ended. */
    public enum Status {
        /** Trained and measured. */
        COMPLETE,
        /** Ended before its time as hopeless. */
        PRUNED,
        /** Not generated, or its loss was not finite, or it diverged. */
        FAILED
    }

    /**
     * {@return the outcome of a candidate that its task has completed or pruned, without losses on test text}
     *
     * @param index         from 0, in the order in which candidates were drawn
     * @param configuration how it was finetuned
     * @param result        of its task
     * @param score         on validation text, the less the better; null if it was pruned
     */
    public static CandidateOutcome of(
            int index, FinetuneConfiguration configuration, FinetuneResult result, @Nullable Double score) {
        return new CandidateOutcome(
                index,
                result.pruned() ? Status.PRUNED : Status.COMPLETE,
                configuration,
                null,
                score,
                result.validation(),
                null,
                result.steps(),
                result.plannedSteps(),
                result.trainingSeconds(),
                result.evaluationSeconds(),
                result.curve(),
                result.rungs());
    }

    /**
     * {@return the outcome of a candidate that failed: steps and times are 0, curve and rungs are empty, however far it
     * was trained}
     *
     * @param index from 0, in the order in which candidates were drawn
     * @param configuration how it was finetuned; null if it failed while it was generated
     * @param reason why it failed
     */
    public static CandidateOutcome failed(int index, @Nullable FinetuneConfiguration configuration, String reason) {
        return new CandidateOutcome(
                index, Status.FAILED, configuration, reason, null, null, null, 0, 0, 0, 0, List.of(), List.of());
    }

    /**
     * {@return this outcome with losses on test text}
     *
     * @param measured in nats per token; null for none
     */
    public CandidateOutcome withTest(@Nullable Losses measured) {
        return new CandidateOutcome(
                index,
                status,
                configuration,
                reason,
                score,
                validation,
                measured,
                steps,
                plannedSteps,
                trainingSeconds,
                evaluationSeconds,
                curve,
                rungs);
    }

    /** {@return whether it was trained to its end and measured} */
    public boolean isComplete() {
        return status == Status.COMPLETE;
    }

    /** {@return lambda; NaN for methods other than retention, or where there is no configuration} */
    public double coefficient() {
        return configuration == null || configuration.retention() == null
                ? Double.NaN
                : configuration.retention().getCoefficient();
    }
}
