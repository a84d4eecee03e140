package io.github.dl4jretention.internal;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.stream.LongStream;
import org.bytedeco.javacpp.indexer.Bfloat16Indexer;
import org.bytedeco.javacpp.indexer.HalfIndexer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.concurrency.AffinityManager.Location;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * The form in which {@code Nd4j.write} puts an array into a stream: a buffer of its shape, then one of its values, each
 * as the name of an allocation mode, a length (64 bits), the name of a data type, and values in big-endian order. DL4J
 * writes and reads its values one by one; this does so by the chunk, of any length.
 *
 * @param shape  the shape buffer's values
 * @param type   of the values
 * @param length number of values
 */
public record ArrayStream(long[] shape, DataType type, long length) {

    private static final String MODE = "MIXED_DATA_TYPES";
    private static final String OTHER_SHAPE_MODE = "LONG_SHAPE";

    /** Rank, sizes, strides, extras, element-wise stride and order of an array of ND4J's largest rank, 32. */
    private static final int MOST_SHAPE_NUMBERS = 2 * 32 + 4;

    /** Bytes that are copied at once. */
    private static final int CHUNK = 1 << 16;

    /**
     * {@return what stands before the first value, which is read next}
     *
     * @param in a stream that {@code Nd4j.write} or {@link #write(INDArray, DataOutputStream)} wrote
     * @throws IOException if it isn't one
     */
    public static ArrayStream readHead(DataInputStream in) throws IOException {
        String mode = in.readUTF();
        if (!mode.equals(MODE) && !mode.equals(OTHER_SHAPE_MODE)) {
            throw new IOException("expected parameters as DL4J writes them since 1.0.0-beta4, got mode " + mode
                    + "; load and save the model to convert it");
        }
        long numbers = in.readLong();
        if (numbers < 0 || numbers > MOST_SHAPE_NUMBERS) {
            throw new IOException("expected a shape of at most " + MOST_SHAPE_NUMBERS + " numbers, got " + numbers);
        }
        long[] shape = new long[(int) numbers];
        String shapeType = in.readUTF();
        if (!shapeType.equals("LONG") && !shapeType.equals("INT64")) {
            throw new IOException("expected a shape of type LONG, got " + shapeType);
        }
        for (int i = 0; i < shape.length; i++) {
            shape[i] = in.readLong();
        }
        mode = in.readUTF();
        if (!mode.equals(MODE)) {
            throw new IOException("expected parameters in mode " + MODE + ", got " + mode);
        }
        long length = in.readLong();
        if (length < 0) {
            throw new IOException("expected a number of values of at least 0, got " + length);
        }
        String type = in.readUTF();
        try {
            return new ArrayStream(shape, DataType.valueOf(type), length);
        } catch (IllegalArgumentException e) {
            throw new IOException("expected one of ND4J's data types, got " + type, e);
        }
    }

    /**
     * Writes what stands before the first value.
     *
     * @param out not closed
     * @throws IOException if it can't be written
     */
    public void writeHead(DataOutputStream out) throws IOException {
        out.writeUTF(MODE);
        out.writeLong(shape.length);
        out.writeUTF("LONG");
        for (long value : shape) {
            out.writeLong(value);
        }
        out.writeUTF(MODE);
        out.writeLong(length);
        out.writeUTF(type.name());
    }

    /**
     * {@return the next values}
     *
     * @param in    after the head
     * @param count how many
     * @throws IOException if there are fewer
     */
    public double[] read(DataInputStream in, int count) throws IOException {
        double[] values = new double[count];
        for (int i = 0; i < count; i++) {
            values[i] = switch (type) {
                case DOUBLE -> in.readDouble();
                case FLOAT -> in.readFloat();
                case HALF -> HalfIndexer.toFloat(in.readUnsignedShort());
                case BFLOAT16 -> Bfloat16Indexer.toFloat(in.readUnsignedShort());
                default -> throw new IOException("expected floating-point parameters, got " + type);
            };
        }
        return values;
    }

    /**
     * Writes values, rounded as ND4J does, to the nearest and of two equally near to the even one.
     *
     * @param out    after the head
     * @param values the next ones
     * @throws IOException if they can't be written
     */
    public void write(DataOutputStream out, double[] values) throws IOException {
        for (double value : rounded(values)) {
            switch (type) {
                case DOUBLE -> out.writeDouble(value);
                case FLOAT -> out.writeFloat((float) value);
                case HALF -> out.writeShort(HalfIndexer.fromFloat((float) value));
                case BFLOAT16 -> out.writeShort(Bfloat16Indexer.fromFloat((float) value));
                default -> throw new IOException("expected floating-point parameters, got " + type);
            }
        }
    }

    /** Java's cast rounds doubles to floats in the same way. */
    private double[] rounded(double[] values) {
        return values.length == 0 || type == DataType.DOUBLE || type == DataType.FLOAT
                ? values
                : Nd4j.createFromArray(values)
                        .castTo(type)
                        .castTo(DataType.DOUBLE)
                        .toDoubleVector();
    }

    /**
     * Writes an array. Readers know its order and its shape, so that values that lie otherwise are put in order first.
     *
     * @param array isn't changed
     * @param out   not closed
     * @throws IOException if it can't be written
     */
    public static void write(INDArray array, DataOutputStream out) throws IOException {
        boolean asIs = isDense(array.shape(), array.stride(), array.ordering());
        writeDense(asIs ? array : array.dup('c'), array, out);
    }

