package io.github.dl4jretention.lm.layers;

import java.lang.ref.Reference;
import java.nio.FloatBuffer;
import java.util.Arrays;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.openblas.global.openblas_nolapack;
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

    /** Keeps the memory alive. */
    private final INDArray owner;

    private final FloatPointer first;
    private final int rows;
    private final int columns;
    private final int stride;
    private volatile FloatBuffer buffer;

    private FloatRows(INDArray owner, FloatPointer first, int rows, int columns, int stride) {
        this.owner = owner;
        this.first = first;
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
        if (array.dataType() != DataType.FLOAT || from + (long) rows * columns > array.length()) {
            throw new IllegalArgumentException("array: expected FLOAT with " + rows + " x " + columns
                    + " elements from " + from + ", got " + array.dataType() + " " + Arrays.toString(array.shape()));
        }
        FloatPointer memory = new FloatPointer(array.data().addressPointer());
        return new FloatRows(array, at(memory, from), rows, columns, columns);
    }

    /** {@return a view of a whole array, which has as many columns as its last axis is long} */
    static FloatRows of(INDArray array, int columns) {
        return of(array, 0, (int) (array.length() / columns), columns);
    }

    private static FloatPointer at(FloatPointer pointer, long index) {
        FloatPointer moved = new FloatPointer(pointer);
        return moved.position(pointer.position() + index);
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
        return new FloatRows(
                owner, at(first, (long) fromRow * stride + fromColumn), toRow - fromRow, toColumn - fromColumn, stride);
    }

    /** Copies a row to the heap. */
    void get(int row, float[] to) {
        get(row, 0, to, 0, columns);
    }

    /** Copies a part of a row to the heap. */
    void get(int row, int column, float[] to, int offset, int count) {
        if (isLarge()) {
            rows(row, row + 1).get(0, column, to, offset, count);
            return;
        }
        memory().get(row * stride + column, to, offset, count);
        Reference.reachabilityFence(owner);
    }

    /** Copies a row from the heap. */
    void put(int row, float[] from) {
        put(row, 0, from, 0, columns);
    }

    /** Copies a part of a row from the heap. */
    void put(int row, int column, float[] from, int offset, int count) {
        if (isLarge()) {
            rows(row, row + 1).put(0, column, from, offset, count);
            return;
        }
        memory().put(row * stride + column, from, offset, count);
        Reference.reachabilityFence(owner);
    }

    /** Sets every element to 0. */
    void clear() {
        float[] zeros = new float[columns];
        for (int r = 0; r < rows; r++) {
            put(r, zeros);
        }
    }

    private long length() {
        return rows == 0 ? 0 : (long) (rows - 1) * stride + columns;
    }

    /** A buffer of Java's holds 2 GB at most. */
    private boolean isLarge() {
        return rows > 1 && length() > Integer.MAX_VALUE / Float.BYTES;
    }

    private FloatBuffer memory() {
        FloatBuffer memory = buffer;
        if (memory == null) {
            FloatPointer whole = at(first, 0);
            memory = whole.limit(whole.position() + length()).asBuffer();
            buffer = memory;
        }
        return memory;
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
        openblas_nolapack.cblas_sgemm(
                ROW_MAJOR,
                transpose(transposeA),
                transpose(transposeB),
                c.rows,
                c.columns,
                inner,
                (float) alpha,
                a.first,
                a.stride,
                b.first,
                b.stride,
                (float) beta,
                c.first,
                c.stride);
        Reference.reachabilityFence(a.owner);
        Reference.reachabilityFence(b.owner);
        Reference.reachabilityFence(c.owner);
    }

    private static int transpose(boolean transposed) {
        return transposed ? openblas_nolapack.CblasTrans : openblas_nolapack.CblasNoTrans;
    }

    @Override
    public String toString() {
        return rows + " x " + columns;
    }
}
