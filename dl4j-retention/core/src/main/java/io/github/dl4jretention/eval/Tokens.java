package io.github.dl4jretention.eval;

import io.github.dl4jretention.internal.WholeNumbers;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * The values of an array's tokens, one sequence after another. They're converted to double a block at a time, because
 * one by one is slow and all at once doubles the memory; a block's native copy is freed as soon as it's read.
 */
final class Tokens {

    private static final int BLOCK = 1 << 18;

    private final INDArray sequences;
    private final int classes;
    private final int time;
    private final int step;
    private double[] block = {};
    private int first = -1;

    /** @param classAxis axis of the classes; all others are tokens */
    Tokens(INDArray array, int classAxis) {
        if (array.rank() == 2) {
            sequences = array.reshape(1, array.size(0), array.size(1));
        } else if (array.rank() == 3) {
            sequences = classAxis == 1 ? array.permute(0, 2, 1) : array;
        } else {
            sequences = array.reshape('c', 1, array.length() / array.size(classAxis), array.size(classAxis));
        }
        classes = (int) sequences.size(2);
        time = (int) sequences.size(1);
        step = Math.max(1, Math.min(time, BLOCK / classes));
    }

    int classes() {
        return classes;
    }

    /** A copy of the values of one token, its classes in order. */
    double[] of(int token) {
        int inSequence = token % time;
        int from = token - inSequence % step;
        if (from != first) {
            int start = from % time;
            INDArray part = sequences.get(
                    NDArrayIndex.point(token / time),
                    NDArrayIndex.interval(start, Math.min(start + step, time)),
                    NDArrayIndex.all());
            try (INDArray copy = part.dup('c')) {
                block = copy.data().asDouble();
            }
            first = from;
        }
        int begin = (token - from) * classes;
        return Arrays.copyOfRange(block, begin, begin + classes);
    }

    /** Shape without the axis of the classes. */
    static long[] shape(INDArray predictions, int classAxis) {
        long[] shape = predictions.shape();
        long[] tokens = new long[shape.length - 1];
        for (int axis = 0, kept = 0; axis < shape.length; axis++) {
            if (axis != classAxis) {
                tokens[kept++] = shape[axis];
            }
        }
        return tokens;
    }

    /**
     * The weight of every token.
     *
     * @param mask {@code [batch, time]} of sequences, else {@code [batch]} or {@code [batch, 1]}; null: all 1
     * @throws IllegalArgumentException if its shape doesn't fit, or a weight isn't finite or is below 0
     */
    static double[] weights(@Nullable INDArray mask, INDArray predictions, int classAxis) {
        int tokens = (int) (predictions.length() / predictions.size(classAxis));
        if (mask == null) {
            double[] ones = new double[tokens];
            Arrays.fill(ones, 1);
            return ones;
        }
        long[] shape = shape(predictions, classAxis);
        boolean fits = Arrays.equals(mask.shape(), shape)
                || shape.length == 1 && Arrays.equals(mask.shape(), new long[] {shape[0], 1});
        if (!fits) {
            throw new IllegalArgumentException("mask: expected a weight for every token of predictions of shape "
                    + Arrays.toString(predictions.shape()) + ", got shape " + Arrays.toString(mask.shape()));
        }
        double[] weights = flat(mask);
        for (double weight : weights) {
            requireWeight(weight, "mask");
        }
        return weights;
    }

    static double[] flat(INDArray array) {
        try (INDArray copy = array.dup('c')) {
            return copy.data().asDouble();
        }
    }

    static double requireWeight(double weight, String name) {
        if (!(weight >= 0 && weight < Double.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException(name + ": expected finite weights of at least 0, got " + weight);
        }
        return weight;
    }

    static int classId(double label, DataType type, long classes) {
        if (!(label >= 0 && label < classes && label == Math.rint(label))) {
            throw new IllegalArgumentException(
                    "labels: expected class ids from 0 to " + (classes - 1) + ", got " + label);
        }
        WholeNumbers.requireExact(label, type, classes, "labels", "labels of " + type);
        return (int) label;
    }

    /** Whether the first {@code classes} values of a label are all 0: a one-hot label of padding. */
    static boolean isPadding(double[] label, int classes) {
        for (int v = 0; v < classes; v++) {
            if (label[v] != 0) {
                return false;
            }
        }
        return true;
    }

    /** Classes of probability 0 in the label count nothing, even where their logarithm is -inf. */
    static double crossEntropy(double[] label, double[] logProbabilities) {
        double sum = 0;
        for (int v = 0; v < logProbabilities.length; v++) {
            if (!(label[v] >= 0 && label[v] < Double.POSITIVE_INFINITY)) {
                throw new IllegalArgumentException(
                        "labels: expected finite probabilities of at least 0, got " + label[v] + " for class " + v);
            }
            sum -= label[v] == 0 ? 0 : label[v] * logProbabilities[v];
        }
        return sum;
    }

    /**
     * {@code KL(p0 || p)} of logarithms; classes that the teacher rules out count nothing.
     *
     * @param scale of the teacher's, subtracted from its values
     */
    static double divergence(double[] teacher, double scale, double[] student) {
        double sum = 0;
        for (int v = 0; v < teacher.length; v++) {
            double logProbability = teacher[v] - scale;
            double probability = Math.exp(logProbability);
            sum += probability == 0 ? 0 : probability * (logProbability - student[v]);
        }
        return sum;
    }
}
