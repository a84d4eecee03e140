package io.github.dl4jretention.checkpoint;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.zip.CRC32;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.MultiDataSetPreProcessor;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

/** The minibatches of a run, counted and summed up within the epoch, so that a later run can tell whether it has the same. */
final class EpochIterator implements MultiDataSetIterator {

    private static final long serialVersionUID = 1L;

    private final transient MultiDataSetIterator iterator;
    private final transient CRC32 checksum = new CRC32();
    private int position;

    EpochIterator(MultiDataSetIterator iterator) {
        if (!iterator.resetSupported()) {
            throw new IllegalArgumentException("iterator: expected one that can be reset, got "
                    + iterator.getClass().getName());
        }
        this.iterator = iterator;
    }

    /** Minibatches of this epoch so far. */
    int position() {
        return position;
    }

    /** CRC-32 of the features and labels of this epoch so far, in hexadecimal. */
    String checksum() {
        return Long.toHexString(checksum.getValue());
    }

    @Override
    public void reset() {
        iterator.reset();
        checksum.reset();
        position = 0;
    }

    /**
     * Begins an epoch after the minibatches that it has had already.
     *
     * @param expected their checksum
     * @throws IllegalStateException if there are fewer, or they are others
     */
    void resetTo(int had, String expected) {
        reset();
        while (position < had) {
            if (!hasNext()) {
                throw new IllegalStateException("iterator: expected at least " + had
                        + " minibatches, which the unfinished epoch has had, got " + position);
            }
            next();
        }
        if (had > 0 && !checksum().equals(expected)) {
            throw new IllegalStateException("iterator: expected the " + had
                    + " minibatches that the unfinished epoch has had (CRC-32 " + expected + "), got others (CRC-32 "
                    + checksum() + ")");
        }
    }

    @Override
    public boolean hasNext() {
        return iterator.hasNext();
    }

    @Override
    public MultiDataSet next() {
        MultiDataSet batch = iterator.next();
        position++;
        add(batch.getFeatures());
        add(batch.getLabels());
        return batch;
    }

    private void add(INDArray[] arrays) {
        for (INDArray array : arrays == null ? new INDArray[0] : arrays) {
            if (array != null) {
                String form = array.dataType() + Arrays.toString(array.shape());
                checksum.update(form.getBytes(StandardCharsets.UTF_8));
            }
            if (array != null && !array.isEmpty()) {
                checksum.update(array.dup('c').data().asNio());
            }
        }
    }

    @Override
    public MultiDataSet next(int num) {
        throw new UnsupportedOperationException("minibatches are taken as they are");
    }

    @Override
    public boolean resetSupported() {
        return true;
    }

    @Override
    public boolean asyncSupported() {
        return false;
    }

    @Override
    public void setPreProcessor(MultiDataSetPreProcessor preProcessor) {
        iterator.setPreProcessor(preProcessor);
    }

    @Override
    public MultiDataSetPreProcessor getPreProcessor() {
        return iterator.getPreProcessor();
    }
}
