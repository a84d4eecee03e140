package io.github.dl4jretention.cache;

import io.github.dl4jretention.internal.AtomicFile;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * Writes one shard: a header (magic number, format, key, layout), the sequences' entries, their index (id and place of
 * each, the place after the last), and a trailer (place of the index, number of sequences, number of tokens, CRC-32C of
 * all before). Numbers are big-endian.
 */
final class ShardWriter implements Closeable {

    static final int MAGIC = 0x444C5443;
    static final int INDEX_BYTES = SequenceId.BYTES + Long.BYTES;
    static final int TRAILER_BYTES = Long.BYTES + Integer.BYTES + Long.BYTES + Integer.BYTES;

    private final AtomicFile file;
    private final FileChannel channel;
    private final CRC32C checksum = new CRC32C();
    private final List<SequenceId> ids = new ArrayList<>();
    private final List<Long> places = new ArrayList<>();
    private long size;
    private long tokens;

    ShardWriter(Path path, String key, CacheLayout layout) throws IOException {
        file = new AtomicFile(path);
        channel = FileChannel.open(
                file.part(), StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE);
        byte[] outputs = layout.toBytes();
        ByteBuffer header = ByteBuffer.allocate(3 * Integer.BYTES + key.length() + outputs.length);
        header.putInt(MAGIC).putInt(CacheKey.FORMAT);
        header.put(key.getBytes(StandardCharsets.US_ASCII));
        header.putInt(outputs.length).put(outputs);
        try {
            write(header.flip());
        } catch (IOException e) {
            close();
            throw e;
        }
    }

    /** Bytes so far. */
    long size() {
        return size;
    }

    /** Whether the complete file can still be mapped after one more entry. */
    boolean fits(long entryBytes) {
        long end = (long) INDEX_BYTES * (ids.size() + 1) + Long.BYTES + TRAILER_BYTES;
        return size + entryBytes + end <= Integer.MAX_VALUE;
    }

    void add(SequenceId id, ByteBuffer entry, long entryTokens) throws IOException {
        ids.add(id);
        places.add(size);
        tokens += entryTokens;
        write(entry);
    }

    /** Completes the file and gives it its name. */
    void complete() throws IOException {
        ByteBuffer end = ByteBuffer.allocate(INDEX_BYTES * ids.size() + Long.BYTES + TRAILER_BYTES);
        for (int i = 0; i < ids.size(); i++) {
            end.putLong(ids.get(i).high()).putLong(ids.get(i).low()).putLong(places.get(i));
        }
        long index = size;
        end.putLong(index).putLong(index).putInt(ids.size()).putLong(tokens);
        write(end.flip());
        write(ByteBuffer.allocate(Integer.BYTES)
                .putInt((int) checksum.getValue())
                .flip());
        channel.close();
        file.commit();
    }

    private void write(ByteBuffer bytes) throws IOException {
        checksum.update(bytes.duplicate());
        size += bytes.remaining();
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    @Override
    public void close() throws IOException {
        channel.close();
        file.close();
    }
}
