package io.github.dl4jretention.cache;

import java.util.List;
import java.util.Locale;

/**
 * What a cache holds and what it took to write.
 *
 * @param sequences in the cache
 * @param tokens    of all outputs
 * @param bytes     on the disk, index, checksums and headers included
 * @param computed  tokens that the teacher was asked for by this opening; 0 if the cache was complete
 * @param seconds   that took, reading the data included
 */
public record CacheStatistics(long sequences, long tokens, long bytes, long computed, double seconds) {

    static CacheStatistics of(CacheBuild.Opened opened) {
        List<Shard> shards = opened.shards();
        return new CacheStatistics(
                shards.stream().mapToLong(Shard::sequences).sum(),
                shards.stream().mapToLong(Shard::tokens).sum(),
                shards.stream().mapToLong(shard -> shard.bytes().limit()).sum(),
                opened.computed(),
                opened.seconds());
    }

    /** {@return bytes a token on the disk, everything included} */
    public double bytesPerToken() {
        return (double) bytes / tokens;
    }

    /** {@return tokens that were written a second; NaN if none was} */
    public double tokensPerSecond() {
        return computed == 0 ? Double.NaN : computed / seconds;
    }

    @Override
    public String toString() {
        String written = computed == 0
                ? ""
                : String.format(
                        Locale.ROOT,
                        ", %d tokens written in %.1f s, %.0f a second",
                        computed,
                        seconds,
                        tokensPerSecond());
        return String.format(
                Locale.ROOT,
                "%d sequences, %d tokens, %.1f bytes a token%s",
                sequences,
                tokens,
                bytesPerToken(),
                written);
    }
}
