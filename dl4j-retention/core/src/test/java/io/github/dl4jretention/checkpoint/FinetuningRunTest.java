package io.github.dl4jretention.checkpoint;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.internal.RetentionLayers;
import io.github.dl4jretention.listener.ReportSink;
import io.github.dl4jretention.listener.RetentionReport;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionListener;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.schedule.MapSchedule;
import org.nd4j.linalg.schedule.ScheduleType;

/** Of every kind of model, see {@link Kind}. */
class FinetuningRunTest {

    private static final int EPOCHS = 4;

    @TempDir
    private Path folder;

    static List<Path> checkpoints(Path folder) throws IOException {
        if (!Files.exists(folder)) {
            return List.of();
        }
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.toString().endsWith(".zip"))
                    .sorted()
                    .toList();
        }
    }

    static Path newest(Path folder) throws IOException {
        List<Path> files = checkpoints(folder);
        return files.get(files.size() - 1);
    }

    /** Runs, and stops after so many iterations. */
    static void runUntil(FinetuningRun.Builder<?> builder, int iteration) throws IOException {
        AtomicReference<FinetuningRun<?>> run = new AtomicReference<>();
        ReportSink stop = report -> {
            if (report.iteration() + 1 == iteration) {
                run.get().stop();
            }
        };
        run.set(builder.report(1, stop).build());
        run.get().run();
    }

    static String refusal(Class<? extends Exception> type, FinetuningRun.Builder<?> builder) {
        return assertThrows(type, () -> builder.build().run()).getMessage();
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void a_run_that_is_stopped_anywhere_ends_like_one_that_is_not(Kind kind) throws IOException {
        FinetuningRun<?> whole =
                kind.builder(folder.resolve("whole")).epochs(EPOCHS).build();
        INDArray expected = Kind.everything(whole.run());
        assertTrue(whole.isFinished());
        Path part = folder.resolve("part");
        for (int at : new int[] {1, 4, 7, 13, 26}) {
            runUntil(kind.builder(part).epochs(EPOCHS), at);
            RunState state = Json.read(Kind.entry(newest(part), RunState.ENTRY), RunState.class, newest(part));
            assertEquals(at, state.iteration());
            assertEquals(at, state.epoch() * Kind.BATCHES + state.position());
        }
        assertClose(
                expected,
                Kind.everything(kind.builder(part).epochs(EPOCHS).build().run()),
                0);
    }

    @Test
    void a_student_that_the_run_returned_is_not_freed_by_the_next() throws IOException {
        FinetuningRun<?> run =
                Kind.MULTI_LAYER_NETWORK.builder(folder).keepStudent(false).build();
        MultiLayerNetwork first = (MultiLayerNetwork) run.run();
        MultiLayerNetwork second = (MultiLayerNetwork) run.run();
        assertNotSame(first, second);
        assertClose(first.params(), second.params(), 0);
    }

    @Test
    void the_checkpoint_of_an_epochs_end_is_written_once() throws IOException {
        List<Integer> before = new ArrayList<>();
        TrainingListener listener = new BaseTrainingListener() {
            @Override
            public void onEpochEnd(Model model) {
                try {
                    before.add(checkpoints(folder).size());
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }
        };
        Kind.MULTI_LAYER_NETWORK
                .builder(folder)
                .listener(listener)
                .every(Kind.BATCHES)
                .epochs(2)
                .build()
                .run();
        assertEquals(List.of(0, 1), before);
        assertEquals(2, checkpoints(folder).size());
        assertEquals(
                2,
                Json.read(Kind.entry(newest(folder), RunState.ENTRY), RunState.class, newest(folder))
                        .epoch());
    }

    @Test
    void sinks_hear_where_the_run_began_after_a_stop_too() throws IOException {
        runUntil(Kind.MULTI_LAYER_NETWORK.builder(folder).epochs(2), 3);
        List<Integer> starts = new ArrayList<>();
        List<RetentionReport> reports = new ArrayList<>();
        ReportSink sink = new ReportSink() {
            @Override
            public void start(int iteration) {
                starts.add(iteration);
            }

            @Override
            public void accept(RetentionReport report) {
                reports.add(report);
            }
        };
        Kind.MULTI_LAYER_NETWORK
                .builder(folder)
                .epochs(2)
                .report(1, sink)
                .build()
                .run();
        assertEquals(starts.get(0) + 3, reports.get(0).iteration());
    }

    @Test
    void a_run_does_what_fit_does() throws IOException {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
        Teacher teacher = Teacher.of(pretrained);
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        List<DataSet> batches = Networks.batches(DataType.FLOAT, 5, true);
        MultiLayerNetwork fitted = Retention.attach(pretrained, conf);
        fitted.fit(new TeacherIterator(new ExistingDataSetIterator(batches), teacher), 3);
        MultiLayerNetwork student = Retention.attach(pretrained, conf);
        MultiLayerNetwork tuned = FinetuningRun.builder()
                .student(student)
                .teacher(teacher)
                .iterator(new ExistingDataSetIterator(batches))
                .epochs(3)
                .folder(folder)
                .build()
                .run();
        assertClose(fitted.params(), tuned.params(), 0);
        assertClose(pretrained.params(), student.params(), 0);
        assertEquals(fitted.getEpochCount(), tuned.getEpochCount());
    }

    @Test
    void an_updater_may_have_no_state() throws IOException {
        MultiLayerNetwork pretrained = Retention.withUpdater(Networks.lstm(DataType.FLOAT, 1), new Sgd(0.1));
        for (int epochs = 1; epochs < 3; epochs++) {
            MultiLayerNetwork tuned = FinetuningRun.builder()
                    .student(Retention.attach(
                            pretrained, RetentionConfiguration.builder().build()))
                    .teacher(Teacher.of(pretrained))
                    .iterator(new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 5, true)))
                    .epochs(epochs)
                    .folder(folder)
                    .build()
                    .run();
            assertEquals(5 * epochs, tuned.getIterationCount());
        }
    }

    @Test
    void listeners_hear_of_every_iteration_and_sinks_of_the_length() throws IOException {
        List<String> heard = new ArrayList<>();
        TrainingListener listener = new BaseTrainingListener() {
            @Override
            public void onEpochStart(Model model) {
                heard.add("start");
            }

            @Override
            public void iterationDone(Model model, int iteration, int epoch) {
                heard.add("iteration");
            }

            @Override
            public void onEpochEnd(Model model) {
                heard.add("end");
            }
        };
        List<RetentionReport> reports = new ArrayList<>();
        Set<Integer> lengths = new TreeSet<>();
        ReportSink sink = new ReportSink() {
            @Override
            public void accept(RetentionReport report) {
                reports.add(report);
            }

            @Override
            public void expect(int iterations) {
                lengths.add(iterations);
            }
        };
        Kind.MULTI_LAYER_NETWORK
                .builder(folder)
                .epochs(3)
                .report(2, sink)
                .listener(listener)
                .build()
                .run();
        assertEquals(3 * (Kind.BATCHES + 2), heard.size());
        assertEquals(List.of("iteration", "end", "start", "iteration"), heard.subList(Kind.BATCHES, Kind.BATCHES + 4));
        assertEquals(11, reports.size());
        assertTrue(Double.isFinite(reports.get(0).agreement()));
        assertEquals(2, reports.get(10).epoch());
        assertEquals(Set.of(3 * Kind.BATCHES), lengths);
        FinetuningRun.Builder<?> graph = Kind.SAME_DIFF.builder(folder).listener(listener);
        assertThrows(IllegalArgumentException.class, graph::build);
        FinetuningRun.Builder<?> second = Kind.SAME_DIFF.builder(folder).listener(new RetentionListener());
        assertThrows(IllegalArgumentException.class, second::build);
    }

    @Test
    void iterators_that_add_a_teacher_are_refused() {
        MultiLayerNetwork network = Networks.lstm(DataType.FLOAT, 1);
        Teacher teacher = Teacher.of(network);
        TeacherIterator taught =
                new TeacherIterator(new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 2, true)), teacher);
        TeacherMultiDataSetIterator taughtGraph =
                new TeacherMultiDataSetIterator(new MultiDataSetIteratorAdapter(taught), teacher);
        FinetuningRun.Builder<?> builder = FinetuningRun.builder();
        for (Executable call : List.<Executable>of(
                () -> builder.iterator(taught),
                () -> builder.iterator(taughtGraph),
                () -> new TeacherIterator(taught, teacher),
                () -> new TeacherMultiDataSetIterator(taughtGraph, teacher))) {
            String message = assertThrows(IllegalArgumentException.class, call).getMessage();
            assertTrue(message.startsWith("iterator: expected plain batches"), message);
        }
    }

    @Test
    void a_restarted_run_counts_on_from_its_checkpoint_whatever_its_start_has_counted() throws IOException {
        Kind kind = Kind.MULTI_LAYER_NETWORK;
        runUntil(kind.builder(folder).epochs(2), Kind.BATCHES - 2);
        Set<Integer> lengths = new TreeSet<>();
        ReportSink sink = new ReportSink() {
            @Override
            public void accept(RetentionReport report) {}

            @Override
            public void expect(int iterations) {
                lengths.add(iterations);
            }
        };
        MultiLayerNetwork tuned = (MultiLayerNetwork) kind.builder(folder, Kind.CONF, student -> {
                    ((MultiLayerNetwork) student).setEpochCount(9);
                    ((MultiLayerNetwork) student).setIterationCount(90);
                })
                .epochs(2)
                .report(1, sink)
                .build()
                .run();
        assertEquals(2, tuned.getEpochCount());
        assertEquals(2 * Kind.BATCHES, tuned.getIterationCount());
        assertEquals(Set.of(2 * Kind.BATCHES), lengths);
    }

    @Test
    void a_schedule_and_the_length_go_on_where_they_were() throws IOException {
        RetentionConfiguration warmUp = RetentionConfiguration.builder()
                .coefficient(new MapSchedule.Builder(ScheduleType.ITERATION)
                        .add(0, 0.5)
                        .add(6, 3)
                        .build())
                .build();
        Function<Path, FinetuningRun.Builder<?>> builder = path -> Kind.MULTI_LAYER_NETWORK
                .builder(path, warmUp, student -> {
                    // As attach does with a network that was pretrained for 20 iterations.
                    ((MultiLayerNetwork) student).setIterationCount(20);
                    RetentionLayers.of((MultiLayerNetwork) student).startAt(20, 0);
                })
                .epochs(2);
        INDArray expected =
                Kind.everything(builder.apply(folder.resolve("whole")).build().run());
        Map<Integer, Double> coefficients = new TreeMap<>();
        List<Integer> starts = new ArrayList<>();
        Path part = folder.resolve("part");
        runUntil(builder.apply(part), 25);
        ReportSink sink = new ReportSink() {
            @Override
            public void accept(RetentionReport report) {
                coefficients.put(report.iteration(), report.coefficient());
            }

            @Override
            public void start(int iteration) {
                starts.add(iteration);
            }
        };
        Object tuned = builder.apply(part).report(1, sink).build().run();
        assertClose(expected, Kind.everything(tuned), 0);
        assertEquals(20, starts.get(0));
        assertEquals(0.5, coefficients.get(25));
        assertEquals(3, coefficients.get(26));
        assertEquals(25, coefficients.keySet().iterator().next());
    }

    @Test
    void two_outputs_move_their_coefficients_on_their_own() throws IOException {
        List<String> outputs = new ArrayList<>();
        Kind.COMPUTATION_GRAPH
                .builder(folder)
                .report(1, report -> outputs.add(report.output()))
                .build()
                .run();
        Provenance provenance = Provenance.read(newest(folder));
        assertEquals(Set.of("a", "b"), provenance.losses().keySet());
        assertTrue(provenance.losses().get("a").coefficient()
                != provenance.losses().get("b").coefficient());
        assertEquals(List.of("a", "b", "a", "b"), outputs.subList(0, 4));
    }

    @Test
    void the_divergence_may_have_a_mask_of_its_own() throws IOException {
        List<RetentionReport> reports = new ArrayList<>();
        Kind.MULTI_LAYER_NETWORK
                .builder(folder)
                .divergenceMask((batch, output, size, time) -> Nd4j.zeros(size, time))
                .report(1, reports::add)
                .build()
                .run();
        assertTrue(reports.stream().allMatch(report -> report.tokens() == 15 && Double.isNaN(report.divergence())));
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void a_loss_that_is_not_finite_ends_the_run(Kind kind) throws IOException {
        FinetuningRun<?> run = kind.builder(folder, Kind.CONF, FinetuningRunTest::poison)
                .every(1)
                .build();
        String message = assertThrows(ArithmeticException.class, run::run).getMessage();
        assertTrue(message.contains("cross-entropy NaN"), message);
        assertEquals(List.of(), checkpoints(folder));
    }

    private static void poison(Object student) {
        if (student instanceof MultiLayerNetwork network) {
            network.params().putScalar(0, Double.NaN);
        } else if (student instanceof ComputationGraph graph) {
            graph.params().putScalar(0, Double.NaN);
        } else if (student instanceof SameDiff sd) {
            sd.getVariable("w").getArr().putScalar(0, Double.NaN);
        }
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void another_teacher_seed_loss_model_or_iterator_is_refused(Kind kind) throws IOException {
        runUntil(kind.builder(folder).epochs(2), 5);
        List<Path> files = checkpoints(folder);
        byte[] before = Files.readAllBytes(newest(folder));
        String teacher =
                refusal(IllegalStateException.class, kind.builder(folder).teacher(kind.teacher(9)));
        assertTrue(teacher.startsWith("teacher: ") && teacher.contains("SHA-256"), teacher);
        String seed = refusal(IllegalStateException.class, kind.builder(folder).seed(6));
        assertTrue(seed.startsWith("seed: expected 5"), seed);
        String data = refusal(IllegalStateException.class, kind.builder(folder).data("other sequences"));
        assertTrue(data.startsWith("data: expected random sequences of "), data);
        String batches = refusal(IllegalStateException.class, kind.iterator(kind.builder(folder), 50));
        assertTrue(batches.startsWith("iterator: ") && batches.contains("CRC-32"), batches);
        RetentionConfiguration other =
                RetentionConfiguration.builder().coefficient(2).build();
        String loss = refusal(IllegalStateException.class, kind.builder(folder, other, student -> {}));
        assertTrue(loss.startsWith("configuration: "), loss);
        Kind another = Kind.values()[(kind.ordinal() + 1) % Kind.values().length];
        String model = refusal(IllegalStateException.class, another.builder(folder));
        assertTrue(model.startsWith("student: "), model);
        String outputs =
                refusal(IllegalArgumentException.class, kind.builder(folder).teacher(another.teacher(1)));
        assertTrue(outputs.startsWith("teacher: "), outputs);
        assertEquals(files, checkpoints(folder));
        assertArrayEquals(before, Files.readAllBytes(newest(folder)));
    }

    @Test
    void numbers_and_data_that_make_no_run_are_refused() throws IOException {
        FinetuningRun.Builder<?> builder = Kind.MULTI_LAYER_NETWORK.builder(folder);
        assertThrows(IllegalArgumentException.class, () -> builder.every(0));
        assertThrows(IllegalArgumentException.class, () -> builder.epochs(0));
        assertThrows(IllegalArgumentException.class, () -> builder.keep(-1));
        assertThrows(IllegalArgumentException.class, () -> builder.report(0));
        String empty = refusal(
                IllegalArgumentException.class, builder.iterator(new ExistingDataSetIterator(List.<DataSet>of())));
        assertTrue(empty.startsWith("iterator: expected at least one minibatch"), empty);
        Kind.MULTI_LAYER_NETWORK.builder(folder).epochs(2).build().run();
        String fewer = refusal(IllegalStateException.class, Kind.MULTI_LAYER_NETWORK.builder(folder));
        assertTrue(fewer.startsWith("epochs: expected at least the 2"), fewer);
        assertThrows(NullPointerException.class, () -> FinetuningRun.builder().build());
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void a_moving_average_in_another_state_is_refused(Kind kind) throws IOException {
        Teacher moved = kind.teacher(1);
        runUntil(kind.builder(folder.resolve("first")).teacher(moved), 2);
        String notFresh = refusal(
                IllegalStateException.class,
                kind.builder(folder.resolve("second")).teacher(moved));
        assertTrue(notFresh.startsWith("teacher: expected a moving average that starts afresh"), notFresh);
        assertEquals(List.of(), checkpoints(folder.resolve("second")));
    }

    @Test
    void a_student_that_was_taught_needs_its_average() throws IOException {
        MultiLayerNetwork student = (MultiLayerNetwork) Kind.MULTI_LAYER_NETWORK
                .builder(folder.resolve("first"))
                .build()
                .run();
        Teacher fresh = Kind.MULTI_LAYER_NETWORK.teacher(1);
        String afresh = refusal(
                IllegalStateException.class,
                Kind.MULTI_LAYER_NETWORK
                        .iterator(FinetuningRun.builder().student(student), 0)
                        .teacher(fresh)
                        .folder(folder.resolve("second")));
        assertTrue(afresh.contains("restore the saved average first"), afresh);
    }

    @Test
    void the_length_may_be_known_from_the_start() throws IOException {
        List<Integer> heard = new ArrayList<>();
        ReportSink sink = new ReportSink() {
            @Override
            public void accept(RetentionReport report) {
                heard.add(report.iteration());
            }

            @Override
            public void expect(int iterations) {
                heard.add(-iterations);
            }
        };
        Kind.MULTI_LAYER_NETWORK
                .builder(folder)
                .iterationsPerEpoch(Kind.BATCHES)
                .report(1, sink)
                .build()
                .run();
        assertEquals(List.of(-Kind.BATCHES, 0), heard.subList(0, 2));
    }
}