    private static void writeDense(INDArray dense, INDArray array, DataOutputStream out) throws IOException {
        try {
            dense.shapeInfoDataBuffer().write(out);
            out.writeUTF(MODE);
            out.writeLong(dense.length());
            out.writeUTF(dense.dataType().name());
            byte[] chunk = new byte[CHUNK];
            ArrayBytes.chunks(dense, CHUNK, values -> {
                int count = values.remaining();
                move(values, ByteBuffer.wrap(chunk, 0, count), dense.dataType());
                out.write(chunk, 0, count);
            });
        } finally {
            if (dense != array) {
                dense.close();
            }
        }
    }

    /** Whether an array's values lie one after the other in its order; the stride of an axis of size 1 says nothing. */
    private static boolean isDense(long[] shape, long[] strides, char order) {
        long expected = 1;
        for (int i = 0; i < shape.length; i++) {
            int axis = order == 'c' ? shape.length - 1 - i : i;
            if (shape[axis] == 0) {
                return true;
            }
            if (shape[axis] != 1 && strides[axis] != expected) {
                return false;
            }
            expected *= shape[axis];
        }
        return true;
    }

    /**
     * {@return an array outside of workspaces}
     *
     * @param in    a stream that {@code Nd4j.write} or {@link #write(INDArray, DataOutputStream)} wrote; not closed
     * @param bytes how many are left in the stream at most, for no more memory is taken
     * @throws IOException      if it isn't one
     * @throws OutOfMemoryError if there's no memory for the array
     */
    public static INDArray readArray(DataInputStream in, long bytes) throws IOException {
        ArrayStream head = readHead(in);
        long[] shape = head.requireArray();
        if (head.length > bytes / head.type.width()) {
            throw new IOException("expected at least the bytes of " + head.length + " numbers of type " + head.type
                    + ", got " + bytes);
        }
        INDArray array = allocate(head, shape);
        boolean read = false;
        try {
            head.readValues(in, array);
            read = true;
            return array;
        } finally {
            if (!read) {
                array.close();
            }
        }
    }

    /**
     * Reads a vector's values.
     *
     * @param in   a stream that {@code Nd4j.write} or {@link #write(INDArray, DataOutputStream)} wrote; not closed
     * @param into a dense vector that gets them
     * @throws IOException if they are of another type or another number, or it isn't such a stream
     */
    public static void readInto(DataInputStream in, INDArray into) throws IOException {
        ArrayStream head = readHead(in);
        head.requireArray();
        if (head.type != into.dataType() || head.length != into.length()) {
            throw new IOException("expected " + into.length() + " numbers of type " + into.dataType() + ", got "
                    + head.length + " of type " + head.type);
        }
        head.readValues(in, into);
    }

    private void readValues(DataInputStream in, INDArray array) throws IOException {
        byte[] chunk = new byte[CHUNK];
        ArrayBytes.chunks(array, CHUNK, values -> {
            int count = values.remaining();
            in.readFully(chunk, 0, count);
            move(ByteBuffer.wrap(chunk, 0, count), values, type);
        });
        Nd4j.getAffinityManager().tagLocation(array, Location.HOST);
    }

    /** The shape, once all of the head is that of a dense array. */
    private long[] requireArray() throws IOException {
        if (!type.isNumerical() && type != DataType.BOOL) {
            throw new IOException("expected numbers, got type " + type);
        }
        int rank = (shape.length - 4) / 2;
        if (rank < 0 || shape.length != 2 * rank + 4 || shape[0] != rank) {
            throw new IOException("expected an array's shape, got " + Arrays.toString(shape));
        }
        long[] sizes = Arrays.copyOfRange(shape, 1, 1 + rank);
        if (LongStream.of(sizes).anyMatch(size -> size < 0) || !isLength(sizes)) {
            throw new IOException(
                    "expected as many values as the shape " + Arrays.toString(sizes) + " has, got " + length);
        }
        long order = shape[shape.length - 1];
        if (order != 'c' && order != 'f') {
            throw new IOException("expected order c or f, got number " + order);
        }
        long[] strides = Arrays.copyOfRange(shape, 1 + rank, 1 + 2 * rank);
        if (!isDense(sizes, strides, (char) order)) {
            throw new IOException("expected values in order " + (char) order + ", got strides "
                    + Arrays.toString(strides) + " for shape " + Arrays.toString(sizes));
        }
        return sizes;
    }

    private boolean isLength(long[] sizes) {
        try {
            return LongStream.of(sizes).reduce(1, Math::multiplyExact) == length;
        } catch (ArithmeticException e) {
            return false;
        }
    }

    /** ND4J's native part says in several ways that there's no memory. */
    private static INDArray allocate(ArrayStream head, long[] shape) {
        try {
            return Nd4j.createUninitializedDetached(head.type, (char) head.shape[head.shape.length - 1], shape);
        } catch (RuntimeException e) {
            OutOfMemoryError error =
                    new OutOfMemoryError("ND4J can't hold " + head.length + " numbers of type " + head.type + ": " + e);
            error.initCause(e);
            throw error;
        }
    }

    /** Bits stay as they are, those of NaN too. */
    private static void move(ByteBuffer from, ByteBuffer to, DataType type) {
        switch (type.width()) {
            case Long.BYTES -> to.asLongBuffer().put(from.asLongBuffer());
            case Integer.BYTES -> to.asIntBuffer().put(from.asIntBuffer());
            case Short.BYTES -> to.asShortBuffer().put(from.asShortBuffer());
            default -> to.put(from);
        }
    }
}
