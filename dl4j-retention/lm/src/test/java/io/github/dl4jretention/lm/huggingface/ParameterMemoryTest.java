package io.github.dl4jretention.lm.huggingface;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

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
    @CsvSource({"FLOAT, true", "FLOAT, false", "DOUBLE, true", "DOUBLE, false"})
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

    @Test
    void refusesOtherNumbers() {
        assertThrows(IllegalArgumentException.class, () -> new ParameterMemory(Nd4j.zeros(DataType.FLOAT16, 2)));
    }
}
