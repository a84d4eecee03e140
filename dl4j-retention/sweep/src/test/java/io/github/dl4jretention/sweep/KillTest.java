package io.github.dl4jretention.sweep;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.space.Search;
import io.github.dl4jretention.sweep.task.Batches;
import io.github.dl4jretention.sweep.task.FinetuneSpace;
import io.github.dl4jretention.sweep.task.SweepData;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;

/** Sweeps that are killed, at random moments ({@code -Dkills=20} for more of them) and at chosen ones. */
class KillTest {

    private static final int KILLS = Integer.getInteger("kills", 2);
    private static final int CANDIDATES = 8 + 4 * KILLS;

    @TempDir
    private Path folder;

    private static Sweep.Builder sweep(Path folder) {
        return SweepTest.sweep(folder)
                .space(FinetuneSpace.builder()
                        .retention(
                                RetentionSpace.builder().coefficient(0.01, 100).build())
                        .learningRates(0.01)
                        .steps(20)
                        .build())
                .search(Search.random())
                .candidates(CANDIDATES)
                .parallelism(2);
    }

    @Test
    void a_sweep_that_is_killed_loses_no_candidate_and_runs_none_twice() throws Exception {
        SweepOutcome whole = sweep(folder.resolve("whole")).build().run();
        Path part = folder.resolve("part");
        Path ended = folder.resolve("ended.txt");
        Random random = new Random(1);
        int kills = 0;
        while (kills < KILLS) {
            Process process = start(part, ended);
            long before = lines(ended).size();
            // From its first write on, or in the midst of training.
            while (process.isAlive() && random.nextInt(40) != 0 && lines(ended).size() < before + 2) {
                process.waitFor(25, TimeUnit.MILLISECONDS);
            }
            while (process.isAlive() && !Files.exists(part.resolve("sweep.json"))) {
                process.waitFor(5, TimeUnit.MILLISECONDS);
            }
            process.waitFor(random.nextInt(200), TimeUnit.MILLISECONDS);
            boolean alive = process.isAlive();
            process.destroyForcibly().waitFor();
            assertTrue(alive, "the sweep ended after " + kills + " of " + KILLS + " kills");
            kills++;
            assertReadable(part);
        }
        Process last = start(part, ended);
        String printed = new String(last.getInputStream().readAllBytes());
        assertEquals(0, last.waitFor(), printed);
        SweepOutcome resumed = state(part);
        assertEquals(SweepTest.essence(whole), SweepTest.essence(resumed));
        assertEquals(CANDIDATES, resumed.complete().size());
        List<String> lines = lines(ended);
        assertEquals(lines.stream().distinct().count(), lines.size(), "run twice: " + lines);
        assertTrue(lines.size() >= CANDIDATES - KILLS, lines.size() + " ended");
        assertEquals(KILLS, kills);
        System.out.println(kills + " kills, " + CANDIDATES + " candidates, " + lines.size() + " told of their end");
    }

    @Test
    void a_pruned_sweep_goes_on_from_before_its_first_write_from_its_midst_and_from_its_end() throws Exception {
        SweepOutcome whole = pruned(folder.resolve("whole")).build().run();
        assertTrue(whole.complete().size() < whole.candidates().size(), "some are pruned");
        Path part = folder.resolve("part");
        halt(part, Moment.FIRST_WRITE);
        assertTrue(Files.exists(part.resolve("sweep.lock")));
        assertFalse(Files.exists(part.resolve("sweep.json")));
        halt(part, Moment.CANDIDATES);
        assertReadable(part);
        assertEquals(3, state(part).candidates().size());
        halt(part, Moment.FINISH);
        assertReadable(part);
        assertEquals(whole.candidates().size(), state(part).candidates().size());
        assertFalse(state(part).finished());
        List<Integer> ran = new ArrayList<>();
        SweepOutcome resumed =
                pruned(part).listener(SweepTest.noting(ran)).build().run();
        assertEquals(SweepTest.essence(whole), SweepTest.essence(resumed));
        assertEquals(List.of(), ran);
        assertTrue(Files.exists(part.resolve("tradeoff.png")));
    }

    /** Its candidates are counted from the beginning again. */
    @Test
    void a_grid_that_is_killed_runs_the_rest_of_its_points_and_none_twice() throws Exception {
        SweepOutcome whole = grid(folder.resolve("whole")).build().run();
        assertEquals(6, whole.complete().size());
        Path part = folder.resolve("part");
        halt(part, Moment.CANDIDATES, "grid");
        assertReadable(part);
        assertEquals(3, state(part).candidates().size());
        List<Integer> ran = new ArrayList<>();
        SweepOutcome resumed =
                grid(part).listener(SweepTest.noting(ran)).build().run();
        assertEquals(SweepTest.essence(whole), SweepTest.essence(resumed));
        assertEquals(List.of(3, 4, 5), ran);
    }

