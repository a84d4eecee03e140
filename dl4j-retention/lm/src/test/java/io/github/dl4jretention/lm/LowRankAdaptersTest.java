package io.github.dl4jretention.lm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.baseline.SelfReplay;
import io.github.dl4jretention.cache.CacheCodec;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.checkpoint.FinetuningRun;
import io.github.dl4jretention.lm.layers.DecoderBlock;
import io.github.dl4jretention.lm.layers.FeedForward;
import io.github.dl4jretention.lm.layers.NativeLayers;
import io.github.dl4jretention.lm.layers.Norm;
import io.github.dl4jretention.lm.layers.NormLayer;
import io.github.dl4jretention.lm.layers.RotaryPositions;
import io.github.dl4jretention.lm.layers.TokenEmbedding;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.TiedOutputLayer;
import io.github.dl4jretention.merge.Merge;
import io.github.dl4jretention.merge.MergeMethod;
import io.github.dl4jretention.teacher.NetworkIdentity;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherException;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.weights.WeightInit;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Adapters beside every kind of weight, against central differences and merged networks. */
class LowRankAdaptersTest {

    private static final int VOCABULARY = 11;
    private static final int TIME = 5;

    @TempDir
    Path temporary;

    private static NeuralNetConfiguration.ListBuilder builder(DataType type) {
        return new NeuralNetConfiguration.Builder()
                .seed(3)
                .dataType(type)
                .weightInit(WeightInit.XAVIER)
                .updater(new Adam(0.01))
                .list();
    }

    private static DecoderBlock block(boolean swiglu) {
        return DecoderBlock.builder()
                .heads(2)
                .keyValueHeads(1)
                .headSize(4)
                .hidden(7)
                .norm(Norm.RMS_NORM, 1e-5)
                .feedForward(swiglu ? FeedForward.SWIGLU : FeedForward.GELU_TANH)
                .rotary(RotaryPositions.base(100))
                .biases(!swiglu)
                .build();
    }

    private static MultiLayerNetwork transformer(DataType type, boolean tied) {
        NeuralNetConfiguration.ListBuilder list = builder(type)
                .layer(TokenEmbedding.builder().vocabulary(VOCABULARY).width(6).build())
                .layer(block(true))
                .layer(block(false))
                .layer(NormLayer.builder().norm(Norm.RMS_NORM, 1e-5).build());
        list.layer(
                tied
                        ? new TiedOutputLayer(VOCABULARY)
                        : new RnnOutputLayer.Builder(LossFunction.MCXENT)
                                .activation(Activation.SOFTMAX)
                                .nOut(VOCABULARY)
                                .build());
        MultiLayerNetwork network =
                new MultiLayerNetwork(list.setInputType(InputType.recurrent(1)).build());
        network.init();
        return network;
    }

    private static MultiLayerNetwork lstm(DataType type) {
        MultiLayerNetwork network = new MultiLayerNetwork(builder(type)
                .layer(new LSTM.Builder().nOut(4).activation(Activation.TANH).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .activation(Activation.SOFTMAX)
                        .nOut(VOCABULARY)
                        .build())
                .setInputType(InputType.recurrent(VOCABULARY))
                .build());
        network.init();
        return NativeLayers.of(network);
    }

