package io.github.dl4jretention.checkpoint;

import static io.github.dl4jretention.Networks.assertClose;
import static io.github.dl4jretention.checkpoint.FinetuningRunTest.checkpoints;
import static io.github.dl4jretention.checkpoint.FinetuningRunTest.newest;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.internal.CheckedZip;
import io.github.dl4jretention.internal.FolderLock;
import io.github.dl4jretention.listener.ReportSink;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Files of checkpoints: whole or not there, verified, one run at a time. */
class CheckpointsTest {

    @TempDir
    private Path folder;

    @ParameterizedTest
    @EnumSource(Kind.class)
    void a_checkpoint_says_what_made_it_and_the_newest_are_kept(Kind kind) throws IOException {
        Object student = kind.builder(folder).epochs(2).build().run();
        List<Path> files = checkpoints(folder);
        assertEquals(
                List.of("checkpoint-000000009.zip", "checkpoint-000000012.zip", "checkpoint-000000014.zip"),
                files.stream().map(file -> file.getFileName().toString()).toList());
        Provenance provenance = Provenance.read(files.get(2));
        assertEquals(kind.teacher(1).sha256(), provenance.teacher());
        assertEquals(14, provenance.iteration());
        assertEquals(2, provenance.epoch());
        assertEquals(5, provenance.seed());
        assertEquals("random sequences", provenance.data());
        assertEquals("1.0.0-M2.1", provenance.versions().dl4j());
        assertEquals("1.0.0-M2.1", provenance.versions().nd4j());
        provenance.losses().forEach((output, loss) -> {
            assertEquals(Kind.CONF, loss.configuration());
            assertTrue(loss.coefficient() > 0 && loss.coefficient() != 1, output + " " + loss);
        });
        Object loaded =
                switch (kind) {
                    case MULTI_LAYER_NETWORK -> MultiLayerNetwork.load(
                            newest(folder).toFile(), true);
                    case COMPUTATION_GRAPH -> ComputationGraph.load(
                            newest(folder).toFile(), true);
                    case SAME_DIFF -> SameDiff.fromFlatBuffers(
                            ByteBuffer.wrap(Kind.entry(newest(folder), "graph.fb")), true);
                };
        assertClose(Kind.everything(student), Kind.everything(loaded), 0);
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void damaged_bytes_are_noticed(Kind kind) throws IOException {
        kind.builder(folder).keep(1).build().run();
        Path file = newest(folder);
        byte[] good = Files.readAllBytes(file);
        Student<?> start = kind.student();
        Checkpoints.Saved<?> saved = Checkpoints.read(file, start);
        INDArray everything = Kind.everything(saved.student().model());
        Provenance provenance = Provenance.read(file);
        Random random = new Random(7);
        int refused = 0;
        for (int i = 0; i < 150; i++) {
            byte[] bad = i % 3 == 0 ? Arrays.copyOf(good, random.nextInt(good.length)) : good.clone();
            for (int flips = i % 3; flips > 0; flips--) {
                bad[random.nextInt(bad.length)] ^= (byte) (1 << random.nextInt(8));
            }
            Files.write(file, bad);
            try {
                Checkpoints.Saved<?> read = Checkpoints.read(file, start);
                // What was hit is of no meaning to the reader, such as a time stamp.
                assertClose(everything, Kind.everything(read.student().model()), 0);
                assertEquals(saved.state(), read.state());
                assertEquals(provenance, Provenance.read(file));
            } catch (IOException e) {
                assertTrue(e.getMessage().contains(file.toString()), e.getMessage());
                refused++;
            }
        }
        assertTrue(refused > 120, "refused " + refused);
    }

    @Test
    void a_damaged_checkpoint_is_passed_over_and_folders_of_damaged_ones_are_refused() throws IOException {
        Kind kind = Kind.MULTI_LAYER_NETWORK;
        kind.builder(folder).build().run();
        byte[] bytes = Files.readAllBytes(newest(folder));
        for (int i = bytes.length / 3; i < bytes.length / 3 + 50; i++) {
            bytes[i] ^= 0x55;
        }
        Files.write(newest(folder), bytes);
        INDArray expected = Kind.everything(
                kind.builder(folder.resolve("whole")).epochs(2).build().run());
        assertClose(
                expected, Kind.everything(kind.builder(folder).epochs(2).build().run()), 0);

        Path broken = Files.createDirectories(folder.resolve("broken"));
        Files.write(broken.resolve("checkpoint-000000001.zip"), new byte[] {1, 2, 3});
        FinetuningRun<?> run = kind.builder(broken).build();
        String message = assertThrows(IOException.class, run::run).getMessage();
        assertTrue(message.contains(broken.toString()), message);
        assertEquals(1, checkpoints(broken).size());
    }

    @Test
    void what_a_kill_left_half_written_is_removed() throws IOException {
        Path left = Files.writeString(folder.resolve("checkpoint-000000003.zip.part"), "half");
        Kind.MULTI_LAYER_NETWORK.builder(folder).build().run();
        assertTrue(Files.notExists(left));
    }

    @Test
    void a_folder_is_one_runs_at_a_time() throws Exception {
        Kind kind = Kind.MULTI_LAYER_NETWORK;
        ReportSink second = report -> {
            try {
                kind.builder(folder).build().run();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        };
        FinetuningRun<?> inside = kind.builder(folder).report(1, second).build();
        String message = assertThrows(IllegalStateException.class, inside::run).getMessage();
        assertTrue(message.contains(folder.toString()) && message.contains("no other run"), message);

        Process other = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-cp",
                        System.getProperty("java.class.path"),
                        Holder.class.getName(),
                        folder.toString())
                .redirectErrorStream(true)
                .start();
        assertEquals("holds", other.inputReader().readLine());
        FinetuningRun<?> outside = kind.builder(folder).build();
        assertThrows(IllegalStateException.class, outside::run);
        other.destroyForcibly().waitFor();
        kind.builder(folder).build().run();
    }

    /** Holds a folder until it is killed. */
    public static final class Holder {

        private Holder() {}

        /** @param args the folder */
        public static void main(String[] args) throws Exception {
            try (FolderLock lock = FolderLock.of(Path.of(args[0]), "run")) {
                System.out.println("holds");
                TimeUnit.MINUTES.sleep(5);
            }
        }
    }

    @Test
    void a_folder_that_cannot_be_written_to_is_named() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "no folder");
        FinetuningRun.Builder<?> builder = Kind.MULTI_LAYER_NETWORK.builder(file);
        String message = assertThrows(IOException.class, builder::build).getMessage();
        assertTrue(message.startsWith("folder: ") && message.contains(file.toString()), message);

