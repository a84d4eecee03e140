package io.github.dl4jretention.loss;

import io.github.dl4jretention.internal.WholeNumbers;
import io.github.dl4jretention.loss.fused.FloatMemory;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * Where a token's label, its teacher and its weight lie on the class axis of a labels array.
 *
 * <p><b>Plain labels</b> are class ids (class axis of size 1) or distributions over V classes, mostly one-hot (size V).
 *
 * <p><b>Packed labels</b>, which {@link RetentionLabels} makes, hold for every token
 *
 * <pre>
 * label            1 class id, or V probabilities
 * teacher          V log-probabilities, or a sample: the log-probability of every class that it doesn't name, then
 *                  `entries` pairs of class id and log-probability; a negative id ends them early
 * weight           of the token's divergence, if it has one of its own
 * header           15 negative whole numbers: V, the form, the sample's temperature, the teacher's SHA-256 in 11 parts
 *                  of 24 bits, and a mark
 * </pre>
 *
 * <p>The header tells packed labels from all others: no class id and no probability is negative. It is part of the
 * array, so copies, merged batches and parts of a batch keep it, in this JVM or another.
 *
 * @param vocabulary V
 * @param isClassId  whether the label is a class id rather than a distribution
 * @param hasWeight  whether the divergence has weights of its own; if not, the label mask weighs it
 * @param entries    classes that a sample names at most; 0 if the teacher's whole distribution is there
 * @param sampledAt  temperature whose distribution the teacher's values are a random sample of; 0 if they are none
 * @param everyClass whether each class has the teacher's own probability, rather than a share of what others leave
 * @param teacher    the teacher's SHA-256; null for plain labels
 */
