package io.github.dl4jretention;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.internal.HeldBatchNormalization;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.nio.file.Path;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** A student normalises as its teacher does: by the running statistics, which stay as they are. */
class HeldBatchNormalizationTest {

    @TempDir
    Path folder;

    private static MultiLayerNetwork pretrained(DataType type, boolean logStd, double learningRate) {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .seed(1)
                .dataType(type)
                .updater(new Sgd(learningRate))
                .list(
                        new DenseLayer.Builder().nIn(Networks.INPUTS).nOut(7).build(),
                        new BatchNormalization.Builder()
                                .nIn(7)
                                .nOut(7)
                                .useLogStd(logStd)
                                .activation(Activation.TANH)
                                .build(),
                        new OutputLayer.Builder(LossFunction.MCXENT)
                                .activation(Activation.SOFTMAX)
                                .nIn(7)
                                .nOut(Networks.VOCABULARY)
                                .build())
                .build());
        network.init();
        for (DataSet batch : Networks.batches(type, 5, false)) {
            network.fit(batch);
        }
        return network;
    }

    private static MultiLayerNetwork student(MultiLayerNetwork pretrained, double coefficient) {
        return Retention.attach(
                pretrained,
                RetentionConfiguration.builder().coefficient(coefficient).build());
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE"})
    void a_students_first_divergence_is_zero_and_its_statistics_stay(DataType type) {
        for (boolean logStd : new boolean[] {true, false}) {
            MultiLayerNetwork pretrained = pretrained(type, logStd, 0);
            MultiLayerNetwork student = student(pretrained, 100);
            for (DataSet batch : Networks.batches(type, 3, false)) {
                student.fit(new TeacherIterator(new ExistingDataSetIterator(List.of(batch)), Teacher.of(pretrained)));
                assertEquals(0, Networks.lastLoss(student).divergence(), 1e-6);
                assertClose(pretrained.params(), student.params(), 0);
                assertClose(
                        pretrained.output(batch.getFeatures()),
                        Retention.detach(student).output(batch.getFeatures()),
                        0);
            }
        }
    }

    @Test
    void a_graphs_first_divergence_is_zero_and_its_statistics_stay() {
        ComputationGraph pretrained = pretrained(DataType.FLOAT, true, 0.1).toComputationGraph();
        ComputationGraph student =
                Retention.attach(pretrained, RetentionConfiguration.builder().build());
        String[] statistics = {"1_mean", "1_log10stdev"};
        DataSet batch = Networks.rows(DataType.FLOAT, 6, 9);
        for (int step = 0; step < 3; step++) {
            student.fit(new TeacherMultiDataSetIterator(
                    new MultiDataSetIteratorAdapter(new ExistingDataSetIterator(List.of(batch))),
                    Teacher.of(pretrained)));
            if (step == 0) {
                assertEquals(
                        0,
                        ((RetentionOutputLayerRuntime) student.getOutputLayer(0))
                                .lastTokenLoss()
                                .divergence(),
                        1e-6);
            }
        }
        for (String name : statistics) {
            assertClose(pretrained.getParam(name), student.getParam(name), 0);
        }
        ComputationGraph plain = Retention.detach(student);
        assertEquals(
                BatchNormalization.class, plain.getLayer("1").conf().getLayer().getClass());
        assertClose(student.params(), plain.params(), 0);
    }

    @Test
    void gradients_are_those_of_central_differences() {
        for (boolean logStd : new boolean[] {true, false}) {
            MultiLayerNetwork student = student(pretrained(DataType.DOUBLE, logStd, 0.1), 0);
            DataSet batch = Networks.rows(DataType.DOUBLE, 4, 3);
            INDArray gradient = Networks.gradient(student, batch).dup();
            Layer held = student.getLayer(1);
            INDArray parameters = student.params();
            long offset = student.getLayer(0).numParams();
            long statistics = offset + 2 * 7;
            for (long i = 0; i < parameters.length(); i++) {
                if (i >= statistics && i < offset + held.numParams()) {
                    assertEquals(0, gradient.getDouble(i), 0, "the running statistics have no gradient");
                    continue;
                }
                double value = parameters.getDouble(i);
                double step = 1e-5;
                parameters.putScalar(i, value + step);
                double above = student.score(batch, true);
                parameters.putScalar(i, value - step);
                double below = student.score(batch, true);
                parameters.putScalar(i, value);
                // The score is a mean over the minibatch, a layer's gradient a sum.
                double expected = (above - below) / (2 * step) * batch.numExamples();
                assertEquals(expected, gradient.getDouble(i), 1e-7 * Math.max(1, Math.abs(expected)), "parameter " + i);
            }
        }
    }

    @Test
    void detach_gives_back_the_layer_and_a_saved_student_loads() throws Exception {
        MultiLayerNetwork pretrained = pretrained(DataType.FLOAT, true, 0.1);
        MultiLayerNetwork student = student(pretrained, 1);
        assertTrue(student.getLayer(1).conf().getLayer() instanceof HeldBatchNormalization);
        Path file = folder.resolve("student.zip");
        student.save(file.toFile(), true);
        MultiLayerNetwork loaded = MultiLayerNetwork.load(file.toFile(), true);
        assertEquals(student.getLayerWiseConfigurations(), loaded.getLayerWiseConfigurations());
        assertClose(student.params(), loaded.params(), 0);
        assertEquals(
                pretrained.getLayerWiseConfigurations().toJson(),
                Retention.detach(loaded).getLayerWiseConfigurations().toJson());
    }
}
