package io.github.dl4jretention.baseline;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import java.util.List;
import java.util.function.Function;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/**
 * By hand: sequences of two tokens with x = 1 and x = 2, two classes with logits (log 3) x and 0. The first class has
 * the probability 3/4, then 9/10. Parameters in order: two weights, two biases.
 */
class TokenImportanceTest {

    private static final INDArray PARAMS =
            Nd4j.createFromArray(Math.log(3), 0, 0, 0).reshape(1, 4);

    /** One with classes on axis 1 and on axis 2, and a graph. */
    private enum Kind {
        NCW,
        NWC,
        GRAPH
    }

    private static RnnOutputLayer output(RNNFormat format) {
        return new RnnOutputLayer.Builder(LossFunction.MCXENT)
                .nIn(1)
                .nOut(2)
                .activation(Activation.SOFTMAX)
                .dataFormat(format)
                .build();
    }

    private static ImportanceEstimator estimator(Kind kind) {
        RNNFormat format = kind == Kind.NWC ? RNNFormat.NWC : RNNFormat.NCW;
        NeuralNetConfiguration.Builder builder =
                new NeuralNetConfiguration.Builder().dataType(DataType.DOUBLE).updater(new Adam(0.01));
        if (kind == Kind.GRAPH) {
            ComputationGraph graph = new ComputationGraph(builder.graphBuilder()
                    .addInputs("x")
                    .addLayer("y", output(format), "x")
                    .setOutputs("y")
                    .setInputTypes(InputType.recurrent(1, 2, format))
                    .build());
            graph.init();
            graph.setParams(PARAMS);
            return ImportanceEstimator.of(graph);
        }
        MultiLayerNetwork network = new MultiLayerNetwork(builder.list()
                .layer(output(format))
                .setInputType(InputType.recurrent(1, 2, format))
                .build());
        network.init();
        network.setParams(PARAMS);
        return ImportanceEstimator.of(network);
    }

    /**
     * Labels of the first class at the first token, of the second at the second.
     *
     * @param mask of both tokens, null for none
     */
    private static DataSetIterator sequences(Kind kind, int examples, double... mask) {
        INDArray first = Nd4j.ones(DataType.DOUBLE, examples, 1);
        INDArray features = Nd4j.concat(1, first, first.mul(2)).reshape('c', examples, 1, 2);
        INDArray labels = Nd4j.zeros(DataType.DOUBLE, examples, 2, 2);
        for (int i = 0; i < examples; i++) {
            labels.putScalar(new int[] {i, 0, 0}, 1);
            labels.putScalar(new int[] {i, 1, 1}, 1);
        }
        boolean permuted = kind == Kind.NWC;
        DataSet data = new DataSet(
                permuted ? features.permute(0, 2, 1).dup('c') : features,
                permuted ? labels.permute(0, 2, 1).dup('c') : labels);
        if (mask.length > 0) {
            data.setLabelsMaskArray(Nd4j.ones(DataType.DOUBLE, examples, 2).muliRowVector(Nd4j.createFromArray(mask)));
        }
        return new ExistingDataSetIterator(List.of(data));
    }

    private static INDArray of(double weight, double bias) {
        return Nd4j.createFromArray(weight, weight, bias, bias);
    }

    @ParameterizedTest
    @EnumSource
    void the_empirical_Fisher_squares_the_sum_over_tokens(Kind kind) {
        Function<double[], INDArray> found = mask ->
                estimator(kind).empiricalFisher(sequences(kind, 2, mask)).values("params");
        // p - y is -1/4, then 9/10: for the weight -1/4 + 2 9/10 = 1.55, for the bias 0.65.
        assertClose(of(1.55 * 1.55, 0.65 * 0.65), found.apply(new double[0]), 1e-13);
        assertClose(of(1 / 16.0, 1 / 16.0), found.apply(new double[] {1, 0}), 1e-14);
        assertClose(of(1.8 * 1.8, 0.81), found.apply(new double[] {0, 1}), 1e-13);
    }

    @ParameterizedTest
    @EnumSource
    void memory_aware_synapses_sum_the_norms_of_tokens(Kind kind) {
        Function<double[], INDArray> found = mask ->
                estimator(kind).memoryAwareSynapses(sequences(kind, 2, mask)).values("params");
        // 2 p (p - ||p||^2) is 2 3/4 (3/4 - 10/16) = 0.1875, then 2 9/10 (9/10 - 82/100) = 0.144, with x = 2 0.288.
        assertClose(of(0.1875 + 0.288, 0.1875 + 0.144), found.apply(new double[0]), 1e-14);
        assertClose(of(0.1875, 0.1875), found.apply(new double[] {1, 0}), 1e-14);
        assertClose(of(0.288, 0.144), found.apply(new double[] {0, 1}), 1e-14);
    }

