package io.github.dl4jretention.lm.layers;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.nn.weights.WeightInit;
import org.deeplearning4j.parallelism.ParallelWrapper;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;

/** What networks with layers at native speed can be used for. */
class NativeLayersTest {

    private static final int INPUTS = 4;
    private static final int CLASSES = 5;

    private static MultiLayerNetwork network(Layer... hidden) {
        NeuralNetConfiguration.ListBuilder layers = new NeuralNetConfiguration.Builder()
                .seed(3)
                .updater(new Adam(0.01))
                .activation(Activation.TANH)
                .list();
        for (Layer layer : hidden) {
            layers.layer(layer);
        }
        MultiLayerNetwork network = new MultiLayerNetwork(layers.layer(new RnnOutputLayer.Builder()
                        .nOut(CLASSES)
                        .activation(Activation.SOFTMAX)
                        .build())
                .setInputType(InputType.recurrent(INPUTS))
                .build());
        network.init();
        return network;
    }

    private static LSTM lstm() {
        return new LSTM.Builder().nOut(6).build();
    }

    private static DataSet batch(long seed) {
        Random random = new Random(seed);
        INDArray input = Networks.normal(DataType.FLOAT, random, 4, INPUTS, 5);
        INDArray labels = Networks.oneHot(DataType.FLOAT, 4, 5, random)
                .get(NDArrayIndex.all(), NDArrayIndex.interval(0, CLASSES), NDArrayIndex.all());
        return new DataSet(input, labels.dup());
    }

    private static ExistingDataSetIterator batches() {
        return new ExistingDataSetIterator(List.of(batch(1), batch(2), batch(3), batch(4)));
    }

    @Test
    void the_copy_goes_on_where_training_stood_and_back() {
        MultiLayerNetwork stock = network(lstm(), lstm());
        stock.fit(batches(), 2);
        INDArray before = stock.params().dup();
        MultiLayerNetwork faster = NativeLayers.of(stock);
        assertEquals(stock.getIterationCount(), faster.getIterationCount());
        assertEquals(stock.getEpochCount(), faster.getEpochCount());
        faster.fit(batches(), 2);
        assertClose(before, stock.params(), 0);
        MultiLayerNetwork back = NativeLayers.stock(faster);
        assertSame(
                LSTM.class,
                back.getLayerWiseConfigurations().getConf(0).getLayer().getClass());
        assertNotSame(back.params(), faster.params());
        stock.fit(batches(), 4);
        back.fit(batches(), 2);
        assertClose(stock.params(), back.params(), 1e-5);
    }

    @Test
    void a_graph_trains_alike() {
        ComputationGraph stock = new ComputationGraph(new NeuralNetConfiguration.Builder()
                .seed(3)
                .updater(new Adam(0.01))
                .activation(Activation.TANH)
                .graphBuilder()
                .addInputs("in")
                .addLayer("lstm", lstm(), "in")
                .addLayer("both", new Bidirectional(lstm()), "lstm")
                .addLayer(
                        "out",
                        new RnnOutputLayer.Builder()
                                .nOut(CLASSES)
                                .activation(Activation.SOFTMAX)
                                .build(),
                        "both",
                        "lstm")
                .setOutputs("out")
                .setInputTypes(InputType.recurrent(INPUTS))
                .build());
        stock.init();
        stock.fit(batches(), 1);
        ComputationGraph faster = NativeLayers.of(stock);
        assertSame(NativeLSTMRuntime.class, faster.getLayer("lstm").getClass());
        stock.fit(batches(), 5);
        faster.fit(batches(), 5);
        assertClose(stock.params(), faster.params(), 1e-5);
        ComputationGraph back = NativeLayers.stock(faster);
        assertFalse(back.getConfiguration().toJson().contains("NativeLSTM"));
        assertClose(faster.outputSingle(batch(9).getFeatures()), back.outputSingle(batch(9).getFeatures()), 1e-5);
    }

    @Test
    void a_configuration_survives_JSON_and_clones() {
        MultiLayerConfiguration conf =
                NativeLayers.of(network(lstm(), new Bidirectional(lstm()))).getLayerWiseConfigurations();
        assertEquals(conf, MultiLayerConfiguration.fromJson(conf.toJson()));
        assertEquals(conf, conf.clone());
        NativeLSTM layer = (NativeLSTM) conf.getConf(0).getLayer();
        LSTM stock = (LSTM) NativeLayers.stock(NativeLayers.of(network(lstm())))
                .getLayerWiseConfigurations()
                .getConf(0)
                .getLayer();
        assertNotEquals(layer, stock);
        assertNotEquals(stock, layer);
    }

    @Test
    void a_saved_network_loads_with_its_updater(@TempDir Path folder) throws IOException {
        MultiLayerNetwork faster = NativeLayers.of(network(lstm(), lstm()));
        faster.fit(batches(), 1);
        File file = folder.resolve("network.zip").toFile();
        ModelSerializer.writeModel(faster, file, true);
        MultiLayerNetwork loaded = ModelSerializer.restoreMultiLayerNetwork(file, true);
        assertSame(NativeLSTMRuntime.class, loaded.getLayer(0).getClass());
        loaded.fit(batches(), 1);
        faster.fit(batches(), 1);
        assertClose(faster.params(), loaded.params(), 0);
    }

