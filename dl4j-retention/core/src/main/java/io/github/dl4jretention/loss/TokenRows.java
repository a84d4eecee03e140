package io.github.dl4jretention.loss;

import io.github.dl4jretention.internal.BatchMemory;
import io.github.dl4jretention.internal.WholeNumbers;
import io.github.dl4jretention.loss.fused.FloatMemory;
import java.util.Arrays;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * What the labels of a {@link TokenBatch} say of each token: its class id or distribution, and the teacher's values. The
 * fused path reads them row by row where they lie, other paths all at once. Tokens lie in the order time, then batch.
 */
public final class TokenRows {

    private final LabelLayout layout;
    private final INDArray labels;
    private final int examples;
    private final double[] weights;
    private final double[] divergenceWeights;
    /** Of class ids, which FLOAT rounds from 2^24; empty for distributions. */
    private final double[] ids;

    private final String shapes;
    private final boolean inPlace;

    private @Nullable INDArray prepared;
    private @Nullable FloatMemory memory;
    private int first;
    private long timeStride;
    private long exampleStride;

    /**
     * @param labels            {@code [time, batch, classes]}; kept, as all that follows
     * @param ids               of class ids; empty for distributions
     * @param weights           of the cross-entropy
     * @param divergenceWeights of the divergence
     * @param shapes            for messages
     */
    TokenRows(
            INDArray labels,
            LabelLayout layout,
            double[] ids,
            double[] weights,
            double[] divergenceWeights,
            String shapes) {
        this.labels = labels;
        this.layout = layout;
        this.ids = ids;
        this.weights = weights;
        this.divergenceWeights = divergenceWeights;
        this.shapes = shapes;
        examples = (int) labels.size(1);
        inPlace = labels.dataType() == DataType.FLOAT && (labels.stride(2) == 1 || labels.size(2) == 1);
    }

    private int size() {
        return weights.length;
    }

    /**
     * {@return the end of a chunk of tokens: whole time steps, or examples of one step}
     *
     * @param start   the chunk's first token
     * @param longest number of tokens
     */
    public int chunkEnd(int start, int longest) {
        int end = examples >= longest
                ? Math.min(start + longest, (start / examples + 1) * examples)
                : start + longest / examples * examples;
        return Math.min(end, size());
    }

    /**
     * Makes a chunk's rows readable: in place where a token's values lie side by side in FLOAT, as packed labels do,
     * else from a copy of the chunk.
     *
     * @param start  first token
     * @param end    of the chunk, as {@link #chunkEnd} says
     * @param lent  lends the copy its memory until the next chunk is prepared, or {@link #release}
     */
    public void prepare(int start, int end, BatchMemory lent) {
        if (inPlace) {
            if (prepared == null) {
                prepared = labels;
                memory = FloatMemory.of(labels);
            }
            timeStride = labels.stride(0);
            exampleStride = labels.stride(1);
            return;
        }
        int time = start / examples;
        boolean wholeSteps = start % examples == 0 && end % examples == 0;
        INDArray chunk = labels.get(
                NDArrayIndex.interval(time, wholeSteps ? end / examples : time + 1),
                wholeSteps ? NDArrayIndex.all() : NDArrayIndex.interval(start % examples, (end - 1) % examples + 1),
                NDArrayIndex.all());
        release();
        prepared = lent.array(DataType.FLOAT, chunk.shape()).assign(chunk);
        memory = FloatMemory.of(prepared);
        first = start;
        exampleStride = labels.size(2);
    }

    /** Gives back the memory of the last chunk's copy, if there is one. */
    public void release() {
        if (prepared != null && !inPlace) {
            LabelArrays.release(prepared);
        }
        prepared = null;
        memory = null;
    }

    private void read(int token, int from, float[] to, int length) {
        long row = inPlace
                ? token / examples * timeStride + token % examples * exampleStride
                : (token - first) * exampleStride;
        Objects.requireNonNull(memory, "prepare a chunk first").get(row + from, to, 0, length);
    }

    /**
     * {@return the class id of a token that counts}
     *
     * @param token its place, time first
     * @throws IllegalArgumentException if it's no class id
     */
    public int classId(int token) {
        return layout.requireId(ids[token], labels.dataType(), shapes);
    }

    /**
     * Reads the distribution of a prepared token that counts.
     *
     * @param token its place, time first
     * @param to    V numbers, to be set; not checked
     */
    public void distribution(int token, float[] to) {
        read(token, 0, to, layout.vocabulary());
    }

