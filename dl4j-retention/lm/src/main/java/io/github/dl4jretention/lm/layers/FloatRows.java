package io.github.dl4jretention.lm.layers;

import java.lang.ref.Reference;
import java.nio.FloatBuffer;
import java.util.Arrays;
import org.bytedeco.openblas.global.openblas_nolapack;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * A matrix in native memory, row after row: element {@code (r, c)} lies {@code r * stride + c} numbers from the first.
 * It's a view of an array that somebody else owns. Matrix products run on it where it lies; loops copy a row to the
 * heap, where the JIT vectorises them, and put it back. Reading and writing different rows from several threads is safe.
 *
 * <p>Every class of this package whose name begins with Float has a twin for DOUBLE, which the build makes of the same
 * text.
 */
final class FloatRows {

    private static final int ROW_MAJOR = openblas_nolapack.CblasRowMajor;

    private final Memory memory;
    private final long offset;
    private final int rows;
    private final int columns;
    private final int stride;

    /** Numbers side by side, of which there may be many views. */
    private static final class Memory {

        /** Keeps it alive. */
        private final INDArray owner;

        private final long address;
        private final long length;
        private volatile @Nullable FloatBuffer buffer;

        Memory(INDArray owner, long address, long length) {
            this.owner = owner;
            this.address = address;
            this.length = length;
        }

        /** A buffer of Java's holds 2 GB at most. */
        boolean isLarge() {
            return length > Integer.MAX_VALUE / Float.BYTES;
        }

        FloatBuffer part(long index, int count) {
            return FloatAddress.ofProduct()[0]
                    .at(address + index * Float.BYTES)
                    .capacity(count)
                    .asBuffer();
        }

        FloatBuffer buffer() {
            FloatBuffer made = buffer;
            if (made == null) {
                made = part(0, (int) length);
                buffer = made;
            }
            return made;
        }
    }

    private FloatRows(Memory memory, long offset, int rows, int columns, int stride) {
        this.memory = memory;
        this.offset = offset;
        this.rows = rows;
        this.columns = columns;
        this.stride = stride;
    }

    /**
     * {@return a view of an array's memory}
     *
     * @param array   FLOAT, its elements side by side from the first to the last
     * @param from    index in that memory of the matrix's first element
     * @param rows    of the matrix
     * @param columns of the matrix
     */
    static FloatRows of(INDArray array, long from, int rows, int columns) {
        return all(array).reshape(from, rows, columns);
    }

    /** {@return an array's memory, to be given shape by {@link #reshape}} */
    static FloatRows all(INDArray array) {
        if (array.dataType() != DataType.FLOAT) {
            throw new IllegalArgumentException(
                    "array: expected FLOAT, got " + array.dataType() + " " + Arrays.toString(array.shape()));
        }
        requireOpen(array, "array");
        long address = array.data().addressPointer().address();
        return new FloatRows(new Memory(array, address, array.length()), 0, 0, 0, 0);
    }

    private static void requireOpen(INDArray array, String name) {
        if (array.wasClosed()) {
            throw new IllegalStateException(
                    name + ": expected memory that is there, got an array that was closed; load the model again");
        }
    }

    /**
     * Memory that was closed belongs to somebody else by now.
     *
     * @throws IllegalStateException if the owner of this memory was closed
     */
    void requireOpen() {
        requireOpen(memory.owner, "network's parameters");
    }

    /** {@return a view of a whole array, which has as many columns as its last axis is long} */
    static FloatRows of(INDArray array, int columns) {
        return of(array, 0, (int) (array.length() / columns), columns);
    }

    int rows() {
        return rows;
    }

    int columns() {
        return columns;
    }

    /** {@return a view of the rows from one up to another} */
    FloatRows rows(int from, int to) {
        return part(from, to, 0, columns);
    }

    /** {@return a view of some rows and some columns; ends are exclusive} */
    FloatRows part(int fromRow, int toRow, int fromColumn, int toColumn) {
        if (fromRow < 0 || toRow > rows || fromColumn < 0 || toColumn > columns) {
            throw new IndexOutOfBoundsException("rows " + fromRow + " to " + toRow + ", columns " + fromColumn + " to "
                    + toColumn + " of " + rows + " x " + columns);
        }
        long start = offset + (long) fromRow * stride + fromColumn;
        return new FloatRows(memory, start, toRow - fromRow, toColumn - fromColumn, stride);
    }