    @Test
    void a_saved_network_loads_in_a_fresh_JVM(@TempDir Path folder) throws Exception {
        MultiLayerNetwork faster = NativeLayers.of(network(lstm()));
        File model = folder.resolve("network.zip").toFile();
        File data = folder.resolve("batch.bin").toFile();
        faster.save(model, true);
        batch(5).save(data);
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-cp",
                        System.getProperty("java.class.path"),
                        Score.class.getName(),
                        model.getPath(),
                        data.getPath())
                .redirectErrorStream(true)
                .start();
        String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), printed);
        assertTrue(printed.contains("score " + faster.score(batch(5)) + " of NativeLSTMRuntime"), printed);
    }

    /** Loads a network and scores one batch. */
    public static final class Score {

        private Score() {}

        /** @param args the network's file, the batch's file */
        public static void main(String[] args) throws IOException {
            DataSet data = new DataSet();
            data.load(new File(args[1]));
            MultiLayerNetwork network = MultiLayerNetwork.load(new File(args[0]), true);
            System.out.println("score " + network.score(data) + " of "
                    + network.getLayer(0).getClass().getSimpleName());
        }
    }

    @Test
    void retention_attaches_and_detaches() {
        MultiLayerNetwork stock = network(lstm(), lstm());
        stock.fit(batches(), 5);
        MultiLayerNetwork[] tuned = new MultiLayerNetwork[2];
        for (int i = 0; i < 2; i++) {
            MultiLayerNetwork pretrained = i == 0 ? stock : NativeLayers.of(stock);
            Teacher teacher = Teacher.of(pretrained);
            MultiLayerNetwork student = Retention.attach(
                    pretrained, RetentionConfiguration.builder().coefficient(1).build());
            student.fit(new TeacherIterator(new ExistingDataSetIterator(List.of(batch(1))), teacher), 1);
            assertEquals(0, Networks.lastLoss(student).divergence(), 1e-6);
            student.fit(new TeacherIterator(batches(), teacher), 4);
            tuned[i] = Retention.detach(student);
        }
        assertSame(NativeLSTMRuntime.class, tuned[1].getLayer(0).getClass());
        assertTrue(stock.params().distance2(tuned[0].params()) > 1e-2);
        assertClose(tuned[0].params(), tuned[1].params(), 1e-5);
    }

    @Test
    void parallel_wrapper_trains_it() throws Exception {
        MultiLayerNetwork faster = NativeLayers.of(network(lstm(), lstm()));
        double before = faster.score(batch(1));
        try (ParallelWrapper wrapper = new ParallelWrapper.Builder<>(faster)
                .workers(2)
                .prefetchBuffer(0)
                .averagingFrequency(1)
                .build()) {
            for (int epoch = 0; epoch < 10; epoch++) {
                wrapper.fit(batches());
            }
        }
        assertTrue(faster.score(batch(1)) < before);
    }

    @Test
    void frozen_layers_are_replaced_too_and_stay_frozen() {
        MultiLayerNetwork frozen = new TransferLearning.Builder(network(lstm(), lstm()))
                .setFeatureExtractor(0)
                .build();
        MultiLayerNetwork faster = NativeLayers.of(frozen);
        FrozenLayer layer =
                (FrozenLayer) faster.getLayerWiseConfigurations().getConf(0).getLayer();
        assertSame(NativeLSTM.class, layer.getLayer().getClass());
        frozen.fit(batches(), 3);
        faster.fit(batches(), 3);
        assertClose(frozen.params(), faster.params(), 1e-5);
        MultiLayerNetwork transferred = new TransferLearning.Builder(faster)
                .nOutReplace(1, 9, WeightInit.XAVIER)
                .build();
        assertEquals(9, transferred.layerSize(1));
        transferred.fit(batches(), 1);
    }

    @Test
    void what_does_not_fit_stays_and_is_named_in_one_line() {
        LSTM relu = new LSTM.Builder()
                .name("relu")
                .nOut(6)
                .activation(Activation.RELU)
                .build();
        LSTM hard = new LSTM.Builder()
                .name("hard")
                .nOut(6)
                .gateActivationFunction(Activation.HARDSIGMOID)
                .build();
        SimpleRnn simple = new SimpleRnn.Builder().name("simple").nOut(6).build();
        MultiLayerNetwork stock = network(relu, lstm(), hard, simple);
        MultiLayerNetwork faster = NativeLayers.of(stock);
        assertSame(
                LSTM.class,
                faster.getLayerWiseConfigurations().getConf(0).getLayer().getClass());
        assertSame(
                NativeLSTM.class,
                faster.getLayerWiseConfigurations().getConf(1).getLayer().getClass());
        assertSame(
                LSTM.class,
                faster.getLayerWiseConfigurations().getConf(2).getLayer().getClass());
        assertSame(
                SimpleRnn.class,
                faster.getLayerWiseConfigurations().getConf(3).getLayer().getClass());
        assertClose(stock.output(batch(1).getFeatures()), faster.output(batch(1).getFeatures()), 1e-5);
        assertEquals(
                "relu (LSTM with ActivationReLU and ActivationSigmoid), hard (LSTM with ActivationTanH and"
                        + " ActivationHardSigmoid), simple (SimpleRnn)",
                NativeLayers.others(stock.getLayerWiseConfigurations().toJson()));
    }
}
