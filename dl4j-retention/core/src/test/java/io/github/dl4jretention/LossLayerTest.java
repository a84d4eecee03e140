package io.github.dl4jretention;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.RnnLossLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Every stock output layer that retention can stand in for, beside its stock twin. */
class LossLayerTest {

    private static final int V = Networks.VOCABULARY;

    static Stream<Arguments> heads() {
        Stream.Builder<Arguments> all = Stream.builder();
        for (LossFunction loss : List.of(LossFunction.MCXENT, LossFunction.NEGATIVELOGLIKELIHOOD)) {
            all.add(Arguments.of("LossLayer " + loss, false, false, loss));
            all.add(Arguments.of("RnnLossLayer NCW " + loss, true, false, loss));
        }
        all.add(Arguments.of("RnnOutputLayer NWC", true, true, LossFunction.MCXENT));
        return all.build();
    }

    /** With the one head whose stock score is wrong in M2.1: it takes its input for its labels. */
    static Stream<Arguments> allHeads() {
        return Stream.concat(heads(), Stream.of(Arguments.of("RnnLossLayer NWC", true, true, LossFunction.MCXENT)));
    }

    private static MultiLayerNetwork network(String name, boolean sequences, boolean timeFirst, LossFunction loss) {
        RNNFormat format = timeFirst ? RNNFormat.NWC : RNNFormat.NCW;
        Layer body = sequences
                ? new LSTM.Builder()
                        .nIn(Networks.INPUTS)
                        .nOut(V)
                        .dataFormat(format)
                        .build()
                : new DenseLayer.Builder()
                        .nIn(Networks.INPUTS)
                        .nOut(V)
                        .activation(Activation.IDENTITY)
                        .build();
        Layer head;
        if (name.equals("RnnLossLayer NWC")) {
            RnnLossLayer lossLayer = new RnnLossLayer.Builder(loss)
                    .activation(Activation.SOFTMAX)
                    .build();
            lossLayer.setRnnDataFormat(RNNFormat.NWC);
            head = lossLayer;
        } else if (timeFirst) {
            head = new RnnOutputLayer.Builder(loss)
                    .nIn(V)
                    .nOut(V)
                    .activation(Activation.SOFTMAX)
                    .dataFormat(format)
                    .build();
        } else if (sequences) {
            head = new RnnLossLayer.Builder(loss).activation(Activation.SOFTMAX).build();
        } else {
            head = new LossLayer.Builder(loss).activation(Activation.SOFTMAX).build();
        }
        return Networks.stacked(DataType.FLOAT, 3, body, head);
    }

    private static DataSet batch(boolean sequences, boolean timeFirst, long seed) {
        DataSet batch =
                sequences ? Networks.sequences(DataType.FLOAT, 3, seed) : Networks.rows(DataType.FLOAT, 3, seed);
        if (timeFirst) {
            batch.setFeatures(batch.getFeatures().permute(0, 2, 1).dup('c'));
            batch.setLabels(batch.getLabels().permute(0, 2, 1).dup('c'));
        }
        return batch;
    }