    /** {@return the same memory as the rows of a larger matrix that begin with one of them} */
    FloatRows asRowsFrom(int first) {
        return new FloatRows(memory, offset - (long) first * stride, first + rows, columns, stride);
    }

    /** {@return as many numbers of this memory as another matrix, from a number on} */
    FloatRows reshape(long from, int rows, int columns) {
        if (from < 0 || from + (long) rows * columns > memory.length - offset) {
            throw new IllegalArgumentException("array: expected " + rows + " x " + columns + " elements from " + from
                    + ", got " + Arrays.toString(memory.owner.shape()));
        }
        return new FloatRows(memory, offset + from, rows, columns, columns);
    }

    /** Copies a row to the heap. */
    void get(int row, float[] to) {
        get(row, 0, to, 0, columns);
    }

    /** Copies a part of a row to the heap. */
    void get(int row, int column, float[] to, int at, int count) {
        long index = offset + (long) row * stride + column;
        if (memory.isLarge()) {
            memory.part(index, count).get(0, to, at, count);
        } else {
            memory.buffer().get((int) index, to, at, count);
        }
        Reference.reachabilityFence(memory.owner);
    }

    /** Copies a row from the heap. */
    void put(int row, float[] from) {
        put(row, 0, from, 0, columns);
    }

    /** Copies a part of a row from the heap. */
    void put(int row, int column, float[] from, int at, int count) {
        long index = offset + (long) row * stride + column;
        if (memory.isLarge()) {
            memory.part(index, count).put(0, from, at, count);
        } else {
            memory.buffer().put((int) index, from, at, count);
        }
        Reference.reachabilityFence(memory.owner);
    }

    /** Sets every element to 0. */
    void clear() {
        float[] zeros = new float[columns];
        for (int r = 0; r < rows; r++) {
            put(r, zeros);
        }
    }

    private long address() {
        return memory.address + offset * Float.BYTES;
    }

    /**
     * A matrix product, {@code C = alpha op(A) op(B) + beta C}, on the caller's thread.
     *
     * @param transposeA whether {@code op(A)} is A transposed; likewise B
     */
    static void product(
            double alpha, FloatRows a, boolean transposeA, FloatRows b, boolean transposeB, double beta, FloatRows c) {
        int inner = transposeA ? a.rows : a.columns;
        if (inner != (transposeB ? b.columns : b.rows)
                || c.rows != (transposeA ? a.columns : a.rows)
                || c.columns != (transposeB ? b.rows : b.columns)) {
            throw new IllegalArgumentException("product: " + a + (transposeA ? " transposed" : "") + " times " + b
                    + (transposeB ? " transposed" : "") + " is not " + c);
        }
        if (c.rows == 0 || c.columns == 0) {
            return;
        }
        FloatAddress[] addresses = FloatAddress.ofProduct();
        if (c.rows == 1 && !transposeA) {
            // A token at a time, as in generation: gemm would copy all of B into its own layout first.
            openblas_nolapack.cblas_sgemv(
                    ROW_MAJOR,
                    transpose(!transposeB),
                    b.rows,
                    b.columns,
                    (float) alpha,
                    addresses[0].at(b.address()),
                    b.stride,
                    addresses[1].at(a.address()),
                    1,
                    (float) beta,
                    addresses[2].at(c.address()),
                    1);
            Reference.reachabilityFence(a.memory.owner);
            Reference.reachabilityFence(b.memory.owner);
            Reference.reachabilityFence(c.memory.owner);
            return;
        }
        openblas_nolapack.cblas_sgemm(
                ROW_MAJOR,
                transpose(transposeA),
                transpose(transposeB),
                c.rows,
                c.columns,
                inner,
                (float) alpha,
                addresses[0].at(a.address()),
                a.stride,
                addresses[1].at(b.address()),
                b.stride,
                (float) beta,
                addresses[2].at(c.address()),
                c.stride);
        Reference.reachabilityFence(a.memory.owner);
        Reference.reachabilityFence(b.memory.owner);
        Reference.reachabilityFence(c.memory.owner);
    }

    private static int transpose(boolean transposed) {
        return transposed ? openblas_nolapack.CblasTrans : openblas_nolapack.CblasNoTrans;
    }

    @Override
    public String toString() {
        return rows + " x " + columns;
    }
}
