package io.github.dl4jretention.lm.layers;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import java.util.Random;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.schedule.ExponentialSchedule;
import org.nd4j.linalg.schedule.ScheduleType;

class NativeAdamTest {

    private static MultiLayerNetwork network(DataType type, Adam adam) {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .dataType(type)
                .seed(3)
                .updater(adam)
                .list()
                // More numbers than one chunk, and no multiple of it.
                .layer(new DenseLayer.Builder().nIn(70).nOut(90).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).nIn(90).nOut(3).build())
                .build());
        network.init();
        return network;
    }

    private static DataSet batch(DataType type, Random random) {
        return new DataSet(Networks.normal(type, random, 8, 70), Networks.normal(type, random, 8, 3));
    }

    /** HALF takes DL4J's own way. */
    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE", "HALF"})
    void trainsAsStockAdamDoes(DataType type) {
        Adam stock = new Adam(0.01, 0.8, 0.99, 1e-4);
        stock.setLearningRateSchedule(new ExponentialSchedule(ScheduleType.ITERATION, 0.01, 0.9));
        MultiLayerNetwork expected = network(type, stock);
        MultiLayerNetwork actual = NativeLayers.of(expected);
        Random random = new Random(1);
        for (int step = 0; step < 20; step++) {
            DataSet batch = batch(type, random);
            expected.fit(batch);
            actual.fit(batch);
        }
        assertEquals(20, actual.getIterationCount());
        assertInstanceOf(
                NativeAdam.class, ((BaseLayer) actual.getLayer(0).conf().getLayer()).getIUpdater());
        double tolerance = type == DataType.DOUBLE ? 1e-9 : 1e-5;
        assertClose(expected.params(), actual.params(), tolerance);
        assertClose(
                expected.getUpdater().getStateViewArray(),
                NativeLayers.stock(actual).getUpdater().getStateViewArray(),
                tolerance);
        assertEquals(
                expected.getLayerWiseConfigurations().toJson(),
                NativeLayers.stock(actual).getLayerWiseConfigurations().toJson());
    }

    /** ND4J's own takes epsilon for such a step, and so trains on. */
    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE"})
    void stepsOfZeroAndNaNAreTakenAsTheyAre(DataType type) {
        DataSet batch = batch(type, new Random(1));
        for (double rate : new double[] {0, Double.NaN}) {
            MultiLayerNetwork stock = network(type, new Adam(rate, 0.9, 0.999, 1e-3));
            MultiLayerNetwork own = NativeLayers.of(stock);
            INDArray before = stock.params().dup();
            stock.fit(batch);
            own.fit(batch);
            assertNotEquals(before, stock.params());
            assertEquals(
                    0, stock.params().isNaN().castTo(DataType.INT32).sumNumber().intValue());
            if (rate == 0) {
                assertEquals(before, own.params());
            } else {
                assertTrue(own.params().isNaN().any());
            }
        }
    }

    private static void assertClose(INDArray expected, INDArray actual, double tolerance) {
        assertArrayEquals(
                expected.castTo(DataType.DOUBLE).reshape(expected.length()).toDoubleVector(),
                actual.castTo(DataType.DOUBLE).reshape(actual.length()).toDoubleVector(),
                tolerance);
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE"})
    void survivesJson(DataType type) {
        MultiLayerConfiguration conf = network(type, new NativeAdam(0.02)).getLayerWiseConfigurations();
        MultiLayerConfiguration read = MultiLayerConfiguration.fromJson(conf.toJson());
        assertEquals(new NativeAdam(0.02), ((BaseLayer) read.getConf(0).getLayer()).getIUpdater());
        assertEquals(conf, read);
    }
}
