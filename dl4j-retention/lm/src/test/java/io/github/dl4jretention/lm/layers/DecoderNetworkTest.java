package io.github.dl4jretention.lm.layers;

import static io.github.dl4jretention.lm.layers.ReferenceBlocks.assertRelative;
import static io.github.dl4jretention.lm.layers.ReferenceBlocks.flat;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.FreshJvmTest;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.loss.TiedOutputLayer;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.deeplearning4j.parallelism.ParallelWrapper;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

class DecoderNetworkTest {

    static final int VOCABULARY = 11;
    static final int TIME = 6;
    static final int WIDTH = 8;

    static NeuralNetConfiguration.ListBuilder layers(DataType type, DecoderBlock... blocks) {
        NeuralNetConfiguration.ListBuilder layers = new NeuralNetConfiguration.Builder()
                .seed(7)
                .dataType(type)
                .updater(new Adam(1e-2))
                .list()
                .layer(TokenEmbedding.builder()
                        .vocabulary(VOCABULARY)
                        .width(WIDTH)
                        .positions(12)
                        .build());
        Arrays.stream(blocks).forEach(layers::layer);
        return layers.layer(NormLayer.builder().build());
    }

    static MultiLayerNetwork network(NeuralNetConfiguration.ListBuilder layers, Layer output) {
        MultiLayerNetwork network = new MultiLayerNetwork(layers.layer(output)
                .setInputType(InputType.recurrent(VOCABULARY))
                .build());
        network.init();
        return network;
    }

    static Layer output() {
        return new RnnOutputLayer.Builder(LossFunction.MCXENT)
                .nOut(VOCABULARY)
                .activation(Activation.SOFTMAX)
                .build();
    }

    static DecoderBlock.Builder llama() {
        return DecoderBlock.builder()
                .heads(4)
                .keyValueHeads(2)
                .headSize(4)
                .hidden(12)
                .norm(Norm.RMS_NORM, 1e-5)
                .feedForward(FeedForward.SWIGLU)
                .rotary(RotaryPositions.base(100))
                .biases(false);
    }

    /** A network whose output layer has weights of its own, or the embedding's. */
    static MultiLayerNetwork network(DataType type, boolean tied) {
        return network(
                layers(type, DecoderBlock.builder().heads(2).build(), llama().build()),
                tied ? new TiedOutputLayer(VOCABULARY) : output());
    }

    static DataSet batch(DataType type, long seed, int batch, boolean mask) {
        Random random = new Random(seed);
        INDArray ids = Nd4j.create(type, batch, 1, TIME);
        INDArray labels = Nd4j.zeros(type, batch, VOCABULARY, TIME);
        INDArray keep = Nd4j.ones(type, batch, TIME);
        for (int i = 0; i < batch; i++) {
            for (int t = 0; t < TIME; t++) {
                ids.putScalar(new int[] {i, 0, t}, random.nextInt(VOCABULARY));
                labels.putScalar(new int[] {i, random.nextInt(VOCABULARY), t}, 1);
                if (mask && t >= TIME - i - 1) {
                    keep.putScalar(i, t, 0);
                }
            }
        }
        return mask ? new DataSet(ids, labels, keep, keep.dup()) : new DataSet(ids, labels);
    }

    static TeacherIterator taught(DataSet data, Teacher teacher) {
        return new TeacherIterator(new ExistingDataSetIterator(List.of(data)), teacher);
    }

