package io.github.dl4jretention.cache;

import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Lets one thread of one process at a time write to a folder. The operating system ends a lock with its process. */
final class FolderLock implements Closeable {

    private static final Logger LOG = LoggerFactory.getLogger(FolderLock.class);

    /** A file's lock is the whole process's: threads wait for one another here. */
    private static final Map<Path, ReentrantLock> THREADS = new ConcurrentHashMap<>();

    private final ReentrantLock thread;
    private final FileChannel channel;

    private FolderLock(ReentrantLock thread, FileChannel channel) {
        this.thread = thread;
        this.channel = channel;
    }

    /** Waits for the lock, with a line in the log. */
    static FolderLock of(Path folder) throws IOException {
        Path file = folder.toRealPath().resolve("lock");
        ReentrantLock thread = THREADS.computeIfAbsent(file, path -> new ReentrantLock());
        if (!thread.tryLock()) {
            LOG.info("cache {}: waits for another thread that writes it", folder);
            thread.lock();
        }
        FileChannel channel = null;
        try {
            channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            FileLock held = channel.tryLock();
            if (held == null) {
                LOG.info("cache {}: waits for another process that writes it", folder);
                channel.lock();
            }
            return new FolderLock(thread, channel);
        } catch (IOException | RuntimeException e) {
            thread.unlock();
            if (channel != null) {
                channel.close();
            }
            throw e;
        }
    }

    @Override
    public void close() throws IOException {
        try {
            channel.close();
        } finally {
            thread.unlock();
        }
    }
}
