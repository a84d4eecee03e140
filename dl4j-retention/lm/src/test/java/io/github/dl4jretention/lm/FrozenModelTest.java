package io.github.dl4jretention.lm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.checkpoint.FinetuningRun;
import io.github.dl4jretention.internal.FrozenBase;
import io.github.dl4jretention.lm.huggingface.ReferenceModels;
import io.github.dl4jretention.lm.layers.NativeLayers;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.NetworkIdentity;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;

/** Bases of adapters in half precision, beside the same weights in FLOAT. */
class FrozenModelTest {

    private static final String BFLOAT16 = "llama3-shards-bf16";
    private static final String UNTIED = "llama";
    private static final String FLOAT16_TIED = "llama-tied-f16";

    @TempDir
    static Path shared;

    @TempDir
    Path temporary;

    /** That of the untied model is written. */
    private static Path folder(String name) throws IOException {
        if (!name.equals(UNTIED)) {
            return ReferenceModels.folder(name);
        }
        Path written = shared.resolve(name);
        if (!Files.exists(written)) {
            LanguageModel.load(ReferenceModels.folder(name)).save(written, DataType.BFLOAT16);
        }
        return written;
    }

    private static LanguageModel wide(String name) throws IOException {
        return LanguageModel.load(folder(name));
    }

    private static LanguageModel frozen(String name) throws IOException {
        return LanguageModel.loadFrozen(folder(name));
    }

    private static DataSet batch(LanguageModel model, int seed) {
        Random random = new Random(seed);
        INDArray ids = Nd4j.zeros(DataType.FLOAT, 2, 1, 6);
        INDArray labels = Nd4j.zeros(DataType.FLOAT, 2, 1, 6);
        for (int i = 0; i < ids.length(); i++) {
            ids.putScalar(i, random.nextInt(model.vocabulary()));
            labels.putScalar(i, random.nextInt(model.vocabulary()));
        }
        return new DataSet(ids, labels);
    }

    private static LowRankAdapters.Settings settings() {
        return LowRankAdapters.rank(2).alpha(8).layers("all", "output").seed(5);
    }

    private static void assertClose(INDArray expected, INDArray actual, double tolerance) {
        assertArrayEquals(expected.shape(), actual.shape());
        assertArrayEquals(
                expected.dup('c').data().asDouble(), actual.dup('c').data().asDouble(), tolerance);
    }

