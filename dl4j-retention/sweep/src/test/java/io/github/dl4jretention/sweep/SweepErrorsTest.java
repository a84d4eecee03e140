package io.github.dl4jretention.sweep;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.task.Batches;
import io.github.dl4jretention.sweep.task.SweepData;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import org.deeplearning4j.arbiter.optimize.api.OptimizationResult;
import org.deeplearning4j.arbiter.optimize.runner.CandidateInfo;
import org.deeplearning4j.arbiter.optimize.runner.IOptimizationRunner;
import org.deeplearning4j.arbiter.optimize.runner.listener.BaseStatusListener;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

/** What says nothing about a candidate ends the sweep, and a sweep that ends leaves nothing in work. */
class SweepErrorsTest {

    private static final DataType TYPE = DataType.DOUBLE;

    @TempDir
    private Path folder;

    private Set<Thread> before;

    @BeforeEach
    void remember() {
        before = new HashSet<>(Thread.getAllStackTraces().keySet());
    }

    private void assertNoThreadLeft() throws InterruptedException {
        for (Thread thread : Thread.getAllStackTraces().keySet()) {
            boolean arbiters = thread.getName().startsWith("ArbiterOptimizationRunner")
                    || thread.getName().startsWith("LocalCandidateExecutor");
            if (arbiters && !before.contains(thread)) {
                thread.join(20_000);
                assertFalse(thread.isAlive(), thread.getName());
            }
        }
    }

    private List<String> whole() throws IOException {
        return SweepTest.essence(
                SweepTest.sweep(folder.resolve("whole")).build().run());
    }

    private SweepOutcome state(Path of) throws IOException {
        return SweepOutcome.fromJson(Files.readString(of.resolve("sweep.json")));
    }

    @ParameterizedTest
    @ValueSource(classes = {OutOfMemoryError.class, UncheckedIOException.class})
    void an_error_that_is_not_the_candidate_s_ends_the_sweep_and_a_restart_runs_it_again(Class<?> kind)
            throws Exception {
        Throwable error = kind == OutOfMemoryError.class
                ? new OutOfMemoryError("as if")
                : new UncheckedIOException(new IOException("as if"));
        AtomicReference<Throwable> thrown = new AtomicReference<>();
        SweepData data = SweepTexts.data(TYPE);
        Batches failing = () -> {
            if (thrown.get() instanceof Error fatal) {
                throw fatal;
            }
            if (thrown.get() instanceof RuntimeException exception) {
                throw exception;
            }
            return data.training().iterator();
        };
        Path part = folder.resolve("part");
        Sweep sweep = SweepTest.sweep(part)
                .data(new SweepData(
                        failing,
                        data.validationTarget(),
                        data.validationSource(),
                        data.testTarget(),
                        data.testSource()))
                .parallelism(2)
                .build();
        thrown.set(error);
        Throwable told = assertThrows(Throwable.class, sweep::run);
        if (kind == OutOfMemoryError.class) {
            assertSame(error, told);
        } else {
            assertSame(error, told.getCause());
            assertTrue(told.getMessage().matches("candidate: [01], FinetuneConfiguration.*as if"), told.getMessage());
        }
        assertEquals(List.of(), state(part).candidates());
        assertNoThreadLeft();
        thrown.set(null);
        assertEquals(whole(), SweepTest.essence(sweep.run()));
    }

    @Test
    void listeners_that_throw_harm_nothing() throws IOException {
        SweepListener listener = new SweepListener() {
            @Override
            public void onStart(SweepOutcome sweep) {
                throw new IllegalStateException("start");
            }

            @Override
            public void onStep(int candidate, int step, int steps, TokenLoss loss) {
                throw new IllegalArgumentException("step");
            }

            @Override
            public void onCandidate(SweepOutcome sweep, CandidateOutcome candidate) {
                throw new ArithmeticException("candidate");
            }

            @Override
            public void onFinish(SweepOutcome sweep) {
                throw new IllegalStateException("finish");
            }
        };
        BaseStatusListener status = new BaseStatusListener() {
            @Override
            public void onInitialization(IOptimizationRunner runner) {
                throw new IllegalStateException("begin");
            }

            @Override
            public void onShutdown(IOptimizationRunner runner) {
                throw new IllegalStateException("end");
            }

            @Override
            public void onRunnerStatusChange(IOptimizationRunner runner) {
                throw new IllegalStateException("runner");
            }

            @Override
            public void onCandidateIteration(CandidateInfo info, Object candidate, int iteration) {
                throw new IllegalStateException("iteration");
            }

            @Override
            public void onCandidateStatusChange(
                    CandidateInfo info, IOptimizationRunner runner, OptimizationResult result) {
                throw new IllegalStateException("candidate");
            }
        };
        SweepOutcome outcome = SweepTest.sweep(folder.resolve("part"))
                .listener(listener)
                .statusListener(status)
                .build()
                .run();
        assertEquals(whole(), SweepTest.essence(outcome));
    }

