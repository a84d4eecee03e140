package io.github.dl4jretention.cache;

import io.github.dl4jretention.internal.FolderLock;
import java.io.IOException;
import java.nio.file.Files;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Opens a cache's folder and, under its lock, lets one pass over the data write the sequences that it lacks. While that
 * goes on there's a line in the log every ten seconds.
 */
final class CacheBuild {

    private static final Logger LOG = LoggerFactory.getLogger(TeacherCache.class);
    private static final long EVERY = TimeUnit.SECONDS.toNanos(10);

    private final CacheFolder folder;
    private final BatchEntries entries;
    private final long shardBytes;
    private final long expected;
    private final Set<SequenceId> known = new HashSet<>();
    private @Nullable CacheLayout layout;
    private @Nullable ShardWriter shard;
    private long computed;
    private long sequences;
    private long started;
    private long told;

    /**
     * @param source     asked for its teacher when the first sequence is missing
     * @param shardBytes size from which a shard is completed
     * @param expected   number of sequences; 0 if it is not known
     */
    CacheBuild(CacheFolder folder, CacheSource source, BatchEncoder encoder, long shardBytes, long expected) {
        this.folder = folder;
        this.entries = new BatchEntries(encoder, source.trims(), source.teacher());
        this.shardBytes = shardBytes;
        this.expected = expected;
    }

    /**
     * @param shards   of the complete cache
     * @param computed tokens that the teacher was asked for
     * @param seconds  that took
     */
    record Opened(List<Shard> shards, long computed, double seconds) {}

    /** All sequences that the cache is to hold. */
    @FunctionalInterface
    interface Sequences {

        /** Hands them to a build, which passes over those that are there. */
        void writeTo(CacheBuild build) throws IOException;
    }

    /**
     * @param all touched only if the cache is not complete; null if it must be
     * @throws IOException if a file cannot be read or written; the message names it, and complete shards stay
     */
    Opened open(@Nullable Sequences all) throws IOException {
        CacheFolder.Content content = folder.content();
        if (content.complete()) {
            return new Opened(content.shards(), 0, 0);
        }
        if (all == null) {
            throw new IOException("folder: expected a complete cache, there is none at " + folder.path()
                    + "; check that this machine sees the folder, and the descriptions of data and tokenisation");
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
            return content.complete() ? new Opened(content.shards(), 0, 0) : write(content, all);
        }
    }

    private Opened write(CacheFolder.Content content, Sequences all) throws IOException {
        report(content);
        started = System.nanoTime();
        told = started;
        try {
            folder.keepOnly(content.shards());
            complete(content.shards(), all);
            CacheFolder.Content written = folder.content();
            if (!written.damaged().isEmpty()) {
                throw new IOException("shards were damaged meanwhile, " + written.damaged());
            }
            List<Shard> shards = written.shards();
            if (shards.isEmpty()) {
                throw new IllegalArgumentException("iterator: expected at least one sequence, got none");
            }
            folder.writeManifest(shards);
            return new Opened(shards, computed, seconds());
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

    private void tell(int more) {
        sequences += more;
        if (System.nanoTime() - told >= EVERY) {
            told = System.nanoTime();
            double rate = sequences / seconds();
            String left = expected <= sequences
                    ? ""
                    : String.format(Locale.ROOT, " of %d, %.0f s left", expected, (expected - sequences) / rate);
            LOG.info("cache {}: {} sequences{}, {} a second", folder.path(), sequences, left, Math.round(rate));
        }
    }

    private double seconds() {
        return (System.nanoTime() - started) / 1e9;
    }

    private void complete(List<Shard> shards, Sequences all) throws IOException {
        for (Shard there : shards) {
            for (int sequence = 0; sequence < there.sequences(); sequence++) {
                known.add(there.id(sequence));
            }
            layout = there.layout();
        }
        try {
            all.writeTo(this);
            complete();
        } finally {
            if (shard != null) {
                shard.close();
            }
        }
    }

    void pass(MultiDataSetIterator iterator) throws IOException {
        if (!iterator.resetSupported()) {
            throw new IllegalArgumentException("iterator: expected one that can be reset");
        }
        iterator.reset();
        while (iterator.hasNext()) {
            write(iterator.next());
        }
        iterator.reset();
    }

    private void write(MultiDataSet batch) throws IOException {
        BatchSequences sequences = entries.sequences(batch);
        for (BatchEncoder.Entry entry : entries.of(batch, sequences, known::add)) {
            write(Objects.requireNonNull(entries.layout()), entry);
        }
        tell(sequences.ids().length);
    }

    /** Writes a sequence, unless it's there. */
    void add(CacheLayout entryLayout, BatchEncoder.Entry entry) throws IOException {
        if (known.add(entry.id())) {
            write(entryLayout, entry);
            tell(1);
        }
    }

    private void write(CacheLayout entryLayout, BatchEncoder.Entry entry) throws IOException {
        if (layout == null) {
            layout = entryLayout;
        } else if (!layout.equals(entryLayout)) {
            throw new IllegalArgumentException(
                    "teacher: expected arrays as of the sequences before, " + layout + ", got " + entryLayout);
        }
        if (shard != null && !shard.fits(entry.bytes().remaining())) {
            complete();
        }
        if (shard == null) {
            shard = new ShardWriter(folder.nextShard(), folder.sha256(), layout);
        }
        shard.add(entry.id(), entry.bytes(), entry.tokens());
        computed += entry.tokens();
        if (shard.size() >= shardBytes) {
            complete();
        }
    }

    private void complete() throws IOException {
        if (shard != null) {
            shard.complete();
            shard = null;
        }
    }
}
