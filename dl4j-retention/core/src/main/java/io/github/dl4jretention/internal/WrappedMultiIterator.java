package io.github.dl4jretention.internal;

import java.util.Objects;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.MultiDataSetPreProcessor;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

/** {@link WrappedIterator} for graphs. */
public abstract class WrappedMultiIterator implements MultiDataSetIterator {

    private static final long serialVersionUID = 1L;

    /** Gives the minibatches. */
    private final MultiDataSetIterator iterator;

    /** @param iterator gives the minibatches */
    protected WrappedMultiIterator(MultiDataSetIterator iterator) {
        this.iterator = Objects.requireNonNull(iterator, "iterator");
    }

    @Override
    public MultiDataSet next(int num) {
        throw new UnsupportedOperationException("minibatches are taken as they are");
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

    /** Set on the wrapped iterator. */
    @Override
    public void setPreProcessor(MultiDataSetPreProcessor preProcessor) {
        iterator.setPreProcessor(preProcessor);
    }

    /** The wrapped iterator's. */
    @Override
    public MultiDataSetPreProcessor getPreProcessor() {
        return iterator.getPreProcessor();
    }
}
