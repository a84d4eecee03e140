package io.github.dl4jretention.internal;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** A buffered stream of which another thread reads the next part while this one is used. */
final class ReadAhead extends InputStream {

    private static final int SIZE = 1 << 20;

    private final InputStream in;
    private byte[] using = new byte[SIZE];
    private byte[] reading = new byte[SIZE];
    private int position;
    private int end;
    private CompletableFuture<Integer> read;

    /** @param in closed with this stream */
    ReadAhead(InputStream in) {
        this.in = in;
        read = next();
    }

    private CompletableFuture<Integer> next() {
        byte[] empty = reading;
        return CompletableFuture.supplyAsync(() -> {
            try {
                return in.readNBytes(empty, 0, SIZE);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
    }

    /** What another thread came to; its exceptions are thrown here. */
    static <T> T await(CompletableFuture<T> work) throws IOException {
        try {
            return work.join();
        } catch (CompletionException e) {
            if (e.getCause() instanceof UncheckedIOException failure) {
                IOException cause = Objects.requireNonNull(failure.getCause());
                throw new IOException(cause.getMessage(), cause);
            }
            throw e;
        }
    }

    /** Whether there is a byte at the position. */
    private boolean hasNext() throws IOException {
        if (position < end) {
            return true;
        }
        int bytes = await(read);
        if (bytes == 0) {
            return false;
        }
        byte[] used = using;
        using = reading;
        reading = used;
        position = 0;
        end = bytes;
        read = next();
        return true;
    }

    @Override
    public int read() throws IOException {
        return hasNext() ? using[position++] & 0xFF : -1;
    }

    @Override
    public int read(byte[] bytes, int offset, int length) throws IOException {
        if (length == 0) {
            return 0;
        }
        if (!hasNext()) {
            return -1;
        }
        int part = Math.min(length, end - position);
        System.arraycopy(using, position, bytes, offset, part);
        position += part;
        return part;
    }

    @Override
    public void close() throws IOException {
        read.handle((bytes, error) -> bytes).join();
        in.close();
    }
}
