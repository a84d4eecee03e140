package io.github.dl4jretention.tasks.sandbox;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A program's process and its folder, which end when it's closed or the JVM shuts down. */
final class CodeProcess implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(CodeProcess.class);

    private static final int GRACE_SECONDS = 2;

    private final boolean isolated;
    private final Path folder;
    private final Thread hook = new Thread(this::end, "code end");
    private @Nullable Process process;
    private boolean ended;

    CodeProcess(boolean isolated) throws IOException {
        this.isolated = isolated;
        folder = Files.createTempDirectory(
                "dl4j-retention-code-" + ProcessHandle.current().pid() + "-");
        try {
            Runtime.getRuntime().addShutdownHook(hook);
        } catch (IllegalStateException e) {
            delete(folder);
            throw new IOException("code: this JVM is shutting down", e);
        }
    }

    Path folder() {
        return folder;
    }

    synchronized Process start(List<String> command) throws IOException {
        if (ended) {
            throw new IOException("code: this JVM is shutting down");
        }
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
        ProcessBuilder builder = new ProcessBuilder(command);
        Map<String, String> environment = builder.environment();
        String path = environment.getOrDefault("PATH", "/usr/bin:/bin");
        environment.clear();
        environment.put("PATH", path);
        Process started = builder.start();
        process = started;
        return started;
    }

    @Override
    public void close() {
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            LOG.debug("the JVM is shutting down, and ends its programs itself", e);
        }
        end();
    }

    private synchronized void end() {
        if (ended) {
            return;
        }
        ended = true;
        try {
            if (process != null) {
                end(process);
            }
        } finally {
            delete(folder);
        }
    }

    /**
     * With the processes that it started: those of its namespace, or of its process group and those that descend from it at
     * this moment. What waits here doesn't heed interrupts, so that they stay set.
     */
    private void end(Process leader) {
        // Once their parent has ended, nothing says whose children they were.
        List<ProcessHandle> descendants = leader.descendants().toList();
        try {
            if (!isolated) {
                // One signal reaches a whole group, so that none of it can fork away.
                await(new ProcessBuilder(
                                "sh", "-c", "kill -s KILL -- -\"$0\" 2> /dev/null", Long.toString(leader.pid()))
                        .start());
            }
        } catch (IOException e) {
            LOG.warn("sh can't be started: processes that a program left in the background may run on", e);
        } finally {
            descendants.forEach(ProcessHandle::destroyForcibly);
            leader.destroyForcibly();
            await(leader);
        }
    }

    private static void await(Process ending) {
        ending.onExit()
                .completeOnTimeout(ending, GRACE_SECONDS, TimeUnit.SECONDS)
                .join();
    }

    /** Programs may have made files that nobody may read or delete; what can't be deleted stays. */
    private static void delete(Path file) {
        try {
            if (Files.isDirectory(file, LinkOption.NOFOLLOW_LINKS)) {
                Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwx------"));
                List<Path> inside;
                try (Stream<Path> files = Files.list(file)) {
                    inside = files.toList();
                }
                inside.forEach(CodeProcess::delete);
            }
            Files.deleteIfExists(file);
        } catch (IOException | UncheckedIOException e) {
            LOG.warn("what a program left in {} can't be deleted", file, e);
        }
    }
}
