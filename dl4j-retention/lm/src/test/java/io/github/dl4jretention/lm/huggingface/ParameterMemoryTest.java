package io.github.dl4jretention.lm.huggingface;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** By addresses and by arrays, numbers are the same: in 'f' order, as layers hold weights, and in views. */
class ParameterMemoryTest {

    @ParameterizedTest
    @CsvSource({"FLOAT, true", "FLOAT, false", "DOUBLE, true", "DOUBLE, false", "HALF, true", "BFLOAT16, true"})
    void putsAndGetsWhatLiesSideBySide(DataType type, boolean inHost) {
        INDArray all = Nd4j.zeros(type, 1, 20);
        INDArray parameter =
                all.get(NDArrayIndex.all(), NDArrayIndex.interval(4, 16)).reshape('f', 3, 4);
        ParameterMemory memory = new ParameterMemory(parameter, inHost);
        memory.put(2, new float[] {9, 1, 2, 3, 4, 5, 9}, 1, 5);
        double[] expected = new double[20];
        for (int i = 1; i <= 5; i++) {
            expected[4 + 1 + i] = i;
        }
        assertArrayEquals(expected, all.toDoubleMatrix()[0]);
        assertEquals(1, parameter.getDouble(2, 0));
        assertEquals(2, parameter.getDouble(0, 1));
        float[] got = new float[6];
        memory.get(1, got, 2, 4);
        assertArrayEquals(new float[] {0, 0, 0, 1, 2, 3}, got);
        assertEquals(12, memory.length());
    }

    /** Each of their numbers comes out as it went in. */
    @ParameterizedTest
    @CsvSource({"HALF, F16", "BFLOAT16, BF16"})
    void keepsEveryHalf(DataType type, TensorType file) {
        ByteBuffer bytes = ByteBuffer.allocate(2 << 16).order(ByteOrder.LITTLE_ENDIAN);
        for (int bits = 0; bits < 1 << 16; bits++) {
            bytes.putShort((short) bits);
        }
        float[] numbers = new float[1 << 16];
        file.read(bytes.flip(), numbers, numbers.length);
        INDArray array = Nd4j.createUninitialized(type, 1, numbers.length);
        ParameterMemory memory = new ParameterMemory(array);
        memory.put(0, numbers, 0, numbers.length);
        float[] got = new float[numbers.length];
        memory.get(0, got, 0, got.length);
        float[] byNd4j = array.castTo(DataType.FLOAT).toFloatVector();
        for (int i = 0; i < numbers.length; i++) {
            if (Float.isFinite(numbers[i])) {
                assertEquals(Float.floatToRawIntBits(numbers[i]), Float.floatToRawIntBits(got[i]), "of bits " + i);
                assertEquals(numbers[i], byNd4j[i], "of bits " + i);
            }
        }
    }

    @Test
    void refusesOtherNumbers() {
        assertThrows(IllegalArgumentException.class, () -> new ParameterMemory(Nd4j.zeros(DataType.INT32, 2)));
    }
}
