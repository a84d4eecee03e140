package io.github.dl4jretention.merge;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.FrozenVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.CenterLossOutputLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToRnnPreProcessor;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** What counts as one architecture: what computes the same, however it is trained. */
class MergedArchitecturesTest {

    @TempDir
    private Path folder;

    private static LSTM lstm(Activation activation) {
        return new LSTM.Builder()
                .nIn(Networks.INPUTS)
                .nOut(3)
                .activation(activation)
                .build();
    }

    private static OutputLayer output() {
        return new OutputLayer.Builder(LossFunction.MCXENT)
                .nOut(Networks.VOCABULARY)
                .activation(Activation.SOFTMAX)
                .build();
    }

    private static RnnOutputLayer tokens() {
        return new RnnOutputLayer.Builder(LossFunction.MCXENT)
                .nOut(Networks.VOCABULARY)
                .activation(Activation.SOFTMAX)
                .build();
    }

    private static DenseLayer dense(Activation activation) {
        return new DenseLayer.Builder().nOut(7).activation(activation).build();
    }

    private static MaskZeroLayer masking(Layer layer, double value) {
        return new MaskZeroLayer.Builder()
                .setUnderlying(layer)
                .setMaskValue(value)
                .build();
    }

    private static SubsamplingLayer pooling(SubsamplingLayer.PoolingType type, int stride) {
        return new SubsamplingLayer.Builder(type, new int[] {2, 2}, new int[] {stride, stride}).build();
    }

    private static MultiLayerNetwork network(InputType input, Layer... layers) {
        NeuralNetConfiguration.ListBuilder list =
                new NeuralNetConfiguration.Builder().seed(1).list();
        for (Layer layer : layers) {
            list.layer(layer.clone());
        }
        MultiLayerNetwork network =
                new MultiLayerNetwork(list.setInputType(input).build());
        network.init();
        return network;
    }

    private static Arguments pair(String setting, InputType input, Layer one, Layer two, Layer... rest) {
        return Arguments.of(setting, network(input, with(one, rest)), network(input, with(two, rest)));
    }

    private static Layer[] with(Layer first, Layer... rest) {
        return Stream.concat(Stream.of(first), Stream.of(rest)).toArray(Layer[]::new);
    }

