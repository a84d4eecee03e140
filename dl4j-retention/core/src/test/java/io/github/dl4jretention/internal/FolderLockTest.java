package io.github.dl4jretention.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Processes are covered where locks are used: {@code CheckpointsTest} and {@code CacheFilesTest}. */
class FolderLockTest {

    @TempDir
    Path folder;

    @Test
    void a_busy_folder_is_refused_also_to_the_same_thread_and_free_again_after_close() throws IOException {
        try (FolderLock first = FolderLock.of(folder, "run")) {
            String message = assertThrows(IllegalStateException.class, () -> FolderLock.of(folder, "run"))
                    .getMessage();
            assertEquals(
                    "folder: expected one that no other run works in, got " + folder
                            + "; wait until that run is done, or name another folder",
                    message);
            FolderLock.of(folder, "sweep").close();
        }
        FolderLock.of(folder, "run").close();
    }

    @Test
    void await_waits_for_its_turn() throws Exception {
        List<String> order = new CopyOnWriteArrayList<>();
        CountDownLatch started = new CountDownLatch(1);
        CompletableFuture<Void> second;
        try (FolderLock first = FolderLock.of(folder, "cache")) {
            second = CompletableFuture.runAsync(() -> {
                started.countDown();
                try (FolderLock lock = FolderLock.await(folder, "cache")) {
                    order.add("second");
                } catch (IOException e) {
                    throw new IllegalStateException(e);
                }
            });
            assertTrue(started.await(60, TimeUnit.SECONDS));
            order.add("first");
        }
        second.get(60, TimeUnit.SECONDS);
        assertEquals(List.of("first", "second"), order);
    }

    @Test
    void a_folder_that_is_not_there_is_named() {
        Path missing = folder.resolve("missing");
        String message = assertThrows(IOException.class, () -> FolderLock.of(missing, "run"))
                .getMessage();
        assertTrue(message.startsWith("folder: expected one that can be written to, got " + missing), message);
    }
}
