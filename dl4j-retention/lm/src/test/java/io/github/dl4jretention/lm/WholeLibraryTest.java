package io.github.dl4jretention.lm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.baseline.Importance;
import io.github.dl4jretention.baseline.ImportanceEstimator;
import io.github.dl4jretention.baseline.QuadraticPenalty;
import io.github.dl4jretention.baseline.ReplayIterator;
import io.github.dl4jretention.baseline.SelfReplay;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.checkpoint.FinetuningRun;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.listener.ReportSink;
import io.github.dl4jretention.lm.layers.DecoderBlock;
import io.github.dl4jretention.lm.layers.NativeLayers;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.merge.Merge;
import io.github.dl4jretention.merge.MergeMethod;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.learning.config.Adam;

/** What the core offers, on models that were loaded from a folder. */
class WholeLibraryTest {

    @TempDir
    Path folder;

    private Path texts;

    @BeforeEach
    void texts() throws IOException {
        List<String> lines = new ArrayList<>();
        for (int i = 0; i < 24; i++) {
            String letters = "abcdefgh".substring(i % 4, i % 4 + 3);
            lines.add(
                    i % 3 == 0
                            ? "{\"prompt\":\"" + letters + "\",\"completion\":\"" + letters + " ab\"}"
                            : "{\"text\":\"" + letters + " ab c\"}");
        }
        texts = Files.write(folder.resolve("texts.jsonl"), lines);
    }

    private LanguageModel model(String name) throws IOException {
        return LanguageModel.load(SmallModels.folder(name, folder.resolve(name)));
    }

    private TextDataset dataset(LanguageModel model) throws IOException {
        return TextDataset.builder(model.tokenizer())
                .file(texts)
                .sequenceLength(12)
                .batch(2)
                .seed(4)
                .build();
    }

    private static MultiLayerNetwork pretrained(LanguageModel model) {
        return Retention.withUpdater(model.network(), new Adam(1e-2));
    }

    private FinetuningRun.Builder<MultiLayerNetwork> run(LanguageModel model, Path to) throws IOException {
        return run(model, to, false);
    }

    private FinetuningRun.Builder<MultiLayerNetwork> run(LanguageModel model, Path to, boolean recompute)
            throws IOException {
        MultiLayerNetwork pretrained = pretrained(model);
        MultiLayerNetwork student = Retention.attach(
                pretrained, RetentionConfiguration.builder().coefficient(0.5).build());
        NativeLayers.recompute(student, recompute);
        return FinetuningRun.builder()
                .student(student)
                .teacher(Teacher.of(pretrained))
                .iterator(dataset(model).iterator())
                .epochs(2)
                .folder(to)
                .data("texts")
                .seed(4)
                .every(2);
    }

    @ParameterizedTest
    @ValueSource(strings = {"llama-tied-f16", "gpt2", "neox", "qwen3"})
    void a_run_that_was_stopped_ends_like_one_that_was_not_and_is_saved(String name) throws IOException {
        LanguageModel model = model(name);
        MultiLayerNetwork whole = run(model, folder.resolve("whole")).build().run();
        for (int at : new int[] {1, 5, 8}) {
            AtomicReference<FinetuningRun<?>> current = new AtomicReference<>();
            ReportSink stop = report -> {
                if (report.iteration() + 1 == at) {
                    current.get().stop();
                }
            };
            current.set(run(model, folder.resolve("part")).report(1, stop).build());
            current.get().run();
        }
        // As after a run that was out of memory.
        MultiLayerNetwork resumed =
                run(model, folder.resolve("part"), true).build().run();
        assertTrue(Arrays.stream(resumed.getLayers())
                .map(layer -> layer.conf().getLayer())
                .filter(DecoderBlock.class::isInstance)
                .allMatch(block -> ((DecoderBlock) block).isRecompute()));
        assertEquals(whole.getIterationCount(), resumed.getIterationCount());
        assertEquals(whole.params(), resumed.params());
        assertNotEquals(model.network().params(), resumed.params());
        Path out = folder.resolve("tuned");
        model.withNetwork(resumed).save(out, org.nd4j.linalg.api.buffer.DataType.FLOAT);
        assertEquals(resumed.params(), LanguageModel.load(out).network().params());
        assertTrue(Files.readString(out.resolve("README.md")).contains("| coefficient | 0.5 |"));
    }

    /** One step for each token, with the keys and values of those before. */
    @ParameterizedTest
    @ValueSource(strings = {"llama", "gpt2", "qwen3"})
    void a_model_writes_for_its_replay_what_it_writes_in_whole_windows_and_what_a_generator_writes(String name)
            throws IOException {
        LanguageModel model = model(name);
        int[] prompt = model.tokenizer().encode("abc");
        SelfReplay written = SelfReplay.of(model.network(), dataset(model).iterator())
                .prompts(prompt)
                .count(6)
                .seed(3)
                .build();
        try (Teacher teacher = Teacher.of(model.network())) {
            SelfReplay inWindows = SelfReplay.of(
                            teacher,
                            new MultiDataSetIteratorAdapter(dataset(model).iterator()))
                    .prompts(prompt)
                    .count(6)
                    .seed(3)
                    .build();
            assertArrayEquals(inWindows.sequences(), written.sequences());
        }
        int[] likeliest = SelfReplay.of(model.network(), dataset(model).iterator())
                .prompts(prompt)
                .count(1)
                .temperature(1e-4)
                .build()
                .sequences()[0];
        List<Integer> generated = new ArrayList<>();
        Generator.of(model)
                .temperature(0)
                .maxTokens(likeliest.length - prompt.length)
                .onToken((number, id, text) -> generated.add(id))
                .generate("abc");
        generated.remove(Integer.valueOf(-1));
        assertFalse(generated.isEmpty());
        for (int i = 0; i < generated.size(); i++) {
            assertEquals(likeliest[prompt.length + i], generated.get(i), "token " + i);
        }

        MultiLayerNetwork pretrained = pretrained(model);
        MultiLayerNetwork student = Retention.attach(
                pretrained, RetentionConfiguration.builder().coefficient(1).build());
        ReplayIterator mixed = written.mixedInto(dataset(model).iterator(), 0.5);
        try (Teacher teacher = Teacher.of(pretrained)) {
            student.fit(new TeacherIterator(mixed, teacher, mixed.divergenceWeights(0, 1)), 1);
        }
        assertTrue(Double.isFinite(student.score()));
        assertNotEquals(pretrained.params(), student.params());
    }

