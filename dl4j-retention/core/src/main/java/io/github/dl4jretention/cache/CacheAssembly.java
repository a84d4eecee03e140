package io.github.dl4jretention.cache;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * A cache that one process puts together of parts that others encoded:
 *
 * <pre>{@code
 * CacheAssembly assembly = builder.assembly();
 * CacheParts parts = assembly.parts();                         // travels to other processes
 * parts.encode(batches, teacher, known, out);                  // in each of them, with its minibatches
 * TeacherCache cache = assembly.build(List.of(one, other));    // in one process
 * }</pre>
 */
public final class CacheAssembly {

    private final TeacherCache.Builder builder;
    private final CacheFolder folder;
    private final CacheParts parts;

    CacheAssembly(TeacherCache.Builder builder, CacheFolder folder, CacheParts parts) {
        this.builder = builder;
        this.folder = folder;
        this.parts = parts;
    }

    /** {@return what the parts have in common} */
    public CacheParts parts() {
        return parts;
    }

    /** {@return where the files lie or will lie: a folder named after the key in the builder's} */
    public Path path() {
        return folder.path();
    }

    /**
     * {@return whether the cache is complete, and needs neither teacher nor data}
     *
     * @throws IOException if a file cannot be read
     */
    public boolean isComplete() throws IOException {
        return folder.content().complete();
    }

    /**
     * {@return the sequences that are there, as {@link CacheParts#encode} takes them}
     *
     * @throws IOException if a file cannot be read
     */
    public long[] known() throws IOException {
        return folder.content().shards().stream()
                .flatMap(shard -> IntStream.range(0, shard.sequences()).mapToObj(shard::id))
                .flatMapToLong(id -> LongStream.of(id.high(), id.low()))
                .toArray();
    }

    /**
     * Opens the cache. If it is not complete, it's put together.
     *
     * @param encoded parts in their order, with all sequences of the data; touched only if the cache isn't complete, and
     *     opened twice then: nothing of a part is taken before its checksum is known to be right
     * @return the complete cache
     * @throws IOException if a part is damaged or of another cache: the message has its number, from 1; or if a file cannot
     *     be read or written: the message names the file
     */
    public TeacherCache build(List<? extends CacheParts.Part> encoded) throws IOException {
        return builder.open(build -> {
            for (int i = 0; i < encoded.size(); i++) {
                parts.read(encoded.get(i), "part " + (i + 1) + " of " + encoded.size(), build);
            }
        });
    }
}
