package io.github.dl4jretention.internal;

import java.nio.ByteBuffer;
import org.bytedeco.javacpp.BytePointer;
import org.nd4j.linalg.api.concurrency.AffinityManager.Location;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** The memory of arrays, of which a buffer of Java's holds 2 GB at most. */
public final class ArrayBytes {

    /**
     * Looks at a part of an array.
     *
     * @param <E> what it may throw
     */
    @FunctionalInterface
    public interface Chunk<E extends Exception> {

        /**
         * Looks at it.
         *
         * @param bytes the array's own memory, in the machine's order
         * @throws E if it wants to end there
         */
        void at(ByteBuffer bytes) throws E;
    }

    private ArrayBytes() {}

    /**
     * Looks at an array part by part.
     *
     * @param array whose values lie one after another
     * @param size  of the parts in bytes; the last may be smaller
     * @param chunk called for each
     * @param <E>   what it may throw
     * @throws E what it throws
     */
    public static <E extends Exception> void chunks(INDArray array, int size, Chunk<E> chunk) throws E {
        Nd4j.getAffinityManager().ensureLocation(array, Location.HOST);
        long bytes = array.length() * array.dataType().width();
        BytePointer start = new BytePointer(array.data().addressPointer()).position(0);
        for (long from = 0; from < bytes; from += size) {
            // JavaCPP's buffers begin at the address and not at the position, which may be beyond what they hold.
            BytePointer part = start.getPointer(from);
            chunk.at(part.limit(Math.min(size, bytes - from)).asByteBuffer());
        }
    }
}
