package io.github.dl4jretention.baseline;

import static io.github.dl4jretention.Networks.assertClose;
import static io.github.dl4jretention.baseline.QuadraticPenaltyTest.RATE;
import static io.github.dl4jretention.baseline.QuadraticPenaltyTest.sameDiff;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.util.Map;
import java.util.Random;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/**
 * By hand: three weights w = (2, 0, 5), start (1, 1, 2), F = (0.5, 2, 0), strength 4, rate 0.1. The data are the three
 * unit vectors with targets t = (8, 3, 2): loss sum (w_i - t_i)^2 / 3 = (36 + 9 + 9) / 3 = 18, gradient
 * 2 (w_i - t_i) / 3 = (-4, -2, 2). Penalty 4 / 2 (0.5 1 + 2 1 + 0 9) = 5, gradient 4 F (w - w0) = (2, -8, 0). The
 * minimum is at (2 / 3 t + 4 F w0) / (2 / 3 + 4 F) = (2.75, 15 / 13, 2).
 */
class WeightedPenaltyTest {

    private static final double STRENGTH = 4;
    private static final double[] WEIGHTS = {2, 0, 5};
    private static final double[] START = {1, 1, 2};
    private static final INDArray STEP = Nd4j.createFromArray(2.2, 1.0, 4.8);
    private static final INDArray MINIMUM = Nd4j.createFromArray(2.75, 15 / 13.0, 2);

    private static NeuralNetConfiguration.Builder builder() {
        return new NeuralNetConfiguration.Builder().dataType(DataType.DOUBLE).updater(new Sgd(RATE));
    }

    private static OutputLayer output(int nIn) {
        return new OutputLayer.Builder(LossFunction.MSE)
                .nIn(nIn)
                .nOut(1)
                .hasBias(false)
                .activation(Activation.IDENTITY)
                .build();
    }

    private static MultiLayerNetwork network(double[] weights) {
        MultiLayerNetwork network =
                new MultiLayerNetwork(builder().list().layer(output(3)).build());
        network.init();
        network.setParams(Nd4j.createFromArray(weights).reshape(1, 3));
        return network;
    }

    private static ComputationGraph graph(double[] weights) {
        ComputationGraph graph = new ComputationGraph(builder()
                .graphBuilder()
                .addInputs("x")
                .addLayer("y", output(3), "x")
                .setOutputs("y")
                .build());
        graph.init();
        graph.setParams(Nd4j.createFromArray(weights).reshape(1, 3));
        return graph;
    }

    private static DataSet data() {
        return new DataSet(
                Nd4j.eye(3).castTo(DataType.DOUBLE),
                Nd4j.createFromArray(8.0, 3, 2).reshape(3, 1));
    }

    private static Importance fisher(String name, long... shape) {
        return new Importance(Map.of(name, Nd4j.createFromArray(0.5, 2, 0).reshape(shape)));
    }

    @Test
    void each_weight_of_a_network_is_held_by_its_importance() {
        MultiLayerNetwork network = network(WEIGHTS);
        QuadraticPenalty penalty = QuadraticPenalty.weighted(network(START), fisher("params", 3), STRENGTH);
        assertEquals(5, penalty.value(network), 1e-14);
        network.addListeners(penalty.listener());
        network.fit(data());
        assertEquals(18 + 5, network.score(), 1e-13);
        assertClose(STEP, network.params().reshape(3), 1e-14);
        for (int i = 0; i < 600; i++) {
            network.fit(data());
        }
        assertClose(MINIMUM, network.params().reshape(3), 1e-13);
    }

    @Test
    void each_weight_of_a_graph_is_held_by_its_importance() {
        ComputationGraph graph = graph(WEIGHTS);
        QuadraticPenalty penalty = QuadraticPenalty.weighted(graph(START), fisher("params", 3), STRENGTH);
        assertEquals(5, penalty.value(graph), 1e-14);
        graph.addListeners(penalty.listener());
        graph.fit(data());
        assertEquals(18 + 5, graph.score(), 1e-13);
        assertClose(STEP, graph.params().reshape(3), 1e-14);
        for (int i = 0; i < 600; i++) {
            graph.fit(data());
        }
        assertClose(MINIMUM, graph.params().reshape(3), 1e-13);
    }