    @Test
    void an_error_on_the_runner_s_thread_leaves_nothing_in_work() throws Exception {
        Path part = folder.resolve("part");
        Sweep sweep = SweepTest.sweep(part)
                .parallelism(2)
                .statusListener(new BaseStatusListener() {
                    @Override
                    public void onRunnerStatusChange(IOptimizationRunner runner) {
                        throw new OutOfMemoryError("as if");
                    }
                })
                .build();
        assertEquals("as if", assertThrows(OutOfMemoryError.class, sweep::run).getMessage());
        assertNoThreadLeft();
        assertEquals(whole(), SweepTest.essence(SweepTest.sweep(part).build().run()));
    }

    @Test
    void an_interrupt_ends_the_sweep() throws Exception {
        Path part = folder.resolve("part");
        Thread caller = Thread.currentThread();
        Sweep sweep = SweepTest.sweep(part)
                .listener(new SweepListener() {
                    @Override
                    public void onStep(int candidate, int step, int steps, TokenLoss loss) {
                        if (candidate == 1) {
                            caller.interrupt();
                            park();
                        }
                    }
                })
                .build();
        assertThrows(InterruptedIOException.class, sweep::run);
        assertTrue(Thread.interrupted(), "the thread is interrupted still");
        assertNoThreadLeft();
        assertEquals(1, state(part).candidates().size());
        assertEquals(whole(), SweepTest.essence(SweepTest.sweep(part).build().run()));
    }

