package io.github.dl4jretention.loss.fused;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

class FloatMemoryTest {

    private static INDArray counted(long... shape) {
        return Nd4j.arange(1, Nd4j.create(shape).length() + 1)
                .castTo(DataType.FLOAT)
                .reshape('c', shape);
    }

    /** Of parts of arrays and of axes that change places, as ND4J's own assignment copies them. */
    @Test
    void rows_are_copied_between_any_orders() {
        INDArray from = counted(5, 3, 4)
                .get(NDArrayIndex.interval(1, 5), NDArrayIndex.all(), NDArrayIndex.interval(1, 4))
                .permute(1, 0, 2);
        INDArray to = Nd4j.zeros(DataType.FLOAT, 3, 4, 6)
                .get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.interval(2, 5));
        FloatMemory.copyRows(from, to);
        assertArrayEquals(from.dup('c').data().asFloat(), to.dup('c').data().asFloat());
        assertEquals(from.sumNumber().doubleValue(), to.sumNumber().doubleValue());
        assertEquals(from.getFloat(2, 3, 1), to.getFloat(2, 3, 1));
    }

    @Test
    void a_part_of_an_array_counts_from_its_own_first_element() {
        INDArray part = counted(4, 3).get(NDArrayIndex.interval(1, 3), NDArrayIndex.all());
        FloatMemory memory = FloatMemory.of(part);
        float[] read = new float[4];
        memory.get(2, read, 1, 3);
        assertArrayEquals(new float[] {0, 6, 7, 8}, read);
        memory.put(1, new float[] {0, -1, -2}, 1, 2);
        assertArrayEquals(new float[] {4, -1, -2, 7, 8, 9}, part.dup('c').data().asFloat());
    }

    @Test
    void other_types_are_refused() {
        assertEquals(
                "array: expected FLOAT, got DOUBLE",
                assertThrows(IllegalArgumentException.class, () -> FloatMemory.of(Nd4j.create(DataType.DOUBLE, 2)))
                        .getMessage());
    }
}
