package io.github.dl4jretention.baseline;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionListener;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
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
 * By hand: one weight w, loss (w - 3)^2 on every example, start w0 = 1, rate 0.1. Penalty with strength s and
 * importance F: gradient 2 (w - 3) + s F (w - 1), minimum at (6 + s F) / (2 + s F).
 */
class QuadraticPenaltyTest {

    static final double RATE = 0.1;

    private static NeuralNetConfiguration.Builder builder() {
        return new NeuralNetConfiguration.Builder().dataType(DataType.DOUBLE).updater(new Sgd(RATE));
    }

    private static OutputLayer output() {
        return new OutputLayer.Builder(LossFunction.MSE)
                .nIn(1)
                .nOut(1)
                .hasBias(false)
                .activation(Activation.IDENTITY)
                .build();
    }

    private static MultiLayerNetwork network(double weight, boolean miniBatch) {
        MultiLayerNetwork network = new MultiLayerNetwork(
                builder().miniBatch(miniBatch).list().layer(output()).build());
        network.init();
        network.params().assign(weight);
        return network;
    }

    private static ComputationGraph graph(double weight) {
        ComputationGraph graph = new ComputationGraph(builder()
                .graphBuilder()
                .addInputs("x")
                .addLayer("y", output(), "x")
                .setOutputs("y")
                .build());
        graph.init();
        graph.params().assign(weight);
        return graph;
    }

    /** Squared error of a weighted sum of the inputs, mean over the examples. */
    static SameDiff sameDiff(double... weights) {
        SameDiff sd = SameDiff.create();
        SDVariable x = sd.placeHolder("x", DataType.DOUBLE, -1, weights.length);
        SDVariable y = sd.placeHolder("y", DataType.DOUBLE, -1, 1);
        SDVariable w = sd.var("w", Nd4j.createFromArray(weights).reshape(weights.length, 1));
        sd.math().square(x.mmul(w).sub(y)).mean().rename("loss");
        sd.setLossVariables("loss");
        sd.setTrainingConfig(TrainingConfig.builder()
                .updater(new Sgd(RATE))
                .dataSetFeatureMapping("x")
                .dataSetLabelMapping("y")
                .build());
        return sd;
    }

    private static DataSet data(int examples) {
        return new DataSet(
                Nd4j.ones(DataType.DOUBLE, examples, 1),
                Nd4j.valueArrayOf(new long[] {examples, 1}, 3.0, DataType.DOUBLE));
    }

