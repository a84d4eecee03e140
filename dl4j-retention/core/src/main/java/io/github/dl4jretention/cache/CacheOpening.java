package io.github.dl4jretention.cache;

import io.github.dl4jretention.internal.FolderLock;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.function.Supplier;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Opens a cache and lets what it lacks be written.
 *
 * @param folder     of the cache
 * @param teacher    asked for when the first sequence is missing
 * @param encoder    writes what the teacher gives
 * @param trims      whether padding may be left out
 * @param shardBytes size from which a shard is completed
 * @param expected   number of sequences; 0 if it is not known
 */
record CacheOpening(
        CacheFolder folder,
        Supplier<Teacher> teacher,
        BatchEncoder encoder,
        boolean trims,
        long shardBytes,
        long expected) {

    private static final Logger LOG = LoggerFactory.getLogger(TeacherCache.class);

    /**
     * @param shards   of the complete cache
     * @param computed tokens that the teacher was asked for
     * @param seconds  that took
     */
    record Opened(List<Shard> shards, long computed, double seconds) {}

    /**
     * @param iterator touched only if the cache is not complete
     * @throws IOException if a file cannot be read or written; the message names it
     */
    Opened open(MultiDataSetIterator iterator) throws IOException {
        CacheFolder.Content content = folder.content();
        if (content.complete()) {
            return new Opened(content.shards(), 0, 0);
        }
        try {
            Files.createDirectories(folder.path());
        } catch (IOException e) {
            throw new IOException(
                    "folder: expected one that can be written to, got "
                            + folder.path().getParent() + " (" + e + ")",
                    e);
        }
        try (FolderLock lock = FolderLock.await(folder.path(), "cache")) {
            // Another process may have completed it.
            content = folder.content();
            return content.complete() ? new Opened(content.shards(), 0, 0) : write(content, iterator);
        }
    }

    private Opened write(CacheFolder.Content content, MultiDataSetIterator iterator) throws IOException {
        report(content);
        CacheProgress progress = new CacheProgress(folder.path(), expected);
        try {
            folder.keepOnly(content.shards());
            long computed = new CacheBuild(folder, teacher, encoder, trims, shardBytes, progress)
                    .run(content.shards(), iterator);
            CacheFolder.Content written = folder.content();
            if (!written.damaged().isEmpty()) {
                throw new IOException("shards were damaged meanwhile, " + written.damaged());
            }
            List<Shard> shards = written.shards();
            if (shards.isEmpty()) {
                throw new IllegalArgumentException("iterator: expected at least one sequence, got none");
            }
            folder.writeManifest(shards);
            return new Opened(shards, computed, progress.seconds());
        } catch (IOException e) {
            throw new IOException(
                    "cache: " + folder.path() + " cannot be written: " + e.getMessage()
                            + "; its complete shards are kept",
                    e);
        }
    }

    private void report(CacheFolder.Content content) {
        if (!content.damaged().isEmpty() || content.finished()) {
            LOG.warn(
                    "cache {}: damaged, what is missing is computed again: {}",
                    folder.path(),
                    content.damaged().isEmpty() ? "a file is missing" : content.damaged());
        } else {
            LOG.info(
                    "cache {}: is written, {} shards are there",
                    folder.path(),
                    content.shards().size());
        }
    }
}
