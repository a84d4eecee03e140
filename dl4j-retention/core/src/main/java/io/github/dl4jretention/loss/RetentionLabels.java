package io.github.dl4jretention.loss;

import io.github.dl4jretention.internal.BatchMemory;
import io.github.dl4jretention.internal.WholeNumbers;
import io.github.dl4jretention.loss.fused.FloatMemory;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * Packs one output's labels and what its teacher says into the one array that an output layer sees. The axes are those
 * of the labels, {@code [batch, classes]}, {@code [batch, classes, time]} or, for NWC networks,
 * {@code [batch, time, classes]}; only the class axis grows, see {@link LabelLayout}.
 *
 * <p>The array is allocated first, by {@link #distributions} or {@link #samples}, and the teacher writes straight into
 * it. One-hot labels become class ids, labels that aren't exactly one-hot stay distributions, and a token whose column
 * is all zero is padding: it counts nowhere, as if the label mask had a 0 there.
 */
public final class RetentionLabels {

    private final INDArray labels;
    private final @Nullable INDArray labelMask;
    private final Weights weights;
    private final boolean lastAxis;
    private final LabelArrays.Source source;
    private final @Nullable BatchMemory memory;

    // Set as soon as the teacher's shape is known.
    @SuppressWarnings("NullAway.Init")
    private LabelLayout layout;

    @SuppressWarnings("NullAway.Init")
    private INDArray ordered;

    @SuppressWarnings("NullAway.Init")
    private INDArray packed;

    private double[] counted = {};
    private @Nullable FloatMemory rows;

    /** The weights of the divergence, asked for when the teacher's shape is known. */
    @FunctionalInterface
    public interface Weights {

        /**
         * {@return {@code [batch, time]}, finite and at least 0; null if the label mask weighs the divergence}
         *
         * @param batch number of examples
         * @param time  length of the sequences; 1 without time
         */
        @Nullable
        INDArray of(long batch, long time);
    }

    /**
     * @param labels    class ids or distributions
     * @param labelMask {@code [batch, time]} or {@code [batch, 1]}; what is at 0 there needn't be one-hot. Null for none
     * @param weights   of the divergence
     * @param classAxis of labels of rank 3: 1, or 2 for {@code [batch, time, classes]}
     * @param source    where the teacher's values come from
     * @param memory    lends the packed labels theirs; null for memory of their own
     */
    public RetentionLabels(
            INDArray labels,
            @Nullable INDArray labelMask,
            Weights weights,
            int classAxis,
            LabelArrays.Source source,
            @Nullable BatchMemory memory) {
        this.labels = labels;
        this.labelMask = labelMask;
        this.weights = weights;
        this.lastAxis = classAxis == 2;
        this.source = source;
        this.memory = memory;
    }

    /**
     * Makes room for the teacher's whole distributions.
     *
     * @param type  of the teacher's numbers
     * @param shape of the teacher's log-probabilities, in the layout of the labels
     * @return {@code [time, batch, V]}, a view to be filled with log-probabilities; a token's lie side by side
     * @throws IllegalArgumentException if the labels or the weights don't fit that shape
     */
    public INDArray distributions(DataType type, long... shape) {
        allocate(type, shape, 0);
        return part(layout.labelSize(), layout.teacherSize());
    }

    /**
     * Makes room for samples, each a few classes of a token's distribution. Filled by
     * {@link #put(int, double, int[], float[], int)} or {@link #putNothing}.
     *
     * @param type    of the teacher's numbers
     * @param entries classes that a sample names at most, at least 1
     * @param shape   of the teacher's log-probabilities, if they were all there
     * @throws IllegalArgumentException if the labels or the weights don't fit that shape
     */
    public void samples(DataType type, int entries, long... shape) {
        allocate(type, shape, entries);
    }

    /** @param logProbabilities the teacher's, copied */
    public void put(INDArray logProbabilities) {
        distributions(logProbabilities.dataType(), logProbabilities.shape())
                .assign(LabelLayout.timeFirst(logProbabilities, classAxis(logProbabilities.rank())));
    }

    /**
     * Writes one token's whole distribution.
     *
     * @param token            its place, time first
     * @param logProbabilities V of them
     */
    public void put(int token, float[] logProbabilities) {
        write(token, layout.labelSize(), logProbabilities);
    }

    /**
     * Writes one token's sample.
     *
     * @param token            its place, time first
     * @param rest             log-probability of every class that isn't named
     * @param ids              the classes
     * @param logProbabilities of the classes
     * @param count            how many there are
     */
    public void put(int token, double rest, int[] ids, float[] logProbabilities, int count) {
        float[] sample = new float[layout.teacherSize()];
        sample[0] = (float) rest;
        for (int i = 0; i < layout.entries(); i++) {
            sample[1 + 2 * i] = i < count ? ids[i] : -1;
            sample[2 + 2 * i] = i < count ? logProbabilities[i] : 0;
        }
        write(token, layout.labelSize(), sample);
    }

    /**
     * Notes that the teacher has nothing for a token, which must not count.
     *
     * @param token its place, time first
     */
    public void putNothing(int token) {
        float[] nothing = new float[layout.teacherSize()];
        Arrays.fill(nothing, Float.NaN);
        write(token, layout.labelSize(), nothing);
    }

    /** On the CPU; elsewhere an array's memory on the host may not be the one that counts. */
    private void write(int token, int from, float[] values) {
        long time = token / ordered.size(1);
        long example = token % ordered.size(1);
        if (rows != null) {
            long row = time * ordered.stride(0) + example * ordered.stride(1);
            rows.put(row + from, values, 0, values.length);
        } else {
            ordered.get(
                            NDArrayIndex.point(time),
                            NDArrayIndex.point(example),
                            NDArrayIndex.interval(from, from + values.length))
                    .assign(Nd4j.createFromArray(values).castTo(ordered.dataType()));
        }
    }

    /** {@return the packed labels, a new array that the caller owns} */
    public INDArray packed() {
        return packed;
    }

    /** Frees the packed labels, if there are any yet: for who fails before anybody has seen them. */
    public void discard() {
        if (packed != null) {
            LabelArrays.release(packed);
        }
    }

    /** {@return whether every token that counts has a number, not NaN, as the log-probability of its first class} */
    public boolean isFinite() {
        double[] first = LabelLayout.flat(part(layout.labelSize(), 1));
        return IntStream.range(0, first.length).noneMatch(token -> counted[token] > 0 && Double.isNaN(first[token]));
    }

    private int classAxis(int rank) {
        return rank == 3 && lastAxis ? 2 : 1;
    }

    private INDArray part(long from, long size) {
        return ordered.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.interval(from, from + size));
    }

    private void allocate(DataType teacherType, long[] shape, int entries) {
        int classAxis = classAxis(shape.length);
        long vocabulary = shape[classAxis];
        requireSameTokens(shape, classAxis, vocabulary);
        long batch = shape[0];
        long time = shape.length == 2 ? 1 : shape[3 - classAxis];
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            INDArray own = weights.of(batch, time);
            requireWeights(own, batch, time, shape);
            INDArray plain = LabelLayout.timeFirst(labels, classAxis);
            double[] mask = labelMask == null || labelMask.length() != batch * time
                    ? null
                    : LabelLayout.flat(labelMask.rank() == 2 ? labelMask.permute(1, 0) : labelMask);
            INDArray ids = plain.size(2) == vocabulary ? ids(plain, mask) : null;
            boolean classId = plain.size(2) == 1 || ids != null;
            layout = new LabelLayout(
                    Math.toIntExact(vocabulary),
                    classId,
                    own != null,
                    entries,
                    source.sampledAt(),
                    source.everyClass(),
                    source.teacher());
            // HALF rounds class ids above 2048.
            DataType type = teacherType == DataType.FLOAT16 ? DataType.FLOAT : teacherType;
            ordered = memory == null
                    ? Nd4j.createUninitialized(type, time, batch, layout.size())
                    : memory.array(type, time, batch, layout.size());
            rows = FloatMemory.isAccessible(ordered) ? FloatMemory.of(ordered) : null;
            packed = LabelLayout.fromTimeFirst(ordered, shape.length, classAxis);
            part(0, layout.labelSize()).assign(ids == null ? plain : ids);
            counted = counted(mask, own, isPadding());
            requireExactIds(plain, mask);
            if (own != null) {
                part(layout.weightAt(), 1)
                        .assign(own.reshape('c', batch, time, 1).permute(1, 0, 2));
            }
            double[] header = layout.header();
            for (int i = 0; i < header.length; i++) {
                part(layout.size() - header.length + i, 1).assign(header[i]);
            }
        }
    }

    /** Before the ids get the teacher's type, in which they look exact. */
    private void requireExactIds(INDArray plain, double @Nullable [] mask) {
        if (plain.size(2) == 1 && layout.vocabulary() > WholeNumbers.firstInexact(plain.dataType())) {
            double[] ids = LabelLayout.flat(plain);
            for (int token = 0; token < ids.length; token++) {
                if (mask == null || mask[token] > 0) {
                    WholeNumbers.requireExact(
                            ids[token],
                            plain.dataType(),
                            layout.vocabulary(),
                            "labels",
                            "labels of shape " + Arrays.toString(labels.shape()));
                }
            }
        }
    }

    /** The tokens whose label is padding, once the labels are written. */
    private boolean[] isPadding() {
        INDArray label = part(0, layout.labelSize());
        double[] values = LabelLayout.flat(layout.isClassId() ? label : label.norm1(2));
        boolean[] padding = new boolean[values.length];
        for (int token = 0; token < values.length; token++) {
            padding[token] = values[token] == (layout.isClassId() ? LabelLayout.PADDING : 0);
        }
        return padding;
    }

    /** What weighs a token at most; null stands for 1 everywhere but in padding. */
    private static double[] counted(double @Nullable [] mask, @Nullable INDArray own, boolean[] padding) {
        double[] counted = new double[padding.length];
        double[] ownWeights = own == null ? null : LabelLayout.flat(own.rank() == 2 ? own.permute(1, 0) : own);
        for (int token = 0; token < padding.length; token++) {
            double label = padding[token] ? 0 : mask == null ? 1 : mask[token];
            counted[token] = ownWeights == null ? label : Math.max(label, ownWeights[token]);
        }
        return counted;
    }

    /**
     * One-hot labels as class ids {@code [time, batch, 1]}; null if a token that counts has neither one class nor none.
     */
    private static @Nullable INDArray ids(INDArray labels, double @Nullable [] mask) {
        double[] sums = LabelLayout.flat(labels.sum(2));
        double[] largest = LabelLayout.flat(labels.max(2));
        double[] smallest = LabelLayout.flat(labels.min(2));
        double[] ids = LabelLayout.flat(Nd4j.argMax(labels, 2));
        for (int token = 0; token < ids.length; token++) {
            // Minima and maxima pass over NaN, a sum does not.
            boolean empty = sums[token] == 0 && largest[token] == 0 && smallest[token] == 0;
            if (empty || mask != null && mask[token] == 0) {
                ids[token] = LabelLayout.PADDING;
            } else if (!(sums[token] == 1 && largest[token] == 1 && smallest[token] == 0)) {
                return null;
            }
        }
        return Nd4j.createFromArray(ids).reshape('c', labels.size(0), labels.size(1), 1);
    }

    private void requireSameTokens(long[] shape, int classAxis, long vocabulary) {
        boolean same = labels.rank() == shape.length;
        for (int axis = 0; same && axis < shape.length; axis++) {
            same = axis == classAxis || labels.size(axis) == shape[axis];
        }
        long[] ids = shape.clone();
        ids[classAxis] = 1;
        String shapes = Arrays.toString(labels.shape()) + " and teacher output of shape " + Arrays.toString(shape);
        if (!same) {
            throw new IllegalArgumentException(
                    "labels: expected one label for every token of the teacher's output, got labels of shape " + shapes
                            + "; class ids have shape " + Arrays.toString(ids));
        }
        long size = labels.size(classAxis);
        if (size != 1 && size != vocabulary) {
            throw new IllegalArgumentException(
                    "labels: expected class ids (class axis of size 1) or distributions over "
                            + "the teacher's vocabulary (size " + vocabulary + "), got labels of shape " + shapes);
        }
    }

    private static void requireWeights(@Nullable INDArray weights, long batch, long time, long[] shape) {
        if (weights != null && (weights.length() != batch * time || weights.size(0) != batch || weights.rank() > 2)) {
            throw new IllegalArgumentException("divergence weights: expected shape [" + batch + ", " + time
                    + "], a weight for every token of the teacher's output of shape " + Arrays.toString(shape)
                    + ", got " + Arrays.toString(weights.shape()));
        }
    }
}