    /** Until this thread is interrupted, too. */
    private static void park() {
        try {
            Thread.sleep(20_000);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Test
    void no_thread_is_left() throws Exception {
        SweepTest.sweep(folder).parallelism(2).build().run();
        assertNoThreadLeft();
    }

    @Test
    void a_candidate_that_cannot_be_written_is_not_recorded() throws IOException {
        Path part = folder.resolve("part");
        SweepListener inTheWay = new SweepListener() {
            @Override
            public void onStart(SweepOutcome sweep) {
                try {
                    Files.createDirectories(part.resolve("models/candidate-000.zip.part/film"));
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }
        };
        Sweep sweep = SweepTest.sweep(part).listener(inTheWay).build();
        assertThrows(IOException.class, sweep::run);
        assertEquals(List.of(), state(part).candidates());
        Files.delete(part.resolve("models/candidate-000.zip.part/film"));
        assertEquals(whole(), SweepTest.essence(SweepTest.sweep(part).build().run()));
    }

    private static SweepListener noting(List<Integer> ran) {
        return new SweepListener() {
            @Override
            public void onCandidate(SweepOutcome sweep, CandidateOutcome candidate) {
                ran.add(candidate.index());
            }
        };
    }

    @Test
    void candidates_of_the_front_whose_model_is_gone_run_again_and_no_others() throws IOException {
        SweepOutcome outcome = SweepTest.sweep(folder).build().run();
        List<Integer> front =
                outcome.front().stream().map(CandidateOutcome::index).sorted().toList();
        for (int candidate : front) {
            Files.delete(folder.resolve(SweepFolder.model(candidate)));
        }
        List<Integer> ran = new ArrayList<>();
        // No time for any: what is known stays known, and is not on the disk.
        SweepOutcome none = SweepTest.sweep(folder)
                .minutes(1e-9)
                .listener(noting(ran))
                .build()
                .run();
        assertEquals(SweepTest.essence(outcome), SweepTest.essence(none));
        assertEquals(List.of(), ran);
        SweepOutcome again =
                SweepTest.sweep(folder).listener(noting(ran)).build().run();
        assertEquals(SweepTest.essence(outcome), SweepTest.essence(again));
        assertEquals(front, ran);
        for (int candidate : front) {
            assertTrue(Files.exists(folder.resolve(SweepFolder.model(candidate))));
        }
    }

    @Test
    void pictures_that_cannot_be_written_lose_nothing() throws IOException {
        SweepOutcome outcome = SweepTest.sweep(folder)
                .listener(new SweepListener() {
                    @Override
                    public void onStart(SweepOutcome sweep) {
                        try {
                            Files.createDirectories(folder.resolve("tradeoff.png/film"));
                        } catch (IOException e) {
                            throw new UncheckedIOException(e);
                        }
                    }
                })
                .build()
                .run();
        assertTrue(outcome.finished());
        assertEquals(outcome, state(folder));
        assertTrue(Files.exists(folder.resolve("tradeoff.png/film")));
    }

    @Test
    void a_base_loss_that_is_not_finite_is_refused_by_the_text_s_name() throws IOException {
        SweepData data = SweepTexts.data(TYPE);
        DataSet masked = Networks.sequences(TYPE, 3, 1);
        masked.setLabelsMaskArray(Nd4j.zeros(TYPE, 3, Networks.TIME));
        Sweep sweep = SweepTest.sweep(folder)
                .data(new SweepData(
                        data.training(),
                        data.validationTarget(),
                        Batches.of(new ExistingDataSetIterator(List.of(masked))),
                        data.testTarget(),
                        data.testSource()))
                .build();
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, sweep::run);
        assertTrue(
                e.getMessage().startsWith("validationSource: expected a finite loss of the pretrained model, got NaN"),
                e.getMessage());
    }

    private static Batches training(long lastSeed) {
        Batches first = SweepTexts.target(TYPE, 16, 100);
        Batches last = SweepTexts.target(TYPE, 1, lastSeed);
        List<DataSet> all = new ArrayList<>();
        for (Batches text : List.of(first, last)) {
            for (MultiDataSetIterator batches = text.iterator(); batches.hasNext(); ) {
                var batch = batches.next();
                all.add(new DataSet(batch.getFeatures(0), batch.getLabels(0)));
            }
        }
        return Batches.of(() -> new ExistingDataSetIterator(all));
    }

    @Test
    void all_of_the_training_text_counts() {
        SweepData data = SweepTexts.data(TYPE);
        List<String> found = new ArrayList<>();
        for (long last : new long[] {1, 2}) {
            SweepData long17 = new SweepData(
                    training(last),
                    data.validationTarget(),
                    data.validationSource(),
                    data.testTarget(),
                    data.testSource());
            found.add(long17.identities().get("training"));
        }
        assertNotEquals(found.get(0), found.get(1));
        SweepData same =
                new SweepData(training(1), training(1), data.validationSource(), data.testTarget(), data.testSource());
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, same::identities);
        assertTrue(e.getMessage().startsWith("validationTarget: expected another text than training"), e.getMessage());
    }

    /** As in a small container, where Java throws an InternalError when it is to draw text. */
    @Test
    @EnabledOnOs(OS.LINUX)
    void without_fonts_a_sweep_ends_as_well() throws Exception {
        Path fonts = Files.writeString(folder.resolve("fonts.conf"), "<?xml version=\"1.0\"?><fontconfig/>");
        ProcessBuilder builder = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Djava.awt.headless=true",
                        "-Duser.home=" + folder,
                        "-cp",
                        System.getProperty("java.class.path"),
                        WithoutFonts.class.getName(),
                        folder.resolve("sweep").toString())
                .redirectErrorStream(true);
        builder.environment().put("FONTCONFIG_FILE", fonts.toString());
        Process process = builder.start();
        String printed = new String(process.getInputStream().readAllBytes());
        assertEquals(0, process.waitFor(), printed);
        assertTrue(printed.contains("finished: true"), printed);
        assertTrue(state(folder.resolve("sweep")).finished());
    }

    /** A sweep that says when its listener was told of its end. */
    public static final class WithoutFonts {

        private WithoutFonts() {}

        /** @param args folder */
        public static void main(String[] args) throws IOException {
            SweepTest.sweep(Path.of(args[0]))
                    .candidates(1)
                    .listener(new SweepListener() {
                        @Override
                        public void onFinish(SweepOutcome sweep) {
                            System.out.println("finished: " + sweep.finished());
                        }
                    })
                    .build()
                    .run();
        }
    }
}
