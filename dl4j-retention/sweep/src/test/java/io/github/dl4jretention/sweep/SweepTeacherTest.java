package io.github.dl4jretention.sweep;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.cache.CacheCodec;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.loss.Divergence;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.task.Batches;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import io.github.dl4jretention.sweep.task.SweepData;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

class SweepTeacherTest {

    @TempDir
    private Path folder;

    private SweepOutcome run(Teacher teacher, int parallelism, String name) throws IOException {
        return SweepTest.sweep(folder.resolve(name))
                .teacher(teacher)
                .parallelism(parallelism)
                .build()
                .run();
    }

    private TeacherCache cache(CacheCodec codec) throws IOException {
        return TeacherCache.builder()
                .pretrained(Networks.lstm(DataType.DOUBLE, 1))
                .folder(folder.resolve("cache"))
                .codec(codec)
                .data("target text")
                .build(SweepTexts.data(DataType.DOUBLE).training().iterator());
    }

    @Test
    void a_cache_stands_for_the_teacher_it_was_written_from() throws IOException {
        SweepOutcome live = run(Teacher.of(Networks.lstm(DataType.DOUBLE, 1)), 1, "live");
        TeacherCache half = cache(CacheCodec.half());
        SweepOutcome cached = run(half, 2, "cached");
        assertEquals(live.candidates().size(), cached.complete().size());
        for (int i = 0; i < live.candidates().size(); i++) {
            assertEquals(
                    live.candidates().get(i).validation().target(),
                    cached.candidates().get(i).validation().target(),
                    1e-3);
            assertEquals(
                    live.candidates().get(i).validation().source(),
                    cached.candidates().get(i).validation().source(),
                    1e-3);
        }
        assertEquals(SweepTest.essence(cached), SweepTest.essence(run(half, 1, "again")));
    }

    @Test
    void a_cache_that_lacks_a_batch_ends_the_sweep_and_a_restart_with_all_of_them_runs_it() throws IOException {
        List<MultiDataSet> two = new ArrayList<>();
        SweepTexts.target(DataType.DOUBLE, 4, 10).iterator().forEachRemaining(two::add);
        TeacherCache lacking = TeacherCache.builder()
                .pretrained(Networks.lstm(DataType.DOUBLE, 1))
                .folder(folder.resolve("lacking"))
                .codec(CacheCodec.half())
                .data("half of the target text")
                .build(Batches.of(() -> new ExistingDataSetIterator(two.subList(0, 2).stream()
                                .map(batch -> new DataSet(batch.getFeatures(0), batch.getLabels(0)))
                                .toList()))
                        .iterator());
        TeacherException e = assertThrows(TeacherException.class, () -> run(lacking, 1, "sweep"));
        assertTrue(e.getMessage().startsWith("candidate: 0, FinetuneConfiguration"), e.getMessage());
        assertTrue(e.getMessage().contains("features: expected sequences of the cache"), e.getMessage());
        SweepOutcome whole = run(cache(CacheCodec.half()), 1, "whole");
        assertEquals(4, whole.complete().size());
        assertEquals(SweepTest.essence(whole), SweepTest.essence(run(cache(CacheCodec.half()), 1, "sweep")));
    }

    @Test
    void a_cache_of_samples_serves_all_candidates() throws IOException {
        SweepOutcome sampled = run(cache(CacheCodec.standard()), 2, "sampled");
        assertEquals(4, sampled.complete().size(), () -> sampled.failed().toString());
        assertTrue(sampled.recommended().isPresent());
    }

    private void assertRefused(String message, Sweep.Builder sweep) {
        RuntimeException e = assertThrows(RuntimeException.class, sweep::build);
        assertTrue(e.getMessage().startsWith(message), e.getMessage());
    }

    @Test
    void a_teacher_that_does_not_fit_is_refused_before_training() throws IOException {
        TeacherCache samples = cache(CacheCodec.standard());
        assertRefused(
                "temperature: expected none but 1.0, of which the teacher gives samples",
                SweepTest.sweep(folder)
                        .teacher(samples)
                        .space(RetentionSpace.builder().temperatures(1, 2).build()));
        assertRefused(
                "divergence: expected FORWARD_KL alone for a teacher that gives samples",
                SweepTest.sweep(folder)
                        .teacher(samples)
                        .space(RetentionSpace.builder()
                                .divergences(Divergence.FORWARD_KL, Divergence.REVERSE_KL)
                                .build()));
        assertRefused(
                "teacher: expected one that stays as it is, got a moving average",
                SweepTest.sweep(folder).teacher(Teacher.movingAverage(Networks.lstm(DataType.DOUBLE, 1), 0.9)));
        SweepData data = SweepTexts.data(DataType.DOUBLE);
        IllegalStateException lacking = assertThrows(IllegalStateException.class, () -> SweepTest.sweep(folder)
                .teacher(samples)
                .data(new SweepData(
                        SweepTexts.target(DataType.DOUBLE, 3, 70),
                        data.validationTarget(),
                        data.validationSource(),
                        data.testTarget(),
                        data.testSource()))
                .build());
        assertTrue(lacking.getMessage().contains("cache"), lacking.getMessage());
        MultiLayerNetwork narrow = Networks.stacked(
                DataType.DOUBLE,
                1,
                new LSTM.Builder().nIn(Networks.INPUTS).nOut(4).build(),
                new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(4)
                        .nOut(Networks.VOCABULARY - 1)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(RNNFormat.NCW)
                        .build());
        assertRefused(
                "teacher: expected values of shape", SweepTest.sweep(folder).teacher(Teacher.of(narrow)));
    }

    @Test
    void another_codec_is_another_sweep() throws IOException {
        Path one = folder.resolve("one");
        SweepTest.sweep(one)
                .teacher(cache(CacheCodec.half()))
                .candidates(1)
                .build()
                .run();
        Sweep other = SweepTest.sweep(one).teacher(cache(CacheCodec.standard())).build();
        IllegalStateException e = assertThrows(IllegalStateException.class, other::run);
        assertTrue(e.getMessage().contains("teacherEncoding: half there, "), e.getMessage());
    }

    @Test
    void another_output_is_another_sweep() {
        assertEquals(
                "logits, labels labels, features features",
                FinetuneModel.of(SweepTexts.graph(DataType.DOUBLE), "logits", "labels", "features")
                        .outputs());
        assertEquals(
                "text",
                FinetuneModel.of(Networks.graph(DataType.DOUBLE, 1), "text").outputs());
    }
}
