package io.github.dl4jretention;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.checkpoint.FinetuningRun;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.merge.Merge;
import io.github.dl4jretention.merge.MergeMethod;
import io.github.dl4jretention.teacher.MovingAverageTeacher;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.learning.config.Adam;

class AveragingTest {

    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().coefficient(0.1).build();

    private static DataSetIterator texts(DataType type, long first, int batches) {
        return new ExistingDataSetIterator(IntStream.range(0, batches)
                .mapToObj(i -> Networks.text(type, 3, 5, first + i))
                .toList());
    }

    private static double loss(MultiLayerNetwork network, DataSetIterator text) {
        try (Teacher teacher = Teacher.of(network)) {
            return TokenEvaluation.of(teacher, new MultiDataSetIteratorAdapter(text))
                    .crossEntropy();
        }
    }

    private static MultiLayerNetwork base(DataType type) {
        return Retention.withUpdater(Networks.languageModel(type, 3), new Adam(0.05));
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE"})
    void every_point_is_that_of_an_average_by_hand(DataType type) {
        MultiLayerNetwork base = base(type);
        double decay = 0.8;
        // The same training by hand, with the running average beside it.
        MultiLayerNetwork byHand = Retention.attach(base, CONF);
        INDArray average = base.params().dup();
        try (Teacher teacher = Teacher.of(base);
                TeacherIterator taught = new TeacherIterator(texts(type, 1, 4), teacher)) {
            for (int epoch = 0; epoch < 2; epoch++) {
                while (taught.hasNext()) {
                    byHand.fit(taught.next());
                    average.muli(decay).addi(byHand.params().mul(1 - decay));
                }
                taught.reset();
            }
        }
        MultiLayerNetwork tuned = Retention.detach(byHand);
        MultiLayerNetwork averaged = base.clone();
        averaged.setParams(average);

        MultiLayerNetwork student = Retention.attach(base, CONF);
        Averaged<MultiLayerNetwork> found;
        try (Teacher teacher = Teacher.of(base)) {
            found = Retention.finetune(
                    student,
                    teacher,
                    texts(type, 1, 4),
                    2,
                    Averaging.on(texts(type, 1, 4), texts(type, 50, 4))
                            .shares(0, 0.25, 1)
                            .decays(decay));
        }
        double tolerance = type == DataType.DOUBLE ? 1e-9 : 1e-5;
        assertClose(tuned.params(), student.params(), tolerance);
        assertEquals(0, student.getListeners().size(), "nobody listens any more");
        double target = loss(base, texts(type, 1, 4));
        double source = loss(base, texts(type, 50, 4));
        assertEquals(5, found.points().size());
        assertEquals(
                new Averaged.Point(0, 0, 1, target, source, 0, 0),
                found.points().get(0));
        int next = 1;
        for (MultiLayerNetwork candidate : List.of(tuned, averaged)) {
            for (double share : new double[] {0, 0.25}) {
                MultiLayerNetwork merged = Merge.networks(MergeMethod.wiseFt(1 - share))
                        .base(base)
                        .model(candidate)
                        .merge();
                Averaged.Point point = found.points().get(next++);
                assertEquals(8, point.step());
                assertEquals(candidate == tuned ? 0 : decay, point.decay());
                assertEquals(share, point.share());
                assertEquals(loss(merged, texts(type, 1, 4)), point.target(), tolerance);
                assertEquals(loss(merged, texts(type, 50, 4)), point.source(), tolerance);
                assertEquals(target - point.target(), point.gain(), 1e-12);
                assertEquals(point.source() - source, point.forgetting(), 1e-12);
            }
        }
        Averaged.Point best = found.points().stream()
                .max(Comparator.comparingDouble(point -> point.gain() - point.forgetting()))
                .orElseThrow();
        assertEquals(best, found.chosen());
        assertEquals(best.target(), loss(found.model(), texts(type, 1, 4)), 1e-12);
        assertEquals(best.source(), loss(found.model(), texts(type, 50, 4)), 1e-12);
    }

    private static FinetuningRun.Builder<MultiLayerNetwork> run(
            MultiLayerNetwork base, DataType type, Path folder, MovingAverageTeacher... averages) {
        FinetuningRun.Builder<MultiLayerNetwork> builder = FinetuningRun.builder()
                .student(Retention.attach(base, CONF))
                .teacher(Teacher.of(base))
                .iterator(texts(type, 1, 4))
                .epochs(2)
                .every(2)
                .folder(folder);
        Stream.of(averages).forEach(builder::average);
        return builder;
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE"})
    void a_run_has_its_running_averages_after_a_crash_too(DataType type, @TempDir Path folder) throws IOException {
        MultiLayerNetwork base = base(type);
        double decay = 0.8;
        Averaging averaging = Averaging.on(texts(type, 1, 4), texts(type, 50, 4))
                .shares(0, 0.25, 1)
                .decays(decay);
        MovingAverageTeacher whole = Teacher.movingAverage(base, decay);
        MultiLayerNetwork tuned = Retention.detach(
                run(base, type, folder.resolve("whole"), whole).build().run());

        Path part = folder.resolve("part");
        FinetuningRun<MultiLayerNetwork> crashing = run(base, type, part, Teacher.movingAverage(base, decay))
                .listener(new BaseTrainingListener() {
                    @Override
                    public void iterationDone(Model model, int iteration, int epoch) {
                        if (iteration == 5) {
                            throw new IllegalStateException("crash");
                        }
                    }
                })
                .build();
        assertEquals(
                "crash",
                assertThrows(IllegalStateException.class, crashing::run).getMessage());
        String none = assertThrows(
                        IllegalStateException.class,
                        () -> run(base, type, part).build().run())
                .getMessage();
        assertTrue(none.startsWith("average: number of moving averages"), none);
        MovingAverageTeacher resumed = Teacher.movingAverage(base, decay);
        MultiLayerNetwork again =
                Retention.detach(run(base, type, part, resumed).build().run());
        assertClose(tuned.params(), again.params(), 0);
        assertClose(whole.params(), resumed.params(), 0);
        String moved = assertThrows(IllegalStateException.class, () -> run(base, type, folder.resolve("other"), resumed)
                        .build()
                        .run())
                .getMessage();
        assertTrue(moved.startsWith("average: expected one that starts with the run"), moved);

        Averaged<MultiLayerNetwork> expected;
        try (Teacher teacher = Teacher.of(base)) {
            expected = Retention.finetune(Retention.attach(base, CONF), teacher, texts(type, 1, 4), 2, averaging);
        }
        Averaged<MultiLayerNetwork> found = averaging.choose(base, again, resumed);
        assertEquals(expected.points().size(), found.points().size());
        double tolerance = type == DataType.DOUBLE ? 1e-9 : 1e-5;
        for (int i = 0; i < found.points().size(); i++) {
            Averaged.Point point = found.points().get(i);
            assertEquals(expected.points().get(i).decay(), point.decay());
            assertEquals(expected.points().get(i).share(), point.share());
            assertEquals(expected.points().get(i).target(), point.target(), tolerance);
            assertEquals(expected.points().get(i).source(), point.source(), tolerance);
        }
        assertClose(expected.model().params(), found.model().params(), tolerance);
    }

    @Test
    void a_limit_of_forgetting_is_kept() {
        MultiLayerNetwork base = base(DataType.FLOAT);
        MultiLayerNetwork tuned = base.clone();
        tuned.fit(texts(DataType.FLOAT, 1, 4), 6);
        Averaging averaging = Averaging.on(texts(DataType.FLOAT, 1, 4), texts(DataType.FLOAT, 50, 4));
        for (double limit : new double[] {0, 0.02, 0.1, 10}) {
            Averaged<MultiLayerNetwork> found = averaging.mostForgetting(limit).choose(base, tuned);
            assertTrue(found.chosen().forgetting() <= limit, found.chosen().toString());
            double best = found.points().stream()
                    .filter(point -> point.forgetting() <= limit)
                    .mapToDouble(Averaged.Point::gain)
                    .max()
                    .orElseThrow();
            assertEquals(best, found.chosen().gain());
        }
        assertEquals(
                11,
                averaging.choose(base, tuned).points().size(),
                "0 to 0.9 of a model without running averages, and the start");
    }

    @Test
    void candidates_on_the_way_are_those_of_shorter_trainings() {
        MultiLayerNetwork base = base(DataType.FLOAT);
        Averaged<MultiLayerNetwork> found;
        try (Teacher teacher = Teacher.of(base)) {
            found = Retention.finetune(
                    Retention.attach(base, CONF),
                    teacher,
                    texts(DataType.FLOAT, 1, 5),
                    1,
                    Averaging.on(texts(DataType.FLOAT, 1, 4), texts(DataType.FLOAT, 50, 4))
                            .shares(0.5)
                            .decays()
                            .every(2));
            assertEquals(
                    List.of(0, 2, 4, 5),
                    found.points().stream().map(Averaged.Point::step).toList());
            MultiLayerNetwork shorter = Retention.attach(base, CONF);
            Retention.finetune(shorter, teacher, texts(DataType.FLOAT, 1, 2), 1);
            MultiLayerNetwork half = Merge.networks(MergeMethod.wiseFt(0.5))
                    .base(base)
                    .model(Retention.detach(shorter))
                    .merge();
            assertEquals(
                    loss(half, texts(DataType.FLOAT, 1, 4)),
                    found.points().get(1).target(),
                    1e-6);
        }
    }

    @Test
    void a_training_that_only_harms_gives_the_start() {
        MultiLayerNetwork base = base(DataType.FLOAT);
        MultiLayerNetwork worse = base.clone();
        // Learns another text than the one that's validated.
        worse.fit(texts(DataType.FLOAT, 900, 1), 40);
        Averaged<MultiLayerNetwork> found = Averaging.on(texts(DataType.FLOAT, 1, 4), texts(DataType.FLOAT, 50, 4))
                .shares(0, 0.2)
                .choose(base, worse);
        assertTrue(found.points().get(1).gain() < 0, "harms");
        assertEquals(1, found.chosen().share());
        assertClose(base.params(), found.model().params(), 0);
    }

    @Test
    void graphs_and_sameDiff_models_are_averaged_too() {
        ComputationGraph graph = Retention.withUpdater(Networks.graph(DataType.FLOAT, 1), new Adam(0.05));
        ComputationGraph student = Retention.attach(graph, CONF, "text");
        try (Teacher teacher = Teacher.of(graph, "text")) {
            MultiDataSetIterator text = new SingletonMultiDataSetIterator(Networks.graphBatch(DataType.FLOAT, 3, 1));
            String message = assertThrows(
                            IllegalArgumentException.class,
                            () -> Retention.finetune(student, teacher, text, 3, Averaging.on(text, text)))
                    .getMessage();
            assertTrue(message.contains("softmax") || message.contains("other"), message);
        }

        SameDiff sd = SameDiff.create();
        SDVariable features = sd.placeHolder("features", DataType.FLOAT, -1, 5, Networks.VOCABULARY);
        SDVariable w =
                sd.var("w", Networks.normal(DataType.FLOAT, new Random(1), Networks.VOCABULARY, Networks.VOCABULARY));
        features.reshape(-1, Networks.VOCABULARY)
                .mmul(w)
                .reshape(-1, 5, Networks.VOCABULARY)
                .rename("logits");
        SameDiff tuned = Retention.withUpdater(Retention.attach(sd, CONF, "logits", "features"), new Adam(0.1));
        try (Teacher teacher = Teacher.of(sd, "logits", "features")) {
            Averaged<SameDiff> found = Retention.finetune(
                    tuned,
                    teacher,
                    timeFirst(1),
                    3,
                    Averaging.on(timeFirst(1), timeFirst(50)).shares(0, 0.5).every(5));
            // Steps 5, 10 and 12: two shares of the weights and of one running average each.
            assertEquals(1 + 3 * 4, found.points().size());
            INDArray start = sd.getVariable("w").getArr();
            Averaged.Point last = found.points().get(9);
            assertEquals(12, last.step());
            try (Teacher now = Teacher.of(Retention.detach(tuned), "logits", "features")) {
                assertEquals(TokenEvaluation.of(now, timeFirst(1)).crossEntropy(), last.target(), 1e-6);
            }
            assertTrue(found.chosen().gain() > 0, found.chosen().toString());
            try (Teacher chosen = Teacher.of(found.model(), "logits", "features")) {
                assertEquals(
                        TokenEvaluation.of(chosen, timeFirst(1)).crossEntropy(),
                        found.chosen().target(),
                        1e-6);
            }
            Networks.assertMoved(start, found.model().getVariable("w").getArr(), 0.01);
        }
    }

    private static MultiDataSetIterator timeFirst(long first) {
        MultiDataSetIterator iterator = new MultiDataSetIteratorAdapter(texts(DataType.FLOAT, first, 4));
        iterator.setPreProcessor(batch -> {
            batch.setFeatures(0, batch.getFeatures(0).permute(0, 2, 1).dup('c'));
            batch.setLabels(0, batch.getLabels(0).permute(0, 2, 1).dup('c'));
        });
        return iterator;
    }

    @Test
    void settings_out_of_range_are_refused() {
        Averaging averaging = Averaging.on(texts(DataType.FLOAT, 1, 1), texts(DataType.FLOAT, 2, 1));
        assertMessage("shares: expected numbers from 0 to 1, got 1.5", () -> averaging.shares(0, 1.5));
        assertMessage("shares: expected numbers from 0 to 1, got NaN", () -> averaging.shares(Double.NaN));
        assertMessage("decays: expected numbers between 0 and 1, got 1.0", () -> averaging.decays(1));
        assertMessage("every: expected at least 1 step, got 0", () -> averaging.every(0));
        assertMessage(
                "mostForgetting: expected at least 0 nats per token, got -1.0", () -> averaging.mostForgetting(-1));
        DataSet text = Networks.text(DataType.FLOAT, 1, 5, 1);
        assertTrue(text.getFeatures().rank() == 3);
    }

    private static void assertMessage(String expected, Runnable work) {
        assertEquals(
                expected,
                assertThrows(IllegalArgumentException.class, work::run).getMessage());
    }
}
