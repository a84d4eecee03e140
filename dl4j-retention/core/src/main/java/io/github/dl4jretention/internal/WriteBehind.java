package io.github.dl4jretention.internal;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.util.concurrent.CompletableFuture;

/** A buffered stream whose full buffers are written by another thread while the next one is filled. */
final class WriteBehind extends OutputStream {

    private static final int SIZE = 1 << 20;

    private final OutputStream out;
    private byte[] filling = new byte[SIZE];
    private byte[] writing = new byte[0];
    private int count;
    private CompletableFuture<Void> written = CompletableFuture.completedFuture(null);

    /** @param out closed with this stream */
    WriteBehind(OutputStream out) {
        this.out = out;
    }

    @Override
    public void write(int value) throws IOException {
        if (count == SIZE) {
            handOver();
        }
        filling[count++] = (byte) value;
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
        for (int done = 0; done < length; ) {
            if (count == SIZE) {
                handOver();
            }
            int part = Math.min(length - done, SIZE - count);
            System.arraycopy(bytes, offset + done, filling, count, part);
            count += part;
            done += part;
        }
    }

    private void handOver() throws IOException {
        await();
        byte[] full = filling;
        int bytes = count;
        // The first time there is none yet, for most files are small.
        filling = writing.length == 0 ? new byte[SIZE] : writing;
        writing = full;
        count = 0;
        written = CompletableFuture.runAsync(() -> {
            try {
                out.write(full, 0, bytes);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
    }

    private void await() throws IOException {
        ReadAhead.await(written);
    }

    @Override
    public void flush() throws IOException {
        await();
        out.write(filling, 0, count);
        count = 0;
        out.flush();
    }

    @Override
    public void close() throws IOException {
        // What was handed over is written, or has failed, when flush ends.
        try (out) {
            flush();
        }
    }
}
