package io.github.dl4jretention.eval;

import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.util.Arrays;
import java.util.List;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

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
        return of(Teacher.of(network), teacher, new MultiDataSetIteratorAdapter(iterator));
    }

    /**
     * {@return the same as {@link #of(MultiLayerNetwork, Teacher, DataSetIterator)} of a graph's outputs that the
     * teacher teaches, over the tokens of all of them}
     *
     * @param graph    whose outputs of the teacher's names are softmax cross-entropy; detach a student first
     * @param teacher  what the divergence is measured from
     * @param iterator batches with the labels of all of the graph's outputs
     * @throws IllegalArgumentException as of a network, or if the graph lacks one of the teacher's outputs
     */
    public static TokenEvaluation of(ComputationGraph graph, Teacher teacher, MultiDataSetIterator iterator) {
        String[] names = teacher.outputs().stream().map(TeacherOutput::name).toArray(String[]::new);
        return of(Teacher.of(graph, names), teacher, iterator);
    }

    /**
     * {@return the same as {@link #of(MultiLayerNetwork, Teacher, DataSetIterator)} of any model, over the tokens of
     * all outputs} A SameDiff graph, with its loss or without, is
     * {@code TokenEvaluation.of(Teacher.of(sd, "logits", "features"), teacher, iterator)}.
     *
     * @param model    asked for log-probabilities as a teacher is
     * @param teacher  of the same outputs
     * @param iterator batches; labels of SameDiff graphs are {@code [..., classes]} or class ids, their masks are
     *     {@code [batch, time]}
     * @throws IllegalArgumentException as of a network, or if the model gives samples or has other outputs than the
     *     teacher
     */
    public static TokenEvaluation of(Teacher model, Teacher teacher, MultiDataSetIterator iterator) {
        requireDistributions(model, "model");
        requireDistributions(teacher, "teacher");
        requireSameOutputs(model.outputs(), teacher.outputs());
        CrossEntropy crossEntropy = new CrossEntropy();
        double divergence = 0;
        double tokens = 0;
        iterator.reset();
        while (iterator.hasNext()) {
            MultiDataSet batch = iterator.next();
            INDArray[] p = model.logProbabilities(batch.getFeatures(), batch.getFeaturesMaskArrays());
            INDArray[] p0 = teacher.logProbabilities(batch.getFeatures(), batch.getFeaturesMaskArrays());
            for (int i = 0; i < p.length; i++) {
                requireSameShape(p[i], p0[i]);
                TeacherOutput output = model.outputs().get(i);
                double[] weights = crossEntropy.add(p[i], batch, output);
                divergence += divergence(p0[i], p[i], weights, output.classAxis(p[i].rank()));
                tokens += Arrays.stream(weights).sum();
            }
        }
        return new TokenEvaluation(crossEntropy.mean(), divergence / tokens, tokens);
    }

    private static void requireDistributions(Teacher teacher, String name) {
        if (teacher.sampledAt().isPresent()) {
            throw new IllegalArgumentException(name + ": expected one that gives whole distributions, got samples");
        }
    }

    /** Names may differ: a text is found by its place among the labels. */
    private static void requireSameOutputs(List<TeacherOutput> model, List<TeacherOutput> teacher) {
        if (!model.stream()
                .map(TeacherOutput::index)
                .toList()
                .equals(teacher.stream().map(TeacherOutput::index).toList())) {
            throw new IllegalArgumentException("teacher: expected the outputs " + model + ", got " + teacher);
        }
    }

    private static void requireSameShape(INDArray model, INDArray teacher) {
        if (!Arrays.equals(model.shape(), teacher.shape())) {
            throw new IllegalArgumentException("teacher: expected values of shape " + Arrays.toString(model.shape())
                    + ", as the network has them, got " + Arrays.toString(teacher.shape()));
        }
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
