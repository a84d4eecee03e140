package io.github.dl4jretention.loss;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.CenterLossOutputLayer;
import org.deeplearning4j.nn.conf.layers.CnnLossLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.lossfunctions.impl.LossMCXENT;

/** What does not fit is refused at the first batch, names both shapes, and leaves the student as it was. */
class BadInputTest {

    private final MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
    private final MultiLayerNetwork student =
            Retention.attach(pretrained, RetentionConfiguration.builder().build());

    private void assertRefused(DataSet data, INDArray... named) {
        INDArray start = student.params().dup();
        IllegalArgumentException refused = assertThrows(IllegalArgumentException.class, () -> student.fit(data));
        for (INDArray array : named) {
            String shape = Arrays.toString(array.shape());
            assertTrue(refused.getMessage().contains(shape), shape + " in: " + refused.getMessage());
        }
        assertEquals(start, student.params());
        DataSet good = Networks.sequences(DataType.FLOAT, 2, 9);
        student.fit(new TeacherIterator(new ListDataSetIterator<>(List.of(good), 2), Teacher.of(pretrained)));
        assertTrue(Double.isFinite(student.score()));
    }

    @ParameterizedTest
    @ValueSource(longs = {2, 5, 7, 8, 9, 11, 12, 13, 14})
    void one_hot_labels_of_another_vocabulary(long size) {
        DataSet data = Networks.sequences(DataType.FLOAT, 2, 2);
        data.setLabels(Nd4j.zeros(DataType.FLOAT, 2, size, Networks.TIME));
        for (int t = 0; t < Networks.TIME; t++) {
            data.getLabels().putScalar(new int[] {0, t % (int) size, t}, 1);
            data.getLabels().putScalar(new int[] {1, 1, t}, 1);
        }
        assertRefused(data, data.getLabels(), Nd4j.create(2, 7, Networks.TIME));
    }

    @Test
    void other_sequence_length() {
        DataSet data = Networks.sequences(DataType.FLOAT, 2, 2);
        data.setLabels(Nd4j.zeros(DataType.FLOAT, 2, 1, Networks.TIME - 1));
        assertRefused(data, data.getLabels(), Nd4j.create(2, 7, Networks.TIME));
    }

    @Test
    void labels_without_time() {
        DataSet data = Networks.sequences(DataType.FLOAT, 2, 2);
        data.setLabels(Nd4j.zeros(DataType.FLOAT, 2, Networks.VOCABULARY));
        assertRefused(data, data.getLabels());
    }

    @ParameterizedTest
    @ValueSource(doubles = {-1, Networks.VOCABULARY, 0.5, Double.NaN})
    void class_id_out_of_range(double id) {
        DataSet data = Networks.sequences(DataType.FLOAT, 2, 2);
        data.setLabels(Nd4j.zeros(DataType.FLOAT, 2, 1, Networks.TIME).putScalar(3, id));
        assertRefused(data, data.getLabels());
    }

