package io.github.dl4jretention.lm.huggingface;

import org.bytedeco.javacpp.DoublePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** A parameter's memory outside of the heap, as float numbers; safe for several threads. */
final class ParameterMemory {

    /** Keeps the memory alive. */
    private final INDArray array;

    private final boolean isFloat;

    /** @param array a network's parameter, FLOAT or DOUBLE, without gaps */
    ParameterMemory(INDArray array) {
        if (!Nd4j.getEnvironment().isCPU()) {
            throw new IllegalStateException("backend: expected nd4j-native, whose arrays are in the host's memory, got "
                    + Nd4j.getBackend().getClass().getSimpleName());
        }
        this.array = array;
        isFloat = array.dataType() == DataType.FLOAT;
        if (!isFloat && array.dataType() != DataType.DOUBLE) {
            throw new IllegalArgumentException("network: expected FLOAT or DOUBLE parameters, got " + array.dataType());
        }
    }

    long length() {
        return array.length();
    }

    void put(long to, float[] from, int offset, int length) {
        if (isFloat) {
            FloatPointer pointer = new FloatPointer(array.data().addressPointer());
            pointer.position(pointer.position() + to).put(from, offset, length);
        } else {
            double[] numbers = new double[length];
            for (int i = 0; i < length; i++) {
                numbers[i] = from[offset + i];
            }
            DoublePointer pointer = new DoublePointer(array.data().addressPointer());
            pointer.position(pointer.position() + to).put(numbers, 0, length);
        }
    }

    void get(long from, float[] to, int offset, int length) {
        if (isFloat) {
            FloatPointer pointer = new FloatPointer(array.data().addressPointer());
            pointer.position(pointer.position() + from).get(to, offset, length);
        } else {
            double[] numbers = new double[length];
            DoublePointer pointer = new DoublePointer(array.data().addressPointer());
            pointer.position(pointer.position() + from).get(numbers, 0, length);
            for (int i = 0; i < length; i++) {
                to[offset + i] = (float) numbers[i];
            }
        }
    }
}
