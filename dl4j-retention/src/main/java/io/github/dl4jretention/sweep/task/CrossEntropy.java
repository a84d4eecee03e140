package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.util.Arrays;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

/** Mean cross-entropy of a network on a text in nats per token, in log space, over all outputs that it predicts. */
final class CrossEntropy {

    private double sum;
    private double tokens;

    private CrossEntropy() {}

    /** @param predictor the network, asked for log-probabilities as a teacher is */
    static double of(Teacher predictor, Batches text) {
        CrossEntropy total = new CrossEntropy();
        MultiDataSetIterator batches = text.iterator();
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
        INDArray losses = Arrays.equals(labels.shape(), predicted.shape())
                ? labels.castTo(predicted.dataType())
                        .mul(predicted)
                        .sum(classAxis)
                        .neg()
                : ofIds(predicted, labels, classAxis);
        if (mask == null) {
            sum += losses.sumNumber().doubleValue();
            tokens += losses.length();
        } else {
            INDArray weights = mask.castTo(losses.dataType()).reshape(losses.shape());
            sum += losses.mul(weights).sumNumber().doubleValue();
            tokens += weights.sumNumber().doubleValue();
        }
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
