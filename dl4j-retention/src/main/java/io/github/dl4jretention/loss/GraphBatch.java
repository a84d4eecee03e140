package io.github.dl4jretention.loss;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;

/** One minibatch of a SameDiff graph, checked before it trains: native operations would broadcast what does not fit. */
final class GraphBatch {

    private final LossDescription loss;
    private final Map<String, INDArray> arrays = new HashMap<>();
    private final INDArray teacher;
    private final long[] tokens;

    /** @throws IllegalArgumentException if the training configuration maps no array to the teacher's placeholder */
    GraphBatch(TrainingConfig training, MultiDataSet data, LossDescription loss) {
        this.loss = loss;
        put(training.getDataSetFeatureMapping(), data.getFeatures());
        put(training.getDataSetLabelMapping(), data.getLabels());
        put(training.getDataSetFeatureMaskMapping(), data.getFeaturesMaskArrays());
        put(training.getDataSetLabelMaskMapping(), data.getLabelsMaskArrays());
        teacher = arrays.get(RetentionLoss.TEACHER_LOGITS);
        if (teacher == null) {
            throw new IllegalArgumentException("labels: expected an array for the placeholder \""
                    + RetentionLoss.TEACHER_LOGITS + "\" in the training configuration's label mapping, got "
                    + training.getDataSetLabelMapping());
        }
        tokens = Arrays.copyOf(teacher.shape(), teacher.rank() - 1);
    }

    private void put(List<String> names, INDArray[] values) {
        for (int i = 0; names != null && values != null && i < Math.min(names.size(), values.length); i++) {
            if (names.get(i) != null && values[i] != null) {
                arrays.put(names.get(i), values[i]);
            }
        }
    }

    /**
     * Compares the teacher with the student's logits, which are computed for it.
     *
     * @throws IllegalArgumentException if their shapes differ; the message gives both
     */
    void requireSameVocabulary(SameDiff sd) {
        long[] logits = sd.output(arrays, loss.logits()).get(loss.logits()).shape();
        if (!Arrays.equals(logits, teacher.shape())) {
            throw new IllegalArgumentException("teacher: expected values of the shape of the logits \"" + loss.logits()
                    + "\" " + Arrays.toString(logits) + ", got " + Arrays.toString(teacher.shape()));
        }
    }

    /** @throws IllegalArgumentException if labels or weights do not fit; the message names them and gives the shapes */
    void requireFits() {
        double sum = teacher.sumNumber().doubleValue();
        if (Double.isNaN(sum) || sum == Double.POSITIVE_INFINITY) {
            throw new IllegalArgumentException(
                    "teacher: expected log-probabilities or logits, got NaN or infinity in shape "
                            + Arrays.toString(teacher.shape()));
        }
        double[] weights = weights(loss.weights());
        weights(loss.divergenceWeights());
        INDArray labels = arrays.get(loss.labels());
        if (labels != null && labels.length() == teacher.length() / teacher.size(-1)) {
            requireIds(labels, weights);
        } else if (labels != null) {
            requireDistributions(labels);
        }
    }

    /** Sum of the divergence's weights of the tokens on which student and teacher hold the same class most probable. */
    double agreements(INDArray logits) {
        String name = loss.divergenceWeights() == null ? loss.weights() : loss.divergenceWeights();
        INDArray given = name == null ? null : arrays.get(name);
        double[] student = flat(Nd4j.argMax(logits, logits.rank() - 1));
        double[] best = flat(Nd4j.argMax(teacher, teacher.rank() - 1));
        double[] weights = given == null ? null : flat(given);
        double sum = 0;
        for (int i = 0; i < student.length; i++) {
            if (student[i] == best[i]) {
                sum += weights == null ? 1 : weights[i];
            }
        }
        return sum;
    }

    private double[] weights(String name) {
        INDArray weights = name == null ? null : arrays.get(name);
        if (weights == null) {
            return null;
        }
        requireTokens(weights, name);
        double[] values = flat(weights);
        for (double weight : values) {
            if (!(weight >= 0) || Double.isInfinite(weight)) {
                throw new IllegalArgumentException(
                        name + ": expected finite weights of at least 0, got " + weight + " in " + shape(weights));
            }
        }
        return values;
    }

    private void requireDistributions(INDArray labels) {
        if (!Arrays.equals(labels.shape(), teacher.shape())) {
            throw new IllegalArgumentException(
                    loss.labels() + ": expected distributions of the shape of the teacher's values "
                            + Arrays.toString(teacher.shape()) + ", got " + shape(labels));
        }
        double smallest = labels.minNumber().doubleValue();
        double sum = labels.sumNumber().doubleValue();
        if (!(smallest >= 0) || !Double.isFinite(sum)) {
            throw new IllegalArgumentException(loss.labels() + ": expected finite probabilities of at least 0, got "
                    + (smallest < 0 ? smallest : sum) + " in " + shape(labels));
        }
    }

    private void requireIds(INDArray labels, double[] weights) {
        requireTokens(labels, loss.labels());
        long vocabulary = teacher.size(-1);
        double[] ids = flat(labels);
        for (int i = 0; i < ids.length; i++) {
            boolean masked = weights != null && weights[i] == 0;
            if (!masked && (!(ids[i] >= 0 && ids[i] < vocabulary) || ids[i] != Math.rint(ids[i]))) {
                throw new IllegalArgumentException(loss.labels() + ": expected whole class ids from 0 to "
                        + (vocabulary - 1) + ", got " + ids[i] + " in " + shape(labels));
            }
        }
    }

    private void requireTokens(INDArray array, String name) {
        long[] withOne = Arrays.copyOf(tokens, tokens.length + 1);
        withOne[tokens.length] = 1;
        if (!Arrays.equals(array.shape(), tokens) && !Arrays.equals(array.shape(), withOne)) {
            throw new IllegalArgumentException(name + ": expected a value for every token, shape "
                    + Arrays.toString(tokens) + " for the teacher's " + Arrays.toString(teacher.shape()) + ", got "
                    + shape(array));
        }
    }

    private static double[] flat(INDArray array) {
        return array.dup('c').reshape(array.length()).toDoubleVector();
    }

    private static String shape(INDArray array) {
        return "shape " + Arrays.toString(array.shape());
    }
}
