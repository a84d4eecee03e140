package io.github.dl4jretention.merge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;

class MergeFilesTest {

    @TempDir
    private Path folder;

    private Path good;
    private Path bad;
    private Path out;

    @BeforeEach
    void save() throws IOException {
        good = folder.resolve("good.zip");
        bad = folder.resolve("bad.zip");
        out = folder.resolve("out.zip");
        MultiLayerNetwork network = Networks.dense(DataType.FLOAT, 1, true);
        network.save(good.toFile(), false);
    }

    private void merge() {
        Merge.files(MergeMethod.linear(), out).model(good).model(bad).merge();
    }

    private void assertRefused(String what) {
        String message =
                assertThrows(UncheckedIOException.class, this::merge, what).getMessage();
        assertTrue(message.contains(bad.toString()), message);
        assertFalse(message.contains("null"), message);
        assertFalse(Files.exists(out) || Files.exists(folder.resolve("out.zip.part")), what);
    }

    @ParameterizedTest
    @ValueSource(strings = {ModelSerializer.CONFIGURATION_JSON, ModelSerializer.COEFFICIENTS_BIN})
    void a_model_of_which_any_bit_is_another_is_refused(String name) throws IOException {
        byte[] whole = Files.readAllBytes(good);
        int first = firstByte(whole, name);
        int length;
        try (ZipFile zip = new ZipFile(good.toFile())) {
            length = (int) zip.getEntry(name).getCompressedSize();
        }
        // The last byte has bits that mean nothing.
        for (int bit = 0; bit < 8 * (length - 1); bit += 37) {
            byte[] flipped = whole.clone();
            flipped[first + bit / 8] ^= (byte) (1 << bit % 8);
            Files.write(bad, flipped);
            assertRefused("bit " + bit);
        }
    }

    /** Of an entry's compressed data: a local header has 30 bytes, its name and an extra field. */
    private static int firstByte(byte[] zip, String name) {
        byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
        int header = 0;
        while (!Arrays.equals(bytes, Arrays.copyOfRange(zip, header + 30, header + 30 + bytes.length))) {
            header++;
        }
        int extra = ByteBuffer.wrap(zip).order(ByteOrder.LITTLE_ENDIAN).getShort(header + 28);
        return header + 30 + bytes.length + extra;
    }

    @ParameterizedTest
    @ValueSource(ints = {-4, 4})
    void more_or_fewer_parameters_than_there_should_be_are_refused(int bytes) throws IOException {
        try (ZipFile from = new ZipFile(good.toFile());
                OutputStream file = Files.newOutputStream(bad);
                ZipOutputStream to = new ZipOutputStream(file)) {
            for (String name : List.of(ModelSerializer.CONFIGURATION_JSON, ModelSerializer.COEFFICIENTS_BIN)) {
                byte[] content = from.getInputStream(from.getEntry(name)).readAllBytes();
                boolean coefficients = name.equals(ModelSerializer.COEFFICIENTS_BIN);
                to.putNextEntry(new ZipEntry(name));
                to.write(Arrays.copyOf(content, content.length + (coefficients ? bytes : 0)));
            }
        }
        assertRefused(bytes + " bytes");
    }

    @Test
    void the_same_merge_writes_the_same_bytes() throws IOException {
        Files.copy(good, bad);
        merge();
        byte[] once = Files.readAllBytes(out);
        merge();
        assertArrayEquals(once, Files.readAllBytes(out));
        try (ZipFile zip = new ZipFile(out.toFile())) {
            zip.stream().forEach(entry -> assertEquals(LocalDateTime.of(2000, 1, 1, 0, 0), entry.getTimeLocal()));
        }
    }

    @Test
    void a_file_that_cannot_be_written_is_named() throws IOException {
        Files.copy(good, bad);
        out = Files.createDirectories(folder.resolve("taken.zip/inside")).getParent();
        String message = assertThrows(UncheckedIOException.class, this::merge).getMessage();
        assertTrue(message.startsWith("file: could not be written: " + out), message);
        assertFalse(Files.exists(folder.resolve("taken.zip.part")));
    }

