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
 * Mean cross-entropy of a network on a text in nats per unmasked token, in log space, over all outputs that it
 * predicts: {@code sum of mask * -log p(label) / sum of mask}.
 */
public final class CrossEntropy {

    private double sum;
    private double tokens;

    CrossEntropy() {}

    /**
     * {@return mean cross-entropy in nats per unmasked token; NaN if every token is masked}
     *
     * @param predictor the network, asked for log-probabilities as a teacher is
     * @param batches from the present one on; labels of the output's shape (one-hot or distributions) or class ids, one
     *     for each token; masks {@code [batch, time]} of finite weights of at least 0
     * @throws IllegalArgumentException if labels or a mask do not fit an output, or a weight or a class id is none;
     *     labels of tokens of weight 0 are not looked at
     */
    public static double of(Teacher predictor, MultiDataSetIterator batches) {
        CrossEntropy total = new CrossEntropy();
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            while (batches.hasNext()) {
                total.add(predictor, batches.next());
            }
        }
        return total.mean();
    }

    private void add(Teacher predictor, MultiDataSet batch) {
        INDArray[] predicted = predictor.logProbabilities(batch.getFeatures(), batch.getFeaturesMaskArrays());
        for (int i = 0; i < predicted.length; i++) {
            add(predicted[i], batch, predictor.outputs().get(i));
        }
    }

    /** {@return the weights of the output's tokens, which are added} */
    double[] add(INDArray predicted, MultiDataSet batch, TeacherOutput output) {
        INDArray[] masks = batch.getLabelsMaskArrays();
        return add(
                predicted,
                batch.getLabels(output.index()),
                masks == null ? null : masks[output.index()],
                output.classAxis(predicted.rank()));
    }

    /**
     * Adds tokens of an output.
     *
     * @param classAxis of the output
     * @return the weights of its tokens
     */
    private double[] add(INDArray predicted, INDArray labels, INDArray mask, int classAxis) {
        boolean distributions = Arrays.equals(labels.shape(), predicted.shape());
        if (!distributions) {
            requireIds(predicted, labels, classAxis);
        }
        // Ids of another shape than the output's may have a mask like them.
        boolean likeIds = !distributions && mask != null && Arrays.equals(mask.shape(), labels.shape());
        double[] weights =
                Tokens.weights(likeIds ? mask.reshape(Tokens.shape(predicted, classAxis)) : mask, predicted, classAxis);
        INDArray rows = Tokens.rows(predicted, classAxis);
        TokenValues values = new TokenValues(rows);
        TokenValues targets = distributions ? new TokenValues(Tokens.rows(labels, classAxis)) : null;
        double[] ids =
                distributions ? null : labels.dup('c').reshape(labels.length()).toDoubleVector();
        for (int token = 0; token < weights.length; token++) {
            // What is masked may be anything, NaN included.
            if (weights[token] > 0) {
                double loss = distributions
                        ? Tokens.crossEntropy(targets.of(token), values.of(token))
                        : -rows.getDouble(token, Tokens.classId(ids[token], rows.size(1)));
                sum += weights[token] * loss;
                tokens += weights[token];
            }
        }
        return weights;
    }

    /** Mean over tokens. */
    double mean() {
        return sum / tokens;
    }

    private static void requireIds(INDArray predicted, INDArray labels, int classAxis) {
        long count = predicted.length() / predicted.size(classAxis);
        boolean sameBatch = predicted.rank() == 2 || labels.size(0) == predicted.size(0);
        if (labels.length() != count || !sameBatch) {
            throw new IllegalArgumentException("labels: expected shape " + Arrays.toString(predicted.shape())
                    + " of the output, or a class id for each of its " + count + " tokens, got "
                    + Arrays.toString(labels.shape()));
        }
    }
}
