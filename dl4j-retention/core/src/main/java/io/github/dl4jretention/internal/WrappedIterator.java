package io.github.dl4jretention.internal;

import java.util.List;
import java.util.Objects;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.DataSetPreProcessor;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

/**
 * What an iterator over another one's minibatches passes on. It declines DL4J's own asynchronous prefetching, and takes
 * minibatches as they are unless it says otherwise.
 */
public abstract class WrappedIterator implements DataSetIterator {

    private static final long serialVersionUID = 1L;

    /** Gives the minibatches. */
    private final DataSetIterator iterator;

    /** @param iterator gives the minibatches */
    protected WrappedIterator(DataSetIterator iterator) {
        this.iterator = Objects.requireNonNull(iterator, "iterator");
    }

    @Override
    public DataSet next(int num) {
        throw new UnsupportedOperationException("the batch size is fixed at " + batch());
    }

    @Override
    public boolean hasNext() {
        return iterator.hasNext();
    }

    @Override
    public void reset() {
        iterator.reset();
    }

    @Override
    public boolean resetSupported() {
        return iterator.resetSupported();
    }

    @Override
    public boolean asyncSupported() {
        return false;
    }

    @Override
    public int batch() {
        return iterator.batch();
    }

    @Override
    public int inputColumns() {
        return iterator.inputColumns();
    }

    @Override
    public int totalOutcomes() {
        return iterator.totalOutcomes();
    }

    @Override
    public List<String> getLabels() {
        return iterator.getLabels();
    }

    /** Set on the wrapped iterator. */
    @Override
    public void setPreProcessor(DataSetPreProcessor preProcessor) {
        iterator.setPreProcessor(preProcessor);
    }

    /** The wrapped iterator's. */
    @Override
    public DataSetPreProcessor getPreProcessor() {
        return iterator.getPreProcessor();
    }
}
