package io.github.dl4jretention.internal;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.indexer.FloatIndexer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataBuffer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Memory that the large arrays of one batch after another share: what one gives back, the next gets. Where a thread
 * allocates such an array for every batch and another frees it, malloc's arenas grow for as long as the training does.
 *
 * <p>An array that's closed by {@link #release} can't be read any more, though its memory lives on. One that's never
 * released frees its memory when it's garbage collected. Safe for several threads.
 */
public final class BatchMemory implements AutoCloseable {

    private final List<DataBuffer> free = new ArrayList<>();
    private boolean closed;

    /** Where a lent array's numbers are. It keeps the memory alive. */
    private static final class Lent extends FloatPointer {

        private final BatchMemory lender;
        private final DataBuffer memory;

        Lent(BatchMemory lender, DataBuffer memory) {
            super(memory.pointer());
            this.lender = lender;
            this.memory = memory;
        }
    }

    /**
     * {@return a new array of the given shape in 'c' order, with any numbers in it} Its memory is lent where it's FLOAT
     * on the CPU, else it's the array's own.
     *
     * @param type  of the numbers
     * @param shape not empty
     */
    public INDArray array(DataType type, long... shape) {
        if (type != DataType.FLOAT || !Nd4j.getEnvironment().isCPU()) {
            return Nd4j.createUninitialized(type, shape);
        }
        long length = 1;
        for (long size : shape) {
            length = Math.multiplyExact(length, size);
        }
        Lent lent = new Lent(this, take(length));
        DataBuffer buffer = Nd4j.createBuffer(lent, type, length, FloatIndexer.create(lent));
        return Nd4j.create(buffer, shape, Nd4j.getStrides(shape, 'c'), 0, 'c', type);
    }

    /** The smallest that's large enough; the largest of those that aren't makes room for a new one. */
    private synchronized DataBuffer take(long length) {
        free.sort(Comparator.comparingLong(DataBuffer::length));
        for (int i = 0; i < free.size(); i++) {
            if (free.get(i).length() >= length) {
                return free.remove(i);
            }
        }
        if (!free.isEmpty()) {
            free.remove(free.size() - 1).close();
        }
        // Not of the workspace that the thread has open: it would take the memory back.
        return Nd4j.createBuffer(DataType.FLOAT, length, false, null);
    }

    private synchronized void giveBack(DataBuffer memory) {
        if (closed) {
            memory.close();
        } else {
            free.add(memory);
        }
    }

    /**
     * Closes a buffer that can be closed, and gives its memory back to whoever lent it.
     *
     * @param buffer of an array of any kind
     */
    public static void release(DataBuffer buffer) {
        @Nullable Lent lent = buffer.pointer() instanceof Lent found ? found : null;
        buffer.close();
        if (lent != null) {
            lent.lender.giveBack(lent.memory);
        }
    }

    /** Frees the memory that nobody has; what is given back later is freed then. */
    @Override
    public synchronized void close() {
        closed = true;
        free.forEach(DataBuffer::close);
        free.clear();
    }
}
