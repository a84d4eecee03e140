package io.github.dl4jretention.eval;

import io.github.dl4jretention.teacher.Teacher;
import java.util.Arrays;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

/**
 * How well a language model predicts a text and how far it is from its teacher there, in nats per unmasked token,
 * computed in log space.
 *
 * @param crossEntropy mean of {@code -log p(label)}
 * @param divergence   mean of {@code KL(p0 || p)}, p0 the teacher's distribution
 * @param tokens       number of tokens, each times its mask
 */
public record TokenEvaluation(double crossEntropy, double divergence, double tokens) {

    /**
     * {@return means over all batches, NaN without an unmasked token} The iterator is reset first.
     *
     * @param network  a network that ends in softmax cross-entropy; detach a student first
     * @param teacher  what the divergence is measured from
     * @param iterator batches with labels {@code [batch, classes, time]} or {@code [batch, classes]}, or class ids, one
     *     for each token; masks {@code [batch, time]} of finite weights of at least 0
     * @throws IllegalArgumentException if the teacher gives samples or values of another shape than the network's, the
     *     network cannot be a teacher, labels or a mask do not fit, or a weight or a class id is none; labels of tokens
     *     of weight 0 are not looked at
     */
    public static TokenEvaluation of(MultiLayerNetwork network, Teacher teacher, DataSetIterator iterator) {
        if (teacher.sampledAt().isPresent()) {
            throw new IllegalArgumentException("teacher: expected one that gives whole distributions, got samples");
        }
        Teacher student = Teacher.of(network);
        CrossEntropy crossEntropy = new CrossEntropy();
        double divergence = 0;
        double tokens = 0;
        iterator.reset();
        while (iterator.hasNext()) {
            DataSet batch = iterator.next();
            INDArray p = student.logProbabilities(batch.getFeatures(), batch.getFeaturesMaskArray());
            INDArray p0 = teacher.logProbabilities(batch.getFeatures(), batch.getFeaturesMaskArray());
            if (!Arrays.equals(p.shape(), p0.shape())) {
                throw new IllegalArgumentException("teacher: expected values of shape " + Arrays.toString(p.shape())
                        + ", as the network has them, got " + Arrays.toString(p0.shape()));
            }
            int axis = student.outputs().get(0).classAxis(p.rank());
            double[] weights = crossEntropy.add(p, batch.getLabels(), batch.getLabelsMaskArray(), axis);
            divergence += divergence(p0, p, weights, axis);
            tokens += Arrays.stream(weights).sum();
        }
        return new TokenEvaluation(crossEntropy.mean(), divergence / tokens, tokens);
    }

    private static double divergence(INDArray teacher, INDArray student, double[] weights, int axis) {
        TokenValues logP0 = new TokenValues(Tokens.rows(teacher, axis));
        TokenValues logP = new TokenValues(Tokens.rows(student, axis));
        double sum = 0;
        for (int token = 0; token < weights.length; token++) {
            if (weights[token] > 0) {
                sum += weights[token] * Tokens.divergence(logP0.of(token), 0, logP.of(token));
            }
        }
        return sum;
    }

    /** {@return {@code exp(crossEntropy)}, at least 1; NaN without an unmasked token} */
    public double perplexity() {
        return Math.exp(crossEntropy);
    }
}
