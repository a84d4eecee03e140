package io.github.dl4jretention.checkpoint;

import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

/** A restartable DataSetIterator as a MultiDataSetIterator. */
final class RestartableAdapter extends MultiDataSetIteratorAdapter implements RestartableIterator {

    private static final long serialVersionUID = 1L;

    private final transient RestartableIterator restartable;

    private RestartableAdapter(DataSetIterator iterator, RestartableIterator restartable) {
        super(iterator);
        this.restartable = restartable;
    }

    /** Restartable if the iterator is. */
    static MultiDataSetIterator of(DataSetIterator iterator) {
        return iterator instanceof RestartableIterator restartable
                ? new RestartableAdapter(iterator, restartable)
                : new MultiDataSetIteratorAdapter(iterator);
    }

    @Override
    public void restart(int epoch) {
        restartable.restart(epoch);
    }
}
