package io.github.dl4jretention.internal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;

class CheckedZipTest {

    private static final byte[] TEXT = "some text, and more of it".getBytes(StandardCharsets.UTF_8);

    @TempDir
    Path folder;

    private Path file;

    @BeforeEach
    void file() {
        file = folder.resolve("file.zip");
    }

    private void write(String name, AtomicFile.Content content) throws IOException {
        AtomicFile.write(file, out -> {
            CheckedZip.Writer zip = new CheckedZip.Writer(out);
            zip.add(name, content);
            zip.finish();
        });
    }

    @Test
    void entries_are_read_and_what_is_missing_or_damaged_is_named() throws IOException {
        write("text", out -> out.write(TEXT));
        try (CheckedZip zip = new CheckedZip(file)) {
            assertTrue(zip.has("text"));
            assertFalse(zip.has("other"));
            assertArrayEquals(TEXT, zip.bytes("text"));
            String none =
                    assertThrows(IOException.class, () -> zip.bytes("other")).getMessage();
            assertEquals("file " + file + ": expected an entry other, it has none", none);
            String more = assertThrows(IOException.class, () -> zip.read("text", in -> in.readByte()))
                    .getMessage();
            assertTrue(more.contains("it holds more") && more.contains(file.toString()), more);
            String early = assertThrows(
                            IOException.class,
                            () -> zip.read("text", in -> {
                                in.readFully(new byte[TEXT.length + 1]);
                                return 0;
                            }))
                    .getMessage();
            assertTrue(early.contains("it ends early") && early.contains(file.toString()), early);
        }
        byte[] bytes = Files.readAllBytes(file);
        bytes[30 + "text".length() + 5 + 3] ^= 1;
        Files.write(file, bytes);
        try (CheckedZip zip = new CheckedZip(file)) {
            String damaged =
                    assertThrows(IOException.class, () -> zip.open("text")).getMessage();
            assertTrue(damaged.startsWith("file " + file + ": entry text: expected bytes of its checksum"), damaged);
        }
        Files.write(file, TEXT);
        String text =
                assertThrows(IOException.class, () -> new CheckedZip(file)).getMessage();
        assertTrue(text.startsWith("file " + file + ": expected a model file"), text);
    }

    /** Zeros shrink, so that this takes little room; all that counts bytes has to count beyond 2^31. */
    @Test
    void an_entry_of_more_than_2_GB_is_read_as_a_stream() throws IOException {
        long length = (1L << 31) + 12345;
        try (OutputStream out = Files.newOutputStream(file);
                ZipOutputStream zip = new ZipOutputStream(out)) {
            zip.setLevel(1);
            zip.putNextEntry(new ZipEntry("large"));
            byte[] zeros = new byte[1 << 20];
            for (long left = length - 1; left > 0; left -= zeros.length) {
                zip.write(zeros, 0, (int) Math.min(zeros.length, left));
            }
            zip.write(7);
        }
        try (CheckedZip zip = new CheckedZip(file)) {
            int last = zip.read("large", in -> {
                in.skipNBytes(length - 1);
                return in.read();
            });
            assertEquals(7, last);
            String bytes =
                    assertThrows(IOException.class, () -> zip.bytes("large")).getMessage();
            assertTrue(bytes.contains("entry large: expected memory for its " + length + " bytes"), bytes);
            assertFalse(bytes.contains("\n"), bytes);
        }
    }

    @Test
    void an_array_that_is_larger_than_its_entry_takes_no_memory_and_is_an_IOException() throws IOException {
        long length = 1L << 42;
        write("array", out -> {
            DataOutputStream data = new DataOutputStream(out);
            new ArrayStream(new long[] {2, 1, length, length, 1, 0, 1, 'c'}, DataType.FLOAT, length).writeHead(data);
            data.flush();
        });
        try (CheckedZip zip = new CheckedZip(file)) {
            String message =
                    assertThrows(IOException.class, () -> zip.array("array")).getMessage();
            assertTrue(message.startsWith("file " + file + ": entry array: expected at least the bytes of"), message);
        }
    }
}
