package io.github.dl4jretention.sweep;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.space.Search;
import io.github.dl4jretention.sweep.task.FinetuneSpace;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Sweeps that are killed at random moments; {@code -Dkills=20} for more of them. */
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
        SweepOutcome resumed = SweepOutcome.fromJson(Files.readString(part.resolve("sweep.json")));
        assertEquals(SweepTest.essence(whole), SweepTest.essence(resumed));
        assertEquals(CANDIDATES, resumed.complete().size());
        List<String> lines = lines(ended);
        assertEquals(lines.stream().distinct().count(), lines.size(), "run twice: " + lines);
        assertTrue(lines.size() >= CANDIDATES - KILLS, lines.size() + " ended");
        assertEquals(KILLS, kills);
        System.out.println(kills + " kills, " + CANDIDATES + " candidates, " + lines.size() + " told of their end");
    }

    /** What a kill has left is whole: the state, and the models of the front it names. */
    private static void assertReadable(Path part) throws IOException {
        SweepOutcome found = SweepOutcome.fromJson(Files.readString(part.resolve("sweep.json")));
        for (CandidateOutcome candidate : found.front()) {
            Path model = part.resolve("models/candidate-%03d.zip".formatted(candidate.index()));
            assertTrue(MultiLayerNetwork.load(model.toFile(), false).numParams() > 0);
        }
    }

    private static List<String> lines(Path file) throws IOException {
        return Files.exists(file) ? Files.readAllLines(file) : List.of();
    }

    private static Process start(Path folder, Path ended) throws IOException {
        return new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-cp",
                        System.getProperty("java.class.path"),
                        Run.class.getName(),
                        folder.toString(),
                        ended.toString(),
                        String.valueOf(KILLS))
                .redirectErrorStream(true)
                .start();
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
