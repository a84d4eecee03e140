package io.github.dl4jretention.loss;

import java.util.Arrays;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * One minibatch's labels and mask, checked against the layer's input and laid out as rows, a token each.
 *
 * @param kind    what the labels are
 * @param labels  {@code [tokens, C]}; rows of mask 0 are 0
 * @param weights {@code [tokens, 1]}, the mask; 1 where there is none
 */
record TokenRows(LabelKind kind, INDArray labels, INDArray weights) {

    /**
     * @param mask null for none
     * @throws IllegalArgumentException if shapes do not fit, or an unmasked class id is not in {@code [0, vocabulary)};
     *     the message names the argument and gives what was found and expected
     */
    static TokenRows of(INDArray input, INDArray labels, INDArray mask, long vocabulary, int classAxis, DataType type) {
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
        INDArray rows = RetentionLabels.rows(labels, classAxis);
        INDArray weights = weights(input, mask, classAxis, rows.size(0), type);
        boolean masked = mask != null && weights.minNumber().doubleValue() <= 0;
        // Cast before a placeholder sees it; copy before masked rows are cleared, the caller's labels stay as they are.
        rows = rows.dataType() == type ? rows.dup('c') : rows.castTo(type);
        if (masked) {
            clearMaskedRows(rows, weights);
        }
        if (kind.isClassId()) {
            requireIds(rows.getColumn(0), vocabulary, shapes);
        }
        return new TokenRows(kind, rows, weights);
    }

    private static INDArray weights(INDArray input, INDArray mask, int classAxis, long tokens, DataType type) {
        if (mask == null) {
            return Nd4j.ones(type, tokens, 1);
        }
        long batch = input.size(0);
        long time = input.rank() == 2 ? 1 : input.size(classAxis == 2 ? 1 : 2);
        boolean fits = mask.length() == tokens && mask.rank() <= 2 && (mask.rank() == 1 || mask.size(0) == batch);
        if (!fits) {
            throw new IllegalArgumentException("labels mask: expected shape [" + batch + ", " + time
                    + "], a weight for every token, got " + Arrays.toString(mask.shape()));
        }
        INDArray columns = mask.rank() == 2 ? mask.permute(1, 0) : mask;
        return columns.castTo(type).reshape('c', tokens, 1);
    }

    private static void clearMaskedRows(INDArray rows, INDArray weights) {
        double[] values = weights.reshape(weights.length()).toDoubleVector();
        for (int row = 0; row < values.length; row++) {
            if (values[row] == 0) {
                rows.getRow(row).assign(0);
            }
        }
    }

    private static void requireIds(INDArray ids, long vocabulary, String shapes) {
        for (double id : ids.toDoubleVector()) {
            if (!(id >= 0 && id < vocabulary) || id != Math.rint(id)) {
                throw new IllegalArgumentException("labels: expected whole class ids from 0 to " + (vocabulary - 1)
                        + ", got " + id + " in " + shapes);
            }
        }
    }
}