    private static MultiLayerNetwork dense(DataType type) {
        MultiLayerNetwork network = new MultiLayerNetwork(builder(type)
                .layer(new DenseLayer.Builder()
                        .nOut(5)
                        .activation(Activation.TANH)
                        .build())
                .layer(new DenseLayer.Builder()
                        .nOut(4)
                        .activation(Activation.SIGMOID)
                        .build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT)
                        .activation(Activation.SOFTMAX)
                        .nOut(VOCABULARY)
                        .build())
                .setInputType(InputType.feedForward(6))
                .build());
        network.init();
        return network;
    }

    private static ComputationGraph graph(DataType type) {
        ComputationGraph graph = new ComputationGraph(new NeuralNetConfiguration.Builder()
                .seed(3)
                .dataType(type)
                .weightInit(WeightInit.XAVIER)
                .updater(new Adam(0.01))
                .graphBuilder()
                .addInputs("ids")
                .setInputTypes(InputType.recurrent(1))
                .addLayer(
                        "embedding",
                        TokenEmbedding.builder().vocabulary(VOCABULARY).width(6).build(),
                        "ids")
                .addLayer("block.one", block(true), "embedding")
                .addLayer(
                        "out",
                        new RnnOutputLayer.Builder(LossFunction.MCXENT)
                                .activation(Activation.SOFTMAX)
                                .nOut(VOCABULARY)
                                .build(),
                        "block.one")
                .setOutputs("out")
                .build());
        graph.init();
        return graph;
    }

    private static LowRankAdapters.Settings everything() {
        return LowRankAdapters.rank(2).alpha(3).layers("all", "output").seed(5);
    }

    private static MultiLayerNetwork network(String kind, DataType type) {
        return switch (kind) {
            case "transformer" -> transformer(type, false);
            case "tied" -> transformer(type, true);
            case "lstm" -> lstm(type);
            default -> dense(type);
        };
    }

    private static DataSet data(String kind, DataType type, int seed) {
        Random random = new Random(seed);
        if (kind.equals("dense")) {
            INDArray labels = Nd4j.zeros(type, 3, VOCABULARY);
            for (int i = 0; i < 3; i++) {
                labels.putScalar(i, random.nextInt(VOCABULARY), 1);
            }
            Nd4j.getRandom().setSeed(seed);
            return new DataSet(Nd4j.randn(DataType.DOUBLE, 3, 6).castTo(type), labels);
        }
        INDArray ids = Nd4j.zeros(type, 2, 1, TIME);
        INDArray oneHot = Nd4j.zeros(type, 2, VOCABULARY, TIME);
        INDArray labels = Nd4j.zeros(type, 2, VOCABULARY, TIME);
        for (int i = 0; i < 2; i++) {
            for (int t = 0; t < TIME; t++) {
                int id = random.nextInt(VOCABULARY);
                ids.putScalar(i, 0, t, id);
                oneHot.putScalar(i, id, t, 1);
                labels.putScalar(i, random.nextInt(VOCABULARY), t, 1);
            }
        }
        INDArray mask = Nd4j.createFromArray(new double[][] {{1, 1, 1, 1, 1}, {1, 1, 1, 0, 0}})
                .castTo(type);
        return new DataSet(kind.equals("lstm") ? oneHot : ids, labels, null, mask);
    }

    /** Adapters that add something: U isn't 0. */
    private static void fill(INDArray parameters) {
        Nd4j.getRandom().setSeed(9);
        parameters.addi(
                Nd4j.randn(DataType.DOUBLE, parameters.shape()).muli(0.3).castTo(parameters.dataType()));
    }

    static Stream<Arguments> kinds() {
        return Stream.of("transformer", "tied", "lstm", "dense").map(Arguments::of);
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void gradients_are_central_differences_of_adapters_alone(String kind) {
        gradients(kind, everything(), false);
        gradients(kind, LowRankAdapters.rank(1).dropout(0.4), false);
        gradients(kind, everything().rankStabilized(true), true);
    }

    private static void gradients(String kind, LowRankAdapters.Settings settings, boolean student) {
        MultiLayerNetwork base = network(kind, DataType.DOUBLE);
        MultiLayerNetwork adapted = LowRankAdapters.attach(base, settings);
        fill(adapted.params());
        DataSet data = data(kind, DataType.DOUBLE, 1);
        if (student) {
            try (Teacher teacher = LowRankAdapters.teacher(adapted)) {
                adapted = Retention.attach(
                        adapted, RetentionConfiguration.builder().coefficient(2).build(), teacher);
                data = new TeacherIterator(new ExistingDataSetIterator(List.of(data)), teacher).next();
            }
        }
        score(adapted, data);
        INDArray found = adapted.getGradientsViewArray().dup();
        assertEquals(adapted.numParams(), found.length());
        INDArray parameters = adapted.params();
        for (int i = 0; i < parameters.length(); i += kind.equals("dense") ? 1 : 5) {
            double value = parameters.getDouble(i);
            parameters.putScalar(i, value + 1e-5);
            double above = score(adapted, data);
            parameters.putScalar(i, value - 1e-5);
            double below = score(adapted, data);
            parameters.putScalar(i, value);
            double expected = (above - below) / 2e-5 * data.numExamples();
            assertEquals(expected, found.getDouble(i), 2e-6, kind + " " + settings + " parameter " + i);
        }
    }

    /** With the same choices of dropout each time. */
    private static double score(MultiLayerNetwork network, DataSet data) {
        Nd4j.getRandom().setSeed(77);
        network.setInput(data.getFeatures());
        network.setLabels(data.getLabels());
        network.setLayerMaskArrays(null, data.getLabelsMaskArray());
        network.computeGradientAndScore();
        network.clearLayerMaskArrays();
        return network.score();
    }

    static Stream<Arguments> kindsAndTypes() {
        return Stream.of("transformer", "lstm", "dense")
                .flatMap(kind -> Stream.of(Arguments.of(kind, DataType.FLOAT), Arguments.of(kind, DataType.DOUBLE)));
    }

    @ParameterizedTest
    @MethodSource("kindsAndTypes")
    void it_starts_as_the_base_and_ends_as_the_merged_network(String kind, DataType type) {
        double tolerance = type == DataType.DOUBLE ? 1e-12 : 1e-5;
        MultiLayerNetwork base = network(kind, type);
        INDArray before = base.params().dup();
        MultiLayerNetwork adapted = LowRankAdapters.attach(base, everything());
        DataSet data = data(kind, type, 2);
        assertClose(base.output(data.getFeatures()), adapted.output(data.getFeatures()), tolerance);
        for (int step = 0; step < 4; step++) {
            adapted.fit(data);
        }
        INDArray output = adapted.output(data.getFeatures());
        assertTrue(output.distance2(base.output(data.getFeatures())) > 1e-3);
        MultiLayerNetwork merged = LowRankAdapters.merge(adapted);
        assertClose(output, merged.output(data.getFeatures()), tolerance);
        assertEquals(base.numParams(), merged.numParams());
        assertEquals(before, base.params());
        assertEquals(NetworkIdentity.sha256(base), NetworkIdentity.sha256(LowRankAdapters.base(adapted)));
        // Adam's two moments are the adapters', too.
        assertEquals(
                2 * adapted.numParams(),
                adapted.getUpdater().getStateViewArray().length());
    }

    private static void assertClose(INDArray expected, INDArray actual, double tolerance) {
        assertArrayEquals(expected.shape(), actual.shape());
        double[] a = expected.castTo(DataType.DOUBLE).dup('c').data().asDouble();
        double[] b = actual.castTo(DataType.DOUBLE).dup('c').data().asDouble();
        for (int i = 0; i < a.length; i++) {
            assertEquals(a[i], b[i], tolerance, "at " + i);
        }
    }

    @Test
    void samediff_computes_the_same() {
        MultiLayerNetwork base = transformer(DataType.FLOAT, false);
        DataSet data = data("transformer", DataType.FLOAT, 2);
        LowRankAdapters.Settings settings = LowRankAdapters.rank(2).dropout(0.3);
        MultiLayerNetwork adapted = LowRankAdapters.attach(base, settings);
        fill(adapted.params());
        score(adapted, data);
        System.setProperty("dl4jretention.samediff", "true");
        try {
            MultiLayerNetwork general = LowRankAdapters.attach(base, settings);
            general.params().assign(adapted.params());
            score(general, data);
            assertClose(adapted.getGradientsViewArray(), general.getGradientsViewArray(), 1e-4);
            assertClose(adapted.output(data.getFeatures()), general.output(data.getFeatures()), 1e-5);
        } finally {
            System.clearProperty("dl4jretention.samediff");
        }
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void copies_share_the_base_and_files_have_adapters_alone(String kind) throws IOException {
        MultiLayerNetwork base = network(kind, DataType.FLOAT);
        MultiLayerNetwork adapted = LowRankAdapters.attach(base, everything());
        DataSet data = data(kind, DataType.FLOAT, 2);
        adapted.fit(data);
        INDArray expected = adapted.output(data.getFeatures());
        assertEquals(expected, adapted.clone().output(data.getFeatures()));
        MultiLayerNetwork student =
                Retention.attach(adapted, RetentionConfiguration.builder().build());
        assertEquals(adapted.numParams(), student.numParams());
        assertClose(expected, student.output(data.getFeatures()), 1e-6);
        assertClose(expected, Retention.detach(student).output(data.getFeatures()), 1e-6);
        File file = temporary.resolve("student.zip").toFile();
        ModelSerializer.writeModel(student, file, true);
        MultiLayerNetwork restored = LowRankAdapters.restore(file, base);
        assertClose(expected, restored.output(data.getFeatures()), 1e-6);
        assertEquals(
                student.getUpdater().getStateViewArray(), restored.getUpdater().getStateViewArray());
        MultiLayerNetwork other = network(kind, DataType.FLOAT);
        other.params().addi(1);
        assertThrows(IllegalStateException.class, () -> LowRankAdapters.restore(file, other));
        Path folder = temporary.resolve("adapters");
        LowRankAdapters.save(student, folder);
        assertClose(expected, LowRankAdapters.load(base, folder).output(data.getFeatures()), 1e-6);
        assertThrows(IOException.class, () -> LowRankAdapters.load(other, folder));
    }

    @Test
    void the_teacher_is_the_base_in_its_own_memory_and_notices_when_it_changes() {
        MultiLayerNetwork base = transformer(DataType.FLOAT, true);
        MultiLayerNetwork adapted = LowRankAdapters.attach(base, everything());
        DataSet data = data("transformer", DataType.FLOAT, 2);
        adapted.fit(data);
        try (Teacher teacher = LowRankAdapters.teacher(adapted);
                Teacher copy = Teacher.of(base)) {
            assertEquals(copy.sha256(), teacher.sha256());
            assertEquals(
                    copy.logProbabilities(data.getFeatures(), null),
                    teacher.logProbabilities(data.getFeatures(), null));
            MultiLayerNetwork student =
                    Retention.attach(adapted, RetentionConfiguration.builder().build(), teacher);
            student.fit(new TeacherIterator(new ExistingDataSetIterator(List.of(data)), teacher));
            base.getLayer(2).getParam("up").putScalar(0, 7);
            // Another iterator: the one before may have asked ahead.
            TeacherIterator taught = new TeacherIterator(new ExistingDataSetIterator(List.of(data)), teacher);
            TeacherException thrown = assertThrows(TeacherException.class, () -> student.fit(taught));
            assertTrue(String.valueOf(thrown).contains("\"2\"")
                    || String.valueOf(thrown.getCause()).contains("\"2\""));
        }
    }

    @Test
    void a_run_that_stops_goes_on_with_the_same_bits() throws IOException {
        MultiLayerNetwork base = transformer(DataType.FLOAT, true);
        INDArray whole = run(base, temporary.resolve("whole"), 6, -1);
        INDArray before = base.params().dup();
        assertThrows(IllegalStateException.class, () -> run(base, temporary.resolve("stopped"), 6, 4));
        assertEquals(whole, run(base, temporary.resolve("stopped"), 6, -1));
        assertEquals(before, base.params());
    }

    private static INDArray run(MultiLayerNetwork base, Path folder, int steps, int stop) throws IOException {
        MultiLayerNetwork adapted = Retention.withUpdater(
                LowRankAdapters.attach(base, LowRankAdapters.rank(2).dropout(0.2)), new Adam(0.01));
        List<DataSet> data = new ArrayList<>();
        for (int i = 0; i < steps; i++) {
            data.add(data("transformer", DataType.FLOAT, i));
        }
        try (Teacher teacher = LowRankAdapters.teacher(adapted)) {
            MultiLayerNetwork student =
                    Retention.attach(adapted, RetentionConfiguration.builder().build(), teacher);
            return FinetuningRun.builder()
                    .student(student)
                    .teacher(teacher)
                    .iterator(new ExistingDataSetIterator(data))
                    .iterationsPerEpoch(steps)
                    .every(2)
                    .seed(1)
                    .data("test")
                    .folder(folder)
                    .report(1, report -> {
                        if (report.iteration() == stop) {
                            throw new IllegalStateException("stop");
                        }
                    })
                    .build()
                    .run()
                    .params()
                    .dup();
        }
    }

    @Test
    void a_run_with_another_base_is_refused_and_its_checkpoints_stay() throws IOException {
        MultiLayerNetwork base = transformer(DataType.FLOAT, true);
        Path folder = temporary.resolve("run");
        assertThrows(IllegalStateException.class, () -> run(base, folder, 6, 4));
        MultiLayerNetwork other = transformer(DataType.FLOAT, true);
        other.params().putScalar(3, 0.5);
        String message = assertThrows(IllegalStateException.class, () -> run(other, folder, 6, -1))
                .getMessage();
        assertTrue(message.contains(NetworkIdentity.sha256(base)), message);
        assertTrue(message.contains(NetworkIdentity.sha256(other)), message);
        run(base, folder, 6, -1);
    }

    @Test
    void blocks_recompute_beside_adapters_too() {
        MultiLayerNetwork base = transformer(DataType.FLOAT, true);
        MultiLayerNetwork adapted = LowRankAdapters.attach(base, everything());
        fill(adapted.params());
        DataSet data = data("transformer", DataType.FLOAT, 2);
        score(adapted, data);
        INDArray kept = adapted.getGradientsViewArray().dup();
        NativeLayers.recompute(adapted, true);
        assertTrue(adapted.getLayerWiseConfigurations().toJson().contains("\"recompute\" : true"));
        score(adapted, data);
        assertEquals(kept, adapted.getGradientsViewArray());
    }

    @Test
    void graphs_have_them_too() throws IOException {
        ComputationGraph base = graph(DataType.DOUBLE);
        ComputationGraph adapted = LowRankAdapters.attach(base, everything());
        assertTrue(LowRankAdapters.isAdapted(adapted));
        assertFalse(LowRankAdapters.isAdapted(base));
        DataSet data = data("transformer", DataType.DOUBLE, 2);
        data.setLabelsMaskArray(null);
        INDArray start = base.outputSingle(data.getFeatures());
        assertClose(start, adapted.outputSingle(data.getFeatures()), 1e-12);
        try (Teacher teacher = LowRankAdapters.teacher(adapted)) {
            ComputationGraph student =
                    Retention.attach(adapted, RetentionConfiguration.builder().build(), teacher);
            Retention.finetune(student, teacher, new ExistingDataSetIterator(List.of(data, data)), 2);
            INDArray output = student.outputSingle(data.getFeatures());
            assertTrue(output.distance2(start) > 1e-3);
            assertClose(output, LowRankAdapters.merge(student).outputSingle(data.getFeatures()), 1e-12);
            Path folder = temporary.resolve("adapters");
            LowRankAdapters.save(student, folder);
            assertClose(output, LowRankAdapters.load(base, folder).outputSingle(data.getFeatures()), 1e-12);
            File file = temporary.resolve("graph.zip").toFile();
            ModelSerializer.writeModel(student, file, true);
            assertClose(output, LowRankAdapters.restore(file, base).outputSingle(data.getFeatures()), 1e-12);
        }
        assertClose(start, base.outputSingle(data.getFeatures()), 0);
    }

    @ParameterizedTest
    @MethodSource("kindsAndTypes")
    void steps_and_truncated_backpropagation_are_those_of_the_merged_network(String kind, DataType type) {
        if (kind.equals("dense")) {
            return;
        }
        MultiLayerNetwork adapted = LowRankAdapters.attach(network(kind, type), everything());
        fill(adapted.params());
        MultiLayerNetwork merged = LowRankAdapters.merge(adapted);
        INDArray features = data(kind, type, 4).getFeatures();
        double tolerance = type == DataType.DOUBLE ? 1e-12 : 1e-5;
        // A sequence alone too: threads share a single token in another way than many.
        for (INDArray some : List.of(features, features.get(NDArrayIndex.interval(0, 1)))) {
            for (int t = 0; t < TIME; t++) {
                INDArray now = some.tensorAlongDimension(t, 0, 1).dup();
                INDArray step = now.reshape(some.size(0), some.size(1), 1);
                assertClose(merged.rnnTimeStep(step.dup()), adapted.rnnTimeStep(step.dup()), tolerance);
            }
            merged.rnnClearPreviousState();
            adapted.rnnClearPreviousState();
        }
        adapted.getLayerWiseConfigurations().setBackpropType(BackpropType.TruncatedBPTT);
        adapted.getLayerWiseConfigurations().setTbpttFwdLength(3);
        adapted.getLayerWiseConfigurations().setTbpttBackLength(3);
        INDArray before = adapted.params().dup();
        adapted.fit(data(kind, type, 4));
        assertTrue(adapted.params().distance2(before) > 0);
        assertTrue(Double.isFinite(adapted.params().sumNumber().doubleValue()));
    }

    /** Of two models and a base's value each: how a method merges them when nothing is left out. */
    private interface Formula {
        double of(double base, double one, double two);
    }

    static Stream<Arguments> methods() {
        return Stream.of(
                methodOf(MergeMethod.linear(), false, 2, (base, one, two) -> (one + two) / 2),
                methodOf(MergeMethod.wiseFt(0.3), true, 1, (base, one, two) -> 0.7 * base + 0.3 * one),
                methodOf(MergeMethod.expo(0.5), true, 1, (base, one, two) -> one + 0.5 * (one - base)),
                methodOf(MergeMethod.slerp(1), true, 1, (base, one, two) -> one),
                methodOf(MergeMethod.taskArithmetic(), true, 2, (base, one, two) -> one + two - base),
                methodOf(MergeMethod.ties(), true, 2, (base, one, two) -> base + elected(one - base, two - base, true)),
                methodOf(MergeMethod.dareLinear(3), true, 2, (base, one, two) -> one + two - base),
                methodOf(
                        MergeMethod.dareTies(3),
                        true,
                        2,
                        (base, one, two) -> base + elected(one - base, two - base, false)));
    }

    private static Arguments methodOf(MergeMethod method, boolean hasBase, int models, Formula formula) {
        return Arguments.of(method, hasBase, models, formula);
    }

    /** Where two changes have one sign, both of them; else the larger one. */
    private static double elected(double one, double two, boolean mean) {
        if (one * two >= 0) {
            return (one + two) / (mean && one != 0 && two != 0 ? 2 : 1);
        }
        return Math.abs(one) > Math.abs(two) ? one : two;
    }

    @ParameterizedTest
    @MethodSource("methods")
    void adapters_of_two_trainings_merge_by_any_method(
            MergeMethod method, boolean hasBase, int models, Formula formula) {
        MultiLayerNetwork base = transformer(DataType.DOUBLE, false);
        MultiLayerNetwork start = LowRankAdapters.attach(base, everything());
        MultiLayerNetwork one = LowRankAdapters.attach(base, everything());
        MultiLayerNetwork two = LowRankAdapters.attach(base, everything());
        DataSet data = data("transformer", DataType.DOUBLE, 2);
        for (int step = 0; step < 10; step++) {
            one.fit(data);
            two.fit(data("transformer", DataType.DOUBLE, 3));
        }
        Merge<MultiLayerNetwork> merge =
                Merge.networks(method).models(List.of(one, two).subList(0, models));
        MultiLayerNetwork merged = hasBase ? merge.base(start).merge() : merge.merge();
        for (int i = 0; i < merged.numParams(); i++) {
            double expected = formula.of(
                    start.params().getDouble(i),
                    one.params().getDouble(i),
                    two.params().getDouble(i));
            assertEquals(expected, merged.params().getDouble(i), 1e-12, method + " parameter " + i);
        }
        // It's a network with adapters like those that it's made of.
        assertSame(base.params(), LowRankAdapters.base(merged).params());
        assertClose(LowRankAdapters.merge(merged).output(data.getFeatures()), merged.output(data.getFeatures()), 1e-12);
    }

    @Test
    void the_average_of_adapters_is_not_the_adapter_of_the_average() {
        MultiLayerNetwork base = transformer(DataType.DOUBLE, false);
        MultiLayerNetwork one = LowRankAdapters.attach(base, everything());
        MultiLayerNetwork two = LowRankAdapters.attach(base, everything());
        DataSet data = data("transformer", DataType.DOUBLE, 2);
        for (int step = 0; step < 10; step++) {
            one.fit(data);
            two.fit(data("transformer", DataType.DOUBLE, 3));
        }
        MultiLayerNetwork half = average(one, two);
        // Of merged networks it's the average of the products, of adapters the product of averages.
        MultiLayerNetwork exact = average(LowRankAdapters.merge(one), LowRankAdapters.merge(two));
        assertTrue(exact.output(data.getFeatures()).distance2(half.output(data.getFeatures())) < 0.3);
        assertNotEquals(exact.params(), LowRankAdapters.merge(half).params());
    }

    private static MultiLayerNetwork average(MultiLayerNetwork one, MultiLayerNetwork two) {
        return Merge.networks(MergeMethod.linear()).models(List.of(one, two)).merge();
    }

    /** What a cache has decoded, as a teacher that's asked online. */
    private static final class Decoded extends Teacher {

        private final TeacherCache cache;

        Decoded(TeacherCache cache) {
            this.cache = cache;
        }

        @Override
        public String sha256() {
            return cache.sha256();
        }

        @Override
        public boolean isFrozen() {
            return true;
        }

        @Override
        public List<TeacherOutput> outputs() {
            return cache.outputs();
        }

        @Override
        public INDArray[] logProbabilities(INDArray[] features, INDArray[] featuresMasks) {
            return cache.logProbabilities(features, featuresMasks);
        }
    }

    @Test
    void a_cached_teacher_teaches_adapters_as_the_base_does() throws IOException {
        MultiLayerNetwork base = transformer(DataType.FLOAT, true);
        INDArray start = LowRankAdapters.attach(base, everything()).params().dup();
        INDArray online = taught(LowRankAdapters.teacher(LowRankAdapters.attach(base, everything())), base, "online");
        double moved = online.distance2(start);
        for (CacheCodec codec : List.of(CacheCodec.half(), CacheCodec.topK(VOCABULARY))) {
            try (Teacher teacher = LowRankAdapters.teacher(LowRankAdapters.attach(base, everything()));
                    TeacherCache cache = TeacherCache.builder()
                            .teacher(teacher)
                            .codec(codec)
                            .folder(temporary.resolve("cache"))
                            .build(new ExistingDataSetIterator(batches()))) {
                assertEquals(teacher.sha256(), cache.sha256());
                String name = codec.description().replace(':', '-');
                INDArray cached = taught(cache, base, name);
                // Log-probabilities around -2.4 are within 2^-11 of themselves: probabilities within 0.12 %.
                double error = cached.distance2(online) / moved;
                assertTrue(error > 0 && error < 2e-3, codec.description() + ": " + error);
                assertClose(taught(new Decoded(cache), base, name + "-decoded"), cached, 1e-7);
            }
        }
    }

    private static List<DataSet> batches() {
        return IntStream.range(0, 6)
                .mapToObj(i -> data("transformer", DataType.FLOAT, i))
                .toList();
    }

    /** By gradient descent, whose steps differ as little as the gradients do. */
    private INDArray taught(Teacher teacher, MultiLayerNetwork base, String folder) throws IOException {
        MultiLayerNetwork adapted = Retention.withUpdater(LowRankAdapters.attach(base, everything()), new Sgd(0.05));
        return FinetuningRun.builder()
                .student(Retention.attach(
                        adapted, RetentionConfiguration.builder().coefficient(2).build(), teacher))
                .teacher(teacher)
                .iterator(new ExistingDataSetIterator(batches()))
                .epochs(3)
                .folder(temporary.resolve(folder))
                .build()
                .run()
                .params()
                .dup();
    }

    @Test
    void generation_and_continuations_are_those_of_the_merged_network() {
        MultiLayerNetwork adapted = LowRankAdapters.attach(transformer(DataType.FLOAT, false), everything());
        fill(adapted.params());
        MultiLayerNetwork merged = LowRankAdapters.merge(adapted);
        int[][] ids = {{1, 2, 3}, {4, 5, 6}};
        int[][][] wanted = {{{1}, {2, 7}, {3}}, {{}, {0}, {10}}};
        double[][][] expected = new NetworkSteps(merged).logProbabilities(ids, wanted);
        double[][][] found = new NetworkSteps(adapted).logProbabilities(ids, wanted);
        for (int i = 0; i < 2; i++) {
            for (int t = 0; t < 3; t++) {
                assertArrayEquals(expected[i][t], found[i][t], 1e-4);
            }
        }
        NetworkSteps steps = new NetworkSteps(merged);
        NetworkSteps byAdapters = new NetworkSteps(adapted);
        for (int[] tokens : new int[][] {{3, 8}, {1, 2}, {7, 0}}) {
            int[][] read = {{tokens[0]}, {tokens[1]}};
            float[][] next = steps.next(read);
            float[][] adaptedNext = byAdapters.next(read);
            assertArrayEquals(next[0], adaptedNext[0], 1e-4f);
            assertArrayEquals(next[1], adaptedNext[1], 1e-4f);
        }
    }

    @Test
    void two_bases_of_the_same_bits_do_not_depend_on_each_other() {
        MultiLayerNetwork one = transformer(DataType.FLOAT, true);
        MultiLayerNetwork two = transformer(DataType.FLOAT, true);
        assertEquals(NetworkIdentity.sha256(one), NetworkIdentity.sha256(two));
        MultiLayerNetwork ofOne = LowRankAdapters.attach(one, everything());
        MultiLayerNetwork ofTwo = LowRankAdapters.attach(two, everything());
        assertEquals(ofOne.params(), ofTwo.params());
        assertSame(one.params(), LowRankAdapters.base(ofOne).params());
        assertSame(
                two.params(),
                LowRankAdapters.base(Retention.withUpdater(ofTwo, new Adam(1))).params());
        two.params().close();
        INDArray ids = data("transformer", DataType.FLOAT, 1).getFeatures();
        assertEquals(ofOne.output(ids), ofOne.clone().output(ids));
        assertEquals(ofOne.output(ids), one.output(ids));
    }

    @Test
    void what_does_not_fit_is_refused_by_name() {
        MultiLayerNetwork base = transformer(DataType.FLOAT, true);
        assertMessage("rank: expected a number of at least 1, got 0", () -> LowRankAdapters.rank(0));
        assertMessage("alpha: ", () -> LowRankAdapters.rank(1).alpha(Double.NaN));
        assertMessage("dropout: ", () -> LowRankAdapters.rank(1).dropout(1));
        assertMessage(
                "layers: expected names",
                () -> LowRankAdapters.attach(base, LowRankAdapters.rank(1).layers("attention", "gait")));
        assertMessage(
                "layers: ",
                () -> LowRankAdapters.attach(base, LowRankAdapters.rank(1).layers("lstm")));
        assertMessage(
                "dropout: ",
                () -> LowRankAdapters.attach(
                        base, LowRankAdapters.rank(1).layers("output").dropout(0.1)));
        MultiLayerNetwork adapted = LowRankAdapters.attach(base, everything());
        assertMessage("base: ", () -> LowRankAdapters.attach(adapted, everything()));
        MultiLayerNetwork student =
                Retention.attach(base, RetentionConfiguration.builder().build());
        assertMessage("base: ", () -> LowRankAdapters.attach(student, everything()));
        assertMessage("adapted: ", () -> LowRankAdapters.merge(base));
        assertMessage("adapted: expected an output layer", () -> LowRankAdapters.merge(adapted));
        MultiLayerNetwork regression = new MultiLayerNetwork(builder(DataType.FLOAT)
                .layer(new DenseLayer.Builder().nIn(2).nOut(3).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).nIn(3).nOut(2).build())
                .build());
        regression.init();
        assertMessage("base: expected output layers", () -> LowRankAdapters.attach(regression, everything()));
    }

    private static void assertMessage(String begins, Runnable made) {
        String message = assertThrows(IllegalArgumentException.class, made::run).getMessage();
        assertTrue(message.startsWith(begins), message);
    }

    @Test
    void self_replay_writes_by_a_network_with_adapters() throws IOException {
        MultiLayerNetwork adapted = LowRankAdapters.attach(transformer(DataType.FLOAT, true), everything());
        fill(adapted.params());
        MultiLayerNetwork merged = LowRankAdapters.merge(
                LowRankAdapters.attach(transformer(DataType.FLOAT, true), LowRankAdapters.rank(1)));
        DataSetIterator target = new ExistingDataSetIterator(List.of(data("transformer", DataType.FLOAT, 2)));
        int[][] written =
                SelfReplay.of(adapted, target).count(3).seed(4).build().sequences();
        assertEquals(3, written.length);
        target.reset();
        int[][] others = SelfReplay.of(merged, target).count(3).seed(4).build().sequences();
        assertFalse(Arrays.deepEquals(written, others));
        // A network with the same weights writes the same.
        MultiLayerNetwork untied = LowRankAdapters.attach(transformer(DataType.FLOAT, false), everything());
        fill(untied.params());
        target.reset();
        int[][] byAdapters =
                SelfReplay.of(untied, target).count(3).seed(4).build().sequences();
        target.reset();
        assertArrayEquals(
                SelfReplay.of(LowRankAdapters.merge(untied), target)
                        .count(3)
                        .seed(4)
                        .build()
                        .sequences(),
                byAdapters);
    }
}
