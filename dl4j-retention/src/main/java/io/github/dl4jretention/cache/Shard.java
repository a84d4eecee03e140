package io.github.dl4jretention.cache;

import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.zip.CRC32C;

/**
 * A complete shard, read through a memory map; {@link ShardWriter} says what is in it.
 *
 * @param file      its path
 * @param bytes     the mapped file
 * @param layout    of the teacher's arrays
 * @param index     place of the index
 * @param sequences number of sequences
 * @param tokens    number of tokens
 * @param checksum  CRC-32C of all before it
 */
record Shard(Path file, ByteBuffer bytes, CacheLayout layout, int index, int sequences, long tokens, int checksum) {

    /**
     * Maps a file, after its checksum has been verified.
     *
     * @param key the cache's
     * @throws DamagedShardException if the file is no shard of this key, or not as it was written
     * @throws IOException if it cannot be read
     */
    static Shard open(Path file, String key) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            if (channel.size() > Integer.MAX_VALUE) {
                throw new DamagedShardException(file, "too large, " + channel.size() + " bytes");
            }
            ByteBuffer bytes = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size());
            int end = bytes.limit() - ShardWriter.TRAILER_BYTES;
            if (end < 0) {
                throw new DamagedShardException(file, "truncated to " + bytes.limit() + " bytes");
            }
            int checksum = bytes.getInt(bytes.limit() - Integer.BYTES);
            CRC32C found = new CRC32C();
            found.update(bytes.duplicate().limit(bytes.limit() - Integer.BYTES));
            if ((int) found.getValue() != checksum) {
                throw new DamagedShardException(file, "its checksum is wrong");
            }
            return read(file, bytes, end, key, checksum);
        } catch (BufferUnderflowException | IndexOutOfBoundsException e) {
            throw new DamagedShardException(file, "no shard of a teacher's cache");
        }
    }

    private static Shard read(Path file, ByteBuffer bytes, int end, String key, int checksum) throws IOException {
        ByteBuffer in = bytes.duplicate();
        int magic = in.getInt();
        int format = in.getInt();
        if (magic != ShardWriter.MAGIC || format != CacheKey.FORMAT) {
            throw new DamagedShardException(file, "of another format");
        }
        byte[] found = new byte[key.length()];
        in.get(found);
        if (!new String(found, StandardCharsets.US_ASCII).equals(key)) {
            throw new DamagedShardException(file, "of another teacher, data, codec or seed");
        }
        byte[] layout = new byte[in.getInt()];
        in.get(layout);
        in.position(end);
        int index = (int) in.getLong();
        return new Shard(file, bytes, CacheLayout.of(layout), index, in.getInt(), in.getLong(), checksum);
    }

    SequenceId id(int sequence) {
        int place = index + sequence * ShardWriter.INDEX_BYTES;
        return new SequenceId(bytes.getLong(place), bytes.getLong(place + Long.BYTES));
    }

    /** What was written of a sequence. */
    ByteBuffer entry(int sequence) {
        return bytes.duplicate().limit(place(sequence + 1)).position(place(sequence));
    }

    private int place(int sequence) {
        // The place after the last entry stands where the next id would.
        int at = index + sequence * ShardWriter.INDEX_BYTES + (sequence == sequences ? 0 : SequenceId.BYTES);
        return (int) bytes.getLong(at);
    }
}
