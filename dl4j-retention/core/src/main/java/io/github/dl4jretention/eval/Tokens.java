package io.github.dl4jretention.eval;

import java.util.Arrays;
import org.nd4j.linalg.api.ndarray.INDArray;

/** What all evaluations ask of tokens, in the order of one sequence after another. */
final class Tokens {

    private Tokens() {}

    /** An array in which each row is a token, its classes in order. */
    static INDArray rows(INDArray array, int classAxis) {
        if (array.rank() == 2) {
            return array;
        }
        INDArray ordered = classAxis == array.rank() - 1 ? array : array.permute(0, 2, 1);
        return ordered.dup('c').reshape('c', array.length() / array.size(classAxis), array.size(classAxis));
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
     * @param mask {@code [batch, time]} of sequences, else {@code [batch]} or {@code [batch, 1]}; null: all 1
     * @throws IllegalArgumentException if it is of another shape, or a weight is not finite or below 0
     */
    static double[] weights(INDArray mask, INDArray predictions, int classAxis) {
        long tokens = predictions.length() / predictions.size(classAxis);
        if (mask == null) {
            double[] ones = new double[(int) tokens];
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
        double[] weights = mask.dup('c').reshape(tokens).toDoubleVector();
        for (double weight : weights) {
            requireWeight(weight, "mask");
        }
        return weights;
    }

    static double requireWeight(double weight, String name) {
        if (!(weight >= 0 && weight < Double.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException(name + ": expected finite weights of at least 0, got " + weight);
        }
        return weight;
    }

    static int classId(double label, long classes) {
        if (!(label >= 0 && label < classes && label == Math.rint(label))) {
            throw new IllegalArgumentException(
                    "labels: expected class ids from 0 to " + (classes - 1) + ", got " + label);
        }
        return (int) label;
    }

    /** Classes of probability 0 in the label count nothing, though their logarithm be -inf. */
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
