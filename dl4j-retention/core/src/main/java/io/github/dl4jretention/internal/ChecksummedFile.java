package io.github.dl4jretention.internal;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.CRC32;
import java.util.zip.CheckedOutputStream;

/**
 * A file of binary values whose last eight bytes are the CRC-32 of all before. None of them is looked at before that
 * fits.
 */
public final class ChecksummedFile {

    private static final int CHUNK = 1 << 16;

    private ChecksummedFile() {}

    /** Writes what a file is to hold. */
    @FunctionalInterface
    public interface Content {

        /**
         * Writes it.
         *
         * @param out buffered, and closed by the caller
         * @throws IOException if it cannot be written
         */
        void writeTo(DataOutputStream out) throws IOException;
    }

    /**
     * Reads what a file holds.
     *
     * @param <T> what it is
     */
    @FunctionalInterface
    public interface Reader<T> {

        /**
         * {@return what was written}
         *
         * @param in buffered, and closed by the caller
         * @throws IOException if it is something else
         */
        T read(DataInputStream in) throws IOException;
    }

    /**
     * Writes a whole file, see {@link AtomicFile}.
     *
     * @param file    replaced if it is there; its folder must exist
     * @param content of it
     * @throws IOException if it cannot be written; a file that was there is as it was, and the message names it
     */
    public static void write(Path file, Content content) throws IOException {
        AtomicFile.write(file, stream -> {
            CheckedOutputStream checked = new CheckedOutputStream(stream, new CRC32());
            DataOutputStream out = new DataOutputStream(checked);
            content.writeTo(out);
            out.flush();
            out.writeLong(checked.getChecksum().getValue());
            out.flush();
        });
    }

    /**
     * Reads a file.
     *
     * @param file   that {@link #write} wrote
     * @param what   it is expected to be, for messages
     * @param reader of its content
     * @param <T>    what it holds
     * @return what the reader returns
     * @throws IOException if it cannot be read, is damaged, or the reader fails; the message names it
     */
    public static <T> T read(Path file, String what, Reader<T> reader) throws IOException {
        try {
            requireChecksum(file);
            try (DataInputStream in = new DataInputStream(new BufferedInputStream(Files.newInputStream(file), CHUNK))) {
                T value = reader.read(in);
                in.readLong();
                if (in.read() >= 0) {
                    throw new IOException("it holds more");
                }
                return value;
            }
        } catch (IOException | RuntimeException e) {
            throw new IOException("file: expected " + what + ", got " + file + ": " + e, e);
        }
    }

    private static void requireChecksum(Path file) throws IOException {
        long left = Files.size(file) - Long.BYTES;
        if (left < 0) {
            throw new IOException("it is too short");
        }
        CRC32 checksum = new CRC32();
        try (InputStream in = Files.newInputStream(file)) {
            byte[] bytes = new byte[CHUNK];
            while (left > 0) {
                int read = in.readNBytes(bytes, 0, (int) Math.min(left, CHUNK));
                if (read == 0) {
                    throw new IOException("it is too short");
                }
                checksum.update(bytes, 0, read);
                left -= read;
            }
            if (new DataInputStream(in).readLong() != checksum.getValue()) {
                throw new IOException("it is damaged");
            }
        }
    }
}