    /**
     * Gradients of tokens that are drawn apart have the mean 0 and are independent: F is the sum of their variances,
     * 3/4 1/4 + 2^2 9/10 1/10 = 0.5475 for the weights. With one draw for both tokens it would be 0.85.
     */
    @ParameterizedTest
    @EnumSource
    void the_Fisher_draws_each_token_on_its_own(Kind kind) {
        int n = 600;
        INDArray found = estimator(kind).fisher(sequences(kind, n), 3).values("params");
        // The square is 0.45^2, 0.55^2, 1.55^2 or 2.55^2 with probability 0.675, 0.225, 0.075, 0.025: variance 1.239.
        assertEquals(0.5475, found.getDouble(0), 5 * Math.sqrt(1.239 / n));
        // For the bias 0.35^2, 0.65^2, 0.65^2 and 1.65^2: variance 0.172.
        assertEquals(0.1875 + 0.09, found.getDouble(2), 5 * Math.sqrt(0.172 / n));
        assertClose(of(found.getDouble(0), found.getDouble(2)), found, 1e-12);
    }

    @ParameterizedTest
    @EnumSource
    void tokens_that_are_masked_have_no_part_in_the_Fisher(Kind kind) {
        int n = 300;
        INDArray found = estimator(kind).fisher(sequences(kind, n, 1, 0), 3).values("params");
        // The first token's square is 1/16 with probability 3/4, else 9/16: F = 3/16, variance 3/64.
        assertEquals(3 / 16.0, found.getDouble(0), 5 * Math.sqrt(3 / 64.0 / n));
        assertClose(of(found.getDouble(0), found.getDouble(0)), found, 1e-12);
    }

    @Test
    void the_layout_changes_no_draw() {
        assertClose(
                estimator(Kind.NCW).fisher(sequences(Kind.NCW, 20), 5).values("params"),
                estimator(Kind.NWC).fisher(sequences(Kind.NWC, 20), 5).values("params"),
                1e-13);
    }

    /**
     * Class ids of one token and of two, x = 1: p - y is -1/4 of the first sequence, -1/4 + 3/4 of the second, so that
     * F = (1/16 + 1/4) / 2.
     */
    @Test
    void class_ids_of_SameDiff_graphs_may_be_of_sequences_of_any_length() {
        SameDiff sd = SameDiff.create();
        SDVariable x = sd.placeHolder("x", DataType.DOUBLE, -1, -1, 1);
        x.mul(sd.var("w", Nd4j.createFromArray(Math.log(3), 0).reshape(1, 1, 2)))
                .rename("logits");
        List<DataSet> sequences = List.of(
                new DataSet(
                        Nd4j.ones(DataType.DOUBLE, 1, 1, 1),
                        Nd4j.createFromArray(0).reshape(1, 1)),
                new DataSet(
                        Nd4j.ones(DataType.DOUBLE, 1, 2, 1),
                        Nd4j.createFromArray(0, 1).reshape(1, 2)));
        INDArray found = ImportanceEstimator.of(sd, "logits", "x")
                .empiricalFisher(new ExistingDataSetIterator(sequences))
                .values("w");
        assertClose(Nd4j.createFromArray(5 / 32.0, 5 / 32.0).reshape(1, 1, 2), found, 1e-15);
    }

    @Test
    void the_pass_changes_nothing_in_a_graph() {
        ComputationGraph graph = Networks.graph(DataType.DOUBLE, 1);
        var batch = Networks.graphBatch(DataType.DOUBLE, 3, 1);
        graph.fit(batch);
        INDArray params = graph.params().dup();
        INDArray state = graph.getUpdater().getStateViewArray().dup();
        INDArray gradient = graph.getFlattenedGradients().dup();
        String json = graph.getConfiguration().toJson();
        double score = graph.score();
        INDArray found = ImportanceEstimator.of(graph)
                .empiricalFisher(new SingletonMultiDataSetIterator(batch))
                .values("params");
        assertTrue(found.meanNumber().doubleValue() > 0);
        assertClose(params, graph.params(), 0);
        assertClose(state, graph.getUpdater().getStateViewArray(), 0);
        assertClose(gradient, graph.getFlattenedGradients(), 0);
        assertEquals(json, graph.getConfiguration().toJson());
        assertEquals(score, graph.score());
    }
}
