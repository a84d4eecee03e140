package io.github.dl4jretention.spark;

import java.io.Serializable;

/**
 * Runs a trial on an executor. It may run more than once: on another executor if one is lost.
 *
 * @param <T> trials
 * @param <R> their results
 */
@FunctionalInterface
public interface TrialFunction<T, R extends Serializable> extends Serializable {

    /**
     * {@return what came out}
     *
     * @param trial to run
     * @throws Exception what ends the comparison; the driver is told of it, with the executor's host
     */
    R run(T trial) throws Exception;
}