    @Test
    void a_cached_teacher_teaches_what_the_model_does() throws IOException {
        LanguageModel model = model("llama");
        TextDataset data = TextDataset.builder(model.tokenizer())
                .file(texts)
                .sequenceLength(12)
                .batch(2)
                .packed(false)
                .build();
        TeacherCache cache = TeacherCache.builder()
                .pretrained(model.network())
                .folder(folder.resolve("cache"))
                .data("texts")
                .codec(io.github.dl4jretention.cache.CacheCodec.half())
                .build(data.iterator());
        INDArray[] trained = new INDArray[2];
        for (int i = 0; i < 2; i++) {
            MultiLayerNetwork pretrained = pretrained(model);
            MultiLayerNetwork student = Retention.attach(
                    pretrained, RetentionConfiguration.builder().coefficient(1).build());
            Teacher teacher = i == 0 ? Teacher.of(pretrained) : cache;
            student.fit(new TeacherIterator(data.iterator(), teacher, DivergenceMask.ALL_TOKENS), 1);
            trained[i] = student.params();
        }
        assertTrue(trained[0].distance2(trained[1])
                < 0.05 * trained[0].distance2(model.network().params()));
    }

    @Test
    void merges_by_files_and_penalties_work() throws IOException {
        LanguageModel model = model("qwen2");
        MultiLayerNetwork pretrained = pretrained(model);
        MultiLayerNetwork tuned = pretrained.clone();
        QuadraticPenalty penalty = QuadraticPenalty.toStart(pretrained, 0.1);
        tuned.addListeners(penalty.listener());
        tuned.fit(dataset(model).iterator(), 2);
        assertTrue(penalty.value(tuned) > 0);
        pretrained.save(folder.resolve("base.zip").toFile());
        tuned.save(folder.resolve("tuned.zip").toFile());
        Merge.files(MergeMethod.wiseFt(0.5), folder.resolve("merged.zip"))
                .base(folder.resolve("base.zip"))
                .model(folder.resolve("tuned.zip"))
                .merge();
        MultiLayerNetwork merged =
                MultiLayerNetwork.load(folder.resolve("merged.zip").toFile(), false);
        INDArray middle = pretrained.params().add(tuned.params()).muli(0.5);
        assertTrue(
                merged.params().distance2(middle) < 1e-5 * middle.norm2Number().doubleValue());
        model.withNetwork(merged).save(folder.resolve("merged"));
    }

    /** Elastic weight consolidation: what matters for a text moves less than without it. */
    @Test
    void importance_is_estimated_and_penalised() throws IOException {
        LanguageModel model = model("llama-tied-f16");
        MultiLayerNetwork pretrained = pretrained(model);
        Importance importance = ImportanceEstimator.of(pretrained)
                .examples(8)
                .fisher(dataset(model).iterator(), 3);
        double[] moved = new double[2];
        QuadraticPenalty penalty = QuadraticPenalty.weighted(pretrained, importance, 100);
        for (int i = 0; i < 2; i++) {
            MultiLayerNetwork tuned = pretrained.clone();
            if (i == 1) {
                tuned.addListeners(penalty.listener());
            }
            tuned.fit(dataset(model).iterator(), 2);
            moved[i] = penalty.value(tuned);
        }
        assertTrue(moved[1] > 0 && moved[1] < 0.5 * moved[0], moved[1] + " of " + moved[0]);
    }

    @Test
    void learns_what_it_reads_and_forgets_less_with_retention() throws IOException {
        LanguageModel model = model("llama");
        Teacher teacher = Teacher.of(model.network());
        TextDataset data = dataset(model);
        double before =
                TokenEvaluation.of(model.network(), teacher, data.iterator()).crossEntropy();
        double[] divergence = new double[2];
        for (int i = 0; i < 2; i++) {
            MultiLayerNetwork student = Retention.attach(
                    pretrained(model),
                    RetentionConfiguration.builder().coefficient(i).build());
            student.fit(new TeacherIterator(data.iterator(), teacher, DivergenceMask.ALL_TOKENS), 3);
            TokenEvaluation after = TokenEvaluation.of(Retention.detach(student), teacher, data.iterator());
            assertTrue(after.crossEntropy() < before, after.crossEntropy() + " of " + before);
            divergence[i] = after.divergence();
        }
        assertTrue(divergence[1] < divergence[0]);
    }
}
