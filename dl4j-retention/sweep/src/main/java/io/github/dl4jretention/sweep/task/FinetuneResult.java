package io.github.dl4jretention.sweep.task;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The results of a candidate's task: in Arbiter's terms, the model-specific results of an OptimizationResult.
 *
 * @param validation        losses on validation text at the end; null if the candidate was pruned
 * @param steps             minibatches trained
 * @param plannedSteps      minibatches of the whole candidate
 * @param trainingSeconds   time in training steps
 * @param evaluationSeconds time in losses on validation text
 * @param curve             of training
 * @param rungs             scores on the way, if there is a pruning rule
 * @serial exclude
 */
public record FinetuneResult(
        @Nullable Losses validation,
        int steps,
        int plannedSteps,
        double trainingSeconds,
        double evaluationSeconds,
        List<CurvePoint> curve,
        List<RungScore> rungs)
        implements Serializable {

    /**
     * Copies the lists.
     *
     * @param validation        losses at the end; null if the candidate was pruned
     * @param steps             minibatches trained
     * @param plannedSteps      minibatches of the whole candidate
     * @param trainingSeconds   time in training steps
     * @param evaluationSeconds time in losses on validation text
     * @param curve             of training
     * @param rungs             scores on the way; empty without a pruning rule
     */
    public FinetuneResult {
        curve = new ArrayList<>(curve);
        rungs = new ArrayList<>(rungs);
    }

    /** {@return whether a pruning rule ended it before its time} */
    public boolean pruned() {
        return validation == null;
    }
}
