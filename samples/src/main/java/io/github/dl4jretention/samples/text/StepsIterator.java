package io.github.dl4jretention.samples.text;

import io.github.dl4jretention.checkpoint.RestartableIterator;
import io.github.dl4jretention.lm.text.TextIterator;
import java.util.List;
import java.util.NoSuchElementException;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.DataSetPreProcessor;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

/**
 * A given number of minibatches as one epoch, however many epochs of the texts they take: for a run that is told its
 * steps. Each {@link #reset()} and restart gives the same minibatches again.
 */
public final class StepsIterator implements DataSetIterator, RestartableIterator {

    private static final long serialVersionUID = 1L;

    private final transient TextIterator texts;
    private final int steps;
    private int next;
    private int epoch;

    /**
     * At the first minibatch.
     *
     * @param texts to train on
     * @param steps minibatches in all
     */
    public StepsIterator(TextIterator texts, int steps) {
        this.texts = texts;
        this.steps = steps;
        reset();
    }

    @Override
    public void restart(int epoch) {
        if (epoch != 0) {
            throw new IllegalArgumentException("epoch: expected 0, as all steps are one epoch, got " + epoch);
        }
        reset();
    }

    @Override
    public void reset() {
        next = 0;
        epoch = 0;
        texts.restart(0);
    }

    @Override
    public boolean hasNext() {
        return next < steps;
    }

    @Override
    public DataSet next() {
        if (!hasNext()) {
            throw new NoSuchElementException("all " + steps + " minibatches were read; reset() starts again");
        }
        if (!texts.hasNext()) {
            texts.restart(++epoch);
        }
        next++;
        return texts.next();
    }

    @Override
    public DataSet next(int num) {
        throw new UnsupportedOperationException("the batch size is fixed at " + batch());
    }

    @Override
    public int batch() {
        return texts.batch();
    }

    @Override
    public int inputColumns() {
        return texts.inputColumns();
    }

    @Override
    public int totalOutcomes() {
        return texts.totalOutcomes();
    }

    @Override
    public boolean resetSupported() {
        return true;
    }

    @Override
    public boolean asyncSupported() {
        return true;
    }

    @Override
    public void setPreProcessor(DataSetPreProcessor preProcessor) {
        texts.setPreProcessor(preProcessor);
    }

    @Override
    public @Nullable DataSetPreProcessor getPreProcessor() {
        return texts.getPreProcessor();
    }

    @Override
    public List<String> getLabels() {
        return List.of();
    }
}
