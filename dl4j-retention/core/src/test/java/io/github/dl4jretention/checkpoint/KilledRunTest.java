package io.github.dl4jretention.checkpoint;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Runs in processes of their own that are killed. {@code -Dkills=20} kills a MultiLayerNetwork's run that many
 * times, the others half as often; it prints how many kills came in the middle of writing a checkpoint.
 */
class KilledRunTest {

    private static final int KILLS = Integer.getInteger("kills", 2);
    private static final String READY = "ready to run";

    @TempDir
    private Path folder;

    private static FinetuningRun.Builder<?> builder(Kind kind, Path folder) {
        return kind.builder(folder).every(1).epochs(2 + 3 * kills(kind));
    }

    private static int kills(Kind kind) {
        return kind == Kind.MULTI_LAYER_NETWORK ? KILLS : (KILLS + 1) / 2;
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void a_run_that_is_killed_again_and_again_ends_like_one_that_is_not(Kind kind) throws Exception {
        INDArray expected = Kind.everything(
                builder(kind, folder.resolve("whole")).every(1000).build().run());
        int kills = kills(kind);
        int iterations = (2 + 3 * kills) * Kind.BATCHES;
        Random random = new Random(11);
        Path part = folder.resolve("part");
        Path result = folder.resolve("result.bin");
        int killed = 0;
        int inWriting = 0;
        while (killed < kills) {
            // A moment by chance, but no later than a share of the run, so that every kill comes before its end.
            int atMost = iterations * (killed + 1) / (kills + 1);
            long nanos = random.nextInt(800) * 1_000_000L;
            Process process = start(kind, part, result);
            awaitLine(process.inputReader(), READY);
            long ready = System.nanoTime();
            while (process.isAlive() && System.nanoTime() - ready < nanos && iteration(part) < atMost) {
                process.waitFor(1, TimeUnit.MILLISECONDS);
            }
            // Every second one while a checkpoint is written, as far as can be seen from here.
            while (killed % 2 == 0 && process.isAlive() && count(part, ".part") == 0 && iteration(part) < atMost) {
                Thread.onSpinWait();
            }
            assertTrue(process.isAlive(), "the run ended before kill " + (killed + 1));
            process.destroyForcibly().waitFor();
            killed++;
            inWriting += count(part, ".part");
            for (Path file : FinetuningRunTest.checkpoints(part)) {
                Provenance.read(file);
                Checkpoints.read(file, kind.student());
            }
        }
        Process last = start(kind, part, result);
        String printed = new String(last.getInputStream().readAllBytes());
        assertEquals(0, last.waitFor(), printed);
        assertClose(expected, Nd4j.readBinary(result.toFile()), 0);
        assertEquals(0, count(part, ".part"));
        System.out.printf(
                "%s: %d iterations, killed %d times before the end, of which %d while writing a checkpoint%n",
                kind, iterations, killed, inWriting);
    }

    private static int iteration(Path folder) throws IOException {
        List<Path> files = FinetuningRunTest.checkpoints(folder);
        return files.isEmpty()
                ? 0
                : Integer.parseInt(
                        files.get(files.size() - 1).getFileName().toString().replaceAll("\\D", ""));
    }

    private static int count(Path folder, String suffix) throws IOException {
        if (!Files.exists(folder)) {
            return 0;
        }
        try (Stream<Path> files = Files.list(folder)) {
            return (int) files.filter(file -> file.toString().endsWith(suffix)).count();
        }
    }

    private static void awaitLine(BufferedReader reader, String expected) throws IOException {
        StringBuilder printed = new StringBuilder();
        for (String line = reader.readLine(); line != null; line = reader.readLine()) {
            if (line.contains(expected)) {
                return;
            }
            printed.append(line).append('\n');
        }
        throw new AssertionError(printed.toString());
    }

    @Test
    void a_run_that_is_told_to_end_writes_a_checkpoint_first_and_does_not_return() throws Exception {
        Path part = folder.resolve("part");
        Path result = folder.resolve("result.bin");
        Process process = start(Kind.MULTI_LAYER_NETWORK, part, result);
        while (process.isAlive() && iteration(part) < 2) {
            process.waitFor(1, TimeUnit.MILLISECONDS);
        }
        // Process.destroy would close the stream that is read below.
        process.toHandle().destroy();
        String printed = new String(process.getInputStream().readAllBytes());
        assertEquals(128 + 15, process.waitFor(), printed);
        assertTrue(printed.contains("stops after the iteration under way"), printed);
        Path newest = FinetuningRunTest.newest(part);
        assertTrue(printed.strip().endsWith(newest.getFileName().toString()), printed);
        assertTrue(Files.notExists(result), "the run returned");
        INDArray expected = Kind.everything(builder(Kind.MULTI_LAYER_NETWORK, folder.resolve("whole"))
                .build()
                .run());
        assertClose(
                expected,
                Kind.everything(builder(Kind.MULTI_LAYER_NETWORK, part).build().run()),
                0);
    }

    private static Process start(Kind kind, Path folder, Path result) throws IOException {
        return new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-XX:TieredStopAtLevel=1",
                        "-XX:+UseSerialGC",
                        "-Dkills=" + KILLS,
                        "-Dorg.slf4j.simpleLogger.log.io.github.dl4jretention=info",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Run.class.getName(),
                        kind.name(),
                        folder.toString(),
                        result.toString())
                .redirectErrorStream(true)
                .start();
    }

    /** Runs to the end, with a checkpoint after every iteration. */
    public static final class Run {

        private Run() {}

        /** @param args kind of model, folder of checkpoints, file for the result */
        public static void main(String[] args) throws IOException {
            FinetuningRun<?> run =
                    builder(Kind.valueOf(args[0]), Path.of(args[1])).build();
            System.out.println(READY);
            Nd4j.saveBinary(Kind.everything(run.run()), Path.of(args[2]).toFile());
        }
    }
}
