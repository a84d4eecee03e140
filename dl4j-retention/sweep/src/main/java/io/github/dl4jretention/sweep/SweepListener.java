package io.github.dl4jretention.sweep;

import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;

/** Follows a sweep. One training thread at a time calls it. */
public interface SweepListener {

    /**
     * The sweep begins, or picks up what an earlier start has found.
     *
     * @param sweep so far; without candidates if it begins
     */
    default void onStart(SweepOutcome sweep) {}

    /**
     * A step was trained.
     *
     * @param candidate its index
     * @param step      from 1
     * @param steps     of the candidate
     * @param loss      of the step's minibatch, before its update
     */
    default void onStep(int candidate, int step, int steps, TokenLoss loss) {}

    /**
     * A candidate has ended, and its results are on the disk.
     *
     * @param sweep     so far, with the candidate
     * @param candidate that has ended: complete, pruned or failed
     */
    default void onCandidate(SweepOutcome sweep, CandidateOutcome candidate) {}

    /**
     * The sweep has finished, and has measured its front on test text.
     *
     * @param sweep at its end
     */
    default void onFinish(SweepOutcome sweep) {}
}
