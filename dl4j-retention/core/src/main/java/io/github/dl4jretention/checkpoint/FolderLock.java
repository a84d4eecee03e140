package io.github.dl4jretention.checkpoint;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** One run at a time in a folder: a lock that the system lifts when the process ends, however it ends. */
final class FolderLock implements AutoCloseable {

    private static final String NAME = "run.lock";

    private final FileChannel channel;

    /**
     * @throws IllegalStateException if another run has the folder
     * @throws IOException if the folder cannot be written to
     */
    FolderLock(Path folder) throws IOException {
        try {
            channel = FileChannel.open(folder.resolve(NAME), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        } catch (IOException e) {
            throw new IOException("folder: expected one that can be written to, got " + folder + ": " + e, e);
        }
        if (!isOurs()) {
            channel.close();
            throw new IllegalStateException("folder: expected one that no other run uses, got " + folder
                    + ", which a run in this or another process is writing to");
        }
    }

    private boolean isOurs() throws IOException {
        try {
            FileLock lock = channel.tryLock();
            return lock != null;
        } catch (OverlappingFileLockException e) {
            return false;
        }
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
