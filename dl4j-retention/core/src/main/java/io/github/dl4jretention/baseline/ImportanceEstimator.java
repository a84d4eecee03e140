package io.github.dl4jretention.baseline;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.function.Function;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * Estimates the {@link Importance} of a model's parameters from source text, example by example:
 *
 * <pre>
 * empirical Fisher   F = mean over examples of (d log p(y | x) / dw)^2, y the example's labels
 * Fisher             the same with labels y drawn from the model's own distribution
 * MAS                F = mean over examples of | d sum over tokens of ||p||^2 / dw |
 * </pre>
 *
 * Squares and absolute values are taken for each element. An example is a row of a batch, for language models a
 * sequence; log p is the sum over its unmasked tokens, in nats. If a network's output has another loss than
 * cross-entropy, the empirical Fisher uses the gradient of that loss. The gradient of each example is squared by
 * itself: the square of a minibatch's mean gradient would be a different, much smaller number (Kunstner et al., arXiv
 * 1905.12558; van de Ven, arXiv 2502.11756).
 *
 * <p>The pass runs on a copy in inference mode, without dropout, so that parameters, counters and states of the model
 * don't change. Frozen layers are treated like all others. Each example costs a training step of one example; a few
 * hundred examples are usual. Networks with batch normalisation are refused because its gradient for a single example
 * isn't that of inference, and students because their gradient includes that of retention.
 */
public final class ImportanceEstimator {

    private final Function<Boolean, ExampleGradients> gradients;
    private final int most;

    private ImportanceEstimator(Function<Boolean, ExampleGradients> gradients, int most) {
        this.gradients = gradients;
        this.most = most;
    }

    /**
     * {@return an estimator of a network's importance, from all examples of an iterator}
     *
     * @param network whose labels are read as its output layer reads them; for the Fisher and MAS it must end in
     *     softmax cross-entropy, see {@link io.github.dl4jretention.teacher.SoftmaxOutput}
     */
    public static ImportanceEstimator of(MultiLayerNetwork network) {
        Objects.requireNonNull(network, "network");
        return new ImportanceEstimator(own -> new NetworkGradients(network, own), Integer.MAX_VALUE);
    }

    /**
     * {@return an estimator of a graph's importance, from all examples of an iterator}
     *
     * @param graph the losses of all of whose outputs are added; for the Fisher and MAS all must be softmax
     */
    public static ImportanceEstimator of(ComputationGraph graph) {
        Objects.requireNonNull(graph, "graph");
        return new ImportanceEstimator(own -> new GraphGradients(graph, own), Integer.MAX_VALUE);
    }

    /**
     * {@return an estimator of the importance of a SameDiff model's variables, from all examples of an iterator}
     *
     * @param model        with cross-entropy on its logits; its own losses play no part
     * @param logits       the variable of the logits {@code [..., V]}; labels are class ids {@code [...]} or one-hot
     * @param placeholders what the arrays of a batch's features are given to, in their order
     */
    public static ImportanceEstimator of(SameDiff model, String logits, String... placeholders) {
        Objects.requireNonNull(model, "model");
        return new ImportanceEstimator(
                own -> new SameDiffGradients(model, logits, Arrays.asList(placeholders)), Integer.MAX_VALUE);
    }

    /**
     * {@return an estimator that stops after a number of examples}
     *
     * @param most number of examples, at least 1; default: all of the iterator
     * @throws IllegalArgumentException if it is below 1
     */
    public ImportanceEstimator examples(int most) {
        if (most < 1) {
            throw new IllegalArgumentException("most: expected at least 1, got " + most);
        }
        return new ImportanceEstimator(gradients, most);
    }

    /**
     * {@return the diagonal of the empirical Fisher information, with the labels of the examples}
     *
     * @param iterator of source text; reset first if it can be
     * @throws IllegalArgumentException if there is no example, a gradient is not finite, or the network is a student
     *     or has batch normalisation
     */
    public Importance empiricalFisher(DataSetIterator iterator) {
        return empiricalFisher(new MultiDataSetIteratorAdapter(iterator));
    }

    /**
     * {@return the same as {@link #empiricalFisher(DataSetIterator)}}
     *
     * @param iterator of source text; reset first if it can be
     * @throws IllegalArgumentException if there is no example, a gradient is not finite, or the network is a student
     *     or has batch normalisation
     */
    public Importance empiricalFisher(MultiDataSetIterator iterator) {
        return mean(gradients.apply(false), iterator, (pass, example, number) -> null, true);
    }

    /**
     * {@return the diagonal of the Fisher information, with labels that are drawn from the model, one for each token}
     *
     * @param iterator of source text; reset first if it can be
     * @param seed     of the draws
     * @throws IllegalArgumentException if there is no example, a probability or gradient is not finite, an output is no
     *     softmax, or the network is a student or has batch normalisation
     */
    public Importance fisher(DataSetIterator iterator, long seed) {
        return fisher(new MultiDataSetIteratorAdapter(iterator), seed);
    }

