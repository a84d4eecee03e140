package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;

/** Is told what candidates do, by their own threads, and may end one before its time. */
public interface FinetuneObserver {

    /** Whether a candidate is to be scored after so many steps of all its steps; default: never. */
    default boolean isRung(int step, int steps) {
        return false;
    }

    /** Whether a candidate of such a score at a rung is to be ended; default: no. */
    default boolean isHopeless(int candidate, RungScore rung) {
        return false;
    }

    /** A step was trained. */
    default void onStep(int candidate, int step, int steps, TokenLoss loss) {}

    /**
     * A candidate has ended well.
     *
     * @param score of Arbiter's score function; null if it was pruned
     * @param plain the tuned network; null if it was pruned
     */
    default void onResult(
            int candidate, FinetuneConfiguration configuration, FinetuneResult result, Double score, Object plain) {}

    /**
     * A candidate has failed.
     *
     * @param configuration null if it failed while it was generated
     */
    default void onFailure(int candidate, FinetuneConfiguration configuration, Throwable reason) {}
}
