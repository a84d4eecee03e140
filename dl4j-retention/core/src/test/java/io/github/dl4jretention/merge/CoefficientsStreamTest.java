package io.github.dl4jretention.merge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

class CoefficientsStreamTest {

    @ParameterizedTest
    @EnumSource(names = {"DOUBLE", "FLOAT", "HALF", "BFLOAT16"})
    void the_stream_is_the_one_that_ND4J_writes(DataType type) throws IOException {
        INDArray array =
                Nd4j.createFromArray(1.0, -2.5, 3e-3, 4e4, 0).castTo(type).reshape(1, 5);
        ByteArrayOutputStream written = new ByteArrayOutputStream();
        Nd4j.write(array, new DataOutputStream(written));
        DataInputStream in = new DataInputStream(new ByteArrayInputStream(written.toByteArray()));
        CoefficientsStream head = CoefficientsStream.readHead(in);
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
        CoefficientsStream head =
                CoefficientsStream.readHead(new DataInputStream(new ByteArrayInputStream(expected.toByteArray())));
        ByteArrayOutputStream found = new ByteArrayOutputStream();
        head.writeHead(new DataOutputStream(found));
        head.write(new DataOutputStream(found), values);
        assertArrayEquals(expected.toByteArray(), found.toByteArray());
    }
}