    private static Sweep.Builder grid(Path folder) {
        return SweepTest.sweep(folder)
                .space(FinetuneSpace.builder()
                        .retention(RetentionSpace.builder()
                                .coefficients(0.1, 1, 10)
                                .build())
                        .learningRates(0.003, 0.01)
                        .steps(3)
                        .build())
                .search(Search.grid(3))
                .candidates(6)
                .parallelism(1);
    }

    private static Sweep.Builder pruned(Path folder) {
        return SweepTest.pruned(SweepTest.sweep(folder));
    }

    private static void halt(Path folder, Moment moment) throws Exception {
        halt(folder, moment, "pruned");
    }

    private static void halt(Path folder, Moment moment, String search) throws Exception {
        Process process = java(Halt.class, folder.toString(), moment.name(), search);
        String printed = new String(process.getInputStream().readAllBytes());
        assertEquals(Halt.CODE, process.waitFor(), printed);
    }

    private static SweepOutcome state(Path part) throws IOException {
        return SweepOutcome.fromJson(Files.readString(part.resolve("sweep.json")));
    }

    /** What a kill has left is whole: the state, and the models of the front it names. */
    private static void assertReadable(Path part) throws IOException {
        SweepOutcome found = state(part);
        for (CandidateOutcome candidate : found.front()) {
            Path model = part.resolve("models/candidate-%03d.zip".formatted(candidate.index()));
            assertTrue(MultiLayerNetwork.load(model.toFile(), false).numParams() > 0);
        }
    }

    private static List<String> lines(Path file) throws IOException {
        return Files.exists(file) ? Files.readAllLines(file) : List.of();
    }

    private static Process start(Path folder, Path ended) throws IOException {
        return java(Run.class, folder.toString(), ended.toString(), String.valueOf(KILLS));
    }

    private static Process java(Class<?> program, String... args) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                program.getName()));
        command.addAll(List.of(args));
        return new ProcessBuilder(command).redirectErrorStream(true).start();
    }

    /** When a sweep halts. */
    private enum Moment {
        /** When the base is measured on validation text. */
        FIRST_WRITE,
        /** When the third candidate has ended. */
        CANDIDATES,
        /** When the first model of the front is measured on test text, after the base. */
        FINISH
    }

    /** Halts at a moment, as if killed. */
    public static final class Halt {

        private static final int CODE = 9;

        private Halt() {}

        /** @param args folder, moment, pruned or grid */
        public static void main(String[] args) throws IOException {
            Path folder = Path.of(args[0]);
            Moment moment = Moment.valueOf(args[1]);
            SweepData data = SweepTexts.data(DataType.DOUBLE);
            (args[2].equals("grid") ? grid(folder) : pruned(folder))
                    .data(new SweepData(
                            data.training(),
                            moment == Moment.FIRST_WRITE
                                    ? halting(folder, data.validationTarget(), 1)
                                    : data.validationTarget(),
                            data.validationSource(),
                            moment == Moment.FINISH ? halting(folder, data.testTarget(), 2) : data.testTarget(),
                            data.testSource()))
                    .listener(new SweepListener() {
                        @Override
                        public void onCandidate(SweepOutcome sweep, CandidateOutcome candidate) {
                            if (moment == Moment.CANDIDATES
                                    && sweep.candidates().size() == 3) {
                                Runtime.getRuntime().halt(CODE);
                            }
                        }
                    })
                    .build()
                    .run();
        }

        /** @param reads of the text since the sweep has begun, the last of which halts */
        private static Batches halting(Path folder, Batches text, int reads) {
            AtomicInteger left = new AtomicInteger(reads);
            return () -> {
                if (Files.exists(folder.resolve("sweep.lock")) && left.decrementAndGet() == 0) {
                    Runtime.getRuntime().halt(CODE);
                }
                return text.iterator();
            };
        }
    }

    /** Runs to the end, slowly enough to be killed. */
    public static final class Run {

        private Run() {}

        /** @param args folder, file for the indices of candidates that have ended, kills */
        public static void main(String[] args) throws IOException {
            System.setProperty("kills", args[2]);
            Path ended = Path.of(args[1]);
            sweep(Path.of(args[0]))
                    .listener(new SweepListener() {
                        @Override
                        public void onStep(int candidate, int step, int steps, TokenLoss loss) {
                            try {
                                Thread.sleep(4);
                            } catch (InterruptedException e) {
                                Thread.currentThread().interrupt();
                            }
                        }

                        @Override
                        public void onCandidate(SweepOutcome sweep, CandidateOutcome candidate) {
                            try {
                                Files.writeString(
                                        ended,
                                        candidate.index() + "\n",
                                        StandardOpenOption.CREATE,
                                        StandardOpenOption.APPEND);
                            } catch (IOException e) {
                                throw new UncheckedIOException(e);
                            }
                        }
                    })
                    .build()
                    .run();
        }
    }
}
