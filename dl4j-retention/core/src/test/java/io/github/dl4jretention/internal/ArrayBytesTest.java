package io.github.dl4jretention.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

class ArrayBytesTest {

    @Test
    void parts_are_the_arrays_own_memory_and_those_of_views_too() {
        INDArray array = Nd4j.createFromArray(0f, 1, 2, 3, 4, 5, 6, 7, 8);
        List<Float> values = new ArrayList<>();
        ArrayBytes.chunks(array.get(NDArrayIndex.interval(2, 7)), 8, bytes -> {
            while (bytes.hasRemaining()) {
                values.add(bytes.getFloat());
            }
        });
        assertEquals(List.of(2f, 3f, 4f, 5f, 6f), values);
    }

    /** Memory that is never touched takes none. */
    @Test
    void parts_beyond_2_GB_are_where_they_should_be() {
        long length = (1L << 28) + 10;
        try (INDArray array = Nd4j.createUninitializedDetached(DataType.DOUBLE, 'c', length)) {
            List<ByteBuffer> parts = new ArrayList<>();
            ArrayBytes.chunks(array, 1 << 30, parts::add);
            assertEquals(
                    List.of(1 << 30, 1 << 30, 80),
                    parts.stream().map(ByteBuffer::remaining).toList());
            parts.get(2).putDouble(72, 0.25);
            parts.get(1).putDouble((1 << 30) - 8, 0.5);
            assertEquals(ByteOrder.nativeOrder(), parts.get(2).order());
            assertEquals(0.25, array.getDouble(length - 1));
            assertEquals(0.5, array.getDouble(length - 11));
        }
    }
}
