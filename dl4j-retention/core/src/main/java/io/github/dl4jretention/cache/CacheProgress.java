package io.github.dl4jretention.cache;

import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Lines in the log while a cache is written, one every ten seconds. */
final class CacheProgress {

    private static final Logger LOG = LoggerFactory.getLogger(TeacherCache.class);
    private static final long EVERY = TimeUnit.SECONDS.toNanos(10);

    private final Path folder;
    private final long expected;
    private final long started = System.nanoTime();
    private long last = started;
    private long sequences;

    /** @param expected number of sequences; 0 if it is not known */
    CacheProgress(Path folder, long expected) {
        this.folder = folder;
        this.expected = expected;
    }

    void sequences(int more) {
        sequences += more;
        if (System.nanoTime() - last >= EVERY) {
            last = System.nanoTime();
            double rate = sequences / seconds();
            String left = expected <= sequences
                    ? ""
                    : String.format(Locale.ROOT, " of %d, %.0f s left", expected, (expected - sequences) / rate);
            LOG.info("cache {}: {} sequences{}, {} a second", folder, sequences, left, Math.round(rate));
        }
    }

    double seconds() {
        return (System.nanoTime() - started) / 1e9;
    }
}
