package io.github.dl4jretention.eval;

import io.github.dl4jretention.teacher.Teacher;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * How well a language model predicts a text and how far it is from its teacher there, in nats per unmasked token,
 * computed in log space.
 *
 * @param crossEntropy mean of {@code -log p(label)}
 * @param divergence   mean of {@code KL(p0 || p)}, p0 the teacher's distribution
 * @param tokens       number of unmasked tokens
 */
public record TokenEvaluation(double crossEntropy, double divergence, double tokens) {

    /**
     * {@return means over all batches, NaN without an unmasked token} The iterator is reset first.
     *
     * @param network  a network that ends in softmax cross-entropy; detach a student first
     * @param teacher  what the divergence is measured from
     * @param iterator batches with labels {@code [batch, classes, time]} or {@code [batch, classes]}, or class ids, one for
     *     each token; masks of 0 and 1
     * @throws IllegalArgumentException if the teacher gives samples, the network cannot be a teacher, or labels do not
     *     fit
     */
    public static TokenEvaluation of(MultiLayerNetwork network, Teacher teacher, DataSetIterator iterator) {
        if (teacher.sampledAt().isPresent()) {
            throw new IllegalArgumentException("teacher: expected one that gives whole distributions, got samples");
        }
        Teacher student = Teacher.of(network);
        double crossEntropy = 0;
        double divergence = 0;
        double tokens = 0;
        iterator.reset();
        while (iterator.hasNext()) {
            DataSet batch = iterator.next();
            INDArray p = student.logProbabilities(batch.getFeatures(), batch.getFeaturesMaskArray());
            INDArray p0 = teacher.logProbabilities(batch.getFeatures(), batch.getFeaturesMaskArray());
            INDArray mask = batch.getLabelsMaskArray();
            int axis = student.outputs().get(0).classAxis(p.rank());
            crossEntropy += CrossEntropy.sum(CrossEntropy.losses(p, batch.getLabels(), axis), mask);
            divergence += CrossEntropy.sum(Transforms.exp(p0).mul(p0.sub(p)).sum(axis), mask);
            tokens += mask == null
                    ? (double) p.length() / p.size(axis)
                    : mask.sumNumber().doubleValue();
        }
        return new TokenEvaluation(crossEntropy / tokens, divergence / tokens, tokens);
    }

    /** {@return {@code exp(crossEntropy)}, at least 1; NaN without an unmasked token} */
    public double perplexity() {
        return Math.exp(crossEntropy);
    }
}