    /**
     * {@return the same as {@link #fisher(DataSetIterator, long)}}
     *
     * @param iterator of source text; reset first if it can be
     * @param seed     of the draws
     * @throws IllegalArgumentException if there is no example, a probability or gradient is not finite, an output is no
     *     softmax, or the network is a student or has batch normalisation
     */
    public Importance fisher(MultiDataSetIterator iterator, long seed) {
        Random random = new Random(seed);
        return mean(
                gradients.apply(true),
                iterator,
                (pass, example, number) -> labels(pass, example, number, p -> draw(p, random)),
                true);
    }

    /**
     * {@return the importance of memory aware synapses (Aljundi et al., arXiv 1711.09601, equation 2 for the squared
     * norm of the outputs), of softmax probabilities} Labels play no part; the label mask does.
     *
     * @param iterator of source text; reset first if it can be
     * @throws IllegalArgumentException if there is no example, a probability or gradient is not finite, an output is no
     *     softmax, or the network is a student or has batch normalisation
     */
    public Importance memoryAwareSynapses(DataSetIterator iterator) {
        return memoryAwareSynapses(new MultiDataSetIteratorAdapter(iterator));
    }

    /**
     * {@return the same as {@link #memoryAwareSynapses(DataSetIterator)}}
     *
     * @param iterator of source text; reset first if it can be
     * @throws IllegalArgumentException if there is no example, a probability or gradient is not finite, an output is no
     *     softmax, or the network is a student or has batch normalisation
     */
    public Importance memoryAwareSynapses(MultiDataSetIterator iterator) {
        return mean(
                gradients.apply(true),
                iterator,
                (pass, example, number) -> labels(pass, example, number, ImportanceEstimator::normLabel),
                false);
    }

    /** Chooses an example's labels; null for its own. */
    private interface Labelling {
        @Nullable
        List<INDArray> of(ExampleGradients pass, MultiDataSet example, int number);
    }

    /** Makes one token's label of its probabilities, in place. */
    private interface TokenLabel {
        void of(double[] probabilities);
    }

    private Importance mean(
            ExampleGradients pass, MultiDataSetIterator iterator, Labelling labelling, boolean squared) {
        Map<String, INDArray> sums =
                ParameterArrays.map(pass.parameters(), array -> Nd4j.zeros(DataType.DOUBLE, array.shape()));
        if (iterator.resetSupported()) {
            iterator.reset();
        }
        int count = 0;
        while (iterator.hasNext() && count < most) {
            MultiDataSet batch = iterator.next();
            for (int i = 0; i < batch.getFeatures(0).size(0) && count < most; i++, count++) {
                MultiDataSet example = ExampleRows.of(batch, i, i + 1);
                pass.gradients(example, labelling.of(pass, example, count)).forEach((name, gradient) -> {
                    INDArray wide = gradient.castTo(DataType.DOUBLE);
                    ParameterArrays.get(sums, name).addi(squared ? wide.mul(wide) : Transforms.abs(wide));
                });
            }
        }
        if (count == 0) {
            throw new IllegalArgumentException("iterator: expected at least one example, got none");
        }
        double examples = count;
        Map<String, INDArray> parameters = pass.parameters();
        sums.replaceAll((name, sum) -> sum.divi(examples)
                .castTo(ParameterArrays.wide(
                        ParameterArrays.get(parameters, name).dataType())));
        return new Importance(sums);
    }

    private static List<INDArray> labels(ExampleGradients pass, MultiDataSet example, int number, TokenLabel label) {
        List<INDArray> labels = new ArrayList<>();
        INDArray[] outputs = pass.probabilities(example);
        for (int i = 0; i < outputs.length; i++) {
            int axis = pass.classAxis(i, outputs[i].rank());
            INDArray all = outputs[i].dup('c');
            INDArray classesLast = axis == all.rank() - 1 ? all : all.permute(0, 2, 1);
            INDArray rows = classesLast.dup('c').reshape('c', all.length() / all.size(axis), all.size(axis));
            for (int row = 0; row < rows.size(0); row++) {
                double[] values = rows.getRow(row).toDoubleVector();
                double sum = Arrays.stream(values).sum();
                if (!Double.isFinite(sum)) {
                    throw new IllegalArgumentException("importance: expected finite probabilities, got " + sum
                            + " as the sum of a token's in output " + i + " of example " + number);
                }
                label.of(values);
                rows.putRow(row, Nd4j.createFromArray(values).castTo(rows.dataType()));
            }
            classesLast.assign(rows.reshape('c', classesLast.shape()));
            labels.add(all);
        }
        return labels;
    }

    private static void draw(double[] probabilities, Random random) {
        double left = random.nextDouble() * Arrays.stream(probabilities).sum();
        int drawn = -1;
        for (int v = 0; v < probabilities.length && left >= 0; v++) {
            if (probabilities[v] > 0) {
                drawn = v;
            }
            left -= probabilities[v];
        }
        Arrays.fill(probabilities, 0);
        probabilities[drawn] = 1;
    }

    /**
     * The label with which softmax cross-entropy has, at the logits, the gradient of {@code ||p||^2}: the former's is
     * {@code p - y}, the latter's {@code 2 p (p - ||p||^2)}.
     */
    private static void normLabel(double[] probabilities) {
        double norm = Arrays.stream(probabilities).map(p -> p * p).sum();
        for (int v = 0; v < probabilities.length; v++) {
            double p = probabilities[v];
            probabilities[v] = p - 2 * p * (p - norm);
        }
    }
}
