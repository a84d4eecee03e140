package io.github.dl4jretention.loss;

import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import org.nd4j.linalg.api.buffer.DataBuffer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.guava.collect.MapMaker;

/**
 * Packs labels and the teacher's log-probabilities into the one array that an output layer sees. Axes are those of the
 * labels: {@code [batch, classes]}, {@code [batch, classes, time]} or, for NWC networks,
 * {@code [batch, time, classes]}; only the class axis grows, see {@link LabelKind}.
 *
 * <p>A packed array, and every view of it, is known by the teacher that made it for as long as it lives in this JVM; a
 * copy is not.
 */
public final class RetentionLabels {

    /** Weak keys compare by identity, so that a buffer is forgotten with its array. */
    private static final Map<DataBuffer, String> TEACHERS =
            new MapMaker().weakKeys().makeMap();

    private RetentionLabels() {}

    /**
     * {@return the same as {@link #pack(INDArray, INDArray, INDArray, INDArray, int, String)}, with no label mask}
     *
     * @param labels    class ids or distributions
     * @param teacher   the teacher's log-probabilities
     * @param weights   of the divergence; null where the label mask is to weigh it
     * @param classAxis 1, or 2 for {@code [batch, time, classes]}
     * @param identity  the teacher's SHA-256
     * @throws IllegalArgumentException if the shapes do not fit; the message gives both
     */
    public static INDArray pack(INDArray labels, INDArray teacher, INDArray weights, int classAxis, String identity) {
        return pack(labels, null, teacher, weights, classAxis, identity);
    }

    /**
     * Packs one minibatch. One-hot labels become class ids; labels that are not exactly one-hot stay distributions.
     *
     * @param labels    class ids (class axis of size 1) or distributions (size V)
     * @param labelMask {@code [batch, time]} or {@code [batch, 1]}: what is at 0 there, zeros mostly, need not be
     *     one-hot; null for none
     * @param teacher   the teacher's log-probabilities, of V classes; the other axes are those of the labels
     * @param weights   weight of each token's divergence, {@code [batch, time]} or {@code [batch, 1]}; null where the
     *     label mask is to weigh it
     * @param classAxis 1, or 2 for {@code [batch, time, classes]}
     * @param identity  the teacher's SHA-256
     * @return a new array of the teacher's data type, FLOAT for HALF, which holds no class id above 2048 exactly
     * @throws IllegalArgumentException if the shapes do not fit; the message gives both
     */
    public static INDArray pack(
            INDArray labels, INDArray labelMask, INDArray teacher, INDArray weights, int classAxis, String identity) {
        long vocabulary = teacher.size(classAxis);
        requireSameTokens(labels, teacher, classAxis);
        long size = labels.size(classAxis);
        if (size != 1 && size != vocabulary) {
            throw new IllegalArgumentException(
                    "labels: expected class ids (class axis of size 1) or distributions over "
                            + "the teacher's vocabulary (size " + vocabulary + "), got labels of shape "
                            + Arrays.toString(labels.shape()) + " and teacher output of shape "
                            + Arrays.toString(teacher.shape()));
        }
        DataType type = teacher.dataType() == DataType.FLOAT16 ? DataType.FLOAT : teacher.dataType();
        INDArray target = labels;
        // With weights and two classes, ids would make the size of distributions without weights.
        if (size == vocabulary && (weights == null || vocabulary > 2) && isOneHot(labels, labelMask, classAxis)) {
            target = Nd4j.argMax(labels, classAxis).reshape(withClassAxis(labels, classAxis, 1));
        } else if (size == 1 && weights != null && vocabulary == 2) {
            target = Nd4j.concat(classAxis, labels.rsub(1), labels);
        }
        long[] shape = teacher.shape().clone();
        shape[classAxis] = target.size(classAxis) + vocabulary + (weights == null ? 0 : 1);
        INDArray packed = classesSideBySide(type, shape, classAxis);
        INDArray rows = timeFirst(packed, classAxis);
        TokenCopy.copy(timeFirst(target, classAxis), rows, 0);
        TokenCopy.copy(timeFirst(teacher, classAxis), rows, target.size(classAxis));
        if (weights != null) {
            TokenCopy.copy(
                    timeFirst(weightsLikeLabels(weights, teacher, classAxis), classAxis),
                    rows,
                    target.size(classAxis) + vocabulary);
        }
        claim(packed, identity);
        return packed;
    }

    /** An array of this shape whose tokens lie in the order time, then batch, the classes of each side by side. */
    private static INDArray classesSideBySide(DataType type, long[] shape, int classAxis) {
        if (shape.length == 2) {
            return Nd4j.createUninitialized(type, shape);
        }
        int timeAxis = 3 - classAxis;
        INDArray rows = Nd4j.createUninitialized(type, shape[timeAxis], shape[0], shape[classAxis]);
        return classAxis == 2 ? rows.permute(1, 0, 2) : rows.permute(1, 2, 0);
    }

