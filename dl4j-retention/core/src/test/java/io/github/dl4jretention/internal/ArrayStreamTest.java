package io.github.dl4jretention.internal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
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
            INDArray read = ArrayStream.read(new DataInputStream(new ByteArrayInputStream(found.toByteArray())));
            assertEquals(array.dataType(), read.dataType());
            assertArrayEquals(array.shape(), read.shape());
            assertArrayEquals(values(array), values(read));
            byte[] torn = Arrays.copyOf(found.toByteArray(), found.size() - 1);
            assertThrows(
                    IOException.class, () -> ArrayStream.read(new DataInputStream(new ByteArrayInputStream(torn))));
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
        INDArray read = ArrayStream.read(new DataInputStream(new ByteArrayInputStream(bytes)));
        assertEquals(0x7fc12345, Float.floatToRawIntBits(read.getFloat(1)));
    }
}
