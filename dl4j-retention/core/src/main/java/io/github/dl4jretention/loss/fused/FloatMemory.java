package io.github.dl4jretention.loss.fused;

import org.bytedeco.javacpp.FloatPointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Bulk copies between an array's memory outside of the heap and {@code float[]}, safe for several threads. */
public final class FloatMemory {

    /** Keeps the memory alive. */
    private final INDArray array;

    private final FloatPointer base;

    public FloatMemory(INDArray array) {
        if (array.dataType() != DataType.FLOAT) {
            throw new IllegalArgumentException("array: expected FLOAT, got " + array.dataType());
        }
        this.array = array;
        this.base = new FloatPointer(array.data().addressPointer());
    }

    INDArray array() {
        return array;
    }

    /** Copies from the array's memory, counted in elements from its first one. */
    public void get(long from, float[] to, int offset, int length) {
        at(from).get(to, offset, length);
    }

    public void put(long to, float[] from, int offset, int length) {
        at(to).put(from, offset, length);
    }

    private FloatPointer at(long index) {
        FloatPointer pointer = new FloatPointer(base);
        return pointer.position(base.position() + index);
    }
}