    private static DataSet taught(DataSet data, Teacher teacher) {
        return new TeacherIterator(new ExistingDataSetIterator(List.of(data)), teacher).next();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("heads")
    void coefficient_zero_is_the_stock_layer(String name, boolean sequences, boolean timeFirst, LossFunction loss) {
        MultiLayerNetwork stock = network(name, sequences, timeFirst, loss);
        Teacher teacher = Teacher.of(stock);
        MultiLayerNetwork student = Retention.attach(
                stock, RetentionConfiguration.builder().coefficient(0).build());
        for (int i = 0; i < 20; i++) {
            DataSet batch = batch(sequences, timeFirst, i);
            if (sequences) {
                batch.setLabelsMaskArray(Nd4j.ones(3, Networks.TIME).putScalar(2, 1, 0));
            }
            stock.fit(batch);
            student.fit(taught(batch, teacher));
            assertEquals(stock.score(), student.score(), 1e-5);
        }
        assertClose(stock.params(), student.params(), 1e-5);
        DataSet last = batch(sequences, timeFirst, 99);
        assertClose(stock.output(last.getFeatures()), student.output(last.getFeatures()), 1e-6);
        if (!timeFirst) {
            // Stock layers give a vector or a column.
            assertClose(stock.scoreExamples(last, true).reshape(3, 1), student.scoreExamples(last, true), 1e-5);
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("heads")
    void a_features_mask_alone_does_what_it_does_to_the_stock_layer(
            String name, boolean sequences, boolean timeFirst, LossFunction loss) {
        MultiLayerNetwork stock = network(name, sequences, timeFirst, loss);
        MultiLayerNetwork student = Retention.attach(
                stock, RetentionConfiguration.builder().coefficient(0).build());
        DataSet batch = batch(sequences, timeFirst, 8);
        batch.setFeaturesMaskArray(
                sequences
                        ? Nd4j.ones(3, Networks.TIME).putScalar(1, 4, 0).putScalar(2, 3, 0)
                        : Nd4j.ones(3, 1).putScalar(1, 0));
        for (int i = 0; i < 5; i++) {
            stock.fit(batch);
            student.fit(batch);
        }
        assertClose(stock.params(), student.params(), 1e-5);
    }

    @Test
    void coefficient_zero_is_the_stock_layer_of_sparse_labels() {
        MultiLayerNetwork stock = Networks.lstm(DataType.FLOAT, 7, LossFunction.SPARSE_MCXENT, 1.0);
        Teacher teacher = Teacher.of(stock);
        MultiLayerNetwork student = Retention.attach(
                stock, RetentionConfiguration.builder().coefficient(0).build());
        for (int i = 0; i < 20; i++) {
            DataSet batch = Networks.sequences(DataType.FLOAT, 3, i);
            batch.setLabels(
                    Nd4j.argMax(batch.getLabels(), 1).castTo(DataType.FLOAT).reshape(3, 1, Networks.TIME));
            stock.fit(batch);
            student.fit(taught(batch, teacher));
            assertEquals(stock.score(), student.score(), 1e-5);
        }
        assertClose(stock.params(), student.params(), 1e-5);
        assertEquals(
                stock.getLayerWiseConfigurations().getConf(1).getLayer(),
                Retention.detach(student)
                        .getLayerWiseConfigurations()
                        .getConf(1)
                        .getLayer());
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("allHeads")
    void a_student_stays_nearer_to_its_teacher(String name, boolean sequences, boolean timeFirst, LossFunction loss) {
        MultiLayerNetwork pretrained = network(name, sequences, timeFirst, loss);
        Teacher teacher = Teacher.of(pretrained);
        double[] divergence = new double[2];
        for (int strong = 0; strong < 2; strong++) {
            RetentionConfiguration conf = RetentionConfiguration.builder()
                    .coefficient(strong == 1 ? 10 : 0.01)
                    .build();
            MultiLayerNetwork student = Retention.withUpdater(Retention.attach(pretrained, conf), new Adam(0.02));
            DataSet data = taught(batch(sequences, timeFirst, 4), teacher);
            student.fit(data);
            assertEquals(0, Networks.lastLoss(student).divergence(), 1e-6);
            for (int i = 0; i < 40; i++) {
                student.fit(data);
            }
            divergence[strong] = Networks.lastLoss(student).divergence();
            MultiLayerNetwork plain = Retention.detach(student);
            assertEquals(
                    pretrained
                            .getLayerWiseConfigurations()
                            .getConf(1)
                            .getLayer()
                            .getClass(),
                    plain.getLayerWiseConfigurations().getConf(1).getLayer().getClass());
            assertClose(student.output(data.getFeatures()), plain.output(data.getFeatures()), 1e-6);
        }
        assertTrue(divergence[1] < 0.5 * divergence[0], divergence[0] + " " + divergence[1]);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("allHeads")
    void gradients_match_central_differences(String name, boolean sequences, boolean timeFirst, LossFunction loss) {
        MultiLayerNetwork start = network(name, sequences, timeFirst, loss);
        MultiLayerNetwork pretrained = start.convertDataType(DataType.DOUBLE);
        DataSet plain = batch(sequences, timeFirst, 5);
        plain.setFeatures(plain.getFeatures().castTo(DataType.DOUBLE));
        plain.setLabels(plain.getLabels().castTo(DataType.DOUBLE));
        DataSet data = taught(plain, Teacher.of(pretrained));
        MultiLayerNetwork student = Retention.attach(
                pretrained, RetentionConfiguration.builder().temperature(2).build());
        INDArray params = student.params();
        Random random = new Random(6);
        for (long i = 0; i < params.length(); i++) {
            params.putScalar(i, params.getDouble(i) + 0.3 * random.nextGaussian());
        }
        INDArray gradient = Networks.gradient(student, data).reshape(params.length());
        for (long i = 0; i < params.length(); i += 7) {
            double value = params.getDouble(i);
            params.putScalar(i, value + 1e-5);
            student.score(data, true);
            double above = Networks.lastLoss(student).sum();
            params.putScalar(i, value - 1e-5);
            student.score(data, true);
            double below = Networks.lastLoss(student).sum();
            params.putScalar(i, value);
            assertEquals((above - below) / 2e-5, gradient.getDouble(i), 1e-6, "parameter " + i);
        }
    }
}
