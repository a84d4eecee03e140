package io.github.dl4jretention.spark;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.SequenceInputStream;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/** Bytes that travel, more than an array of Java's can hold. */
final class ByteChunks implements Serializable {

    private static final long serialVersionUID = 1L;
    private static final int CHUNK = 1 << 22;

    private final ArrayList<byte[]> chunks;

    private ByteChunks(List<byte[]> chunks) {
        this.chunks = new ArrayList<>(chunks);
    }

    /** Writes what is to travel. */
    @FunctionalInterface
    interface Content {
        void writeTo(OutputStream out) throws IOException;
    }

    static ByteChunks of(Content content) throws IOException {
        List<byte[]> chunks = new ArrayList<>();
        try (ChunkStream out = new ChunkStream(chunks)) {
            content.writeTo(out);
        }
        return new ByteChunks(chunks);
    }

    static ByteChunks of(Path file) throws IOException {
        return of(out -> Files.copy(file, out));
    }

    /** A new stream of the bytes from their beginning. */
    InputStream stream() {
        return new SequenceInputStream(Collections.enumeration(
                chunks.stream().map(ByteArrayInputStream::new).toList()));
    }

    void writeTo(Path file) throws IOException {
        try (OutputStream out = Files.newOutputStream(file)) {
            for (byte[] chunk : chunks) {
                out.write(chunk);
            }
        }
    }

    long size() {
        return chunks.stream().mapToLong(chunk -> chunk.length).sum();
    }

    private static final class ChunkStream extends OutputStream {

        private final List<byte[]> chunks;
        private final byte[] chunk = new byte[CHUNK];
        private int count;

        ChunkStream(List<byte[]> chunks) {
            this.chunks = chunks;
        }

        @Override
        public void write(int value) {
            write(new byte[] {(byte) value}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) {
            for (int at = offset, left = length; left > 0; ) {
                int part = Math.min(left, chunk.length - count);
                System.arraycopy(bytes, at, chunk, count, part);
                count += part;
                at += part;
                left -= part;
                if (count == chunk.length) {
                    complete();
                }
            }
        }

        private void complete() {
            chunks.add(Arrays.copyOf(chunk, count));
            count = 0;
        }

        @Override
        public void close() {
            if (count > 0) {
                complete();
            }
        }
    }
}
