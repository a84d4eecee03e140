package io.github.dl4jretention.lm.huggingface;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.DoublePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * A parameter's memory outside of the heap, as float numbers; safe for several threads. On other backends than nd4j-native
 * an array's address isn't one of the host's, so numbers go through arrays of ND4J's own.
 */
final class ParameterMemory {

    /** Keeps the memory alive. */
    private final INDArray array;

    private final boolean isFloat;

    /** Null for FLOAT and DOUBLE. */
    private final @Nullable TensorType half;

    private final boolean inHost;

    /** @param array a network's parameter, FLOAT, DOUBLE or, on the CPU, FLOAT16 or BFLOAT16, without gaps */
    ParameterMemory(INDArray array) {
        this(array, Nd4j.getEnvironment().isCPU());
    }

    /** @param inHost whether the array's address is one of the host's */
    ParameterMemory(INDArray array, boolean inHost) {
        this.array = array;
        this.inHost = inHost;
        isFloat = array.dataType() == DataType.FLOAT;
        half = array.dataType() == DataType.BFLOAT16
                ? TensorType.BF16
                : array.dataType() == DataType.FLOAT16 ? TensorType.F16 : null;
        if (!isFloat && array.dataType() != DataType.DOUBLE && (half == null || !inHost)) {
            throw new IllegalArgumentException("network: expected FLOAT or DOUBLE parameters, got " + array.dataType());
        }
    }

    long length() {
        return array.length();
    }

    /** Numbers that a half's type doesn't have are rounded to it. */
    void put(long to, float[] from, int offset, int length) {
        if (!inHost) {
            try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces();
                    INDArray numbers = Nd4j.createFromArray(Arrays.copyOfRange(from, offset, offset + length))) {
                part(to, length).assign(numbers);
            }
        } else if (isFloat) {
            FloatPointer pointer = new FloatPointer(array.data().addressPointer());
            pointer.position(pointer.position() + to).put(from, offset, length);
        } else if (half != null) {
            ByteBuffer bytes = ByteBuffer.allocate(length * Short.BYTES).order(ByteOrder.nativeOrder());
            half.write(offset == 0 ? from : Arrays.copyOfRange(from, offset, offset + length), bytes, length);
            bytes(to).put(bytes.array(), 0, bytes.capacity());
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
        if (!inHost) {
            System.arraycopy(part(from, length).toFloatVector(), 0, to, offset, length);
        } else if (isFloat) {
            FloatPointer pointer = new FloatPointer(array.data().addressPointer());
            pointer.position(pointer.position() + from).get(to, offset, length);
        } else if (half != null) {
            ByteBuffer bytes = ByteBuffer.allocate(length * Short.BYTES).order(ByteOrder.nativeOrder());
            bytes(from).get(bytes.array(), 0, bytes.capacity());
            float[] numbers = new float[length];
            half.read(bytes, numbers, length);
            System.arraycopy(numbers, 0, to, offset, length);
        } else {
            double[] numbers = new double[length];
            DoublePointer pointer = new DoublePointer(array.data().addressPointer());
            pointer.position(pointer.position() + from).get(numbers, 0, length);
            for (int i = 0; i < length; i++) {
                to[offset + i] = (float) numbers[i];
            }
        }
    }

    /** The memory of halves from one on. */
    private BytePointer bytes(long from) {
        return new BytePointer(array.data().addressPointer()).position(0).getPointer(from * Short.BYTES);
    }

    /** Numbers in the order in which they lie in memory. */
    private INDArray part(long from, int length) {
        return array.reshape(array.ordering(), new long[] {array.length()})
                .get(NDArrayIndex.interval(from, from + length));
    }
}
