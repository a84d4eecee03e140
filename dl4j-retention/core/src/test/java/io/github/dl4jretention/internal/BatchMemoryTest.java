package io.github.dl4jretention.internal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

class BatchMemoryTest {

    private final BatchMemory memory = new BatchMemory();

    private static long address(INDArray array) {
        return array.data().addressPointer().address();
    }

    @Test
    void what_one_array_gives_back_the_next_gets_and_the_old_one_cannot_be_read() {
        INDArray first = memory.array(DataType.FLOAT, 2, 3);
        INDArray view = first.getRow(1);
        first.assign(Nd4j.arange(6).reshape(2, 3));
        long address = address(first);
        BatchMemory.release(first.data());
        assertTrue(first.data().wasClosed());
        assertThrows(IllegalStateException.class, first::sumNumber);
        assertThrows(IllegalStateException.class, view::sumNumber);

        INDArray second = memory.array(DataType.FLOAT, 5);
        assertEquals(address, address(second));
        assertArrayEquals(new float[] {0, 1, 2, 3, 4}, second.toFloatVector());
        assertEquals(10, second.sumNumber().doubleValue());
        assertArrayEquals(new float[] {1, 2, 3, 4, 5}, second.add(1).toFloatVector());
    }

    @Test
    void arrays_that_are_in_use_share_nothing() {
        INDArray one = memory.array(DataType.FLOAT, 4);
        INDArray other = memory.array(DataType.FLOAT, 4);
        one.assign(1);
        other.assign(2);
        assertEquals(4, one.sumNumber().doubleValue());
        assertEquals(8, other.sumNumber().doubleValue());
    }

    @Test
    void the_smallest_that_is_large_enough_is_taken_and_one_that_is_too_small_makes_room() {
        INDArray small = memory.array(DataType.FLOAT, 10);
        INDArray large = memory.array(DataType.FLOAT, 1000);
        long smallAddress = address(small);
        BatchMemory.release(large.data());
        BatchMemory.release(small.data());
        INDArray fits = memory.array(DataType.FLOAT, 7);
        assertEquals(smallAddress, address(fits));
        INDArray larger = memory.array(DataType.FLOAT, 2000);
        long largerAddress = address(larger);
        BatchMemory.release(larger.data());
        assertEquals(largerAddress, address(memory.array(DataType.FLOAT, 1000)));
    }

    @Test
    void other_types_have_memory_of_their_own() {
        for (DataType type : new DataType[] {DataType.DOUBLE, DataType.BFLOAT16}) {
            INDArray array = memory.array(type, 2, 2);
            assertEquals(type, array.dataType());
            BatchMemory.release(array.data());
            assertTrue(array.data().wasClosed());
        }
    }

    @Test
    void a_closed_memory_keeps_nothing() {
        INDArray lent = memory.array(DataType.FLOAT, 100).assign(3);
        memory.close();
        assertEquals(300, lent.sumNumber().doubleValue());
        BatchMemory.release(lent.data());
        INDArray next = memory.array(DataType.FLOAT, 100).assign(4);
        INDArray another = memory.array(DataType.FLOAT, 100).assign(5);
        assertEquals(400, next.sumNumber().doubleValue());
        assertEquals(500, another.sumNumber().doubleValue());
    }

    @Test
    void an_array_outlives_the_memory_that_lent_it() {
        INDArray lent = new BatchMemory().array(DataType.FLOAT, 1 << 20).assign(7);
        for (int i = 0; i < 3; i++) {
            System.gc();
            Nd4j.createUninitialized(DataType.FLOAT, 1 << 20).assign(0).close();
        }
        assertEquals(7, lent.minNumber().doubleValue());
        assertEquals(7, lent.maxNumber().doubleValue());
    }
}
