package io.github.dl4jretention.lm.layers;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;

import java.util.Random;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Against DL4J's layer, which it stands in for. */
class NativeEmbeddingSequenceLayerTest {

    private static final int BATCH = 3;
    private static final int TIME = 7;
    private static final int CLASSES = 4;

    private static MultiLayerNetwork network(DataType type, int vocabulary, int width, boolean bias, boolean lstm) {
        NeuralNetConfiguration.ListBuilder layers = new NeuralNetConfiguration.Builder()
                .seed(5)
                .dataType(type)
                .updater(new Adam(0.01))
                .list()
                .layer(new EmbeddingSequenceLayer.Builder()
                        .nIn(vocabulary)
                        .nOut(width)
                        .hasBias(bias)
                        .inputLength(TIME)
                        .inferInputLength(true)
                        .build());
        if (lstm) {
            layers.layer(new LSTM.Builder().nOut(5).activation(Activation.TANH).build());
        }
        MultiLayerNetwork network = new MultiLayerNetwork(layers.layer(new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nOut(CLASSES)
                        .activation(Activation.SOFTMAX)
                        .build())
                .setInputType(InputType.recurrent(vocabulary))
                .build());
        network.init();
        return network;
    }

    /** More tokens than ids, so that ids occur more than once, and ids that don't occur; with and without an LSTM behind. */
    @ParameterizedTest
    @CsvSource({
        "FLOAT, 50, 40, false, true",
        "FLOAT, 6, 16, false, false",
        "FLOAT, 9, 1, false, true",
        "FLOAT, 50, 17, true, true",
        "DOUBLE, 50, 17, false, true"
    })
    void gradients_and_steps_are_dl4js(DataType type, int vocabulary, int width, boolean bias, boolean lstm) {
        MultiLayerNetwork stock = network(type, vocabulary, width, bias, lstm);
        MultiLayerNetwork faster = NativeLayers.of(stock);
        assertSame(
                NativeEmbeddingSequenceLayer.class,
                faster.getLayerWiseConfigurations().getConf(0).getLayer().getClass());
        Random random = new Random(1);
        for (int step = 0; step < 5; step++) {
            INDArray ids = Nd4j.create(type, BATCH, 1, TIME);
            INDArray labels = Nd4j.create(type, BATCH, CLASSES, TIME);
            for (int i = 0; i < BATCH; i++) {
                for (int t = 0; t < TIME; t++) {
                    ids.putScalar(i, 0, t, random.nextInt(vocabulary));
                    labels.putScalar(new int[] {i, random.nextInt(CLASSES), t}, 1);
                }
            }
            stock.fit(ids.dup(), labels.dup());
            faster.fit(ids.dup(), labels.dup());
            assertClose(stock.gradient().gradient(), faster.gradient().gradient(), 1e-5);
            assertClose(stock.params(), faster.params(), 1e-5);
        }
        INDArray ids = Nd4j.ones(type, BATCH, 1, TIME);
        assertClose(stock.output(ids), faster.output(ids), 1e-5);
    }

    /** Neither a features mask nor an activation has a native way back, and both have a native way forth. */
    @ParameterizedTest
    @CsvSource({"IDENTITY, true", "TANH, false", "TANH, true"})
    void masks_and_activations_are_dl4js(Activation activation, boolean masked) {
        MultiLayerNetwork stock = network(DataType.FLOAT, 50, 16, false, true);
        ((FeedForwardLayer) stock.getLayerWiseConfigurations().getConf(0).getLayer())
                .setActivationFn(activation.getActivationFunction());
        MultiLayerNetwork faster = NativeLayers.of(stock);
        Random random = new Random(2);
        for (int step = 0; step < 3; step++) {
            INDArray ids = Nd4j.create(DataType.FLOAT, BATCH, 1, TIME);
            INDArray labels = Nd4j.create(DataType.FLOAT, BATCH, CLASSES, TIME);
            INDArray mask = Nd4j.ones(DataType.FLOAT, BATCH, TIME);
            for (int i = 0; i < BATCH; i++) {
                for (int t = 0; t < TIME; t++) {
                    ids.putScalar(i, 0, t, random.nextInt(50));
                    labels.putScalar(new int[] {i, random.nextInt(CLASSES), t}, 1);
                }
            }
            mask.get(NDArrayIndex.point(1), NDArrayIndex.interval(4, TIME)).assign(0);
            DataSet batch = new DataSet(ids, labels, masked ? mask : null, masked ? mask.dup() : null);
            stock.fit(batch.copy());
            faster.fit(batch.copy());
            assertClose(stock.gradient().gradient(), faster.gradient().gradient(), 1e-5);
            assertClose(stock.params(), faster.params(), 1e-5);
        }
    }

    @ParameterizedTest
    @CsvSource({"true", "false"})
    void configurations_survive_json_and_come_back_as_dl4js(boolean bias) {
        MultiLayerNetwork stock = network(DataType.FLOAT, 9, 3, bias, true);
        MultiLayerNetwork faster = NativeLayers.of(stock);
        MultiLayerConfiguration conf = faster.getLayerWiseConfigurations();
        assertEquals(conf, MultiLayerConfiguration.fromJson(conf.toJson()));
        assertEquals(
                stock.getLayerWiseConfigurations(), NativeLayers.stock(faster).getLayerWiseConfigurations());
    }
}
