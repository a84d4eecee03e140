package io.github.dl4jretention.eval;

import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.util.Arrays;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Mean cross-entropy of a network on a text in nats per unmasked token, in log space, over all outputs that it predicts:
 * {@code sum of mask * -log p(label) / sum of mask}.
 */
public final class CrossEntropy {

    private double sum;
    private double tokens;

    private CrossEntropy() {}

    /**
     * {@return mean cross-entropy in nats per unmasked token; NaN if every token is masked}
     *
     * @param predictor the network, asked for log-probabilities as a teacher is
     * @param batches   from the present one on; labels of the output's shape (one-hot or distributions) or class ids, one
     *     for each token; masks of any weight of at least 0
     * @throws IllegalArgumentException if labels do not fit an output, or a class id is none of its classes
     */
    public static double of(Teacher predictor, MultiDataSetIterator batches) {
        CrossEntropy total = new CrossEntropy();
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            while (batches.hasNext()) {
                total.add(predictor, batches.next());
            }
        }
        return total.sum / total.tokens;
    }

    private void add(Teacher predictor, MultiDataSet batch) {
        INDArray[] predicted = predictor.logProbabilities(batch.getFeatures(), batch.getFeaturesMaskArrays());
        for (int i = 0; i < predicted.length; i++) {
            TeacherOutput output = predictor.outputs().get(i);
            INDArray[] masks = batch.getLabelsMaskArrays();
            add(
                    predicted[i],
                    batch.getLabels(output.index()),
                    masks == null ? null : masks[output.index()],
                    output.classAxis(predicted[i].rank()));
        }
    }

    private void add(INDArray predicted, INDArray labels, INDArray mask, int classAxis) {
        INDArray losses = losses(predicted, labels, classAxis);
        sum += sum(losses, mask);
        tokens += mask == null ? losses.length() : mask.sumNumber().doubleValue();
    }

    /** {@code -log p(label)} of each token, in the shape of the output without its class axis. */
    static INDArray losses(INDArray predicted, INDArray labels, int classAxis) {
        return Arrays.equals(labels.shape(), predicted.shape())
                ? labels.castTo(predicted.dataType())
                        .mul(predicted)
                        .sum(classAxis)
                        .neg()
                : ofIds(predicted, labels, classAxis);
    }

    /** Sum over tokens, each times its mask. */
    static double sum(INDArray tokens, INDArray mask) {
        if (mask == null) {
            return tokens.sumNumber().doubleValue();
        }
        double[] values = tokens.dup('c').reshape(tokens.length()).toDoubleVector();
        double[] weights = mask.dup('c').reshape(mask.length()).toDoubleVector();
        double sum = 0;
        for (int i = 0; i < values.length; i++) {
            // What is masked may be anything, NaN included.
            sum += weights[i] == 0 ? 0 : weights[i] * values[i];
        }
        return sum;
    }

    /** Losses in the order of the tokens, for labels that are class ids. */
    private static INDArray ofIds(INDArray predicted, INDArray labels, int classAxis) {
        long classes = predicted.size(classAxis);
        long[] shape = predicted.shape();
        long[] tokenShape = new long[shape.length - 1];
        for (int axis = 0, kept = 0; axis < shape.length; axis++) {
            if (axis != classAxis) {
                tokenShape[kept++] = shape[axis];
            }
        }
        long count = predicted.length() / classes;
        if (labels.length() != count) {
            throw new IllegalArgumentException("labels: expected shape " + Arrays.toString(shape)
                    + " of the output, or a class id for each of its " + count + " tokens, got "
                    + Arrays.toString(labels.shape()));
        }
        INDArray rows = classAxis == predicted.rank() - 1 ? predicted : predicted.permute(0, 2, 1);
        double[] values = rows.dup('c').reshape(predicted.length()).toDoubleVector();
        double[] ids = labels.dup('c').reshape(count).toDoubleVector();
        double[] losses = new double[ids.length];
        for (int token = 0; token < ids.length; token++) {
            if (!(ids[token] >= 0 && ids[token] < classes)) {
                throw new IllegalArgumentException(
                        "labels: expected class ids from 0 to " + (classes - 1) + ", got " + ids[token]);
            }
            losses[token] = -values[(int) (token * classes + (long) ids[token])];
        }
        return Nd4j.createFromArray(losses).reshape('c', tokenShape);
    }
}
