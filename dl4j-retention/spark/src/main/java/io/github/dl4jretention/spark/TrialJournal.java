package io.github.dl4jretention.spark;

import java.io.IOException;

/**
 * Where the driver keeps the results of trials, and finds those of an earlier start. It's asked by one thread at a time.
 *
 * @param <R> results
 */
public interface TrialJournal<R> {

    /**
     * {@return whether there is a result}
     *
     * @param key of the trial
     */
    boolean holds(String key);

    /**
     * Keeps a result, so that {@link #holds} knows of it after a restart.
     *
     * @param key    of the trial
     * @param result what came out
     * @throws IOException if it can't be kept
     */
    void put(String key, R result) throws IOException;
}