    @ParameterizedTest
    @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY})
    void teacher_values_that_are_no_log_probabilities(double value) {
        DataSet data = new TeacherIterator(
                        new ListDataSetIterator<>(List.of(Networks.sequences(DataType.FLOAT, 2, 2)), 2),
                        Teacher.of(pretrained))
                .next();
        data.getLabels().putScalar(new int[] {1, 3, 2}, value);
        assertRefused(data, data.getLabels());
    }

    @ParameterizedTest
    @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY, -0.5})
    void labels_that_are_no_probabilities(double value) {
        DataSet data = Networks.sequences(DataType.FLOAT, 2, 2);
        data.getLabels().putScalar(new int[] {1, 3, 2}, value);
        assertRefused(data, data.getLabels());
    }

    @ParameterizedTest
    @ValueSource(ints = {Networks.VOCABULARY - 1, Networks.VOCABULARY + 1, 2 * Networks.VOCABULARY - 1, 9})
    void a_student_of_another_vocabulary_than_its_teacher(int vocabulary) {
        MultiLayerNetwork other = Networks.stacked(
                DataType.FLOAT,
                1,
                new LSTM.Builder().nIn(Networks.INPUTS).nOut(7).build(),
                new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(7)
                        .nOut(vocabulary)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(RNNFormat.NCW)
                        .build());
        DataSet data = Networks.sequences(DataType.FLOAT, 2, 2);
        data.setLabels(Nd4j.ones(DataType.FLOAT, 2, 1, Networks.TIME));
        Teacher teacher = Teacher.of(other);
        MultiLayerNetwork bound =
                Retention.attach(pretrained, RetentionConfiguration.builder().build(), teacher);
        DataSet taught = new TeacherIterator(new ListDataSetIterator<>(List.of(data), 2), teacher).next();
        String message = assertThrows(IllegalArgumentException.class, () -> bound.fit(taught))
                .getMessage();
        assertTrue(message.contains(Arrays.toString(taught.getLabels().shape())), message);
    }

    @ParameterizedTest
    @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY, -1})
    void mask_that_is_no_weight(double weight) {
        DataSet data = Networks.sequences(DataType.FLOAT, 2, 2);
        data.setLabelsMaskArray(Nd4j.ones(DataType.FLOAT, 2, Networks.TIME).putScalar(3, weight));
        assertRefused(data, data.getLabels());
    }

    @Test
    void mask_without_time() {
        DataSet data = Networks.sequences(DataType.FLOAT, 2, 2);
        data.setLabelsMaskArray(Nd4j.ones(DataType.FLOAT, 2L * Networks.TIME));
        assertRefused(data, data.getLabelsMaskArray());
    }

    @Test
    void a_network_without_parameters() {
        MultiLayerNetwork bare = new MultiLayerNetwork(pretrained.getLayerWiseConfigurations());
        String message = assertThrows(IllegalArgumentException.class, () -> Teacher.of(bare))
                .getMessage();
        assertTrue(message.contains("init()"), message);
    }

    @Test
    void features_that_are_not_finite() {
        DataSet data = Networks.sequences(DataType.FLOAT, 2, 2);
        data.getFeatures().putScalar(3, Double.NaN);
        TeacherIterator iterator =
                new TeacherIterator(new ListDataSetIterator<>(List.of(data), 2), Teacher.of(pretrained));
        String message =
                assertThrows(IllegalArgumentException.class, iterator::next).getMessage();
        assertTrue(message.contains("features") && message.contains("[2, 4, 5]"), message);
    }

    @Test
    void mask_of_another_shape() {
        DataSet data = Networks.sequences(DataType.FLOAT, 2, 2);
        data.setLabelsMaskArray(Nd4j.ones(DataType.FLOAT, 2, Networks.TIME + 1));
        assertRefused(data, data.getLabelsMaskArray());
    }

    @Test
    void teacher_of_another_vocabulary() {
        Teacher teacher = Teacher.of(pretrained);
        DataSet data = Networks.sequences(DataType.FLOAT, 2, 2);
        data.setLabels(Nd4j.zeros(DataType.FLOAT, 2, Networks.VOCABULARY + 3, Networks.TIME));
        TeacherIterator iterator = new TeacherIterator(new ListDataSetIterator<>(List.of(data), 2), teacher);
        IllegalArgumentException refused = assertThrows(IllegalArgumentException.class, () -> student.fit(iterator));
        assertTrue(refused.getMessage().contains("[2, 9, 5]"), refused.getMessage());
        assertTrue(refused.getMessage().contains("[2, 6, 5]"), refused.getMessage());
    }

    @ParameterizedTest
    @ValueSource(doubles = {-0.1, Double.NaN, Double.POSITIVE_INFINITY})
    void coefficient(double coefficient) {
        assertThrows(
                IllegalArgumentException.class,
                () -> RetentionConfiguration.builder().coefficient(coefficient).build());
    }

    @ParameterizedTest
    @ValueSource(doubles = {0, -1, Double.NaN, Double.POSITIVE_INFINITY})
    void temperature(double temperature) {
        assertThrows(
                IllegalArgumentException.class,
                () -> RetentionConfiguration.builder().temperature(temperature).build());
    }

    @Test
    void networks_that_do_not_end_in_softmax_cross_entropy() {
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        Map<String, Layer> layers = Map.of(
                "OutputLayer",
                new OutputLayer.Builder(LossFunction.MSE)
                        .nIn(4)
                        .nOut(3)
                        .activation(Activation.IDENTITY)
                        .build(),
                "RnnOutputLayer",
                new RnnOutputLayer.Builder(LossFunction.XENT)
                        .nIn(4)
                        .nOut(3)
                        .activation(Activation.SIGMOID)
                        .dataFormat(RNNFormat.NCW)
                        .build(),
                "class weights",
                new OutputLayer.Builder(new LossMCXENT(Nd4j.createFromArray(1f, 2, 3)))
                        .nIn(4)
                        .nOut(3)
                        .activation(Activation.SOFTMAX)
                        .build(),
                "CenterLossOutputLayer",
                new CenterLossOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(4)
                        .nOut(3)
                        .activation(Activation.SOFTMAX)
                        .build(),
                "LossLayer",
                new LossLayer.Builder(LossFunction.MSE).build(),
                "without a bias",
                new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(4)
                        .nOut(3)
                        .hasBias(false)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(RNNFormat.NCW)
                        .build(),
                "CnnLossLayer",
                new CnnLossLayer.Builder(LossFunction.MCXENT)
                        .activation(Activation.SOFTMAX)
                        .build());
        layers.forEach((named, layer) -> {
            MultiLayerNetwork network = network(layer);
            for (Executable refused :
                    List.<Executable>of(() -> Retention.attach(network, conf), () -> Teacher.of(network))) {
                String message =
                        assertThrows(IllegalArgumentException.class, refused).getMessage();
                assertTrue(message.contains(named), message);
            }
        });
        assertThrows(IllegalArgumentException.class, () -> Retention.attach(student, conf));
        assertThrows(IllegalArgumentException.class, () -> Retention.detach(pretrained));
    }

    private static MultiLayerNetwork network(org.deeplearning4j.nn.conf.layers.Layer last) {
        MultiLayerNetwork network = new MultiLayerNetwork(
                new NeuralNetConfiguration.Builder().list().layer(last).build());
        network.init();
        return network;
    }

    @Test
    void class_ids_and_one_hot_labels_are_the_same() {
        DataSet data = Networks.sequences(DataType.FLOAT, 2, 5);
        INDArray ids = Nd4j.argMax(data.getLabels(), 1).castTo(DataType.FLOAT).reshape(2, 1, Networks.TIME);
        double oneHot = student.score(data, false);
        data.setLabels(ids);
        assertEquals(oneHot, student.score(data, false), 1e-6);
    }
}
