package io.github.dl4jretention.internal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

class ArrayStreamTest {

    @ParameterizedTest
    @EnumSource(names = {"DOUBLE", "FLOAT", "HALF", "BFLOAT16"})
    void the_stream_is_the_one_that_ND4J_writes(DataType type) throws IOException {
        INDArray array =
                Nd4j.createFromArray(1.0, -2.5, 3e-3, 4e4, 0).castTo(type).reshape(1, 5);
        ByteArrayOutputStream written = new ByteArrayOutputStream();
        Nd4j.write(array, new DataOutputStream(written));
        DataInputStream in = new DataInputStream(new ByteArrayInputStream(written.toByteArray()));
        ArrayStream head = ArrayStream.readHead(in);
        double[] values = head.read(in, 5);
        assertArrayEquals(array.castTo(DataType.DOUBLE).reshape(5).toDoubleVector(), values);
        ByteArrayOutputStream ours = new ByteArrayOutputStream();
        head.writeHead(new DataOutputStream(ours));
        head.write(new DataOutputStream(ours), values);
        assertArrayEquals(written.toByteArray(), ours.toByteArray());
    }

    /** Ties, what is too small and too large, and numbers in between. */
    @ParameterizedTest
    @EnumSource(names = {"DOUBLE", "FLOAT", "HALF", "BFLOAT16"})
    void values_are_rounded_as_ND4J_casts_them(DataType type) throws IOException {
        double[] values = new double[200];
        Random random = new Random(1);
        for (int i = 0; i < values.length; i++) {
            double sixteenth = 1 + i / 16.0 * (type == DataType.BFLOAT16 ? 1 / 128.0 : 1 / 1024.0);
            values[i] = i % 2 == 0 ? sixteenth : random.nextGaussian() * Math.pow(10, random.nextInt(14) - 9);
        }
        INDArray cast = Nd4j.createFromArray(values).castTo(type);
        ByteArrayOutputStream expected = new ByteArrayOutputStream();
        Nd4j.write(cast, new DataOutputStream(expected));
        ArrayStream head = ArrayStream.readHead(new DataInputStream(new ByteArrayInputStream(expected.toByteArray())));
        ByteArrayOutputStream found = new ByteArrayOutputStream();
        head.writeHead(new DataOutputStream(found));
        head.write(new DataOutputStream(found), values);
        assertArrayEquals(expected.toByteArray(), found.toByteArray());
    }

    /** More than one chunk, a view, and both orders. */
    @ParameterizedTest
    @EnumSource(names = {"DOUBLE", "FLOAT", "HALF", "BFLOAT16", "LONG", "INT", "BYTE"})
    void whole_arrays_are_written_as_ND4J_writes_them_and_read_back(DataType type) throws IOException {
        INDArray large = Nd4j.rand(DataType.DOUBLE, 301, 333).muli(100).castTo(type);
        for (INDArray array : List.of(
                large,
                large.dup('f'),
                large.get(NDArrayIndex.interval(7, 290), NDArrayIndex.all()),
                Nd4j.scalar(type, 3),
                Nd4j.createFromArray(1, 2, 3).castTo(type))) {
            ByteArrayOutputStream expected = new ByteArrayOutputStream();
            Nd4j.write(array, new DataOutputStream(expected));
            ByteArrayOutputStream found = new ByteArrayOutputStream();
            ArrayStream.write(array, new DataOutputStream(found));
            assertArrayEquals(expected.toByteArray(), found.toByteArray());
            INDArray read = read(found.toByteArray());
            assertEquals(array.dataType(), read.dataType());
            assertArrayEquals(array.shape(), read.shape());
            assertArrayEquals(values(array), values(read));
            byte[] torn = Arrays.copyOf(found.toByteArray(), found.size() - 1);
            assertThrows(IOException.class, () -> read(torn));
        }
    }

    private static double[] values(INDArray array) {
        return array.castTo(DataType.DOUBLE).dup('c').reshape(array.length()).toDoubleVector();
    }