    @Test
    void memory_for_widened_weights_is_as_large_as_the_layers_need_that_ask_for_it() throws IOException {
        MultiLayerNetwork wide = wide(FLOAT16_TIED).network();
        FrozenBase base = FrozenBase.whole(frozen(FLOAT16_TIED).network().getLayerWiseConfigurations());
        INDArray table = wide.getLayer(0).params();
        INDArray block = wide.getLayer(1).params();
        INDArray shorter = table.length() < block.length() ? table : block;
        INDArray longer = shorter == table ? block : table;
        for (INDArray part : List.of(shorter, shorter, longer, shorter)) {
            try (FrozenBase.Widened widened = base.widened(part == table ? "0" : "1")) {
                long length =
                        part == longer || shorter.length() < widened.array().length()
                                ? longer.length()
                                : shorter.length();
                assertEquals(length, widened.array().length());
                assertClose(
                        part.reshape(part.length()), widened.array().get(NDArrayIndex.interval(0, part.length())), 0);
            }
        }
        FrozenBase other = FrozenBase.whole(frozen(FLOAT16_TIED).network().getLayerWiseConfigurations());
        try (FrozenBase.Widened widened = other.widened(shorter == table ? "0" : "1")) {
            assertEquals(shorter.length(), widened.array().length());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {BFLOAT16, FLOAT16_TIED, UNTIED})
    void it_is_the_network_of_the_same_weights_in_float(String name) throws IOException {
        LanguageModel wide = wide(name);
        LanguageModel frozen = frozen(name);
        assertEquals(wide.parameters(), frozen.parameters());
        assertEquals(0, frozen.network().numParams());
        assertEquals(NetworkIdentity.sha256(wide.network()), NetworkIdentity.sha256(frozen.network()));
        FrozenBase base = FrozenBase.whole(frozen.network().getLayerWiseConfigurations());
        assertEquals(2, base.parameters().dataType().width());
        INDArray ids = batch(wide, 1).getFeatures();
        assertClose(wide.network().output(ids), frozen.network().output(ids), 1e-6);
        try (Teacher expected = Teacher.of(wide.network());
                Teacher found = Teacher.of(frozen.network())) {
            assertEquals(expected.sha256(), found.sha256());
            assertClose(expected.logProbabilities(ids, null), found.logProbabilities(ids, null), 2e-5);
        }
        float[] next = new NetworkSteps(wide.network()).next(new int[][] {{3}})[0];
        assertArrayEquals(next, new NetworkSteps(frozen.network()).next(new int[][] {{3}})[0], 1e-5f);
        int[][][] wanted = {{{1}, {2, 7}, {3}}};
        assertArrayEquals(
                new NetworkSteps(wide.network()).logProbabilities(new int[][] {{3, 1, 4}}, wanted)[0][1],
                new NetworkSteps(frozen.network()).logProbabilities(new int[][] {{3, 1, 4}}, wanted)[0][1],
                1e-5);
    }

    private static MultiLayerNetwork trained(
            LanguageModel model, LowRankAdapters.Settings settings, boolean recompute) {
        MultiLayerNetwork adapted =
                Retention.withUpdater(LowRankAdapters.attach(model.network(), settings), new Adam(0.01));
        NativeLayers.recompute(adapted, recompute);
        try (Teacher teacher = LowRankAdapters.teacher(adapted)) {
            MultiLayerNetwork student =
                    Retention.attach(adapted, RetentionConfiguration.builder().build(), teacher);
            List<DataSet> data = new ArrayList<>();
            for (int step = 0; step < 4; step++) {
                data.add(batch(model, step));
            }
            student.fit(new TeacherIterator(new ExistingDataSetIterator(data), teacher));
            return student;
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {BFLOAT16, FLOAT16_TIED, UNTIED})
    void adapters_train_as_beside_the_same_weights_in_float(String name) throws IOException {
        LanguageModel wide = wide(name);
        LanguageModel frozen = frozen(name);
        MultiLayerNetwork expected = trained(wide, settings(), false);
        MultiLayerNetwork found = trained(frozen, settings(), false);
        assertTrue(LowRankAdapters.isAdapted(found));
        assertFalse(LowRankAdapters.isAdapted(frozen.network()));
        assertEquals(expected.numParams(), found.numParams());
        assertClose(expected.params(), found.params(), 1e-4);
        assertEquals(found.params(), trained(frozen, settings(), true).params());
        if (name.equals(UNTIED)) {
            assertClose(
                    LowRankAdapters.merge(expected).params(),
                    LowRankAdapters.merge(found).params(),
                    1e-4);
        }

        frozen.saveAdapters(found, temporary.resolve("adapters"));
        INDArray ids = batch(wide, 9).getFeatures();
        INDArray output = found.output(ids);
        assertClose(output, wide.loadAdapters(temporary.resolve("adapters")).output(ids), 1e-5);
        assertClose(output, frozen.loadAdapters(temporary.resolve("adapters")).output(ids), 1e-6);
    }

    /** Without an adapter on the output layer, whose frozen weights are the embedding's. */
    @Test
    void plain_finetuning_of_blocks_trains_them_too() throws IOException {
        for (String name : List.of(BFLOAT16, FLOAT16_TIED, UNTIED)) {
            DataSet batch = batch(wide(name), 3);
            INDArray[] trained = new INDArray[2];
            for (int i = 0; i < 2; i++) {
                LanguageModel model = i == 0 ? wide(name) : frozen(name);
                MultiLayerNetwork adapted = LowRankAdapters.attach(
                        model.network(), LowRankAdapters.rank(2).layers("v", "down"));
                MultiLayerNetwork student = Retention.attach(
                        adapted, RetentionConfiguration.builder().coefficient(0).build());
                student.fit(batch);
                adapted.fit(batch);
                assertClose(student.params(), adapted.params(), 1e-7);
                trained[i] = student.params();
            }
            assertClose(trained[0], trained[1], 1e-7);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {BFLOAT16, FLOAT16_TIED, UNTIED})
    void it_is_saved_as_it_was_loaded_and_with_adapters_merged(String name) throws IOException {
        LanguageModel frozen = frozen(name);
        frozen.save(temporary.resolve("same"));
        for (Path file : ReferenceModels.files(folder(name))) {
            assertArrayEquals(
                    Files.readAllBytes(file),
                    Files.readAllBytes(temporary.resolve("same").resolve(file.getFileName())),
                    file.toString());
        }
        LowRankAdapters.Settings blocks = LowRankAdapters.rank(2).alpha(8);
        LanguageModel tuned = frozen.withNetwork(trained(frozen, blocks, false));
        tuned.save(temporary.resolve("tuned"), DataType.FLOAT);
        INDArray ids = batch(frozen, 9).getFeatures();
        INDArray expected = tuned.network().output(ids);
        assertTrue(expected.distance2(frozen.network().output(ids)) > 1e-3);
        assertClose(
                expected,
                LanguageModel.load(temporary.resolve("tuned")).network().output(ids),
                1e-5);
        assertThrows(IllegalStateException.class, () -> frozen(name.equals(BFLOAT16) ? FLOAT16_TIED : BFLOAT16)
                .withNetwork(trained(frozen, blocks, false)));
    }

    @Test
    void weights_of_float_give_an_ordinary_model() throws IOException {
        Path folder = ReferenceModels.folder(UNTIED);
        LanguageModel model = LanguageModel.loadFrozen(folder);
        assertEquals(model.parameters(), model.network().numParams());
        assertEquals(
                LanguageModel.load(folder).network().params(), model.network().params());
    }

    @Test
    void a_run_that_stops_goes_on_with_the_same_bits() throws IOException {
        INDArray whole = run(temporary.resolve("whole"), -1);
        assertThrows(IllegalStateException.class, () -> run(temporary.resolve("stopped"), 4));
        assertEquals(whole, run(temporary.resolve("stopped"), -1));
    }

    private static INDArray run(Path folder, int stop) throws IOException {
        LanguageModel model = frozen(BFLOAT16);
        MultiLayerNetwork adapted =
                Retention.withUpdater(LowRankAdapters.attach(model.network(), settings()), new Adam(0.01));
        List<DataSet> data = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            data.add(batch(model, i));
        }
        try (Teacher teacher = LowRankAdapters.teacher(adapted)) {
            return FinetuningRun.builder()
                    .student(Retention.attach(
                            adapted, RetentionConfiguration.builder().build(), teacher))
                    .teacher(teacher)
                    .iterator(new ExistingDataSetIterator(data))
                    .iterationsPerEpoch(6)
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
    void the_estimate_counts_one_copy_of_halves() throws IOException {
        LanguageModel model = frozen(BFLOAT16);
        long block = wide(BFLOAT16).network().getLayer(1).numParams();
        Map<String, Long> parts =
                MemoryEstimate.builder(model).trained(100).build().parts();
        assertEquals(2 * model.parameters() + 2 * 4 * block, parts.get("weights in half precision"));
        assertEquals(400, parts.get("adapters"));
        assertEquals(400, parts.get("gradients"));
        assertEquals(800, parts.get("Adam's moments"));
        assertEquals(0, parts.get("teacher"));
    }

    @Test
    void it_has_nothing_that_half_precision_could_save() throws IOException {
        MultiLayerNetwork network = frozen(BFLOAT16).network();
        String message = assertThrows(IllegalArgumentException.class, () -> Teacher.ofHalf(network))
                .getMessage();
        assertTrue(message.contains("Teacher.sharing"), message);
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        String untrained = assertThrows(IllegalArgumentException.class, () -> Retention.attach(network, conf))
                .getMessage();
        assertTrue(untrained.contains("LowRankAdapters.attach"), untrained);
    }
}
