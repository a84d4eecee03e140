package io.github.dl4jretention.loss;

import java.util.Arrays;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * One minibatch's labels and mask, whose shapes fit the layer's input. Tokens lie in the order time, then batch.
 *
 * @param kind              what the labels are
 * @param labels            {@code [time, batch, C]}, the caller's own memory; values are not checked
 * @param vocabulary        V
 * @param weights           the cross-entropy's: the mask; 1 where there is none
 * @param divergenceWeights the divergence's: those in the labels, else the mask
 * @param shapes            describes labels and input in messages
 */
public record TokenRows(
        LabelKind kind, INDArray labels, int vocabulary, double[] weights, double[] divergenceWeights, String shapes) {

    /**
     * @param mask null for none
     * @throws IllegalArgumentException if shapes do not fit or a weight is negative or not finite; the message names
     *     the argument and gives what was found and expected
     */
    public static TokenRows of(INDArray input, INDArray labels, INDArray mask, long vocabulary, int classAxis) {
        String shapes = "labels of shape " + Arrays.toString(labels.shape()) + " for input of shape "
                + Arrays.toString(input.shape());
        boolean fits = labels.rank() == input.rank();
        for (int axis = 0; fits && axis < input.rank(); axis++) {
            fits = axis == classAxis || labels.size(axis) == input.size(axis);
        }
        if (!fits) {
            throw new IllegalArgumentException(
                    "labels: expected the batch size and sequence length of the input, got " + shapes);
        }
        LabelKind kind = LabelKind.of(labels.size(classAxis), vocabulary, shapes);
        INDArray ordered = RetentionLabels.timeFirst(labels, classAxis);
        double[] weights = weights(ordered, mask, shapes);
        double[] divergenceWeights = weights;
        if (kind.hasWeight()) {
            divergenceWeights =
                    flat(ordered.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.point(ordered.size(2) - 1)));
            requireWeights(divergenceWeights, "divergence weights", shapes);
        }
        return new TokenRows(kind, ordered, (int) vocabulary, weights, divergenceWeights, shapes);
    }

    private static double[] weights(INDArray ordered, INDArray mask, String shapes) {
        long time = ordered.size(0);
        long batch = ordered.size(1);
        if (mask == null) {
            double[] ones = new double[(int) (time * batch)];
            Arrays.fill(ones, 1);
            return ones;
        }
        boolean fits = mask.length() == time * batch
                && (mask.rank() == 2 && mask.size(0) == batch || mask.rank() == 1 && time == 1);
        if (!fits) {
            throw new IllegalArgumentException("labels mask: expected shape [" + batch + ", " + time
                    + "], a weight for every token, got " + Arrays.toString(mask.shape()));
        }
        double[] weights = flat(mask.rank() == 2 ? mask.permute(1, 0) : mask);
        requireWeights(weights, "labels mask", shapes);
        return weights;
    }

    private static void requireWeights(double[] weights, String what, String shapes) {
        for (double weight : weights) {
            if (!(weight >= 0) || Double.isInfinite(weight)) {
                throw new IllegalArgumentException(
                        what + ": expected finite numbers of at least 0, got " + weight + " for " + shapes);
            }
        }
    }

    private static double[] flat(INDArray array) {
        return array.castTo(DataType.DOUBLE).dup('c').reshape(array.length()).toDoubleVector();
    }

    /** Number of tokens. */
    public int size() {
        return weights.length;
    }

    /** Weights as a column {@code [tokens, 1]}. */
    public static INDArray column(double[] weights, DataType type) {
        return Nd4j.createFromArray(weights).castTo(type).reshape(weights.length, 1);
    }

    /**
     * A copy of the labels as rows {@code [tokens, C]}; the target is 0 where the cross-entropy's weight is, the
     * teacher where the divergence's is.
     *
     * @throws IllegalArgumentException if an unmasked value is no class id, no probability, or no log-probability
     */
    public INDArray checkedCopy(DataType type) {
        INDArray rows =
                Nd4j.createUninitialized(type, labels.shape()).assign(labels).reshape(size(), labels.size(2));
        long targetSize = kind.targetSize(vocabulary);
        if (kind.hasTeacher()) {
            requireNotOneHot(rows);
        }
        clear(rows, weights, 0, targetSize);
        if (kind.hasTeacher()) {
            clear(rows, divergenceWeights, targetSize, targetSize + vocabulary);
            requireTeacher(columns(rows, targetSize, targetSize + vocabulary));
        }
        if (kind.isClassId()) {
            for (double id : rows.getColumn(0).toDoubleVector()) {
                requireId(id);
            }
        } else {
            INDArray target = columns(rows, 0, targetSize);
            requireDistribution(
                    target.minNumber().doubleValue(), target.sumNumber().doubleValue());
        }
        return rows;
    }

    /** What is masked may be anything, NaN included; it must not reach the graph. */
    private static void clear(INDArray rows, double[] weights, long from, long to) {
        for (int row = 0; row < weights.length; row++) {
            if (weights[row] == 0) {
                rows.get(NDArrayIndex.point(row), NDArrayIndex.interval(from, to))
                        .assign(0);
            }
        }
    }

    private void requireNotOneHot(INDArray rows) {
        boolean any = false;
        for (int row = 0; row < weights.length; row++) {
            if (weights[row] > 0) {
                any = true;
                if (!isOneHot(rows.getRow(row).toFloatVector())) {
                    return;
                }
            }
        }
        if (any) {
            throw oneHotOfAnotherVocabulary();
        }
    }

    /**
     * One-hot labels of another vocabulary may have the size of labels with a teacher; log-probabilities are never so.
     */
    public IllegalArgumentException oneHotOfAnotherVocabulary() {
        return new IllegalArgumentException(
                "labels: expected the teacher's log-probabilities on the class axis for a vocabulary of " + vocabulary
                        + ", got one-hot labels of another vocabulary, " + shapes);
    }

    /** Whether exactly one value is 1 and the others are 0. */
    public static boolean isOneHot(float[] values) {
        float sum = 0;
        for (float value : values) {
            if (value != 0 && value != 1) {
                return false;
            }
            sum += value;
        }
        return sum == 1;
    }

    private static INDArray columns(INDArray rows, long from, long to) {
        return rows.get(NDArrayIndex.all(), NDArrayIndex.interval(from, to));
    }

    private void requireTeacher(INDArray teacher) {
        double sum = teacher.sumNumber().doubleValue();
        double smallestBest = teacher.max(1).minNumber().doubleValue();
        if (Double.isNaN(sum) || sum == Double.POSITIVE_INFINITY || smallestBest == Double.NEGATIVE_INFINITY) {
            throw noTeacher();
        }
    }

    /** A class of probability 0 is -inf; NaN and +inf are no log-probabilities. */
    public IllegalArgumentException noTeacher() {
        return new IllegalArgumentException("labels: expected the teacher's log-probabilities, got NaN, infinity or a "
                + "token without a possible class in " + shapes);
    }

    /** @throws IllegalArgumentException if numbers with this minimum and sum are no probabilities */
    public void requireDistribution(double smallest, double sum) {
        if (!(smallest >= 0) || !Double.isFinite(sum)) {
            throw new IllegalArgumentException("labels: expected finite probabilities of at least 0, got "
                    + (smallest < 0 ? smallest : sum) + " in " + shapes);
        }
    }

    /** @throws IllegalArgumentException if it is no class id */
    public int requireId(double id) {
        if (!(id >= 0 && id < vocabulary) || id != Math.rint(id)) {
            throw new IllegalArgumentException(
                    "labels: expected whole class ids from 0 to " + (vocabulary - 1) + ", got " + id + " in " + shapes);
        }
        return (int) id;
    }
}
