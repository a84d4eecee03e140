package io.github.dl4jretention.cache;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.teacher.Teacher;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;

/** What a cache's files survive: crashes, damage, a full disk, other threads and processes. */
class CacheFilesTest {

    private static final int SEQUENCES = 40;
    private static final int SHARD_BYTES = 700;
    private static final Path FULL = Path.of("/dev/full");

    @TempDir
    private Path folder;

    private static DataSet data() {
        return CachedData.sequences(DataType.FLOAT, SEQUENCES, 1);
    }

    private static CountingTeacher teacher() {
        return new CountingTeacher(Teacher.of(CachedData.network(DataType.FLOAT, 2)));
    }

    private static TeacherCache build(Path folder, Teacher teacher) throws IOException {
        return TeacherCache.builder()
                .teacher(teacher)
                .folder(folder)
                .shardBytes(SHARD_BYTES)
                .build(CachedData.batches(data(), 4, 3));
    }

    private static INDArray read(TeacherCache cache) {
        return cache.logProbabilities(data().getFeatures(), null);
    }

    private static List<Path> files(Path folder, String ending) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(file -> file.toString().endsWith(ending))
                    .sorted()
                    .toList();
        }
    }

    @Test
    void every_flipped_bit_and_every_cut_is_noticed_and_written_again() throws IOException {
        TeacherCache whole = build(folder, teacher());
        INDArray expected = read(whole);
        Map<Path, byte[]> written = new TreeMap<>();
        for (String ending : List.of(".shard", "manifest.txt")) {
            for (Path file : files(folder, ending)) {
                written.put(file, Files.readAllBytes(file));
            }
        }
        List<Path> files = List.copyOf(written.keySet());
        assertTrue(files.size() > 3, files.toString());
        Random random = new Random(4);
        for (int attempt = 0; attempt < 300; attempt++) {
            Path file = files.get(attempt % files.size());
            byte[] damaged = damaged(written.get(file), attempt, random);
            Files.write(file, damaged);
            CountingTeacher teacher = teacher();
            TeacherCache cache = build(folder, teacher);
            assertEquals(SEQUENCES, cache.statistics().sequences());
            boolean shard = file.toString().endsWith(".shard");
            // One shard's sequences, in whole minibatches of four.
            assertTrue(shard == teacher.examples() > 0 && teacher.examples() <= 12, attempt + " " + teacher.examples());
            if (attempt % 20 < files.size()) {
                assertClose(expected, read(cache), 0);
            }
            for (Map.Entry<Path, byte[]> entry : written.entrySet()) {
                assertArrayEquals(entry.getValue(), Files.readAllBytes(entry.getKey()), "attempt " + attempt);
            }
        }
    }

    /** Flips a bit near the beginning, near the end or anywhere, cuts the end off, or adds to it. */
    private static byte[] damaged(byte[] bytes, int attempt, Random random) {
        byte[] damaged = bytes.clone();
        int anywhere = random.nextInt(bytes.length);
        int near = random.nextInt(Math.min(80, bytes.length));
        switch (random.nextInt(5)) {
            case 0 -> damaged[near] ^= (byte) (1 << random.nextInt(8));
            case 1 -> damaged[bytes.length - 1 - near] ^= (byte) (1 << random.nextInt(8));
            case 2 -> damaged[anywhere] ^= (byte) (1 << random.nextInt(8));
            case 3 -> damaged = Arrays.copyOf(bytes, anywhere);
            default -> damaged = Arrays.copyOf(bytes, bytes.length + 1 + near);
        }
        return damaged;
    }

    @Test
    void a_missing_shard_and_one_of_another_cache_are_written_again() throws IOException {
        INDArray expected = read(build(folder, teacher()));
        List<Path> shards = files(folder, ".shard");
        Files.delete(shards.get(1));
        CountingTeacher teacher = teacher();
        assertClose(expected, read(build(folder, teacher)), 0);
        assertTrue(teacher.examples() > 0 && teacher.examples() <= 12, "" + teacher.examples());

        Path other = folder.resolve("other");
        TeacherCache.builder()
                .teacher(Teacher.of(CachedData.network(DataType.FLOAT, 5)))
                .folder(other)
                .shardBytes(SHARD_BYTES)
                .build(CachedData.batches(data(), 4, 3));
        Files.copy(files(other, ".shard").get(1), shards.get(1), java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        assertClose(expected, read(build(folder, teacher())), 0);
    }

    @Test
    void a_shard_that_is_gone_when_it_is_opened_is_written_again() throws IOException {
        INDArray expected = read(build(folder, teacher()));
        Path shard = files(folder, ".shard").get(1);
        Files.delete(shard);
        // Listed, but not there: as a file that another process deletes in between.
        Files.createSymbolicLink(shard, folder.resolve("nowhere"));
        CountingTeacher teacher = teacher();
        assertClose(expected, read(build(folder, teacher)), 0);
        assertTrue(teacher.examples() > 0 && teacher.examples() <= 12, "" + teacher.examples());
    }

    @Test
    void a_shard_that_is_damaged_while_others_are_written_ends_in_an_error() throws IOException {
        List<DataSet> batches = new ArrayList<>();
        CachedData.batches(data(), 4, 3).forEachRemaining(batches::add);
        ExistingDataSetIterator damaging = new ExistingDataSetIterator(batches) {
            @Override
            public void reset() {
                super.reset();
                try {
                    for (Path shard : files(folder, "00001.shard")) {
                        Files.write(shard, new byte[] {1});
                    }
                } catch (IOException e) {
                    throw new IllegalStateException(e);
                }
            }
        };
        TeacherCache.Builder builder =
                TeacherCache.builder().teacher(teacher()).folder(folder).shardBytes(SHARD_BYTES);
        IOException refused = assertThrows(IOException.class, () -> builder.build(damaging));
        assertTrue(refused.getMessage().contains("00001.shard: truncated"), refused.getMessage());
        assertEquals(List.of(), files(folder, "manifest.txt"));
        assertEquals(SEQUENCES, build(folder, teacher()).statistics().sequences());
    }

    @Test
    void a_shard_never_passes_what_can_be_mapped() throws IOException {
        CacheLayout layout = new CacheLayout(DataType.FLOAT, List.of());
        try (ShardWriter writer = new ShardWriter(folder.resolve("large.shard"), "key", layout)) {
            assertTrue(writer.fits(1 << 30));
            assertFalse(writer.fits(Integer.MAX_VALUE - 50));
            long room = Integer.MAX_VALUE
                    - writer.size()
                    - ShardWriter.INDEX_BYTES
                    - Long.BYTES
                    - ShardWriter.TRAILER_BYTES;
            assertTrue(writer.fits(room));
            writer.add(new SequenceId(1, 2), java.nio.ByteBuffer.allocate(10), 1);
            assertFalse(writer.fits(room - 10));
            assertTrue(writer.fits(room - 10 - ShardWriter.INDEX_BYTES));
        }
    }

    @Test
    void an_index_holds_fewer_than_2_to_the_29_sequences() {
        Shard many = new Shard(null, null, null, 0, 1 << 29, 0, 0);
        IllegalStateException refused =
                assertThrows(IllegalStateException.class, () -> new SequenceIndex(List.of(many)));
        assertTrue(refused.getMessage().contains("536870912"), refused.getMessage());
    }

    /** Linux lists what a process has mapped. */
    @Test
    @EnabledOnOs(OS.LINUX)
    void a_damaged_shard_is_never_mapped() throws IOException {
        Path maps = Path.of("/proc/self/maps");
        build(folder, teacher());
        Path damaged = files(folder, ".shard").get(1).resolveSibling("damaged.shard");
        byte[] bytes = Files.readAllBytes(files(folder, ".shard").get(1));
        bytes[bytes.length / 2] ^= 1;
        Files.write(damaged, bytes);
        assertThrows(Shard.DamagedException.class, () -> Shard.open(damaged, "key"));
        Path other = files(folder, "00001.shard").get(0).resolveSibling("other.shard");
        Files.copy(files(folder, "00001.shard").get(0), other);
        assertThrows(Shard.DamagedException.class, () -> Shard.open(other, "0".repeat(64)));
        try (Stream<String> mapped = Files.lines(maps)) {
            List<String> found = mapped.filter(line -> line.contains(folder.toString()))
                    .filter(line -> line.contains("damaged.shard") || line.contains("other.shard"))
                    .toList();
            assertEquals(List.of(), found);
        }
    }

    @Test
    void names_and_manifest_are_the_same_in_every_locale() throws IOException {
        Locale before = Locale.getDefault();
        try {
            Locale.setDefault(Locale.forLanguageTag("ar-EG"));
            build(folder, teacher());
        } finally {
            Locale.setDefault(before);
        }
        assertEquals("00000.shard", files(folder, ".shard").get(0).getFileName().toString());
        CountingTeacher teacher = teacher();
        build(folder, teacher);
        assertEquals(0, teacher.examples());
    }

    @Test
    void a_build_that_fails_is_gone_on_with() throws IOException {
        CountingTeacher failing = new CountingTeacher(teacher(), 22);
        assertThrows(IllegalStateException.class, () -> build(folder, failing));
        List<Path> complete = files(folder, ".shard");
        assertTrue(complete.size() > 1, complete.toString());
        assertEquals(List.of(), files(folder, ".part"));
        CountingTeacher second = teacher();
        TeacherCache cache = build(folder, second);
        assertTrue(second.examples() < SEQUENCES, "" + second.examples());
        assertClose(read(build(folder.resolve("fresh"), teacher())), read(cache), 0);
    }

    /** Linux has a device that is always full. */
    @Test
    @EnabledOnOs(OS.LINUX)
    void a_full_disk_ends_in_an_error_and_leaves_what_is_there() throws IOException {
        INDArray expected = read(build(folder, teacher()));
        List<Path> shards = files(folder, ".shard");
        byte[] kept = Files.readAllBytes(shards.get(0));
        Files.delete(shards.get(1));
        Files.createSymbolicLink(shards.get(1).resolveSibling(shards.get(1).getFileName() + ".part"), FULL);
        IOException full = assertThrows(IOException.class, () -> build(folder, teacher()));
        assertTrue(full.getMessage().contains("No space left on device"), full.getMessage());
        assertTrue(full.getMessage().contains(folder.toString()), full.getMessage());
        assertArrayEquals(kept, Files.readAllBytes(shards.get(0)));
        CountingTeacher teacher = teacher();
        assertClose(expected, read(build(folder, teacher)), 0);
        assertTrue(teacher.examples() <= 12, "" + teacher.examples());
    }

    @Test
    void a_folder_that_cannot_be_written_to_is_named() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "");
        IOException refused = assertThrows(IOException.class, () -> build(file, teacher()));
        assertTrue(
                refused.getMessage().startsWith("folder: expected one that can be written to, got " + file),
                refused.getMessage());
    }

    @Test
    void threads_that_build_the_same_cache_share_it() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(3);
        try {
            List<CountingTeacher> teachers = List.of(teacher(), teacher(), teacher());
            List<Future<TeacherCache>> caches = new ArrayList<>();
            for (CountingTeacher teacher : teachers) {
                caches.add(threads.submit(() -> build(folder, teacher)));
            }
            INDArray first = read(caches.get(0).get());
            for (Future<TeacherCache> cache : caches) {
                assertClose(first, read(cache.get()), 0);
            }
            assertEquals(
                    SEQUENCES,
                    teachers.stream().mapToInt(CountingTeacher::examples).sum());
        } finally {
            threads.shutdown();
        }
    }

    @Test
    void a_process_that_is_killed_loses_one_shard_at_most() throws Exception {
        Process killed = start("slow");
        List<String> lines = new ArrayList<>();
        try (BufferedReader out = new BufferedReader(new InputStreamReader(killed.getInputStream()))) {
            for (String line = out.readLine(); line != null; line = out.readLine()) {
                lines.add(line);
                if (line.equals("asked 24")) {
                    // Process.destroyForcibly would close the stream too.
                    killed.toHandle().destroyForcibly();
                }
            }
        }
        assertFalse(killed.waitFor() == 0, lines.toString());
        int shardSequences = 0;
        List<Path> complete = files(folder, ".shard");
        for (Path shard : complete) {
            shardSequences += Shard.open(shard, key()).sequences();
        }
        int perShard = shardSequences / complete.size() + 1;
        // The minibatch under way was not written yet.
        assertTrue(shardSequences >= 20 - perShard, shardSequences + " sequences in " + complete);
        CountingTeacher teacher = teacher();
        TeacherCache cache = build(folder, teacher);
        assertTrue(teacher.examples() <= SEQUENCES - shardSequences + 4, "" + teacher.examples());
        assertClose(read(build(folder.resolve("fresh"), teacher())), read(cache), 0);
    }

    private String key() {
        return new CacheKey(
                        teacher().sha256(),
                        List.of("output"),
                        "",
                        "",
                        CacheCodec.standard().description(),
                        0)
                .sha256();
    }

    @Test
    void processes_that_build_the_same_cache_share_it() throws Exception {
        List<Process> processes = List.of(start("slow"), start("slow"));
        List<String> printed = new ArrayList<>();
        for (Process process : processes) {
            printed.add(new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8));
            assertEquals(0, process.waitFor(), printed.toString());
        }
        int asked = 0;
        for (String output : printed) {
            asked += (int)
                    output.lines().filter(line -> line.startsWith("asked ")).count();
        }
        assertEquals(SEQUENCES / 4, asked, printed.toString());
        double sum = read(build(folder, new CountingTeacher(teacher(), 0)))
                .meanNumber()
                .doubleValue();
        for (String output : printed) {
            assertTrue(output.lines().anyMatch(line -> line.equals("read " + sum)), sum + " " + output);
        }
    }

    @Test
    void a_damaged_cache_is_one_line_in_the_log() throws Exception {
        build(folder, teacher());
        for (Path shard : files(folder, ".shard")) {
            byte[] bytes = Files.readAllBytes(shard);
            bytes[bytes.length / 2] ^= 1;
            Files.write(shard, bytes);
        }
        Process process = start("fast");
        String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), printed);
        List<String> lines =
                printed.lines().filter(line -> line.contains("WARN")).toList();
        assertEquals(1, lines.size(), printed);
        assertTrue(lines.get(0).contains("damaged") && lines.get(0).contains("00000.shard"), lines.get(0));
        assertTrue(printed.contains("bytes a token") && printed.contains("a second"), printed);
    }

    private Process start(String speed) throws IOException {
        return new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Dorg.slf4j.simpleLogger.log.io.github.dl4jretention=info",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Build.class.getName(),
                        folder.toString(),
                        speed)
                .redirectErrorStream(true)
                .start();
    }

    /** Builds the cache in a process of its own. */
    public static final class Build {

        private Build() {}

        /** @param args folder, and "slow" for a teacher that takes its time */
        public static void main(String[] args) throws IOException {
            CountingTeacher teacher = teacher();
            Teacher printing = new Teacher() {
                @Override
                public String sha256() {
                    return teacher.sha256();
                }

                @Override
                public List<io.github.dl4jretention.teacher.TeacherOutput> outputs() {
                    return teacher.outputs();
                }

                @Override
                public INDArray[] logProbabilities(INDArray[] features, INDArray[] featuresMasks) {
                    INDArray[] values = teacher.logProbabilities(features, featuresMasks);
                    System.out.println("asked " + teacher.examples());
                    if (args[1].equals("slow")) {
                        try {
                            Thread.sleep(100);
                        } catch (InterruptedException e) {
                            throw new IllegalStateException(e);
                        }
                    }
                    return values;
                }
            };
            System.out.println("read "
                    + read(build(Path.of(args[0]), printing)).meanNumber().doubleValue());
        }
    }
}
