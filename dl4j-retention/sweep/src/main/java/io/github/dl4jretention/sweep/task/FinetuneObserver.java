package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import org.jspecify.annotations.Nullable;

/** Follows candidates, on their own threads, and can end one early. */
public interface FinetuneObserver {

    /**
     * {@return when a candidate is scored on its way, and which scores end it; asked once, before its first step; default:
     * it's trained to its end}
     *
     * @param candidate its index
     */
    default Pruning pruning(int candidate) {
        return Pruning.NONE;
    }

    /**
     * A step was trained.
     *
     * @param candidate its index
     * @param step      from 1
     * @param steps     minibatches of the whole candidate
     * @param loss      of the step's minibatch, before its update
     */
    default void onStep(int candidate, int step, int steps, TokenLoss loss) {}

    /**
     * A candidate was trained to its end, or was pruned.
     *
     * @param candidate     its index
     * @param configuration how it was finetuned
     * @param result        what its task found out
     * @param score         of Arbiter's score function; null if it was pruned
     * @param plain         the tuned network, or a {@code Path} of one that {@link FinetuneModel#save} has written in
     *     another process, which is read before this returns; null if it was pruned
     */
    default void onResult(
            int candidate,
            FinetuneConfiguration configuration,
            FinetuneResult result,
            @Nullable Double score,
            @Nullable Object plain) {}

    /**
     * A candidate couldn't be trained or measured, for a reason that isn't its own: no memory, a full disk, an
     * interrupt.
     *
     * @param candidate index
     * @param error what has happened
     */
    default void onError(int candidate, Throwable error) {}

    /**
     * A candidate has failed.
     *
     * @param candidate     its index
     * @param configuration null if it failed while it was generated
     * @param reason        what was thrown
     */
    default void onFailure(int candidate, @Nullable FinetuneConfiguration configuration, Throwable reason) {}
}
