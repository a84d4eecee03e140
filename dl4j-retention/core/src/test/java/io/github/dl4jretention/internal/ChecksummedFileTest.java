package io.github.dl4jretention.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ChecksummedFileTest {

    @TempDir
    private Path folder;

    private static String read(Path file) throws IOException {
        return ChecksummedFile.read(file, "a text and a number", in -> in.readUTF() + in.readInt());
    }

    @Test
    void what_was_written_is_read() throws IOException {
        Path file = folder.resolve("film");
        ChecksummedFile.write(file, out -> {
            out.writeUTF("film ");
            out.writeInt(7);
        });
        assertEquals("film 7", read(file));
    }

    @Test
    void every_flipped_bit_and_every_missing_byte_is_noticed_before_anything_is_read() throws IOException {
        Path file = folder.resolve("film");
        ChecksummedFile.write(file, out -> out.writeUTF("a film of two hours"));
        byte[] whole = Files.readAllBytes(file);
        AtomicBoolean asked = new AtomicBoolean();
        for (int bit = 0; bit < 8 * whole.length; bit++) {
            byte[] flipped = whole.clone();
            flipped[bit / 8] ^= (byte) (1 << bit % 8);
            Files.write(file, flipped);
            assertThrows(IOException.class, () -> ChecksummedFile.read(file, "a film", in -> asked.getAndSet(true)));
        }
        for (int length = 0; length < whole.length; length++) {
            Files.write(file, Arrays.copyOf(whole, length));
            assertThrows(IOException.class, () -> ChecksummedFile.read(file, "a film", in -> asked.getAndSet(true)));
        }
        assertFalse(asked.get());
    }

    @Test
    void errors_name_the_file() throws IOException {
        Path missing = folder.resolve("missing");
        String message = assertThrows(IOException.class, () -> read(missing)).getMessage();
        assertTrue(message.startsWith("file: expected a text and a number, got " + missing), message);
        Path other = folder.resolve("other");
        ChecksummedFile.write(other, out -> out.writeInt(1));
        message = assertThrows(IOException.class, () -> read(other)).getMessage();
        assertTrue(message.startsWith("file: expected a text and a number, got " + other), message);
    }
}
