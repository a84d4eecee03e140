package io.github.dl4jretention.sweep;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SweepFolderTest {

    @TempDir
    private Path folder;

    private Path file(String name) throws IOException {
        Path file = folder.resolve(name);
        Files.createDirectories(file.getParent());
        return Files.writeString(file, name);
    }

    @Test
    void only_a_sweep_s_own_old_files_are_removed() throws IOException {
        Path[] others = {
            file("models/pretrained.zip"),
            file("models/candidate-01.zip"),
            file("models/candidate-001.zip.bak"),
            file("models/film.part"),
            file("models/deep/candidate-001.zip"),
            file("film.part"),
            file("candidate-001.zip"),
            file("models/candidate-002.zip"),
            file("sweep.json")
        };
        Path[] old = {
            file("models/candidate-001.zip"),
            file("models/candidate-1234.zip"),
            file("models/candidate-002.zip.part"),
            file("sweep.json.part"),
            file("candidates.csv.part"),
            file("report.html.part"),
            file("tradeoff.png.part")
        };
        try (SweepFolder files = new SweepFolder(folder)) {
            files.keepModels(Set.of("models/candidate-002.zip"));
        }
        for (Path other : others) {
            assertTrue(Files.exists(other), other.toString());
        }
        for (Path gone : old) {
            assertFalse(Files.exists(gone), gone.toString());
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "models/pretrained.zip",
                "models/candidate-000.zip",
                "candidates.csv",
                "report.html",
                "tradeoff.png",
                "cross-entropy.png",
                "divergence.png"
            })
    void a_folder_of_others_is_refused_and_left_as_it_is(String name) throws IOException {
        Path other = file(name);
        Sweep sweep = SweepTest.sweep(folder).build();
        IllegalStateException e = assertThrows(IllegalStateException.class, sweep::run);
        assertEquals(
                "folder: expected a new one or one of this sweep, got " + folder + " with "
                        + name.replaceAll("(models).*", "$1") + " and without sweep.json",
                e.getMessage());
        assertEquals(name, Files.readString(other));
    }

    @Test
    void what_a_sweep_that_was_killed_at_once_has_left_is_a_new_folder() throws IOException {
        file("sweep.lock");
        file("sweep.json.part");
        Files.createDirectories(folder.resolve("models"));
        assertEquals(
                1,
                SweepTest.sweep(folder).candidates(1).build().run().candidates().size());
    }

    @Test
    void what_cannot_be_written_leaves_no_part_and_the_file_as_it_was() throws IOException {
        try (SweepFolder files = new SweepFolder(folder)) {
            files.write("report.html", "before");
            IOException e = assertThrows(
                    IOException.class,
                    () -> files.write("report.html", part -> {
                        Files.writeString(part, "half");
                        throw new IllegalStateException("full");
                    }));
            assertTrue(e.getMessage().contains("report.html") && e.getMessage().contains("full"), e.getMessage());
        }
        assertEquals("before", Files.readString(folder.resolve("report.html")));
        assertFalse(Files.exists(folder.resolve("report.html.part")));
    }
}