public record LabelLayout(
        int vocabulary,
        boolean isClassId,
        boolean hasWeight,
        int entries,
        double sampledAt,
        boolean everyClass,
        @Nullable String teacher) {

    /** Class id of a token that counts nowhere, in packed labels only. */
    public static final double PADDING = -16_777_215;

    private static final int PARTS = 11;
    private static final int PART_BITS = 24;
    private static final int HEADER = PARTS + 4;
    private static final double MARK = -16_041_989;
    private static final int HEXADECIMAL = 16;
    private static final int SHA256_DIGITS = 64;

    /**
     * Checks the parts.
     *
     * @param vocabulary V
     * @param isClassId  whether the label is a class id
     * @param hasWeight  whether the divergence has weights of its own
     * @param entries    classes that a sample names at most; 0 for none
     * @param sampledAt  temperature of a random sample; 0 for none
     * @param everyClass whether each class has the teacher's own probability
     * @param teacher    the teacher's SHA-256; null for plain labels
     * @throws IllegalArgumentException if the teacher's identity isn't a SHA-256, or the vocabulary is too large
     */
    public LabelLayout {
        if (teacher != null && !teacher.matches("[0-9a-f]{64}")) {
            throw new IllegalArgumentException(
                    "teacher: expected a SHA-256 of 64 lower-case hexadecimal digits, got \"" + teacher + "\"");
        }
        if (teacher != null && vocabulary > 1 << PART_BITS) {
            throw new IllegalArgumentException(
                    "teacher: expected at most 16777216 classes, the ids that FLOAT labels hold exactly, got "
                            + vocabulary);
        }
    }

    /** {@return whether the labels carry the teacher's log-probabilities} */
    public boolean hasTeacher() {
        return teacher != null;
    }

    /** {@return the size of the label: 1 or V; the teacher's part begins there} */
    public int labelSize() {
        return isClassId ? 1 : vocabulary;
    }

    /** {@return the size of the teacher's part} */
    public int teacherSize() {
        return !hasTeacher() ? 0 : entries == 0 ? vocabulary : 1 + 2 * entries;
    }

    /** {@return the place of the divergence's weight, if it has one} */
    public int weightAt() {
        return labelSize() + teacherSize();
    }

    /** {@return the size of the class axis} */
    public int size() {
        return hasTeacher() ? weightAt() + (hasWeight ? 1 : 0) + HEADER : labelSize();
    }

    /**
     * {@return the layout of labels for a vocabulary}
     *
     * @param labels     {@code [time, batch, C]}
     * @param weights    of the tokens, time first; a token of weight 0 may hold anything
     * @param vocabulary V of the model
     * @param found      describes the labels in messages
     * @throws IllegalArgumentException if the labels are neither packed for that vocabulary, by one teacher, nor plain
     *     ones of it
     */
    static LabelLayout of(INDArray labels, double[] weights, int vocabulary, String found) {
        double[][] headers = headers(labels);
        LabelLayout packed = packed(headers);
        if (packed == null) {
            return plain(labels.size(2), vocabulary, found);
        }
        if (packed.vocabulary != vocabulary) {
            throw new IllegalArgumentException("labels: expected a teacher with the model's vocabulary of " + vocabulary
                    + ", got one with " + packed.vocabulary + " in " + found);
        }
        double[] header = packed.header();
        for (int token = 0; token < weights.length; token++) {
            if (weights[token] > 0 && !Arrays.equals(header, headers[token])) {
                throw new IllegalArgumentException(
                        "labels: expected every token packed in the same way by the same teacher, got another header for "
                                + "token " + token + " (time first) of " + found);
            }
        }
        if (packed.size() != labels.size(2)) {
            throw new IllegalArgumentException("labels: expected a class axis of " + packed.size()
                    + " as their header says, got " + labels.size(2) + " in " + found);
        }
        return packed;
    }

    /**
     * {@return the layout of labels for a vocabulary}
     *
     * @param labels     plain or packed, of rank 2 or 3
     * @param classAxis  of labels of rank 3: 1 or 2
     * @param vocabulary V of the model
     * @throws IllegalArgumentException if the labels are neither packed for that vocabulary nor plain ones of it
     */
    public static LabelLayout of(INDArray labels, int classAxis, int vocabulary) {
        return of(
                timeFirst(labels, classAxis),
                new double[0],
                vocabulary,
                "labels of shape " + Arrays.toString(labels.shape()));
    }

    /**
     * {@return whether a token counts nowhere: its distribution is all zero}
     *
     * @param row the token's values on the class axis
     */
    public boolean isPadding(double[] row) {
        return isClassId
                ? hasTeacher() && row[0] == PADDING
                : Arrays.stream(row, 0, vocabulary).allMatch(p -> p == 0);
    }

    /**
     * {@return the teacher's V log-probabilities of a token}
     *
     * @param row the token's values on the class axis
     */
    public double[] teacher(double[] row) {
        int from = labelSize();
        if (entries == 0) {
            return Arrays.copyOfRange(row, from, from + vocabulary);
        }
        double[] expanded = new double[vocabulary];
        Arrays.fill(expanded, row[from]);
        for (int i = from + 1; i < weightAt() && row[i] >= 0; i += 2) {
            expanded[(int) row[i]] = row[i + 1];
        }
        return expanded;
    }

    private static LabelLayout plain(long size, int vocabulary, String found) {
        if (size != 1 && size != vocabulary) {
            throw new IllegalArgumentException("labels: expected a class axis of size 1 (class ids), " + vocabulary
                    + " (one-hot or distributions) or labels that a teacher's iterator packed, for a vocabulary of "
                    + vocabulary + ", got " + found);
        }
        return new LabelLayout(vocabulary, size == 1, false, 0, 0, true, null);
    }

    /**
     * {@return the layout of packed labels; empty for all other arrays}
     *
     * @param labels    of any rank
     * @param classAxis of labels of rank 3: 1 or 2
     */
    public static Optional<LabelLayout> ofPacked(INDArray labels, int classAxis) {
        return labels.rank() == 2 || labels.rank() == 3
                ? Optional.ofNullable(packed(headers(timeFirst(labels, classAxis))))
                : Optional.empty();
    }

    private static @Nullable LabelLayout packed(double[][] headers) {
        for (double[] header : headers) {
            if (header[HEADER - 1] == MARK) {
                return read(header);
            }
        }
        return null;
    }

    /** What lies where a header would, for each token; none where the class axis has no room for it. */
    private static double[][] headers(INDArray labels) {
        long size = labels.size(2);
        if (size < HEADER) {
            return new double[0][];
        }
        INDArray last = labels.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.interval(size - HEADER, size));
        double[] numbers =
                last.castTo(DataType.DOUBLE).dup('c').reshape(last.length()).toDoubleVector();
        double[][] headers = new double[numbers.length / HEADER][];
        for (int token = 0; token < headers.length; token++) {
            headers[token] = Arrays.copyOfRange(numbers, token * HEADER, (token + 1) * HEADER);
        }
        return headers;
    }

    private static LabelLayout read(double[] header) {
        int form = (int) -header[1] - 1;
        BigInteger sha256 = BigInteger.ZERO;
        for (int part = 0; part < PARTS; part++) {
            sha256 = sha256.shiftLeft(PART_BITS).add(BigInteger.valueOf((long) -header[3 + part] - 1));
        }
        String digits = sha256.toString(HEXADECIMAL);
        return new LabelLayout(
                (int) -header[0],
                (form & 1) != 0,
                (form & 2) != 0,
                form >> 3,
                Math.abs(header[2]),
                (form & 4) == 0,
                "0".repeat(Math.max(0, SHA256_DIGITS - digits.length())) + digits);
    }

    /** What packed labels hold at the end of every token's class axis. */
    double[] header() {
        double[] header = new double[HEADER];
        header[0] = -vocabulary;
        header[1] = -1 - (isClassId ? 1 : 0) - (hasWeight ? 2 : 0) - (everyClass ? 0 : 4) - 8.0 * entries;
        header[2] = sampledAt == 0 ? 0 : -(float) sampledAt;
        BigInteger sha256 = new BigInteger(Objects.requireNonNull(teacher), HEXADECIMAL);
        BigInteger mask = BigInteger.ONE.shiftLeft(PART_BITS).subtract(BigInteger.ONE);
        for (int part = PARTS - 1; part >= 0; part--) {
            header[3 + part] = -1.0 - sha256.and(mask).intValue();
            sha256 = sha256.shiftRight(PART_BITS);
        }
        header[HEADER - 1] = MARK;
        return header;
    }

    /**
     * Expands a sample.
     *
     * @param sample the teacher's part of a token
     * @param to     V log-probabilities, to be set
     * @param found  describes the labels in messages
     * @throws IllegalArgumentException if it names no class of the vocabulary
     */
    void expand(float[] sample, float[] to, String found) {
        Arrays.fill(to, sample[0]);
        for (int i = 1; i < teacherSize() && !(sample[i] < 0); i += 2) {
            if (!(sample[i] < to.length)) {
                throw noTeacher(found);
            }
            to[(int) sample[i]] = sample[i + 1];
        }
    }

    /** Where a token that counts has NaN, +infinity or no possible class; a class of probability 0 is -infinity. */
    static IllegalArgumentException noTeacher(String found) {
        return new IllegalArgumentException("labels: expected the teacher's log-probabilities, got NaN, infinity or a "
                + "token without a possible class in " + found);
    }

    /** @throws IllegalArgumentException if one of the weights is negative or not finite */
    static void requireWeights(double[] weights, String argument, String found) {
        for (double weight : weights) {
            if (!(weight >= 0) || Double.isInfinite(weight)) {
                throw new IllegalArgumentException(
                        argument + ": expected finite numbers of at least 0, got " + weight + " for " + found);
            }
        }
    }

    /**
     * {@return a class id that is one of the vocabulary's}
     *
     * @param type  of the labels
     * @param found describes the labels in messages
     * @throws IllegalArgumentException if it isn't, or the type doesn't hold it exactly
     */
    int requireId(double id, DataType type, String found) {
        if (!(id >= 0 && id < vocabulary) || id != Math.rint(id)) {
            throw new IllegalArgumentException("labels: expected whole class ids from 0 to " + (vocabulary - 1)
                    + ", got " + id + " in " + found + "; padding has a 0 in the label mask");
        }
        WholeNumbers.requireExact(id, type, vocabulary, "labels", found);
        return (int) id;
    }

    /** The array as {@code [time, batch, classes]}, a view; time is 1 where there is none. */
    static INDArray timeFirst(INDArray array, int classAxis) {
        if (array.rank() == 2) {
            return array.reshape(1, array.size(0), array.size(1));
        }
        return classAxis == 2 ? array.permute(1, 0, 2) : array.permute(2, 0, 1);
    }

    /** The array as rows {@code [tokens, values]}, time first; a view where the layout allows it. */
    static INDArray rows(INDArray array, int classAxis) {
        if (array.rank() == 2) {
            return array;
        }
        INDArray ordered = timeFirst(array, classAxis);
        boolean inPlace = ordered.size(0) == 1
                || ordered.size(1) == 1
                || ordered.stride(0) == ordered.size(1) * ordered.stride(1);
        if (!inPlace && ordered.stride(2) == 1 && FloatMemory.isAccessible(ordered)) {
            INDArray copy = Nd4j.createUninitialized(DataType.FLOAT, ordered.shape(), 'c');
            FloatMemory.copyRows(ordered, copy);
            ordered = copy;
        }
        return ordered.reshape('c', ordered.size(0) * ordered.size(1), ordered.size(2));
    }

    /** The inverse of {@link #rows}: a view, of the shape of another array but for the class axis. */
    static INDArray fromRows(INDArray rows, INDArray like, int classAxis) {
        INDArray ordered = timeFirst(like, classAxis);
        return like.rank() == 2
                ? rows
                : fromTimeFirst(rows.reshape('c', ordered.size(0), ordered.size(1), rows.size(1)), 3, classAxis);
    }

    /** The inverse of {@link #timeFirst}: a view. */
    static INDArray fromTimeFirst(INDArray ordered, int rank, int classAxis) {
        if (rank == 2) {
            return ordered.get(NDArrayIndex.point(0), NDArrayIndex.all(), NDArrayIndex.all());
        }
        return classAxis == 2 ? ordered.permute(1, 0, 2) : ordered.permute(1, 2, 0);
    }

    static double[] flat(INDArray array) {
        return array.castTo(DataType.DOUBLE).dup('c').reshape(array.length()).toDoubleVector();
    }
}
