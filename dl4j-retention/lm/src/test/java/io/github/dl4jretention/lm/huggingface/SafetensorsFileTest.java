package io.github.dl4jretention.lm.huggingface;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SafetensorsFileTest {

    private static final String A = "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}";
    private static final String B = "\"b\":{\"dtype\":\"F16\",\"shape\":[1,2],\"data_offsets\":[8,12]}";

    @TempDir
    Path folder;

    private Path write(String header, int data) throws IOException {
        return write(header.getBytes(StandardCharsets.ISO_8859_1), data);
    }

    private Path write(byte[] header, int data) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(8 + header.length + data).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putLong(header.length).put(header);
        return Files.write(folder.resolve("a.safetensors"), bytes.array());
    }

    private static String message(Path file) {
        String message = assertThrows(IOException.class, () -> SafetensorsFile.open(file))
                .getMessage();
        assertEquals(1, message.lines().count(), message);
        assertTrue(message.contains(file.toString()), message);
        return message;
    }

    @Test
    void reads_what_is_there() throws IOException {
        Path file = write("{\"__metadata__\":{\"format\":\"pt\"}," + B + "," + A + "}  ", 12);
        try (SafetensorsFile open = SafetensorsFile.open(file)) {
            assertEquals(
                    List.of("b", "a"), open.tensors().stream().map(Tensor::name).toList());
            assertEquals(
                    new Tensor("b", TensorType.F16, List.of(1L, 2L), 8, 12),
                    open.tensors().get(0));
            assertEquals("pt", open.metadata().get("format"));
            assertEquals(4, open.map(open.tensors().get(0), 0, 4).remaining());
        }
    }

    @Test
    void metadata_may_be_null() throws IOException {
        try (SafetensorsFile open = SafetensorsFile.open(write("{\"__metadata__\":null," + A + "}", 8))) {
            assertEquals(Map.of(), open.metadata());
            assertEquals(1, open.tensors().size());
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "{",
                "[]",
                "1",
                " {}",
                "{}x",
                "{\"a\":1}",
                "{\"a\":{}}",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"more\":1}}",
                "{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}",
                "{\"a\":{\"dtype\":3,\"shape\":[2],\"data_offsets\":[0,8]}}",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387905],\"data_offsets\":[0,8]}}",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[100000000000000000000],\"data_offsets\":[0,8]}}",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,9]}}",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9]}}",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                "{\"__metadata__\":1," + A + "}",
                "{\"__metadata__\":{\"a\":1}," + A + "}",
                "{" + A + "," + A + "}",
                "{" + A + ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
                "{" + A + ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
                "{\"a\\ud800\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9]}}",
                "{\"\u00e4\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
            })
    void refuses_headers_that_do_not_fit(String header) throws IOException {
        message(write(header, 8));
    }

    @ParameterizedTest
    @CsvSource({"0", "1", "7", "8", "9"})
    void refuses_files_that_end_early(int length) throws IOException {
        byte[] whole = Files.readAllBytes(write("{" + A + "}", 8));
        message(Files.write(folder.resolve("short.safetensors"), Arrays.copyOf(whole, length)));
        message(Files.write(
                folder.resolve("short.safetensors"), Arrays.copyOf(whole, whole.length - 1 - Math.min(length, 7))));
    }

    @Test
    void refuses_header_sizes_beyond_the_file() throws IOException {
        byte[] whole = Files.readAllBytes(write("{" + A + "}", 8));
        for (long size : new long[] {whole.length, 1L << 31, 1L << 40, Long.MAX_VALUE, -1, Long.MIN_VALUE, 0, 1}) {
            ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN).putLong(0, size);
            assertTrue(message(Files.write(folder.resolve("size.safetensors"), whole))
                    .contains(Long.toUnsignedString(size)));
        }
    }

    @Test
    void refuses_what_is_nested_too_deep() throws IOException {
        message(write("{\"a\":" + "[".repeat(1_000_000) + "]".repeat(1_000_000) + "}", 0));
    }

    @Test
    void refuses_a_file_that_is_not_there() {
        message(folder.resolve("none.safetensors"));
        message(folder);
    }

    /** Ten thousand damaged files: opened for what they say, or refused in one line, and nothing else. */
    @Test
    void damaged_files_are_refused_in_one_line() throws IOException {
        Random random = new Random(7);
        byte[] whole = Files.readAllBytes(ReferenceModels.folder("neox").resolve("model.safetensors"));
        int length = (int) ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN).getLong();
        Path file = folder.resolve("damaged.safetensors");
        int refused = 0;
        for (int i = 0; i < 10_000; i++) {
            Files.write(file, damaged(whole, length, random));
            try (SafetensorsFile open = SafetensorsFile.open(file)) {
                for (Tensor tensor : open.tensors()) {
                    open.map(tensor, 0, (int) tensor.bytes()).get(new byte[(int) tensor.bytes()]);
                }
            } catch (IOException e) {
                refused++;
                assertEquals(1, e.getMessage().lines().count(), e.getMessage());
                assertTrue(e.getMessage().contains(file.toString()), e.getMessage());
            }
        }
        assertTrue(refused > 5_000, refused + " refused");
    }

    private static byte[] damaged(byte[] whole, int headerLength, Random random) {
        byte[] bytes = whole.clone();
        switch (random.nextInt(6)) {
            case 0 -> bytes = Arrays.copyOf(bytes, random.nextInt(bytes.length));
            case 1 -> bytes[random.nextInt(8)] = (byte) random.nextInt();
            case 2 -> {
                for (int n = 1 + random.nextInt(4); n > 0; n--) {
                    bytes[8 + random.nextInt(headerLength)] = (byte) random.nextInt();
                }
            }
            case 3 -> {
                // A digit of an offset or a shape, so that the JSON stays whole.
                for (int n = 0; n < 1 + random.nextInt(3); n++) {
                    int at = 8 + random.nextInt(headerLength);
                    while (!Character.isDigit(bytes[at])) {
                        at = 8 + random.nextInt(headerLength);
                    }
                    bytes[at] = (byte) ('0' + random.nextInt(10));
                }
            }
            case 4 -> bytes = Arrays.copyOf(bytes, bytes.length + 1 + random.nextInt(100));
            default -> {
                int from = 8 + random.nextInt(headerLength);
                int count = Math.min(1 + random.nextInt(200), bytes.length - from);
                byte[] cut = new byte[bytes.length - count];
                System.arraycopy(bytes, 0, cut, 0, from);
                System.arraycopy(bytes, from + count, cut, from, cut.length - from);
                bytes = cut;
            }
        }
        return bytes;
    }

    /** Against the JDK's own bits: each half number and its neighbours, ties to even. */
    @Test
    void rounds_to_the_nearest_number_of_a_type() {
        for (TensorType type : List.of(TensorType.F16, TensorType.BF16)) {
            float[] all = new float[1 << 16];
            ByteBuffer bytes = ByteBuffer.allocate(2 << 16).order(ByteOrder.LITTLE_ENDIAN);
            for (int i = 0; i < all.length; i++) {
                bytes.putShort((short) i);
            }
            assertFalse(type.read(bytes.flip(), all, all.length), "there are NaN among them");
            int last = type == TensorType.F16 ? 0x7BFF : 0x7F7F;
            for (int i = 0; i < last; i++) {
                float low = all[i];
                float high = all[i + 1];
                float middle = (float) (((double) low + high) / 2);
                int even = (i & 1) == 0 ? i : i + 1;
                assertArrayEquals(
                        new int[] {i, i, even, i + 1, i + 1},
                        bits(type, low, Math.nextDown(middle), middle, Math.nextUp(middle), high),
                        type + " " + i);
            }
            float[] beyond = {all[last] * 1.01f};
            assertFalse(type.write(beyond, ByteBuffer.allocate(2), 1), "too large");
        }
    }

    private static int[] bits(TensorType type, float... values) {
        ByteBuffer bytes = ByteBuffer.allocate(2 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        type.write(values, bytes, values.length);
        int[] bits = new int[values.length];
        for (int i = 0; i < bits.length; i++) {
            bits[i] = Short.toUnsignedInt(bytes.getShort(2 * i));
        }
        return bits;
    }
}
