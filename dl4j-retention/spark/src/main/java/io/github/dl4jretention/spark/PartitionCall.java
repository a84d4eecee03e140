package io.github.dl4jretention.spark;

import java.io.Serializable;
import java.util.Iterator;

/**
 * Work for an executor on one partition. It may run more than once: on another executor if one is lost.
 *
 * @param <T> what the partition holds
 * @param <R> what comes back
 */
interface PartitionCall<T, R extends Serializable> extends Serializable {

    /**
     * @param partition its number, from 0
     * @throws Exception what the driver is told of, with the executor's host
     */
    R call(int partition, Iterator<T> elements) throws Exception;
}
