package io.github.dl4jretention.loss.fused;

import org.bytedeco.javacpp.FloatPointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Bulk copies between an array's memory outside of the heap and {@code float[]}, safe for several threads. */
public final class FloatMemory {

    /** Keeps the memory alive. */
    private final INDArray array;

    private final FloatPointer base;

    /** @param array FLOAT, on the host */
    public FloatMemory(INDArray array) {
        if (array.dataType() != DataType.FLOAT) {
            throw new IllegalArgumentException("array: expected FLOAT, got " + array.dataType());
        }
        this.array = array;
        this.base = new FloatPointer(array.data().addressPointer());
    }

    /**
     * {@return whether an array's memory may be read and written like this: it's FLOAT, and the host's memory is all
     * there is}
     *
     * @param array any array
     */
    public static boolean isAccessible(INDArray array) {
        return array.dataType() == DataType.FLOAT && Nd4j.getEnvironment().isCPU();
    }

    INDArray array() {
        return array;
    }

    /**
     * Copies from the array's memory.
     *
     * @param from   counted in elements from the array's first one
     * @param to     receives them
     * @param offset in it
     * @param length number of elements
     */
    public void get(long from, float[] to, int offset, int length) {
        at(from).get(to, offset, length);
    }

    /**
     * Copies into the array's memory.
     *
     * @param to     counted in elements from the array's first one
     * @param from   gives them
     * @param offset in it
     * @param length number of elements
     */
    public void put(long to, float[] from, int offset, int length) {
        at(to).put(from, offset, length);
    }

    /** Sets a row of an array {@code [time, batch, values]} whose values lie side by side; tokens count time first. */
    void putToken(int token, float[] row) {
        long time = token / array.size(1);
        long example = token % array.size(1);
        put(time * array.stride(0) + example * array.stride(1), row, 0, row.length);
    }

    private FloatPointer at(long index) {
        FloatPointer pointer = new FloatPointer(base);
        return pointer.position(base.position() + index);
    }
}
