package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.WrappedMultiIterator;
import java.lang.ref.Reference;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.zip.CRC32;
import org.nd4j.linalg.api.concurrency.AffinityManager.Location;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

/**
 * The minibatches of a run, counted and summed up within the epoch, so that a later run can tell whether it has the
 * same. One may be taken before the one before it has been trained on: {@link #trained()} moves the count on.
 */
final class EpochIterator extends WrappedMultiIterator {

    private static final long serialVersionUID = 1L;

    private final transient MultiDataSetIterator iterator;
    private final transient CRC32 checksum = new CRC32();
    private final transient Deque<Mark> ahead = new ArrayDeque<>();
    private Mark mark = new Mark(0, "");

    /**
     * A place in the epoch.
     *
     * @param position minibatches so far
     * @param checksum CRC-32 of their features, labels and masks, in hexadecimal
     */
    record Mark(int position, String checksum) {}

    EpochIterator(MultiDataSetIterator iterator) {
        super(iterator);
        if (!iterator.resetSupported()) {
            throw new IllegalArgumentException("iterator: expected one that can be reset, got "
                    + iterator.getClass().getName());
        }
        this.iterator = iterator;
    }

    /** Notes that the oldest minibatch that was taken has been trained on; returns where training is now. */
    Mark trained() {
        mark = ahead.remove();
        return mark;
    }

    @Override
    public void reset() {
        super.reset();
        clear();
    }

    private void clear() {
        checksum.reset();
        ahead.clear();
        mark = new Mark(0, "");
    }

    /**
     * Goes on with an epoch after the minibatches that it has had already.
     *
     * @param epoch of the run, from 0
     * @throws IllegalStateException if there are fewer, or they are others
     */
    void restart(int epoch, Mark had) {
        if (iterator instanceof RestartableIterator restartable) {
            restartable.restart(epoch);
        } else {
            iterator.reset();
        }
        clear();
        while (mark.position < had.position) {
            if (!hasNext()) {
                throw new IllegalStateException("iterator: expected at least " + had.position
                        + " minibatches, which the unfinished epoch has had, got " + mark.position);
            }
            next();
            trained();
        }
        if (had.position > 0 && !mark.checksum.equals(had.checksum)) {
            throw new IllegalStateException("iterator: expected the " + had.position
                    + " minibatches that the unfinished epoch has had (CRC-32 " + had.checksum
                    + "), got others (CRC-32 "
                    + mark.checksum + ")");
        }
    }

    @Override
    public MultiDataSet next() {
        MultiDataSet batch = iterator.next();
        add("features", batch.getFeatures());
        add("labels", batch.getLabels());
        add("featuresMask", batch.getFeaturesMaskArrays());
        add("labelsMask", batch.getLabelsMaskArrays());
        Mark last = ahead.isEmpty() ? mark : ahead.getLast();
        ahead.add(new Mark(last.position + 1, Long.toHexString(checksum.getValue())));
        return batch;
    }

    private void add(String name, INDArray[] arrays) {
        for (int i = 0; arrays != null && i < arrays.length; i++) {
            INDArray array = arrays[i];
            if (array != null) {
                String form = name + i + array.dataType() + Arrays.toString(array.shape());
                checksum.update(form.getBytes(StandardCharsets.UTF_8));
            }
            if (array != null && !array.isEmpty()) {
                boolean asIs = array.ordering() == 'c' && !array.isView();
                INDArray inOrder = asIs ? array : array.dup('c');
                Nd4j.getAffinityManager().ensureLocation(inOrder, Location.HOST);
                checksum.update(inOrder.data().asNio());
                Reference.reachabilityFence(inOrder);
            }
        }
    }
}
