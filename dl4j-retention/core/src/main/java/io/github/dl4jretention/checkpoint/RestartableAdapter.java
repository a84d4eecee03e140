package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.teacher.DivergenceMask;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

/** A restartable DataSetIterator as a MultiDataSetIterator. */
final class RestartableAdapter extends MultiDataSetIteratorAdapter
        implements RestartableIterator, DivergenceMask.Source {

    private static final long serialVersionUID = 1L;

    /** A RestartableIterator. */
    private final DataSetIterator iterator;

    RestartableAdapter(DataSetIterator iterator) {
        super(iterator);
        this.iterator = iterator;
    }

    @Override
    public void restart(int epoch) {
        ((RestartableIterator) iterator).restart(epoch);
    }

    @Override
    public DivergenceMask divergenceMask() {
        return DivergenceMask.defaultOf(iterator);
    }
}
