package io.github.dl4jretention.spark;

import java.io.Serializable;

/**
 * Work for an executor. It may run more than once: on another executor if one is lost.
 *
 * @param <R> what comes back
 */
interface ClusterCall<R extends Serializable> extends Serializable {

    /** @throws Exception what the driver is told of, with the executor's host */
    R call() throws Exception;
}
