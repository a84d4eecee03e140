package io.github.dl4jretention.lm.huggingface;

import io.github.dl4jretention.lm.huggingface.TensorLayout.Piece;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.zip.CRC32C;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Copies weights between tensors of files and parameters of a network, a part at a time, without a second copy. */
final class Weights {

    /** Numbers copied at once; few enough for the processor's cache. */
    private static final int CHUNK = 1 << 15;

    /** Of a transposed tensor; enough that each write fills a line of the cache. */
    private static final int TRANSPOSED_ROWS = 32;

    private static final int MAPPED = 1 << 30;

    /** Is given a tensor's bytes from the first to the last, a part at a time. */
    @FunctionalInterface
    interface Sink {
        void accept(ByteBuffer bytes) throws IOException;
    }

    private final NetworkParameters parameters;

    Weights(NetworkParameters parameters) {
        this.parameters = parameters;
    }

    private ParameterMemory memory(Piece piece, TensorLayout layout) {
        INDArray array = parameters.get(piece.layer(), piece.parameter());
        ParameterMemory memory = new ParameterMemory(array);
        if ((piece.from() + piece.rows()) * layout.columns() > memory.length()) {
            throw new IllegalArgumentException("network: expected parameter " + piece.parameter() + " of layer "
                    + piece.layer() + " to hold tensor \"" + layout.name() + "\" of shape " + layout.shape() + ", got "
                    + Arrays.toString(array.shape()));
        }
        return memory;
    }

    /**
     * Copies a tensor into the network.
     *
     * @return the checksum of its bytes
     * @throws IOException if a number isn't finite
     */
    long load(SafetensorsFile file, Tensor tensor, TensorLayout layout, String where) throws IOException {
        Source source = new Source(file, tensor, where);
        if (layout.transposed()) {
            loadTransposed(source, layout);
        } else {
            for (Piece piece : layout.pieces()) {
                ParameterMemory memory = memory(piece, layout);
                long at = piece.from() * layout.columns();
                long end = at + piece.rows() * layout.columns();
                float[] numbers = new float[CHUNK];
                while (at < end) {
                    int count = (int) Math.min(CHUNK, end - at);
                    source.read(numbers, count);
                    memory.put(at, numbers, 0, count);
                    at += count;
                }
            }
        }
        return source.checksum.getValue();
    }

    private void loadTransposed(Source source, TensorLayout layout) throws IOException {
        int rows = Math.toIntExact(layout.rows());
        long in = layout.columns();
        float[] block = new float[Math.multiplyExact(TRANSPOSED_ROWS, rows)];
        float[] column = new float[TRANSPOSED_ROWS];
        for (long at = 0; at < in; at += TRANSPOSED_ROWS) {
            int count = (int) Math.min(TRANSPOSED_ROWS, in - at);
            source.read(block, count * rows);
            int row = 0;
            for (Piece piece : layout.pieces()) {
                ParameterMemory memory = memory(piece, layout);
                for (long i = 0; i < piece.rows(); i++) {
                    for (int j = 0; j < count; j++) {
                        column[j] = block[j * rows + row];
                    }
                    memory.put((piece.from() + i) * in + at, column, 0, count);
                    row++;
                }
            }
        }
    }

    /**
     * Copies a tensor out of the network.
     *
     * @throws IOException if a number isn't finite, or too large for the type
     */
    void save(TensorLayout layout, TensorType type, Sink sink) throws IOException {
        if (layout.transposed()) {
            saveTransposed(layout, type, sink);
            return;
        }
        float[] numbers = new float[CHUNK];
        for (Piece piece : layout.pieces()) {
            ParameterMemory memory = memory(piece, layout);
            long at = piece.from() * layout.columns();
            long end = at + piece.rows() * layout.columns();
            while (at < end) {
                int count = (int) Math.min(CHUNK, end - at);
                memory.get(at, numbers, 0, count);
                write(numbers, count, layout, type, sink);
                at += count;
            }
        }
    }

    private void saveTransposed(TensorLayout layout, TensorType type, Sink sink) throws IOException {
        int rows = Math.toIntExact(layout.rows());
        long in = layout.columns();
        float[] block = new float[Math.multiplyExact(TRANSPOSED_ROWS, rows)];
        float[] column = new float[TRANSPOSED_ROWS];
        for (long at = 0; at < in; at += TRANSPOSED_ROWS) {
            int count = (int) Math.min(TRANSPOSED_ROWS, in - at);
            int row = 0;
            for (Piece piece : layout.pieces()) {
                ParameterMemory memory = memory(piece, layout);
                for (long i = 0; i < piece.rows(); i++) {
                    memory.get((piece.from() + i) * in + at, column, 0, count);
                    for (int j = 0; j < count; j++) {
                        block[j * rows + row] = column[j];
                    }
                    row++;
                }
            }
            write(block, count * rows, layout, type, sink);
        }
    }

    private static void write(float[] numbers, int count, TensorLayout layout, TensorType type, Sink sink)
            throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(count * type.bytes()).order(ByteOrder.LITTLE_ENDIAN);
        if (!type.write(numbers, bytes, count)) {
            throw new IOException("network: expected finite weights that fit into " + type + ", got others in tensor \""
                    + layout.name() + "\"");
        }
        sink.accept(bytes.flip());
    }

    /** {@return the checksum of what {@link #save} would write} */
    long checksum(TensorLayout layout, TensorType type) throws IOException {
        CRC32C checksum = new CRC32C();
        save(layout, type, checksum::update);
        return checksum.getValue();
    }

    /** A tensor's numbers from the first to the last, read from mapped memory. */
    private static final class Source {

        private final SafetensorsFile file;
        private final Tensor tensor;
        private final String where;
        private final CRC32C checksum = new CRC32C();
        private ByteBuffer mapped = ByteBuffer.allocate(0);
        private long next;

        Source(SafetensorsFile file, Tensor tensor, String where) {
            this.file = file;
            this.tensor = tensor;
            this.where = where;
        }

        void read(float[] to, int count) throws IOException {
            int bytes = count * tensor.type().bytes();
            if (mapped.remaining() < bytes) {
                next -= mapped.remaining();
                int length = (int) Math.min(Math.max(MAPPED, bytes), tensor.bytes() - next);
                mapped = file.map(tensor, next, length);
                next += length;
            }
            ByteBuffer part = mapped.slice(mapped.position(), bytes).order(ByteOrder.LITTLE_ENDIAN);
            mapped.position(mapped.position() + bytes);
            checksum.update(part.duplicate());
            if (!tensor.type().read(part, to, count)) {
                throw new IOException(where + ": tensor \"" + tensor.name()
                        + "\": expected finite numbers, got NaN or an infinite one");
            }
        }
    }
}
