package io.github.dl4jretention.loss.fused;

import io.github.dl4jretention.internal.Workers;
import java.lang.ref.Reference;
import java.util.Arrays;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * An array's memory in bulk copies, safe for several threads. Places are counted in elements from the array's first one.
 */
public final class FloatMemory {

    private static final ThreadLocal<Place> PLACE = ThreadLocal.withInitial(Place::new);

    /** Keeps the memory alive. */
    private final INDArray array;

    private final long address;

    /** A pointer that is moved about: one for every row would be an object for JavaCPP to fill. */
    private static final class Place extends FloatPointer {

        Place() {
            super((Pointer) null);
        }

        Place at(long place) {
            address = place;
            return this;
        }
    }

    private FloatMemory(INDArray array) {
        this.array = array;
        FloatPointer first = new FloatPointer(array.data().addressPointer());
        address = first.address() + first.position() * Float.BYTES;
    }

    /**
     * {@return the memory of an array}
     *
     * @param array FLOAT, not empty
     */
    public static FloatMemory of(INDArray array) {
        if (array.dataType() != DataType.FLOAT) {
            throw new IllegalArgumentException("array: expected FLOAT, got " + array.dataType());
        }
        return new FloatMemory(array);
    }

    /**
     * {@return whether an array's memory may be read and written like this: it's FLOAT, and the host's memory is all there is}
     *
     * @param array any array
     */
    public static boolean isAccessible(INDArray array) {
        return array.dataType() == DataType.FLOAT && Nd4j.getEnvironment().isCPU();
    }

    /**
     * Copies from the array.
     *
     * @param from   place of the first element
     * @param to     receives them
     * @param offset in it
     * @param length number of elements
     */
    public void get(long from, float[] to, int offset, int length) {
        PLACE.get().at(address + from * Float.BYTES).get(to, offset, length);
        Reference.reachabilityFence(array);
    }

    /**
     * Copies into the array.
     *
     * @param to     place of the first element
     * @param from   gives them
     * @param offset in it
     * @param length number of elements
     */
    public void put(long to, float[] from, int offset, int length) {
        PLACE.get().at(address + to * Float.BYTES).put(from, offset, length);
        Reference.reachabilityFence(array);
    }

    /**
     * {@return the memory of an array's rows}
     *
     * @param array {@code [a, b, values]}, FLOAT, whose values lie side by side
     * @throws IllegalArgumentException if it has other axes
     */
    static FloatMemory ofRows(INDArray array) {
        if (array.rank() != 3 || array.size(2) > 1 && array.stride(2) != 1) {
            throw new IllegalArgumentException(
                    "array: expected three axes, the last one's values side by side, got shape "
                            + Arrays.toString(array.shape()) + " and strides " + Arrays.toString(array.stride()));
        }
        return of(array);
    }

    /** {@return the place of a row, counted in 'c' order} */
    long row(int row) {
        return row / array.size(1) * array.stride(0) + row % array.size(1) * array.stride(1);
    }

    /**
     * Copies an array into another, some rows on each processor: ND4J goes element by element where axes change places.
     *
     * @param from {@code [a, b, values]}, FLOAT, whose values lie side by side
     * @param to   likewise, of the same shape
     */
    public static void copyRows(INDArray from, INDArray to) {
        FloatMemory source = ofRows(from);
        FloatMemory target = ofRows(to);
        int rows = Math.toIntExact(from.size(0) * from.size(1));
        long bytes = from.size(2) * Float.BYTES;
        int parts = Math.min(Workers.ofMachine().rows(), rows);
        Workers.split(rows, parts, (part, first, end) -> {
            Place read = new Place();
            Place written = new Place();
            for (int r = first; r < end; r++) {
                Pointer.memcpy(
                        written.at(target.address + target.row(r) * Float.BYTES),
                        read.at(source.address + source.row(r) * Float.BYTES),
                        bytes);
            }
        });
        Reference.reachabilityFence(from);
        Reference.reachabilityFence(to);
    }

    /**
     * Copies what belongs to sequences, such as keys and values of their tokens: one array's worth of small copies costs less
     * than the views that ND4J would make.
     *
     * @param from   FLOAT; what has one number on the first axis lies side by side
     * @param chosen of each number on the first axis of {@code to}, which one of {@code from} it gets
     * @param to     likewise
     * @param length numbers of each that are copied, from its beginning
     */
    public static void copyFirst(INDArray from, int[] chosen, INDArray to, long length) {
        FloatMemory source = of(from);
        FloatMemory target = of(to);
        Place read = new Place();
        Place written = new Place();
        for (int i = 0; i < chosen.length; i++) {
            Pointer.memcpy(
                    written.at(target.address + (long) i * to.stride(0) * Float.BYTES),
                    read.at(source.address + (long) chosen[i] * from.stride(0) * Float.BYTES),
                    length * Float.BYTES);
        }
        Reference.reachabilityFence(from);
        Reference.reachabilityFence(to);
    }
}