    @Test
    void each_weight_of_a_SameDiff_graph_is_held_by_its_importance() {
        SameDiff sd = sameDiff(WEIGHTS);
        QuadraticPenalty penalty = QuadraticPenalty.weighted(sameDiff(START), fisher("w", 3, 1), STRENGTH);
        assertEquals(5, penalty.addTo(sd).eval().getDouble(0), 1e-14);
        assertEquals(5, penalty.value(sd), 1e-14);
        SingletonMultiDataSetIterator batches = new SingletonMultiDataSetIterator(data().toMultiDataSet());
        sd.fit(batches, 1);
        INDArray w = sd.getVariable("w").getArr();
        assertClose(STEP.reshape(3, 1), w, 1e-14);
        sd.fit(batches, 600);
        assertClose(MINIMUM.reshape(3, 1), w, 1e-13);
    }

    /**
     * Two weights in a row, 2 and 2, the first frozen: output 4 for x = 1, target 3, start (1, 1), F = (5, 0.5). Loss
     * (4 - 3)^2 = 1 and penalty 4 / 2 0.5 (2 - 1)^2 = 1; gradient 2 (4 - 3) 2 + 4 0.5 (2 - 1) = 6.
     */
    @Test
    void importance_of_frozen_layers_plays_no_part() {
        MultiLayerNetwork network = new MultiLayerNetwork(builder()
                .list()
                .layer(new FrozenLayer(new DenseLayer.Builder()
                        .nIn(1)
                        .nOut(1)
                        .hasBias(false)
                        .activation(Activation.IDENTITY)
                        .build()))
                .layer(output(1))
                .build());
        network.init();
        network.params().assign(1);
        Importance fisher = new Importance(Map.of("params", Nd4j.createFromArray(5, 0.5)));
        QuadraticPenalty penalty = QuadraticPenalty.weighted(network, fisher, STRENGTH);
        network.params().assign(2);
        network.addListeners(penalty.listener());
        network.fit(new DataSet(
                Nd4j.ones(DataType.DOUBLE, 2, 1), Nd4j.valueArrayOf(new long[] {2, 1}, 3.0, DataType.DOUBLE)));
        assertEquals(1 + 1, network.score(), 1e-14);
        assertClose(Nd4j.createFromArray(2, 1.4), network.params().reshape(2), 1e-14);
    }

    @Test
    void retention_and_EWC_add_up_in_a_graph() {
        ComputationGraph pretrained = Retention.withUpdater(Networks.graph(DataType.DOUBLE, 1), new Sgd(RATE));
        ComputationGraph moved = pretrained.clone();
        moved.params()
                .addi(Networks.normal(
                                DataType.DOUBLE, new Random(2), moved.params().shape())
                        .muli(0.1));
        Teacher teacher = Teacher.of(pretrained, "text");
        MultiDataSet batch = Networks.graphBatch(DataType.DOUBLE, 3, 1);
        Importance fisher =
                ImportanceEstimator.of(pretrained).empiricalFisher(new SingletonMultiDataSetIterator(batch));
        assertTrue(fisher.values("params").stdNumber().doubleValue() > 1e-3, "not all alike");
        QuadraticPenalty penalty = QuadraticPenalty.weighted(pretrained, fisher, STRENGTH);
        INDArray[] after = new INDArray[2];
        double[] score = new double[2];
        for (int i = 0; i < 2; i++) {
            ComputationGraph student = Retention.attach(
                    moved, RetentionConfiguration.builder().coefficient(0.7).build(), teacher, "text");
            if (i == 1) {
                student.addListeners(penalty.listener());
            }
            student.fit(new TeacherMultiDataSetIterator(new SingletonMultiDataSetIterator(batch), teacher));
            after[i] = student.params();
            score[i] = student.score();
        }
        INDArray way = moved.params().sub(pretrained.params());
        INDArray pull = way.mul(fisher.values("params").reshape(way.shape())).mul(RATE * STRENGTH);
        assertClose(after[0].sub(pull), after[1], 1e-14);
        assertEquals(score[0] + penalty.value(moved), score[1], 1e-12);
        assertTrue(pull.norm2Number().doubleValue() > 1e-3);
    }
}
