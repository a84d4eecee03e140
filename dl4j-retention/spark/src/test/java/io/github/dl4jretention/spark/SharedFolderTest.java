package io.github.dl4jretention.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What processes leave that were killed while they copied. */
class SharedFolderTest {

    @TempDir
    private Path folder;

    private SharedFolder shared() {
        return SharedFolder.of(folder.resolve("shared").toUri().toString().replaceAll("/+$", ""), new Configuration());
    }

    private static List<String> names(Path place) throws IOException {
        try (Stream<Path> files = Files.list(place)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    @Test
    void a_fetch_goes_on_after_one_that_was_killed() throws Exception {
        shared().write("00000.shard", out -> out.write(new byte[] {1, 2, 3}));
        Path own = Files.createDirectories(folder.resolve("own"));
        Files.write(own.resolve("00000.shard.part"), new byte[] {1});
        shared().fetch(own);
        assertEquals(List.of("00000.shard"), names(own));
        assertEquals(3, Files.size(own.resolve("00000.shard")));
    }

    @Test
    void unfinished_files_of_others_are_not_fetched() throws Exception {
        shared().write("00000.shard", out -> out.write(1));
        Files.write(folder.resolve("shared/00001.shard.1f.part"), new byte[] {1});
        shared().fetch(folder.resolve("own"));
        assertEquals(List.of("00000.shard"), names(folder.resolve("own")));
    }

    @Test
    void a_write_that_fails_leaves_what_was_there() throws Exception {
        shared().write("00000.shard", out -> out.write(new byte[] {1, 2, 3}));
        assertThrows(IOException.class, () -> shared().write("00000.shard", out -> {
            out.write(1);
            throw new IOException("the teacher is gone");
        }));
        assertEquals(List.of("00000.shard"), shared().names());
        assertEquals(3, Files.size(folder.resolve("shared/00000.shard")));
    }
}
