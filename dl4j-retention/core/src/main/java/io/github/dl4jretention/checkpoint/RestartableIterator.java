package io.github.dl4jretention.checkpoint;

import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

/**
 * A DataSetIterator or MultiDataSetIterator whose epochs differ, but each follows from its number alone. When a {@link
 * FinetuningRun} picks up in an epoch, it calls {@link #restart} for that epoch; other iterators are reset.
 */
public interface RestartableIterator {

    /**
     * Goes to the beginning of an epoch, whatever the iterator has given so far.
     *
     * @param epoch from 0; its minibatches are those that a new iterator gives after so many epochs, each taken to its
     *     end and followed by a {@code reset()}
     * @throws IllegalArgumentException if it is below 0
     */
    void restart(int epoch);

    /**
     * {@return an iterator's batches as those of a MultiDataSetIterator, restartable if it is}
     *
     * @param iterator of networks of one input and one output
     */
    static MultiDataSetIterator multi(DataSetIterator iterator) {
        return iterator instanceof RestartableIterator
                ? new RestartableAdapter(iterator)
                : new MultiDataSetIteratorAdapter(iterator);
    }
}