        Path gone = folder.resolve("gone");
        FinetuningRun<?> run = Kind.MULTI_LAYER_NETWORK
                .builder(gone)
                .report(1, report -> delete(gone))
                .build();
        String write = assertThrows(IOException.class, run::run).getMessage();
        assertTrue(write.contains("could not be written") && write.contains(gone.toString()), write);
    }

    private static void delete(Path folder) {
        try {
            Files.deleteIfExists(folder.resolve("run.lock"));
            Files.deleteIfExists(folder);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** A limit on the size of files stands in for a full disk: writing fails in the middle. */
    @Test
    @EnabledOnOs(OS.LINUX)
    void a_disk_that_is_full_leaves_the_old_checkpoints() throws Exception {
        Kind.MULTI_LAYER_NETWORK.builder(folder).build().run();
        List<Path> files = checkpoints(folder);
        byte[] before = Files.readAllBytes(newest(folder));
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        Process process = new ProcessBuilder(
                        "bash",
                        "-c",
                        "ulimit -f 8; exec \"$@\"",
                        "bash",
                        java,
                        "-XX:-UsePerfData",
                        "-cp",
                        System.getProperty("java.class.path"),
                        FullDisk.class.getName(),
                        folder.toString())
                .redirectErrorStream(true)
                .start();
        String printed = new String(process.getInputStream().readAllBytes());
        process.waitFor();
        assertTrue(printed.contains("could not be written"), printed);
        assertEquals(files, checkpoints(folder));
        assertArrayEquals(before, Files.readAllBytes(newest(folder)));
        try (var left = Files.list(folder)) {
            assertEquals(files.size() + 1, left.count());
        }
    }

    /** Goes on with a run. */
    public static final class FullDisk {

        private FullDisk() {}

        /** @param args the folder */
        public static void main(String[] args) throws IOException {
            Kind.MULTI_LAYER_NETWORK.builder(Path.of(args[0])).epochs(2).build().run();
        }
    }

    @Test
    void an_entry_without_a_checksum_is_damage() throws IOException {
        Kind.MULTI_LAYER_NETWORK.builder(folder).build().run();
        Path file = newest(folder);
        String state = new String(Kind.entry(file, RunState.ENTRY), StandardCharsets.UTF_8);
        Path changed = folder.resolve("changed.zip");
        AtomicFile.write(changed, out -> {
            CheckedZip.Writer zip = new CheckedZip.Writer(out);
            String without = state.replaceFirst("(\"student.json\" : )\\d+", "$1null");
            zip.add(RunState.ENTRY, entry -> entry.write(without.getBytes(StandardCharsets.UTF_8)));
            zip.finish();
        });
        Student<?> start = Kind.MULTI_LAYER_NETWORK.student();
        String message = assertThrows(IOException.class, () -> Checkpoints.read(changed, start))
                .getMessage();
        assertTrue(message.startsWith("file " + changed + ": damaged: expected JSON of a RunState"), message);
    }

    @Test
    void a_file_that_could_not_be_written_leaves_nothing() throws IOException {
        Path file = folder.resolve("file");
        for (Throwable failure : List.of(new IllegalStateException("one"), new OutOfMemoryError("two"))) {
            assertSame(
                    failure,
                    assertThrows(
                            failure.getClass(),
                            () -> AtomicFile.write(file, out -> {
                                if (failure instanceof RuntimeException e) {
                                    throw e;
                                }
                                throw (Error) failure;
                            })));
        }
        try (var left = Files.list(folder)) {
            assertEquals(0, left.count());
        }
    }

    @Test
    void the_file_just_written_is_kept_beside_newer_ones_that_are_damaged() throws IOException {
        for (int i = 90; i < 94; i++) {
            Files.writeString(folder.resolve("checkpoint-0000000%d.zip".formatted(i)), "damaged");
        }
        Checkpoints checkpoints = new Checkpoints(folder, 1);
        Student<?> student = Kind.MULTI_LAYER_NETWORK.student();
        Path written = null;
        for (int iteration = 1; iteration < 3; iteration++) {
            int at = iteration;
            Provenance provenance =
                    new Provenance(null, student.losses(), null, "", 0, iteration, 0, Versions.current());
            written = checkpoints.write(
                    student,
                    Kind.MULTI_LAYER_NETWORK.teacher(1).movingAverages(),
                    "{}",
                    provenance,
                    at,
                    entries -> new RunState("MultiLayerNetwork", 0, "", at, 0, 0, "", 0, 0, 0, 1, entries));
        }
        assertEquals(written, FinetuningRunTest.checkpoints(folder).get(0));
        assertEquals(5, FinetuningRunTest.checkpoints(folder).size());
    }
}
