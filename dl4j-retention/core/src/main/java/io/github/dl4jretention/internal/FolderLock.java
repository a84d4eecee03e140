package io.github.dl4jretention.internal;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Lets one writer at a time into a folder: one thread of one process. The operating system lifts the lock when the
 * process ends, however it ends.
 *
 * <p>If the folder is busy, {@link #of} refuses at once: two runs in one folder would overwrite each other. Only
 * writers of the very same files, such as two programs that fill one cache, use {@link #await}: the second one waits
 * and then finds the work done.
 */
public final class FolderLock implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(FolderLock.class);

    /** The system's lock belongs to the whole process, so threads take turns here. */
    private static final Map<Path, Semaphore> THREADS = new ConcurrentHashMap<>();

    private final Semaphore thread;
    private final FileChannel channel;

    private FolderLock(Semaphore thread, FileChannel channel) {
        this.thread = thread;
        this.channel = channel;
    }

    /**
     * Locks a folder, or refuses.
     *
     * @param folder that is there
     * @param owner  who writes to it, such as "run"; names the lock's file, {@code run.lock}
     * @return the lock; close it to let others in
     * @throws IllegalStateException if another owner of the same kind is in the folder
     * @throws IOException           if the folder can't be written to
     */
    public static FolderLock of(Path folder, String owner) throws IOException {
        return take(folder, owner, false);
    }

    /**
     * Locks a folder, after waiting with one line in the log if somebody else is in it.
     *
     * @param folder that is there
     * @param owner  who writes to it, such as "cache"; names the lock's file, {@code cache.lock}
     * @return the lock; close it to let others in
     * @throws IOException if the folder can't be written to
     */
    public static FolderLock await(Path folder, String owner) throws IOException {
        return take(folder, owner, true);
    }

    private static FolderLock take(Path folder, String owner, boolean patient) throws IOException {
        FileChannel channel = open(folder, owner + ".lock");
        Semaphore thread = null;
        try {
            Path file = folder.toRealPath().resolve(owner + ".lock");
            Semaphore turn = THREADS.computeIfAbsent(file, path -> new Semaphore(1));
            if (!turn.tryAcquire()) {
                busy(folder, owner, patient);
                turn.acquireUninterruptibly();
            }
            thread = turn;
            FileLock held = channel.tryLock();
            if (held == null) {
                busy(folder, owner, patient);
                channel.lock();
            }
            return new FolderLock(thread, channel);
        } catch (IOException | RuntimeException e) {
            channel.close();
            if (thread != null) {
                thread.release();
            }
            throw e;
        }
    }

    private static FileChannel open(Path folder, String name) throws IOException {
        try {
            return FileChannel.open(folder.resolve(name), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        } catch (IOException e) {
            throw new IOException("folder: expected one that can be written to, got " + folder + " (" + e + ")", e);
        }
    }

    private static void busy(Path folder, String owner, boolean patient) {
        if (!patient) {
            throw new IllegalStateException("folder: expected one that no other " + owner + " works in, got " + folder
                    + "; wait until that " + owner + " is done, or name another folder");
        }
        LOG.info("{} {}: waiting for another thread or process that is writing it", owner, folder);
    }

    /** Lets others in. */
    @Override
    public void close() throws IOException {
        try {
            channel.close();
        } finally {
            thread.release();
        }
    }
}