    static INDArray times(INDArray sequences, int from, int to) {
        return sequences.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.interval(from, to));
    }

    static Stream<Arguments> tiedAndMasked() {
        return Stream.of(true, false).flatMap(tied -> Stream.of(true, false).map(mask -> Arguments.of(tied, mask)));
    }

    @ParameterizedTest
    @MethodSource("tiedAndMasked")
    void gradientsOfANetworkAreCentralDifferences(boolean tied, boolean mask) {
        MultiLayerNetwork network = network(DataType.DOUBLE, tied);
        DataSet data = batch(DataType.DOUBLE, 1, 3, mask);
        network.setInput(data.getFeatures());
        network.setLabels(data.getLabels());
        network.setLayerMaskArrays(data.getFeaturesMaskArray(), data.getLabelsMaskArray());
        network.computeGradientAndScore();
        INDArray gradient = network.getGradientsViewArray().dup();
        network.clearLayerMaskArrays();
        INDArray params = network.params();
        double step = 1e-5;
        for (int i = 0; i < params.length(); i += 7) {
            double value = params.getDouble(i);
            params.putScalar(i, value + step);
            double above = network.score(data, true);
            params.putScalar(i, value - step);
            double below = network.score(data, true);
            params.putScalar(i, value);
            double expected = (above - below) / (2 * step) * data.getFeatures().size(0);
            assertEquals(expected, gradient.getDouble(i), 1e-7, "parameter " + i);
        }
    }

    @Test
    void theTiedWeightIsOneParameter() {
        MultiLayerNetwork tied = network(DataType.FLOAT, true);
        MultiLayerNetwork own = network(DataType.FLOAT, false);
        assertEquals(own.numParams() - VOCABULARY * (WIDTH + 1), tied.numParams());
        tied.fit(batch(DataType.FLOAT, 1, 2, false));
        assertEquals(2 * tied.numParams(), tied.getUpdater().getStateViewArray().length());
        assertTrue(tied.getOutputLayer().paramTable().isEmpty());
    }

    @Test
    void theTiedOutputMultipliesWithTheEmbedding() {
        MultiLayerNetwork tied = network(DataType.DOUBLE, true);
        MultiLayerNetwork own = network(DataType.DOUBLE, false);
        own.params()
                .get(NDArrayIndex.all(), NDArrayIndex.interval(0, tied.numParams()))
                .assign(tied.params());
        own.getLayer(4).getParam("W").assign(tied.getLayer(0).getParam("W").transpose());
        own.getLayer(4).getParam("b").assign(0);
        DataSet data = batch(DataType.DOUBLE, 2, 3, true);
        assertRelative(
                "probabilities",
                flat(own.output(data.getFeatures(), false, data.getFeaturesMaskArray(), null)),
                flat(tied.output(data.getFeatures(), false, data.getFeaturesMaskArray(), null)),
                1e-12);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void generatingByStepsGivesTheWholeWindow(boolean tied) {
        MultiLayerNetwork network = network(DataType.DOUBLE, tied);
        INDArray ids = batch(DataType.DOUBLE, 3, 2, false).getFeatures();
        INDArray whole = network.output(ids).dup();
        for (int round = 0; round < 2; round++) {
            network.rnnClearPreviousState();
            int from = 0;
            for (int length : new int[] {3, 1, 1, 1}) {
                INDArray part = times(ids, from, from + length).dup();
                double[] expected = flat(times(whole, from, from + length));
                assertRelative("step " + from, expected, flat(network.rnnTimeStep(part)), 1e-12);
                from += length;
            }
        }
    }

    @Test
    void aStoredStateGoesOnInAnotherNetwork() {
        MultiLayerNetwork network = network(DataType.DOUBLE, true);
        INDArray ids = batch(DataType.DOUBLE, 3, 2, false).getFeatures();
        INDArray rest = times(ids, 4, TIME).dup();
        network.rnnTimeStep(times(ids, 0, 4).dup());
        MultiLayerNetwork copy = network.clone();
        for (int i = 0; i < 3; i++) {
            copy.rnnSetPreviousState(i, network.rnnGetPreviousState(i));
        }
        double[] expected = flat(times(network.output(ids), 4, TIME));
        assertRelative("the copy", expected, flat(copy.rnnTimeStep(rest)), 1e-12);
        assertRelative("the network", expected, flat(network.rnnTimeStep(rest)), 1e-12);
        IllegalArgumentException refused = assertThrows(
                IllegalArgumentException.class, () -> network.rnnTimeStep(Nd4j.zeros(DataType.DOUBLE, 3, 1, 1)));
        assertTrue(refused.getMessage().contains("expected batch 2"), refused.getMessage());
    }

    /** Parts of a sequence see the keys of those before, so that their scores add up to the whole window's. */
    @Test
    void truncatedBackpropagationSeesWhatWasBefore() {
        DataSet data = batch(DataType.DOUBLE, 4, 2, true);
        MultiLayerNetwork whole = Retention.withUpdater(network(DataType.DOUBLE, true), new Sgd(0));
        MultiLayerConfiguration conf = MultiLayerConfiguration.fromJson(
                whole.getLayerWiseConfigurations().toJson());
        conf.setBackpropType(BackpropType.TruncatedBPTT);
        conf.setTbpttFwdLength(4);
        conf.setTbpttBackLength(4);
        MultiLayerNetwork parts = new MultiLayerNetwork(conf);
        parts.init(whole.params().dup(), false);
        double[] scores = new double[2];
        int[] index = {0};
        parts.setListeners(new BaseTrainingListener() {
            @Override
            public void iterationDone(Model model, int iteration, int epoch) {
                scores[index[0]++] = model.score();
            }
        });
        parts.fit(data);
        assertEquals(2, index[0]);
        assertEquals(whole.score(data, true), scores[0] + scores[1], 1e-12);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void savedAndLoadedItIsTheSame(boolean tied, @TempDir Path folder) throws Exception {
        MultiLayerNetwork network = network(DataType.FLOAT, tied);
        DataSet data = batch(DataType.FLOAT, 5, 3, false);
        network.fit(data);
        File file = folder.resolve("network.zip").toFile();
        network.save(file, true);
        MultiLayerNetwork loaded = MultiLayerNetwork.load(file, true);
        assertEquals(network.getLayerWiseConfigurations(), loaded.getLayerWiseConfigurations());
        assertArrayEquals(flat(network.output(data.getFeatures())), flat(loaded.output(data.getFeatures())));
        network.fit(data);
        loaded.fit(data);
        assertArrayEquals(flat(network.params()), flat(loaded.params()));
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void recomputingGivesTheSameBits(boolean drop) {
        MultiLayerNetwork[] networks = new MultiLayerNetwork[2];
        for (int i = 0; i < 2; i++) {
            DecoderBlock.Builder block = llama().recompute(i == 1);
            if (drop) {
                block.attentionDropout(0.3).residualDropout(0.2);
            }
            networks[i] =
                    network(layers(DataType.FLOAT, block.build(), block.build()), new TiedOutputLayer(VOCABULARY));
            Nd4j.getRandom().setSeed(5);
            for (int step = 0; step < 3; step++) {
                networks[i].fit(batch(DataType.FLOAT, step, 3, true));
            }
        }
        assertArrayEquals(flat(networks[0].params()), flat(networks[1].params()));
    }

    /** A block of width 8 outside of a network. */
    private static DecoderBlockRuntime layer(DecoderBlock.Builder builder) {
        DecoderBlock block = builder.build();
        block.setNIn(InputType.recurrent(WIDTH), true);
        block.applyGlobalConfigToLayer(new NeuralNetConfiguration.Builder());
        return (DecoderBlockRuntime) ReferenceBlocks.runtime(block, DataType.DOUBLE);
    }

    /** With dropout the gradient is that of the network with the same numbers dropped. */
    @Test
    void gradientsUnderDropoutAreCentralDifferences() {
        DecoderBlockRuntime layer = layer(llama().attentionDropout(0.4).residualDropout(0.3));
        LayerWorkspaceMgr workspaces = LayerWorkspaceMgr.noWorkspaces();
        Nd4j.getRandom().setSeed(1);
        INDArray input = Nd4j.randn(DataType.DOUBLE, 2, WIDTH, 5);
        INDArray weights = Nd4j.randn(DataType.DOUBLE, 2, WIDTH, 5);
        Nd4j.getRandom().setSeed(9);
        INDArray output = layer.activate(input, true, workspaces).dup();
        layer.backpropGradient(weights, workspaces);
        INDArray gradients = layer.getGradientsViewArray().dup();
        assertTrue(output.distance2(layer.activate(input, false, workspaces)) > 0.1);
        double[] expected = new double[(int) gradients.length()];
        double step = 1e-5;
        for (int i = 0; i < expected.length; i++) {
            double value = layer.params().getDouble(i);
            double[] sums = new double[2];
            for (int side = 0; side < 2; side++) {
                layer.params().putScalar(i, value + (side == 0 ? step : -step));
                Nd4j.getRandom().setSeed(9);
                sums[side] = layer.activate(input, true, workspaces)
                        .mul(weights)
                        .sumNumber()
                        .doubleValue();
            }
            layer.params().putScalar(i, value);
            expected[i] = (sums[0] - sums[1]) / (2 * step);
        }
        assertRelative("parameters", expected, flat(gradients), 1e-7);
    }

    /** As many numbers are dropped as the rate says, and the sum stays the same on average. */
    @Test
    void dropoutDropsAtItsRate() {
        double[] numbers = new double[100_000];
        Arrays.fill(numbers, 1);
        new DoubleDropout(0.3).apply(numbers, 0, numbers.length, 42, 7);
        assertEquals(0.3, Arrays.stream(numbers).filter(x -> x == 0).count() / 1e5, 0.01);
        assertEquals(1, Arrays.stream(numbers).average().orElseThrow(), 0.01);
    }

    /** Scores, attention and feed-forward drop by seeds that are neighbours. */
    @Test
    void neighbouringSeedsDropIndependently() {
        double rate = 0.3;
        int size = 50_000;
        double[][] dropped = new double[2][size];
        for (int i = 0; i < 2; i++) {
            Arrays.fill(dropped[i], 1);
            new DoubleDropout(rate).apply(dropped[i], 0, size, 42 + i, 0);
        }
        for (int shift = -8; shift <= 8; shift++) {
            int same = 0;
            for (int i = 8; i < size - 8; i++) {
                same += (dropped[0][i] == 0) == (dropped[1][i + shift] == 0) ? 1 : 0;
            }
            double expected = rate * rate + (1 - rate) * (1 - rate);
            assertEquals(expected, same / (size - 16.0), 0.015, "shift " + shift);
        }
    }

    /** Longer than a tile of queries. */
    @ParameterizedTest
    @ValueSource(ints = {300, Integer.MAX_VALUE})
    void longSequencesAreComputedInTiles(int window) {
        int time = 700;
        DecoderBlockRuntime layer = layer(llama().window(window));
        LayerWorkspaceMgr workspaces = LayerWorkspaceMgr.noWorkspaces();
        Nd4j.getRandom().setSeed(1);
        INDArray input = Nd4j.randn(DataType.DOUBLE, 1, WIDTH, time);
        INDArray whole = layer.activate(input, true, workspaces).dup();
        INDArray back = layer.backpropGradient(Nd4j.ones(DataType.DOUBLE, 1, WIDTH, time), workspaces)
                .getSecond()
                .dup();
        double step = 1e-5;
        for (int t : new int[] {0, 127, 128, 299, 300, 655, 699}) {
            double value = input.getDouble(0, 3, t);
            input.putScalar(new int[] {0, 3, t}, value + step);
            double above = layer.activate(input, false, workspaces).sumNumber().doubleValue();
            input.putScalar(new int[] {0, 3, t}, value - step);
            double below = layer.activate(input, false, workspaces).sumNumber().doubleValue();
            input.putScalar(new int[] {0, 3, t}, value);
            assertEquals((above - below) / (2 * step), back.getDouble(0, 3, t), 1e-6, "at " + t);
        }
        INDArray first = layer.rnnTimeStep(times(input, 0, 500), workspaces);
        INDArray rest = layer.rnnTimeStep(times(input, 500, time), workspaces);
        assertRelative("steps", flat(whole), flat(Nd4j.concat(2, first, rest)), 1e-11);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void retentionAttachesAndDetaches(boolean tied) {
        MultiLayerNetwork pretrained = network(DataType.FLOAT, tied);
        pretrained.fit(batch(DataType.FLOAT, 1, 4, false));
        RetentionConfiguration conf =
                RetentionConfiguration.builder().coefficient(2).temperature(1.5).build();
        for (boolean mask : new boolean[] {false, true}) {
            DataSet data = batch(DataType.FLOAT, 2, 4, mask);
            MultiLayerNetwork student = Retention.attach(pretrained, conf);
            Teacher teacher = Teacher.of(pretrained);
            student.fit(taught(data, teacher), 1);
            RetentionOutputLayerRuntime head = (RetentionOutputLayerRuntime) student.getOutputLayer();
            assertEquals(0, head.lastTokenLoss().divergence(), 1e-6);
            student.fit(taught(data, teacher), 3);
            assertTrue(head.lastTokenLoss().divergence() > 1e-4);
            MultiLayerNetwork plain = Retention.detach(student);
            assertEquals(
                    pretrained
                            .getLayerWiseConfigurations()
                            .getConf(4)
                            .getLayer()
                            .getClass(),
                    plain.getLayerWiseConfigurations().getConf(4).getLayer().getClass());
            assertRelative(
                    "probabilities",
                    flat(student.output(data.getFeatures())),
                    flat(plain.output(data.getFeatures())),
                    1e-6);
        }
    }

    /** Its layers share one place for their parameters; the tied weights must be there when the head needs them. */
    @Test
    void aTeacherInHalfPrecisionIsTiedToo() {
        MultiLayerNetwork pretrained = network(DataType.FLOAT, true);
        pretrained.params().assign(pretrained.params().castTo(DataType.FLOAT16).castTo(DataType.FLOAT));
        INDArray ids = batch(DataType.FLOAT, 2, 4, false).getFeatures();
        double[] expected = flat(Teacher.of(pretrained).logProbabilities(ids, null));
        double[] half = flat(Teacher.ofHalf(pretrained).logProbabilities(ids, null));
        assertRelative("log-probabilities", expected, half, 1e-6);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void twentyStepsAtCoefficientZeroAreThePlainNetworks(boolean tied) {
        MultiLayerNetwork plain = network(DataType.FLOAT, tied);
        MultiLayerNetwork student = Retention.attach(
                plain, RetentionConfiguration.builder().coefficient(0).build());
        Teacher teacher = Teacher.of(plain);
        for (int step = 0; step < 20; step++) {
            student.fit(taught(batch(DataType.FLOAT, step, 4, true), teacher), 1);
            plain.fit(batch(DataType.FLOAT, step, 4, true));
        }
        assertRelative("parameters", flat(plain.params()), flat(student.params()), 1e-5);
    }

    @Test
    void aFrozenEmbeddingStaysForBoth() {
        MultiLayerNetwork frozen = new TransferLearning.Builder(network(DataType.FLOAT, true))
                .fineTuneConfiguration(new FineTuneConfiguration.Builder()
                        .updater(new Sgd(0.1))
                        .build())
                .setFeatureExtractor(0)
                .build();
        INDArray before = frozen.params().dup();
        frozen.fit(batch(DataType.FLOAT, 1, 4, false));
        long embedding = frozen.getLayer(0).numParams();
        INDArray moved = frozen.params().sub(before);
        INDArray ofEmbedding = moved.get(NDArrayIndex.all(), NDArrayIndex.interval(0, embedding));
        Networks.assertClose(Nd4j.zerosLike(ofEmbedding), ofEmbedding, 0);
        assertTrue(moved.amaxNumber().doubleValue() > 1e-4);
    }

    @Test
    void anOutputLayerWithoutAnEmbeddingIsRefused() {
        network(DataType.FLOAT, true);
        MultiLayerConfiguration conf = new NeuralNetConfiguration.Builder()
                .list()
                .layer(llama().width(WIDTH).build())
                .layer(new TiedOutputLayer(VOCABULARY))
                .setInputType(InputType.recurrent(WIDTH))
                .build();
        IllegalStateException refused =
                assertThrows(IllegalStateException.class, () -> new MultiLayerNetwork(conf).init());
        assertTrue(refused.getMessage().contains("expected a TokenEmbedding before it"), refused.getMessage());
    }

    @Test
    void workspacesChangeNothing() {
        DataSet data = batch(DataType.FLOAT, 1, 3, true);
        MultiLayerNetwork with = network(DataType.FLOAT, true);
        MultiLayerNetwork without = network(DataType.FLOAT, true);
        without.getLayerWiseConfigurations().setTrainingWorkspaceMode(WorkspaceMode.NONE);
        without.getLayerWiseConfigurations().setInferenceWorkspaceMode(WorkspaceMode.NONE);
        for (int i = 0; i < 4; i++) {
            with.fit(data);
            without.fit(data);
        }
        assertArrayEquals(flat(without.params()), flat(with.params()));
        assertArrayEquals(flat(without.output(data.getFeatures())), flat(with.output(data.getFeatures())));
    }

    /** Ids in place of one-hot labels, as large vocabularies need them. */
    @Test
    void labelsMayBeIds() {
        MultiLayerNetwork network = network(DataType.FLOAT, true);
        DataSet data = batch(DataType.FLOAT, 6, 3, true);
        INDArray ids = data.getLabels().argMax(1).castTo(DataType.FLOAT).reshape(3, 1, TIME);
        DataSet byId = new DataSet(data.getFeatures(), ids, data.getFeaturesMaskArray(), data.getLabelsMaskArray());
        assertEquals(network.score(data, true), network.score(byId, true), 1e-6);
    }

    @Test
    void aSavedNetworkScoresTheSameInAFreshJvm(@TempDir Path folder) throws Exception {
        MultiLayerNetwork network = network(DataType.FLOAT, true);
        DataSet data = batch(DataType.FLOAT, 6, 3, true);
        network.fit(data);
        File model = folder.resolve("network.zip").toFile();
        File file = folder.resolve("batch.bin").toFile();
        network.save(model, true);
        data.save(file);
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-cp",
                        System.getProperty("java.class.path"),
                        FreshJvmTest.Score.class.getName(),
                        "MultiLayerNetwork",
                        model.getPath(),
                        file.getPath())
                .redirectErrorStream(true)
                .start();
        String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), printed);
        String score = printed.lines()
                .filter(line -> line.startsWith("score "))
                .findFirst()
                .orElseThrow(() -> new AssertionError(printed));
        assertEquals(network.score(data, false), Double.parseDouble(score.substring(6)), 1e-6);
    }

    @Test
    void workersTrainItInParallel() throws Exception {
        MultiLayerNetwork network = network(DataType.FLOAT, true);
        DataSet data = batch(DataType.FLOAT, 6, 4, true);
        double before = network.score(data, true);
        try (ParallelWrapper wrapper = new ParallelWrapper.Builder<>(network)
                .workers(2)
                .prefetchBuffer(0)
                .averagingFrequency(1)
                .build()) {
            for (int epoch = 0; epoch < 10; epoch++) {
                wrapper.fit(new ExistingDataSetIterator(List.of(data, data)));
            }
        }
        assertTrue(network.score(data, true) < before - 0.1, before + " to " + network.score(data, true));
    }
}