    private static Importance importance(String name, double value, long... shape) {
        return new Importance(Map.of(name, Nd4j.valueArrayOf(shape, value, DataType.DOUBLE)));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 4})
    void steps_and_the_minimum_are_those_worked_by_hand(int examples) {
        MultiLayerNetwork network = network(2, true);
        QuadraticPenalty penalty = QuadraticPenalty.toStart(network(1, true), 4);
        network.addListeners(penalty.listener());
        network.fit(data(examples));
        // Gradient 2 (2 - 3) + 4 (2 - 1) = 2, score (2 - 3)^2 + 4 / 2 (2 - 1)^2 = 3.
        assertEquals(1.8, network.params().getDouble(0), 1e-15);
        assertEquals(3, network.score(), 1e-15);
        assertEquals(4 / 2.0 * 0.8 * 0.8, penalty.value(network), 1e-15);
        // Data alone: (1.8 - 3)^2.
        assertEquals(1.44, network.score(data(examples)), 1e-14);
        for (int i = 0; i < 100; i++) {
            network.fit(data(examples));
        }
        assertEquals(10 / 6.0, network.params().getDouble(0), 1e-14);
    }

    @Test
    void importance_weighs_the_way() {
        MultiLayerNetwork network = network(2, true);
        Importance fisher = importance("params", 0.5, 1);
        QuadraticPenalty penalty = QuadraticPenalty.weighted(network(1, true), fisher, 4);
        network.addListeners(penalty.listener());
        network.fit(data(3));
        // Gradient -2 + 2 (2 - 1) = 0.
        assertEquals(2, network.params().getDouble(0), 1e-15);
        assertEquals(1 + 1, network.score(), 1e-15);
    }

    @Test
    void gradients_that_are_not_divided_by_the_minibatch_are_not_multiplied() {
        MultiLayerNetwork network = network(2, false);
        network.addListeners(QuadraticPenalty.toStart(network(1, false), 4).listener());
        network.fit(data(5));
        // The sum of five gradients of -2, and 4.
        assertEquals(2 - RATE * (-10 + 4), network.params().getDouble(0), 1e-14);
    }

    @Test
    void a_graph_takes_the_same_steps() {
        ComputationGraph graph = graph(2);
        QuadraticPenalty penalty = QuadraticPenalty.toStart(graph(1), 4);
        graph.addListeners(penalty.listener());
        graph.fit(data(4));
        assertEquals(1.8, graph.params().getDouble(0), 1e-15);
        assertEquals(3, graph.score(), 1e-15);
        assertEquals(4 / 2.0 * 0.8 * 0.8, penalty.value(graph), 1e-15);
    }

    @Test
    void a_SameDiff_graph_takes_the_same_steps() {
        SameDiff sd = sameDiff(2);
        QuadraticPenalty l2 = QuadraticPenalty.toStart(sameDiff(1), 2);
        QuadraticPenalty ewc = QuadraticPenalty.weighted(sameDiff(1), importance("w", 0.5, 1, 1), 4);
        SDVariable first = l2.addTo(sd);
        SDVariable second = ewc.addTo(sd);
        assertEquals(1, first.eval().getDouble(0), 1e-15);
        assertEquals(1, second.eval().getDouble(0), 1e-15);
        sd.fit(new SingletonMultiDataSetIterator(data(4).toMultiDataSet()), 1);
        INDArray w = sd.getVariable("w").getArr();
        assertEquals(1.8, w.getDouble(0), 1e-15);
        assertEquals(0.64, l2.value(sd), 1e-15);
        sd.fit(new SingletonMultiDataSetIterator(data(4).toMultiDataSet()), 100);
        assertEquals(10 / 6.0, w.getDouble(0), 1e-14);
    }

    @Test
    void a_graph_that_was_fitted_before_trains_with_a_penalty_too() {
        SameDiff sd = sameDiff(2);
        sd.fit(new SingletonMultiDataSetIterator(data(4).toMultiDataSet()), 1);
        INDArray w = sd.getVariable("w").getArr();
        assertEquals(2.2, w.getDouble(0), 1e-15, "gradient 2 (2 - 3)");
        w.assign(2);
        QuadraticPenalty.toStart(sameDiff(1), 4).addTo(sd);
        sd.fit(new SingletonMultiDataSetIterator(data(4).toMultiDataSet()), 1);
        assertEquals(1.8, w.getDouble(0), 1e-15, "gradient 2 (2 - 3) + 4 (2 - 1)");
    }

    @Test
    void penalties_add_up_and_online_importance_decays() {
        MultiLayerNetwork network = network(2, true);
        network.addListeners(
                QuadraticPenalty.weighted(network(1, true), importance("params", 3, 1), 1)
                        .listener(),
                QuadraticPenalty.weighted(network(5, true), importance("params", 2, 1), 0.5)
                        .listener());
        network.fit(data(2));
        // -2 + 3 (2 - 1) + 1 (2 - 5) = -2; score 1 + 3 / 2 + 9 / 2.
        assertEquals(2.2, network.params().getDouble(0), 1e-15);
        assertEquals(7, network.score(), 1e-15);

        Importance online = importance("params", 3, 1).decayedPlus(0.5, importance("params", 2, 1));
        assertEquals(3.5, online.values("params").getDouble(0), 0);
        assertThrows(IllegalArgumentException.class, () -> importance("params", 3, 1)
                .decayedPlus(0.5, importance("params", 3, 2)));
        assertThrows(IllegalArgumentException.class, () -> importance("params", 3, 1)
                .decayedPlus(1.5, importance("params", 3, 1)));
    }

    @Test
    void retention_and_a_penalty_add_up() {
        MultiLayerNetwork pretrained = Retention.withUpdater(Networks.lstm(DataType.DOUBLE, 1), new Sgd(RATE));
        MultiLayerNetwork moved = Networks.moved(pretrained, 0.1, 2);
        Teacher teacher = Teacher.of(pretrained);
        RetentionConfiguration conf =
                RetentionConfiguration.builder().coefficient(0.7).build();
        List<DataSet> batches = Networks.batches(DataType.DOUBLE, 1, true);
        INDArray[] after = new INDArray[2];
        double[] score = new double[2];
        QuadraticPenalty penalty = QuadraticPenalty.toStart(pretrained, 0.3);
        for (int i = 0; i < 2; i++) {
            MultiLayerNetwork student = Retention.attach(moved, conf, teacher);
            if (i == 1) {
                student.addListeners(penalty.listener());
            }
            student.fit(new TeacherIterator(new ExistingDataSetIterator(batches), teacher));
            after[i] = student.params();
            score[i] = student.score();
        }
        INDArray way = moved.params().sub(pretrained.params());
        assertClose(after[0].sub(way.mul(RATE * 0.3)), after[1], 1e-14);
        assertEquals(score[0] + penalty.value(moved), score[1], 1e-12);
    }

    /** Order 0: retention alone, 1: then the penalty, 2: the penalty first. */
    @Test
    void retention_and_a_penalty_add_up_in_SameDiff() {
        INDArray[] after = new INDArray[3];
        SameDiff pretrained = tokens(1);
        SameDiff moved = tokens(2);
        Teacher teacher = Teacher.of(pretrained, "logits", "features");
        for (int i = 0; i < 3; i++) {
            SameDiff student = tokens(2);
            student.getVariable("logits").mean().rename("ofText");
            student.setLossVariables("ofText");
            if (i == 2) {
                QuadraticPenalty.toStart(pretrained, 0.3).addTo(student);
            }
            RetentionLoss.add(
                    student,
                    "logits",
                    "labels",
                    RetentionConfiguration.builder().build());
            if (i == 1) {
                QuadraticPenalty.toStart(pretrained, 0.3).addTo(student);
            }
            student.setTrainingConfig(TrainingConfig.builder()
                    .updater(new Sgd(RATE))
                    .dataSetFeatureMapping("features")
                    .dataSetLabelMapping("labels", RetentionLoss.TEACHER_LOGITS)
                    .build());
            student.setListeners(new RetentionListener());
            MultiDataSet batch = new MultiDataSet(
                    Networks.normal(DataType.DOUBLE, new java.util.Random(5), 3, Networks.INPUTS),
                    Nd4j.createFromArray(0, 4, 2));
            student.fit(new TeacherMultiDataSetIterator(new SingletonMultiDataSetIterator(batch), teacher), 1);
            after[i] = student.getVariable("w").getArr().dup();
        }
        INDArray way =
                moved.getVariable("w").getArr().sub(pretrained.getVariable("w").getArr());
        assertClose(after[0].sub(way.mul(RATE * 0.3)), after[1], 1e-14);
        assertClose(after[1], after[2], 1e-15);
    }

    private static SameDiff tokens(long seed) {
        SameDiff sd = SameDiff.create();
        SDVariable features = sd.placeHolder("features", DataType.DOUBLE, -1, Networks.INPUTS);
        SDVariable w = sd.var(
                "w",
                Networks.normal(DataType.DOUBLE, new java.util.Random(seed), Networks.INPUTS, Networks.VOCABULARY));
        features.mmul(w).rename("logits");
        sd.placeHolder("labels", DataType.INT32, -1);
        return sd;
    }

    @Test
    void running_statistics_are_left_alone() {
        MultiLayerNetwork start = Networks.stacked(
                DataType.DOUBLE,
                1,
                new DenseLayer.Builder().nIn(Networks.INPUTS).nOut(3).build(),
                new BatchNormalization.Builder().nIn(3).nOut(3).build(),
                new OutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(3)
                        .nOut(Networks.VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .build());
        MultiLayerNetwork other = Networks.moved(start, 0.5, 3);
        MultiLayerNetwork plain = start.clone();
        MultiLayerNetwork penalised = start.clone();
        penalised.addListeners(QuadraticPenalty.toStart(other, 10).listener());
        DataSet data = Networks.rows(DataType.DOUBLE, 5, 1);
        plain.fit(data);
        penalised.fit(data);
        for (String name : List.of("1_mean", "1_log10stdev")) {
            assertClose(plain.getParam(name), penalised.getParam(name), 0);
        }
        assertTrue(plain.getParam("1_gamma").distance2(penalised.getParam("1_gamma")) > 1e-4);
    }

    @Test
    void HALF_networks_train_with_a_penalty() {
        MultiLayerNetwork start = Retention.withUpdater(Networks.dense(DataType.FLOAT16, 1, true), new Sgd(0.5));
        MultiLayerNetwork plain = start.clone();
        plain.params().addi(1);
        MultiLayerNetwork penalised = plain.clone();
        INDArray way = plain.params().castTo(DataType.DOUBLE).sub(start.params().castTo(DataType.DOUBLE));
        penalised.addListeners(QuadraticPenalty.toStart(start, 1).listener());
        plain.fit(Networks.rows(DataType.FLOAT16, 3, 1));
        penalised.fit(Networks.rows(DataType.FLOAT16, 3, 1));
        // Three roundings of numbers below 2, whose neighbours are 1/1024 apart, and of gradients times 3.
        assertClose(
                plain.params().castTo(DataType.DOUBLE).sub(way.mul(0.5)),
                penalised.params().castTo(DataType.DOUBLE),
                4e-3);
    }

    @Test
    void what_does_not_fit_is_refused() {
        MultiLayerNetwork lstm = Networks.lstm(DataType.DOUBLE, 1);
        assertThrows(IllegalArgumentException.class, () -> QuadraticPenalty.toStart(lstm, -1));
        assertThrows(IllegalArgumentException.class, () -> QuadraticPenalty.toStart(lstm, Double.NaN));
        assertThrows(
                IllegalArgumentException.class, () -> QuadraticPenalty.weighted(lstm, importance("params", 1, 3), 1));
        MultiLayerNetwork other = network(1, true);
        other.addListeners(QuadraticPenalty.toStart(lstm, 1).listener());
        String message = assertThrows(IllegalArgumentException.class, () -> other.fit(data(1)))
                .getMessage();
        assertTrue(message.contains("[1]") && message.contains("params"), message);
        SameDiff noLoss = SameDiff.create();
        noLoss.var("w", Nd4j.ones(DataType.DOUBLE, 1, 1));
        assertThrows(IllegalArgumentException.class, () -> QuadraticPenalty.toStart(sameDiff(1), 1)
                .addTo(noLoss));
        SameDiff others = sameDiff(1);
        others.var("v", Nd4j.ones(DataType.DOUBLE, 1, 1));
        assertThrows(IllegalArgumentException.class, () -> QuadraticPenalty.toStart(sameDiff(1), 1)
                .addTo(others));
    }
}