    /** {@return whether rows can be read as floats and lose nothing} */
    boolean isFloat() {
        return FloatMemory.isAccessible(labels);
    }

    /** {@return a token's class id or distribution, a copy} */
    double[] label(int token) {
        return layout.isClassId() ? new double[] {ids[token]} : Arrays.copyOf(row(token), layout.vocabulary());
    }

    /** {@return a token's values on the class axis, a copy} */
    double[] row(int token) {
        return labels.get(
                        NDArrayIndex.point(token / examples), NDArrayIndex.point(token % examples), NDArrayIndex.all())
                .toDoubleVector();
    }

    /**
     * Reads the teacher's log-probabilities of a prepared token that counts; a sample is expanded.
     *
     * @param token   its place, time first
     * @param to      V numbers, to be set
     * @param scratch of length {@link LabelLayout#teacherSize()} at least
     * @throws IllegalArgumentException if a sample names no class
     */
    public void teacher(int token, float[] to, float[] scratch) {
        if (layout.entries() == 0) {
            read(token, layout.labelSize(), to, layout.vocabulary());
        } else {
            read(token, layout.labelSize(), scratch, layout.teacherSize());
            layout.expand(scratch, to, shapes);
        }
    }

    /**
     * {@return the labels as rows {@code [tokens, 1]} or {@code [tokens, V]}, a copy; 0 where they don't count}
     *
     * @param type of the array
     * @throws IllegalArgumentException if a value that counts is no class id or no probability
     */
    public INDArray labels(DataType type) {
        INDArray rows = rows(type, 0, layout.labelSize());
        clear(rows, weights);
        if (layout.isClassId()) {
            for (int token = 0; token < size(); token++) {
                if (weights[token] > 0) {
                    WholeNumbers.requireExact(classId(token), type, layout.vocabulary(), "labels", shapes);
                }
            }
        } else {
            requireDistribution(rows.minNumber().doubleValue(), rows.sumNumber().doubleValue());
        }
        return rows;
    }

    /**
     * {@return the teacher's log-probabilities as rows {@code [tokens, V]}, a copy; 0 where they don't count}
     *
     * @param type of the array
     * @throws IllegalArgumentException if a token that counts has none
     */
    public INDArray teacher(DataType type) {
        INDArray rows = rows(type, layout.labelSize(), layout.teacherSize());
        if (layout.entries() > 0) {
            INDArray samples = rows;
            rows = Nd4j.createUninitialized(type, size(), layout.vocabulary());
            float[] values = new float[layout.vocabulary()];
            for (int token = 0; token < size(); token++) {
                if (divergenceWeights[token] > 0) {
                    layout.expand(samples.getRow(token).toFloatVector(), values, shapes);
                    rows.putRow(token, Nd4j.createFromArray(values).castTo(type));
                }
            }
        }
        clear(rows, divergenceWeights);
        double sum = rows.sumNumber().doubleValue();
        double smallestBest = rows.max(1).minNumber().doubleValue();
        if (Double.isNaN(sum) || sum == Double.POSITIVE_INFINITY || smallestBest == Double.NEGATIVE_INFINITY) {
            throw noTeacher();
        }
        return rows;
    }

    private INDArray rows(DataType type, int from, int size) {
        INDArray part = labels.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.interval(from, from + size));
        return Nd4j.createUninitialized(type, part.shape()).assign(part).reshape(size(), size);
    }

    private static void clear(INDArray rows, double[] weights) {
        for (int row = 0; row < weights.length; row++) {
            if (weights[row] == 0) {
                rows.getRow(row).assign(0);
            }
        }
    }

    /** {@return what to throw where a token that counts has no distribution of the teacher} */
    public IllegalArgumentException noTeacher() {
        return LabelLayout.noTeacher(shapes);
    }

    /**
     * Checks numbers of which the smallest and the sum are known.
     *
     * @param smallest of them
     * @param sum      of them
     * @throws IllegalArgumentException if they're no probabilities
     */
    public void requireDistribution(double smallest, double sum) {
        if (!(smallest >= 0) || !Double.isFinite(sum)) {
            throw new IllegalArgumentException("labels: expected finite probabilities of at least 0, got "
                    + (smallest < 0 ? smallest : sum) + " in " + shapes);
        }
    }
}
