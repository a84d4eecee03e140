package io.github.dl4jretention.samples.comparison;

import java.io.IOException;
import java.util.List;
import java.util.Map;

/** Runs trials, here or on other machines. */
@FunctionalInterface
public interface TrialExecutor {

    /**
     * Runs each trial once.
     *
     * @param trials  by their keys, in the order in which they're to begin
     * @param results of each, once it has ended
     * @throws IOException if one can't be run, or its results can't be kept
     */
    void run(Map<String, Trial> trials, Results results) throws IOException;

    /** Keeps results. It's told of one trial at a time. */
    @FunctionalInterface
    interface Results {

        /**
         * @param trial rows of one trial
         * @throws IOException if they can't be kept
         */
        void put(List<Result> trial) throws IOException;
    }
}