    static Stream<Arguments> othersOfTheSameShapes() {
        InputType rows = InputType.feedForward(Networks.INPUTS);
        InputType sequences = InputType.recurrent(Networks.INPUTS, Networks.TIME);
        InputType images = InputType.convolutional(6, 6, 1);
        LSTM tanh = lstm(Activation.TANH);
        LSTM relu = lstm(Activation.RELU);
        return Stream.of(
                pair("ActivationReLU", rows, dense(Activation.TANH), dense(Activation.RELU), output()),
                pair(
                        "ActivationReLU",
                        rows,
                        new ActivationLayer(Activation.TANH),
                        new ActivationLayer(Activation.RELU),
                        output()),
                pair("ActivationReLU", sequences, new LastTimeStep(tanh), new LastTimeStep(relu), output()),
                pair("ActivationReLU", sequences, masking(tanh, 0), masking(relu, 0), tokens()),
                pair("maskingValue", sequences, masking(tanh, 0), masking(tanh, 1), tokens()),
                pair("ActivationReLU", sequences, new Bidirectional(tanh), new Bidirectional(relu), tokens()),
                pair(
                        "mode=MUL",
                        sequences,
                        new Bidirectional(Bidirectional.Mode.ADD, tanh),
                        new Bidirectional(Bidirectional.Mode.MUL, tanh),
                        tokens()),
                pair(
                        "ActivationReLU",
                        sequences,
                        new FrozenLayer(new LastTimeStep(tanh)),
                        new FrozenLayer(new LastTimeStep(relu)),
                        output()),
                pair(
                        "poolingType=AVG",
                        images,
                        pooling(SubsamplingLayer.PoolingType.MAX, 2),
                        pooling(SubsamplingLayer.PoolingType.AVG, 2),
                        output()),
                pair(
                        "stride[0]=1",
                        images,
                        pooling(SubsamplingLayer.PoolingType.MAX, 2),
                        pooling(SubsamplingLayer.PoolingType.MAX, 1),
                        new GlobalPoolingLayer(PoolingType.MAX),
                        output()));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("othersOfTheSameShapes")
    void layers_that_compute_something_else_are_refused(String setting, MultiLayerNetwork one, MultiLayerNetwork two)
            throws IOException {
        assertRefused(one, two, "layer 0", setting);
        // The same one merges, from a file too.
        MultiLayerNetwork loaded = MultiLayerNetwork.load(save(one, "one.zip").toFile(), false);
        assertMerges(one, loaded);
        assertMerges(loaded, one.clone());
    }

    @Test
    void other_preprocessors_are_refused() {
        MultiLayerNetwork one =
                network(InputType.recurrent(Networks.INPUTS, Networks.TIME), dense(Activation.TANH), tokens());
        MultiLayerConfiguration conf = MultiLayerConfiguration.fromJson(
                one.getLayerWiseConfigurations().toJson());
        conf.getInputPreProcessors().put(1, new FeedForwardToRnnPreProcessor(RNNFormat.NWC));
        MultiLayerNetwork two = new MultiLayerNetwork(conf);
        two.init();
        assertRefused(one, two, "layer 1", "preProcessor.rnnDataFormat=NWC");
    }

    @Test
    void other_vertices_are_refused() {
        ComputationGraph[] graphs = new ComputationGraph[2];
        for (int i = 0; i < 2; i++) {
            graphs[i] = new ComputationGraph(new NeuralNetConfiguration.Builder()
                    .seed(1)
                    .graphBuilder()
                    .addInputs("in")
                    .addLayer("one", dense(Activation.TANH), "in")
                    .addLayer("two", dense(Activation.TANH), "in")
                    .addVertex(
                            "both",
                            new ElementWiseVertex(i == 0 ? ElementWiseVertex.Op.Add : ElementWiseVertex.Op.Product),
                            "one",
                            "two")
                    .addLayer("out", output(), "both")
                    .setOutputs("out")
                    .setInputTypes(InputType.feedForward(Networks.INPUTS))
                    .build());
            graphs[i].init();
        }
        String message = assertThrows(IllegalArgumentException.class, () -> Merge.graphs(MergeMethod.wiseFt(0.5))
                        .base(graphs[0])
                        .model(graphs[1])
                        .merge())
                .getMessage();
        assertTrue(message.contains("both of [one, two]: ElementWiseVertex {op=Product} in model 0"), message);
    }

    private static void assertRefused(MultiLayerNetwork one, MultiLayerNetwork two, String... parts) {
        String message = assertThrows(IllegalArgumentException.class, () -> Merge.networks(MergeMethod.wiseFt(0.5))
                        .base(one)
                        .model(two)
                        .merge())
                .getMessage();
        assertTrue(message.contains("base") && message.contains("model 0"), message);
        for (String part : parts) {
            assertTrue(message.contains(part), message);
        }
    }

    private static void assertMerges(MultiLayerNetwork one, MultiLayerNetwork two) {
        MultiLayerNetwork merged =
                Merge.networks(MergeMethod.linear()).models(List.of(one, two)).merge();
        assertClose(one.params().add(two.params()).div(2), merged.params(), 1e-6);
    }

    private Path save(MultiLayerNetwork network, String name) throws IOException {
        Path file = folder.resolve(name);
        network.save(file.toFile(), true);
        return file;
    }

    @Test
    void a_student_merges_with_its_start() {
        for (MultiLayerNetwork start : List.of(
                Networks.lstm(DataType.FLOAT, 1),
                Networks.dense(DataType.FLOAT, 1, false),
                network(InputType.recurrent(Networks.INPUTS, Networks.TIME), dense(Activation.TANH), tokens()))) {
            MultiLayerNetwork student =
                    Retention.attach(start, RetentionConfiguration.builder().build());
            student.params().muli(3);
            MultiLayerNetwork merged = Merge.networks(MergeMethod.wiseFt(0.5))
                    .base(start)
                    .model(student)
                    .merge();
            assertClose(start.params().mul(2), merged.params(), 1e-6);
            assertMerges(student, start);
        }
        ComputationGraph graph = Networks.graph(DataType.DOUBLE, 1);
        ComputationGraph student =
                Retention.attach(graph, RetentionConfiguration.builder().build(), "text");
        student.params().muli(3);
        assertClose(
                graph.params().mul(2),
                Merge.graphs(MergeMethod.linear())
                        .models(List.of(graph, student))
                        .merge()
                        .params(),
                1e-14);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void a_frozen_network_merges_with_its_start(boolean backprop) throws IOException {
        MultiLayerNetwork start = Networks.lstm(DataType.FLOAT, 1);
        MultiLayerNetwork frozen;
        if (backprop) {
            MultiLayerConfiguration conf = MultiLayerConfiguration.fromJson(
                    start.getLayerWiseConfigurations().toJson());
            conf.getConf(0).setLayer(new FrozenLayerWithBackprop(conf.getConf(0).getLayer()));
            frozen = new MultiLayerNetwork(conf);
            frozen.init(start.params().mul(3), false);
        } else {
            frozen = new TransferLearning.Builder(start)
                    .fineTuneConfiguration(new FineTuneConfiguration.Builder()
                            .updater(new Sgd(0.1))
                            .build())
                    .setFeatureExtractor(0)
                    .build();
            frozen.params().muli(3);
        }
        assertMerges(start, frozen);
        assertMerges(frozen, start);
        Path out = Merge.files(MergeMethod.wiseFt(0.5), folder.resolve("out.zip"))
                .base(save(start, "start.zip"))
                .model(save(frozen, "frozen.zip"))
                .merge();
        assertClose(
                start.params().mul(2),
                MultiLayerNetwork.load(out.toFile(), false).params(),
                1e-6);
    }

    private static ComputationGraph attention(boolean frozen) {
        AttentionVertex attention = Networks.attention(Networks.INPUTS, 4);
        ComputationGraph graph = new ComputationGraph(new NeuralNetConfiguration.Builder()
                .dataType(DataType.DOUBLE)
                .seed(1)
                .graphBuilder()
                .addInputs("in")
                .addVertex("attention", frozen ? new FrozenVertex(attention) : attention, "in", "in", "in")
                .addLayer("out", tokens(), "attention")
                .setOutputs("out")
                .setInputTypes(InputType.recurrent(Networks.INPUTS, Networks.TIME))
                .build());
        graph.init();
        return graph;
    }

    @Test
    void a_graph_merges_with_frozen_vertices_and_with_its_file() throws IOException {
        ComputationGraph start = attention(false);
        ComputationGraph frozen = attention(true);
        Path file = folder.resolve("start.zip");
        start.save(file.toFile(), false);
        ComputationGraph loaded = ComputationGraph.load(file.toFile(), false);
        frozen.params().muli(3);
        for (ComputationGraph one : List.of(start, loaded)) {
            ComputationGraph merged = Merge.graphs(MergeMethod.linear())
                    .models(List.of(one, frozen))
                    .merge();
            assertClose(start.params().add(frozen.params()).div(2), merged.params(), 1e-14);
        }
        ComputationGraph itself = Merge.graphs(MergeMethod.linear())
                .models(List.of(start, loaded))
                .merge();
        assertClose(start.params(), itself.params(), 0);
    }

    @Test
    void networks_that_are_trained_otherwise_merge() {
        MultiLayerNetwork start = Networks.lstm(DataType.FLOAT, 1);
        assertMerges(start, Networks.lstm(DataType.FLOAT, 2, LossFunction.SPARSE_MCXENT, 0.5));
        assertMerges(start, Retention.withUpdater(start, new Sgd(0.1)));
        assertMerges(
                start,
                Retention.detach(
                        Retention.attach(start, RetentionConfiguration.builder().build())));
    }

    private static CenterLossOutputLayer centers(double lambda) {
        return new CenterLossOutputLayer.Builder(LossFunction.MCXENT)
                .nOut(Networks.VOCABULARY)
                .activation(Activation.SOFTMAX)
                .lambda(lambda)
                .alpha(10 * lambda)
                .build();
    }

    static Stream<Arguments> othersInTrainingOnly() {
        InputType rows = InputType.feedForward(Networks.INPUTS);
        InputType sequences = InputType.recurrent(Networks.INPUTS, Networks.TIME);
        return Stream.of(
                pair("center loss", rows, dense(Activation.TANH), dense(Activation.TANH), centers(1e-3)),
                Arguments.of("lambda", network(rows, centers(1e-3)), network(rows, centers(1e-2))),
                pair(
                        "first gamma and beta",
                        rows,
                        new BatchNormalization.Builder().build(),
                        new BatchNormalization.Builder().gamma(2).beta(1).build(),
                        output()),
                pair(
                        "helper",
                        sequences,
                        lstm(Activation.TANH),
                        new LSTM.Builder()
                                .nOut(3)
                                .activation(Activation.TANH)
                                .helperAllowFallback(false)
                                .build(),
                        tokens()));
    }

    @ParameterizedTest
    @MethodSource("othersInTrainingOnly")
    void settings_of_training_do_not_count(String setting, MultiLayerNetwork one, MultiLayerNetwork two) {
        assertMerges(one, two);
    }

    @Test
    void locked_gamma_and_beta_count() {
        InputType rows = InputType.feedForward(Networks.INPUTS);
        assertRefused(
                network(
                        rows,
                        new BatchNormalization.Builder().lockGammaBeta(true).build(),
                        output()),
                network(
                        rows,
                        new BatchNormalization.Builder()
                                .lockGammaBeta(true)
                                .gamma(2)
                                .build(),
                        output()),
                "gamma");
    }

    @Test
    void an_embedding_that_saw_sequences_of_another_length_merges_with_its_start() throws IOException {
        InputType ids = InputType.recurrent(1);
        EmbeddingSequenceLayer embedding =
                new EmbeddingSequenceLayer.Builder().nIn(5).nOut(3).build();
        MultiLayerNetwork start = network(ids, embedding, tokens());
        MultiLayerNetwork tuned = start.clone();
        start.output(Nd4j.zeros(2, 1, 3));
        tuned.output(Nd4j.zeros(2, 1, 7));
        assertMerges(start, tuned);
        Path merged = Merge.files(MergeMethod.wiseFt(0.5), folder.resolve("merged.zip"))
                .base(save(start, "start.zip"))
                .model(save(tuned, "tuned.zip"))
                .merge();
        assertClose(
                start.params(), MultiLayerNetwork.load(merged.toFile(), false).params(), 0);
    }

    @Test
    void other_architectures_are_refused_by_name() throws IOException {
        MultiLayerNetwork one = Networks.dense(DataType.FLOAT, 1, true);
        assertRefused(one, Networks.lstm(DataType.FLOAT, 1), "parameter 0");
        assertRefused(one, Networks.dense(DataType.DOUBLE, 1, true), "data type");
        assertRefused(one, Networks.dense(DataType.FLOAT, 1, false), "parameter 3");
        Path first = save(one, "one.zip");
        Path second = save(Networks.lstm(DataType.FLOAT, 1), "two.zip");
        String message = assertThrows(IllegalArgumentException.class, () -> Merge.files(
                                MergeMethod.linear(), folder.resolve("out.zip"))
                        .models(List.of(first, second))
                        .merge())
                .getMessage();
        assertTrue(message.contains("one.zip") && message.contains("two.zip"), message);
        assertFalse(Files.exists(folder.resolve("out.zip")));
    }
}