    @Test
    void bits_of_NaN_stay() throws IOException {
        INDArray array = Nd4j.createFromArray(1f, Float.intBitsToFloat(0x7fc12345), Float.NEGATIVE_INFINITY);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ArrayStream.write(array, new DataOutputStream(out));
        byte[] bytes = out.toByteArray();
        assertEquals(0x7fc12345, ByteBuffer.wrap(bytes).getInt(bytes.length - 8));
        INDArray read = read(bytes);
        assertEquals(0x7fc12345, Float.floatToRawIntBits(read.getFloat(1)));
    }

    private static INDArray read(byte[] bytes) throws IOException {
        return ArrayStream.readArray(new DataInputStream(new ByteArrayInputStream(bytes)), bytes.length);
    }

    @Test
    void arrays_whose_axes_were_swapped_are_read_back() throws IOException {
        INDArray array = Nd4j.createFromArray(IntStream.range(0, 24).toArray()).reshape('c', 2, 3, 4);
        for (int[] axes : new int[][] {{2, 0, 1}, {1, 0, 2}, {2, 1, 0}}) {
            INDArray permuted = array.permute(axes);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ArrayStream.write(permuted, new DataOutputStream(out));
            INDArray read = read(out.toByteArray());
            assertArrayEquals(permuted.shape(), read.shape());
            assertArrayEquals(values(permuted), values(read));
        }
    }

    private static byte[] written(long[] shape, String type, long length) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeUTF("MIXED_DATA_TYPES");
        out.writeLong(shape.length);
        out.writeUTF("LONG");
        for (long value : shape) {
            out.writeLong(value);
        }
        out.writeUTF("MIXED_DATA_TYPES");
        out.writeLong(length);
        out.writeUTF(type);
        out.write(new byte[48]);
        return bytes.toByteArray();
    }

    @Test
    void what_is_no_array_is_an_IOException_that_says_why() throws IOException {
        long many = 1L << 40;
        assertEquals(
                6,
                read(written(new long[] {2, 2, 3, 3, 1, 0, 1, 'c'}, "DOUBLE", 6))
                        .length());
        Map<byte[], String> wrong = Map.ofEntries(
                Map.entry(written(new long[] {2, many, many, many, 1, 0, 1, 'c'}, "FLOAT", 6), "as many values"),
                Map.entry(written(new long[] {2, -2, -3, -3, 1, 0, 1, 'c'}, "FLOAT", 6), "as many values"),
                Map.entry(written(new long[] {2, 2, 3, 3, 1, 0, 1, 'c'}, "FLOAT", -6), "at least 0, got -6"),
                Map.entry(written(new long[] {2, 2, 3, 3, 1, 0, 1, 'c'}, "FLOATX", 6), "got FLOATX"),
                Map.entry(written(new long[] {2, 2, 3, 3, 1, 0, 1, 'c'}, "UTF8", 6), "expected numbers, got type UTF8"),
                Map.entry(written(new long[] {2, 2, 3, 3, 1, 0, 1, 'x'}, "FLOAT", 6), "order c or f"),
                Map.entry(written(new long[] {2, 2, 3, 1, 2, 0, 1, 'c'}, "FLOAT", 6), "strides [1, 2]"),
                Map.entry(written(new long[] {1L << 32, 0, 1, 'c'}, "FLOAT", 1), "an array's shape"),
                Map.entry(written(new long[] {}, "FLOAT", 1), "an array's shape"),
                Map.entry(written(new long[] {1, 4096, 1, 0, 1, 'c'}, "FLOAT", 4096), "the bytes of 4096 numbers"));
        for (Map.Entry<byte[], String> entry : wrong.entrySet()) {
            String message = assertThrows(IOException.class, () -> read(entry.getKey()), entry.getValue())
                    .getMessage();
            assertTrue(message.contains(entry.getValue()), message);
        }
    }
}
