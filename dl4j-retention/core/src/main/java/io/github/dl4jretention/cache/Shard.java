package io.github.dl4jretention.cache;

import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.NoSuchFileException;
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

    private static final int READ_BYTES = 1 << 16;

    /** A file that is no shard of the cache, or not as it was written. */
    static final class DamagedException extends IOException {

        private static final long serialVersionUID = 1L;

        DamagedException(Path file, String what) {
            super(file.getFileName() + ": " + what);
        }
    }

    /**
     * Maps a file, after its checksum has been verified.
     *
     * @param key the cache's
     * @throws DamagedException if the file is no shard of this key, or not as it was written
     * @throws IOException if it cannot be read
     */
    static Shard open(Path file, String key) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            if (channel.size() > Integer.MAX_VALUE) {
                throw new DamagedException(file, "too large, " + channel.size() + " bytes");
            }
            if (channel.size() < ShardWriter.TRAILER_BYTES) {
                throw new DamagedException(file, "truncated to " + channel.size() + " bytes");
            }
            // Windows deletes no file that is mapped: what is damaged must not be.
            int checksum = verified(channel, file);
            requireKey(channel, file, key);
            ByteBuffer bytes = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size());
            return read(file, bytes, key, checksum);
        } catch (NoSuchFileException e) {
            throw new DamagedException(file, "not there any more");
        } catch (BufferUnderflowException | IndexOutOfBoundsException e) {
            throw new DamagedException(file, "no shard of a teacher's cache");
        }
    }

    private static int verified(FileChannel channel, Path file) throws IOException {
        CRC32C found = new CRC32C();
        ByteBuffer part = ByteBuffer.allocate(READ_BYTES);
        long end = channel.size() - Integer.BYTES;
        int count = READ_BYTES;
        for (long place = 0; place < end && count > 0; place += count) {
            read(channel, part.clear().limit((int) Math.min(READ_BYTES, end - place)), place);
            count = part.remaining();
            found.update(part);
        }
        int checksum = read(channel, part.clear().limit(Integer.BYTES), end).getInt();
        if ((int) found.getValue() != checksum) {
            throw new DamagedException(file, "its checksum is wrong");
        }
        return checksum;
    }

    private static void requireKey(FileChannel channel, Path file, String key) throws IOException {
        byte[] found = new byte[key.length()];
        ByteBuffer in = read(channel, ByteBuffer.allocate(2 * Integer.BYTES + found.length), 0);
        if (in.getInt() != ShardWriter.MAGIC || in.getInt() != CacheKey.FORMAT) {
            throw new DamagedException(file, "of another format");
        }
        in.get(found);
        if (!new String(found, StandardCharsets.US_ASCII).equals(key)) {
            throw new DamagedException(file, "of another teacher, data, codec or seed");
        }
    }

    /** Fills a buffer up to its limit; what the file does not have stays missing. */
    private static ByteBuffer read(FileChannel channel, ByteBuffer bytes, long place) throws IOException {
        long at = place;
        int count = 0;
        while (bytes.hasRemaining() && count >= 0) {
            count = channel.read(bytes, at);
            at += count;
        }
        return bytes.flip();
    }

    private static Shard read(Path file, ByteBuffer bytes, String key, int checksum) throws IOException {
        ByteBuffer in = bytes.duplicate().position(2 * Integer.BYTES + key.length());
        byte[] layout = new byte[in.getInt()];
        in.get(layout);
        in.position(bytes.limit() - ShardWriter.TRAILER_BYTES);
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
