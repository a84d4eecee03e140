package io.github.dl4jretention.checkpoint;

/**
 * A DataSetIterator or MultiDataSetIterator whose epochs differ from one another, each following from its number alone.
 * A {@link FinetuningRun} that goes on with an epoch puts it at the beginning of that one; any other iterator it
 * resets.
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
}
