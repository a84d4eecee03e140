package io.github.dl4jretention.loss.fused;

import io.github.dl4jretention.loss.TokenRows;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * The labels of a minibatch, read token by token: in place where a token's classes lie side by side in FLOAT, as
 * teacher iterators lay them out, else from a copy of a few tokens at a time.
 */
final class FusedLabels {

    private final INDArray labels;
    private final int batch;
    private final boolean inPlace;
    private FloatMemory memory;
    private int first;
    private long timeStride;
    private long batchStride;

    FusedLabels(TokenRows rows) {
        labels = rows.labels();
        batch = (int) labels.size(1);
        inPlace = labels.dataType() == DataType.FLOAT && (labels.stride(2) == 1 || labels.size(2) == 1);
        if (inPlace) {
            memory = new FloatMemory(labels);
            timeStride = labels.stride(0);
            batchStride = labels.stride(1);
        }
    }

    /** The end of a chunk that begins at a token: whole time steps, or examples of one. */
    int chunkEnd(int start, int longest) {
        int end = batch >= longest
                ? Math.min(start + longest, (start / batch + 1) * batch)
                : start + longest / batch * batch;
        return (int) Math.min(end, labels.size(0) * batch);
    }

    /** Makes a chunk readable. */
    void prepare(int start, int end) {
        if (inPlace) {
            return;
        }
        int time = start / batch;
        boolean wholeSteps = start % batch == 0 && end % batch == 0;
        INDArray part = labels.get(
                NDArrayIndex.interval(time, wholeSteps ? end / batch : time + 1),
                wholeSteps ? NDArrayIndex.all() : NDArrayIndex.interval(start % batch, (end - 1) % batch + 1),
                NDArrayIndex.all());
        INDArray copy = Nd4j.createUninitialized(DataType.FLOAT, part.shape()).assign(part);
        memory = new FloatMemory(copy);
        first = start;
        batchStride = labels.size(2);
    }

    /** Copies a token's values on the class axis. */
    void get(int token, int from, float[] to, int length) {
        long row = inPlace ? token / batch * timeStride + token % batch * batchStride : (token - first) * batchStride;
        memory.get(row + from, to, 0, length);
    }
}
