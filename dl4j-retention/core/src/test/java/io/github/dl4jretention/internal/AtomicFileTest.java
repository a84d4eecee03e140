package io.github.dl4jretention.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AtomicFileTest {

    @TempDir
    private Path folder;

    private Path file;

    @BeforeEach
    void an_old_file() throws IOException {
        file = Files.writeString(folder.resolve("film.txt"), "old");
    }

    private List<String> names() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(path -> path.getFileName().toString()).sorted().toList();
        }
    }

    @Test
    void a_file_is_replaced_when_it_is_complete() throws IOException {
        AtomicFile.write(file, out -> {
            out.write("new".getBytes());
            assertEquals("old", Files.readString(file));
        });
        assertEquals("new", Files.readString(file));
        assertEquals(List.of("film.txt"), names());
    }

    @Test
    void what_fails_leaves_the_old_file_and_nothing_else() throws IOException {
        IOException failed = assertThrows(
                IOException.class,
                () -> AtomicFile.write(file, out -> {
                    out.write("half".getBytes());
                    throw new IOException("no film");
                }));
        assertEquals("file: could not be written: " + file + ": no film", failed.getMessage());
        assertThrows(
                ArithmeticException.class,
                () -> AtomicFile.write(file, out -> {
                    throw new ArithmeticException();
                }));
        assertEquals("old", Files.readString(file));
        assertEquals(List.of("film.txt"), names());
    }

    @Test
    void a_name_that_cannot_be_given_leaves_no_part() throws IOException {
        Path taken = Files.createDirectories(folder.resolve("taken/inside")).getParent();
        assertThrows(IOException.class, () -> AtomicFile.write(taken, out -> out.write(1)));
        assertEquals(List.of("film.txt", "taken"), names());
    }

    @Test
    void a_folder_that_is_not_there_is_named() {
        Path missing = folder.resolve("missing/film.txt");
        IOException failed = assertThrows(IOException.class, () -> AtomicFile.write(missing, out -> {}));
        assertTrue(failed.getMessage().startsWith("file: could not be written: " + missing), failed.getMessage());
    }

    @Test
    void parts_that_a_killed_process_left_are_replaced_or_removed() throws IOException {
        Files.writeString(folder.resolve("film.txt.part"), "a longer half of a file");
        AtomicFile.write(file, out -> out.write(1));
        assertEquals(1, Files.size(file));
        Path part = Files.writeString(folder.resolve("film-2.part"), "half");
        Path other = Files.writeString(folder.resolve("music.part"), "half");
        AtomicFile.removeParts(folder, "film-");
        assertFalse(Files.exists(part));
        assertTrue(Files.exists(other));
    }
}
