package io.github.dl4jretention.merge;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import org.bytedeco.javacpp.indexer.Bfloat16Indexer;
import org.bytedeco.javacpp.indexer.HalfIndexer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;

/**
 * The form in which {@code Nd4j.write} puts an array into a stream: a buffer of its shape, then one of its values, each
 * as the name of an allocation mode, a length (64 bits), the name of a data type, and values in big-endian order.
 *
 * @param shape  the shape buffer's values
 * @param type   of the values
 * @param length number of values
 */
record CoefficientsStream(long[] shape, DataType type, long length) {

    private static final String MODE = "MIXED_DATA_TYPES";
    private static final String OTHER_SHAPE_MODE = "LONG_SHAPE";

    /** Rank, sizes, strides, extras, element-wise stride and order of an array of ND4J's largest rank, 32. */
    private static final int MOST_SHAPE_NUMBERS = 2 * 32 + 4;

    /** Reads up to the first value. */
    static CoefficientsStream readHead(DataInputStream in) throws IOException {
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
        return new CoefficientsStream(shape, DataType.valueOf(in.readUTF()), length);
    }

    /** Writes up to the first value. */
    void writeHead(DataOutputStream out) throws IOException {
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

    double[] read(DataInputStream in, int count) throws IOException {
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

    /** Rounds as ND4J does, to the nearest and of two equally near to the even one. */
    void write(DataOutputStream out, double[] values) throws IOException {
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
}