    /**
     * {@return whether an array holds a teacher's output}
     *
     * @param array packed labels, the teacher's values, or a view of them
     */
    public static boolean isTaught(INDArray array) {
        return TEACHERS.containsKey(root(array));
    }

    /**
     * Frees an array's memory now, with every view of it, in place of at some garbage collection. Arrays of a workspace
     * and memory that cannot be freed stay.
     *
     * @param array not used afterwards, nor any view of it
     */
    public static void release(INDArray array) {
        DataBuffer buffer = root(array);
        if (!array.isAttached() && buffer.closeable()) {
            TEACHERS.remove(buffer);
            buffer.close();
        }
    }

    /**
     * Notes that an array holds a teacher's output.
     *
     * @param array    known with all its views from now on
     * @param identity the teacher's SHA-256
     */
    public static void claim(INDArray array, String identity) {
        TEACHERS.put(root(array), identity);
    }

    private static INDArray weightsLikeLabels(INDArray weights, INDArray teacher, int classAxis) {
        long[] shape = withClassAxis(teacher, classAxis, 1);
        long tokens = teacher.length() / teacher.size(classAxis);
        if (weights.length() != tokens || weights.size(0) != teacher.size(0) || weights.rank() > 2) {
            throw new IllegalArgumentException("divergence weights: expected shape [" + teacher.size(0) + ", "
                    + tokens / teacher.size(0) + "], a weight for every token of the teacher's output of shape "
                    + Arrays.toString(teacher.shape()) + ", got " + Arrays.toString(weights.shape()));
        }
        return weights.reshape('c', shape);
    }

    private static long[] withClassAxis(INDArray array, int classAxis, long size) {
        long[] shape = array.shape().clone();
        shape[classAxis] = size;
        return shape;
    }

    /** The teacher whose log-probabilities these labels carry, if it is known. */
    static Optional<String> teacherOf(INDArray labels) {
        return Optional.ofNullable(TEACHERS.get(root(labels)));
    }

    /**
     * The array as rows {@code [tokens, classes]}, in the order time, then batch; a view where the layout allows it.
     */
    public static INDArray rows(INDArray array, int classAxis) {
        if (array.rank() == 2) {
            return array;
        }
        INDArray ordered = classAxis == 2 ? array.permute(1, 0, 2) : array.permute(2, 0, 1);
        return ordered.reshape('c', ordered.size(0) * ordered.size(1), ordered.size(2));
    }

    /** The array as {@code [time, batch, classes]}, a view; time is 1 where there is none. */
    public static INDArray timeFirst(INDArray array, int classAxis) {
        if (array.rank() == 2) {
            return array.reshape(1, array.size(0), array.size(1));
        }
        return classAxis == 2 ? array.permute(1, 0, 2) : array.permute(2, 0, 1);
    }

    /** The inverse of {@link #rows}: a view of shape {@code like}, but for the class axis. */
    public static INDArray fromRows(INDArray rows, INDArray like, int classAxis) {
        if (like.rank() == 2) {
            return rows;
        }
        long time = like.size(classAxis == 2 ? 1 : 2);
        INDArray ordered = rows.reshape('c', time, like.size(0), rows.size(1));
        return classAxis == 2 ? ordered.permute(1, 0, 2) : ordered.permute(1, 2, 0);
    }

    private static boolean isOneHot(INDArray labels, INDArray mask, int classAxis) {
        INDArray sums = labels.sum(classAxis);
        INDArray maxima = labels.max(classAxis);
        if (mask != null && mask.length() == sums.length()) {
            INDArray ignored = mask.eq(0).castTo(sums.dataType()).reshape(sums.shape());
            sums.muli(ignored.rsub(1)).addi(ignored);
            maxima.muli(ignored.rsub(1)).addi(ignored);
        }
        // Minima and maxima pass over NaN, a sum does not.
        return Double.isFinite(labels.sumNumber().doubleValue())
                && sums.minNumber().doubleValue() == 1
                && sums.maxNumber().doubleValue() == 1
                && maxima.minNumber().doubleValue() == 1
                && maxima.maxNumber().doubleValue() == 1
                && labels.minNumber().doubleValue() == 0;
    }

    private static void requireSameTokens(INDArray labels, INDArray teacher, int classAxis) {
        boolean same = labels.rank() == teacher.rank();
        for (int axis = 0; same && axis < labels.rank(); axis++) {
            same = axis == classAxis || labels.size(axis) == teacher.size(axis);
        }
        if (!same) {
            throw new IllegalArgumentException(
                    "labels: expected one label for every token of the teacher's output, got "
                            + "labels of shape " + Arrays.toString(labels.shape()) + " and teacher output of shape "
                            + Arrays.toString(teacher.shape()) + "; class ids have shape "
                            + Arrays.toString(withClassAxis(teacher, classAxis, 1)));
        }
    }

    /** The buffer that an array and all its views share. */
    static DataBuffer root(INDArray array) {
        DataBuffer buffer = array.data();
        return buffer.originalDataBuffer() == null ? buffer : buffer.originalDataBuffer();
    }
}
