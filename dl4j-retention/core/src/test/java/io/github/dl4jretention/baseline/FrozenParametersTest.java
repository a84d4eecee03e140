package io.github.dl4jretention.baseline;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import java.util.List;
import java.util.Random;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.graph.FrozenVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Frozen layers stay where they are, and matter as much as they would if they were not frozen. */
class FrozenParametersTest {

    private static final double RATE = 0.1;
    private static final double STRENGTH = 3;
    private static final DataSet DATA = Networks.sequences(DataType.DOUBLE, 3, 1);

    private static MultiLayerNetwork network() {
        return Retention.withUpdater(Networks.lstm(DataType.DOUBLE, 1), new Sgd(RATE));
    }

    /** Its first layer frozen. */
    private static MultiLayerNetwork frozen(MultiLayerNetwork network, boolean backprop) {
        if (!backprop) {
            return new TransferLearning.Builder(network)
                    .fineTuneConfiguration(new FineTuneConfiguration.Builder().build())
                    .setFeatureExtractor(0)
                    .build();
        }
        MultiLayerConfiguration conf = MultiLayerConfiguration.fromJson(
                network.getLayerWiseConfigurations().toJson());
        conf.getConf(0).setLayer(new FrozenLayerWithBackprop(conf.getConf(0).getLayer()));
        MultiLayerNetwork frozen = new MultiLayerNetwork(conf);
        frozen.init(network.params().dup(), false);
        return frozen;
    }

    /** An attention vertex and an LSTM, both frozen or not. */
    private static ComputationGraph graph(boolean frozen) {
        Layer lstm = new LSTM.Builder().nIn(Networks.INPUTS).nOut(3).build();
        AttentionVertex attention = Networks.attention(3, 4);
        ComputationGraphConfiguration conf = new NeuralNetConfiguration.Builder()
                .dataType(DataType.DOUBLE)
                .seed(1)
                .updater(new Sgd(RATE))
                .graphBuilder()
                .addInputs("in")
                .addLayer("lstm", frozen ? new FrozenLayer(lstm) : lstm, "in")
                .addVertex("attention", frozen ? new FrozenVertex(attention) : attention, "lstm", "lstm", "lstm")
                .addLayer(
                        "out",
                        new RnnOutputLayer.Builder(LossFunction.MCXENT)
                                .nIn(4)
                                .nOut(Networks.VOCABULARY)
                                .activation(Activation.SOFTMAX)
                                .build(),
                        "attention")
                .setOutputs("out")
                .setInputTypes(InputType.recurrent(Networks.INPUTS, Networks.TIME))
                .build();
        ComputationGraph graph = new ComputationGraph(conf);
        graph.init();
        return graph;
    }

    private static ComputationGraph clone(ComputationGraph graph) {
        ComputationGraph copy = new ComputationGraph(
                ComputationGraphConfiguration.fromJson(graph.getConfiguration().toJson()));
        copy.init(graph.params().dup(), false);
        return copy;
    }

    private static void move(INDArray params) {
        params.addi(Networks.normal(DataType.DOUBLE, new Random(4), params.shape()));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void a_penalty_leaves_frozen_layers_where_they_are(boolean backprop) {
        MultiLayerNetwork start = Networks.moved(network(), 0.5, 2);
        MultiLayerNetwork before = frozen(network(), backprop);
        MultiLayerNetwork plain = before.clone();
        MultiLayerNetwork penalised = before.clone();
        penalised.addListeners(QuadraticPenalty.toStart(start, STRENGTH).listener());
        plain.fit(DATA);
        penalised.fit(DATA);
        // FrozenLayerWithBackprop has M2.1's own L2 all the same.
        assertClose(plain.getLayer(0).params(), penalised.getLayer(0).params(), 0);
        INDArray way = before.getLayer(1).params().sub(start.getLayer(1).params());
        assertClose(
                plain.getLayer(1).params().sub(way.mul(RATE * STRENGTH)),
                penalised.getLayer(1).params(),
                1e-14);
        double value = STRENGTH / 2 * way.mul(way).sumNumber().doubleValue();
        assertEquals(plain.score() + value, penalised.score(), 1e-12);
    }

    @Test
    void a_penalty_leaves_frozen_layers_inside_of_wrappers_where_they_are() {
        MultiLayerNetwork network = Networks.stacked(
                DataType.DOUBLE,
                1,
                new MaskZeroLayer.Builder()
                        .setUnderlying(new FrozenLayer(
                                new LSTM.Builder().nIn(Networks.INPUTS).nOut(3).build()))
                        .setMaskValue(0)
                        .build(),
                new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(3)
                        .nOut(Networks.VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(RNNFormat.NCW)
                        .build());
        INDArray before = network.getLayer(0).params().dup();
        MultiLayerNetwork start = network.clone();
        move(start.params());
        network.addListeners(QuadraticPenalty.toStart(start, STRENGTH).listener());
        network.fit(DATA);
        assertClose(before, network.getLayer(0).params(), 0);
    }

    @Test
    void a_penalty_leaves_frozen_vertices_where_they_are() {
        ComputationGraph before = graph(true);
        ComputationGraph start = clone(before);
        move(start.params());
        ComputationGraph plain = clone(before);
        ComputationGraph penalised = clone(before);
        penalised.addListeners(QuadraticPenalty.toStart(start, STRENGTH).listener());
        plain.fit(DATA);
        penalised.fit(DATA);
        for (String name : List.of("lstm", "attention")) {
            assertClose(
                    before.getVertex(name).params(), penalised.getVertex(name).params(), 0);
        }
        INDArray way =
                before.getVertex("out").params().sub(start.getVertex("out").params());
        assertClose(
                plain.getVertex("out").params().sub(way.mul(RATE * STRENGTH)),
                penalised.getVertex("out").params(),
                1e-14);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void frozen_layers_have_the_importance_that_they_have_when_they_are_not(boolean backprop) {
        INDArray expected = ImportanceEstimator.of(network())
                .empiricalFisher(new ExistingDataSetIterator(List.of(DATA)))
                .values("params");
        INDArray found = ImportanceEstimator.of(frozen(network(), backprop))
                .empiricalFisher(new ExistingDataSetIterator(List.of(DATA)))
                .values("params");
        assertTrue(expected.getDouble(0) > 0);
        assertClose(expected, found, 0);
    }

    @Test
    void frozen_vertices_have_the_importance_that_they_have_when_they_are_not() {
        INDArray expected = ImportanceEstimator.of(graph(false))
                .memoryAwareSynapses(new ExistingDataSetIterator(List.of(DATA)))
                .values("params");
        ComputationGraph frozen = graph(true);
        frozen.setParams(graph(false).params());
        INDArray found = ImportanceEstimator.of(frozen)
                .memoryAwareSynapses(new ExistingDataSetIterator(List.of(DATA)))
                .values("params");
        assertTrue(expected.getDouble(0) > 0);
        assertClose(expected, found, 0);
    }
}