    /** Reads and writes are noted in order: what is written has gone before the next is read. */
    @Test
    void in_memory_is_one_parameter_of_each_model() {
        List<String> events = new ArrayList<>();
        ModelArchitecture architecture = new ModelArchitecture(
                List.of(),
                List.of(new ModelArchitecture.Parameter("W", 2), new ModelArchitecture.Parameter("b", 1)),
                DataType.DOUBLE);
        ModelAccess<String> noted = new ModelAccess<>() {
            @Override
            public ParameterSource open(String model) {
                return new ParameterSource() {
                    private int next;

                    @Override
                    public ModelArchitecture architecture() {
                        return architecture;
                    }

                    @Override
                    public double[] next() {
                        events.add(model + next);
                        return new double[architecture.parameters().get(next++).length()];
                    }
                };
            }

            @Override
            public ParameterSink<String> create(String like) {
                return new ParameterSink<>() {
                    @Override
                    public void write(double[] values) {
                        events.add("written " + values.length);
                    }

                    @Override
                    public String finish() {
                        return "merged";
                    }
                };
            }
        };
        assertEquals(
                "merged",
                new Merge<>(MergeMethod.ties(), noted)
                        .base("x")
                        .model("y")
                        .model("z")
                        .merge());
        assertEquals(List.of("x0", "y0", "z0", "written 2", "x1", "y1", "z1", "written 1"), events);
    }

    /** Of one value each; every model's source fails to be closed. */
    private static ModelAccess<String> failing(List<String> events, boolean torn) {
        return new ModelAccess<>() {
            @Override
            public ParameterSource open(String model) {
                return new ParameterSource() {
                    @Override
                    public ModelArchitecture architecture() {
                        return new ModelArchitecture(
                                List.of(), List.of(new ModelArchitecture.Parameter("W", 1)), DataType.DOUBLE);
                    }

                    @Override
                    public double[] next() throws IOException {
                        if (torn) {
                            throw new IOException("torn " + model);
                        }
                        return new double[1];
                    }

                    @Override
                    public void close() throws IOException {
                        events.add("closed " + model);
                        throw new IOException("open " + model);
                    }
                };
            }

            @Override
            public ParameterSink<String> create(String like) {
                return new ParameterSink<>() {
                    @Override
                    public void write(double[] values) {}

                    @Override
                    public String finish() {
                        events.add("finished");
                        return "merged";
                    }
                };
            }
        };
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void all_sources_are_closed_and_no_error_hides_another(boolean torn) {
        List<String> events = new ArrayList<>();
        Merge<String> merge = new Merge<>(MergeMethod.linear(), failing(events, torn))
                .model("x")
                .model("y")
                .model("z");
        IOException cause =
                assertThrows(UncheckedIOException.class, merge::merge).getCause();
        List<String> messages = new ArrayList<>(List.of(cause.getMessage()));
        for (Throwable suppressed : cause.getSuppressed()) {
            messages.add(suppressed.getMessage());
            for (Throwable other : suppressed.getSuppressed()) {
                messages.add(other.getMessage());
            }
        }
        List<String> open = List.of("open x", "open y", "open z");
        assertEquals(torn ? List.of("torn x", "open x", "open y", "open z") : open, messages);
        assertEquals(List.of("closed x", "closed y", "closed z"), events, "not finished");
    }

    @Test
    void a_file_that_is_merged_may_be_the_one_that_is_written() throws IOException {
        Files.copy(good, bad);
        out = good;
        merge();
        assertArrayEquals(
                MultiLayerNetwork.load(bad.toFile(), false).params().toFloatVector(),
                MultiLayerNetwork.load(out.toFile(), false).params().toFloatVector());
    }
}
