package io.github.dl4jretention.loss;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

class UnbiasedOutputLayerTest {

    private static final int V = 5;

    private static MultiLayerNetwork network(DataType type, Layer output) {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .seed(3)
                .dataType(type)
                .updater(new Sgd(0.1))
                .l2(0.01)
                .list()
                .layer(new LSTM.Builder().nOut(4).build())
                .layer(output)
                .setInputType(InputType.recurrent(V))
                .build());
        network.init();
        return network;
    }

    private static DataSet batch(DataType type) {
        INDArray features = Nd4j.zeros(type, 2, V, 3);
        INDArray labels = Nd4j.zeros(type, 2, V, 3);
        for (int i = 0; i < 6; i++) {
            features.putScalar(new int[] {i / 3, i % V, i % 3}, 1);
            labels.putScalar(new int[] {i / 3, (2 * i + 1) % V, i % 3}, 1);
        }
        return new DataSet(features, labels);
    }

    private static double[] flat(INDArray array) {
        return array.castTo(DataType.DOUBLE).dup('c').data().asDouble();
    }

    /** DL4J's layer with a bias of 0, whose gradient is left out. */
    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE"})
    void computes_what_the_stock_layer_does_with_a_bias_of_0(DataType type) {
        MultiLayerNetwork unbiased = network(type, new UnbiasedOutputLayer(V));
        MultiLayerNetwork stock = network(
                type,
                new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nOut(V)
                        .activation(Activation.SOFTMAX)
                        .build());
        assertEquals(stock.numParams() - V, unbiased.numParams());
        unbiased.setParams(stock.params().get(NDArrayIndex.all(), NDArrayIndex.interval(0, unbiased.numParams())));
        DataSet batch = batch(type);
        double tolerance = type == DataType.FLOAT ? 1e-6 : 1e-12;
        assertArrayEquals(
                flat(stock.output(batch.getFeatures())), flat(unbiased.output(batch.getFeatures())), tolerance);
        assertEquals(stock.score(batch), unbiased.score(batch), tolerance);
        stock.setInput(batch.getFeatures());
        stock.setLabels(batch.getLabels());
        stock.computeGradientAndScore();
        unbiased.setInput(batch.getFeatures());
        unbiased.setLabels(batch.getLabels());
        unbiased.computeGradientAndScore();
        double[] expected = flat(stock.getFlattenedGradients());
        assertArrayEquals(
                java.util.Arrays.copyOf(expected, (int) unbiased.numParams()),
                flat(unbiased.getFlattenedGradients()),
                tolerance);
    }

    @Test
    void attaches_trains_detaches_and_loads(@TempDir Path folder) throws IOException {
        MultiLayerNetwork pretrained = network(DataType.FLOAT, new UnbiasedOutputLayer(V));
        MultiLayerNetwork student = Retention.attach(
                pretrained, RetentionConfiguration.builder().coefficient(1).build());
        DataSet batch = batch(DataType.FLOAT);
        student.fit(new TeacherIterator(new ExistingDataSetIterator(List.of(batch)), Teacher.of(pretrained)), 3);
        MultiLayerNetwork plain = Retention.detach(student);
        Layer last = plain.getLayerWiseConfigurations().getConf(1).getLayer();
        assertEquals(UnbiasedOutputLayer.class, last.getClass());
        File file = folder.resolve("tuned.zip").toFile();
        plain.save(file);
        MultiLayerNetwork loaded = MultiLayerNetwork.load(file, true);
        assertEquals(plain.params(), loaded.params());
        assertEquals(plain.output(batch.getFeatures()), loaded.output(batch.getFeatures()));
        MultiLayerConfiguration conf = plain.getLayerWiseConfigurations();
        assertEquals(conf, MultiLayerConfiguration.fromJson(conf.toJson()));
    }

    @Test
    void stands_for_a_retention_layer_without_a_bias() {
        RetentionOutputLayer layer = new RetentionOutputLayer.Builder(
                        RetentionConfiguration.builder().build())
                .nIn(4)
                .nOut(V)
                .hasBias(false)
                .dataFormat(RNNFormat.NCW)
                .build();
        assertInstanceOf(UnbiasedOutputLayer.class, layer.toStockLayer());
        assertThrows(IllegalArgumentException.class, () -> new UnbiasedOutputLayer(1));
    }
}
