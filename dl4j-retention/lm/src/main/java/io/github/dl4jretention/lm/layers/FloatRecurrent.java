package io.github.dl4jretention.lm.layers;

import java.util.Arrays;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * One thread's products of an LSTM's steps with the recurrent weights R, in memory {@code R^T [4 H, H]}, for n sequences.
 *
 * <p>With few sequences OpenBLAS spends more time on laying R out for its kernel, at every step again, than on multiplying.
 * Two ways around it:
 *
 * <ul>
 *   <li>For processors with AVX-512 it has kernels that take a small product's matrices as they lie. A product is cut into
 *       blocks of that size: 10^6 multiplications at most, and forward 1200 results (its {@code sgemm_small_kernel_permit}).
 *   <li>Elsewhere the long side comes first, {@code R^T h^T} and {@code R dz^T} with R laid out once for all steps back. That's
 *       half the time of the other way round.
 * </ul>
 *
 * <p>Whether OpenBLAS has such kernels shows in how it rounds, so a run that's resumed in another process on the same machine
 * goes the same way.
 */
final class FloatRecurrent {

    private static final long MULTIPLICATIONS = 1_000_000;
    private static final int RESULTS = 1200;

    /** Fewest rows of R in a block, and most sequences: beyond, R's layout costs less than the blocks. */
    private static final int LEAST = 16;

    private static final int MOST = 16;

    private final int units;
    private final int width;
    private final boolean small;
    private final float[] products;
    private final float[] row;

    /** Found out when the first LSTM asks. */
    private static final class Small {

        private static final boolean KERNELS = found();

        private Small() {}

        /** Whether a block is rounded otherwise than the same numbers of a large product, whatever the time of either. */
        private static boolean found() {
            int units = 256;
            int sequences = 8;
            int width = LstmArithmetic.GATES * units;
            int block = RESULTS / sequences / LEAST * LEAST;
            float[] random = new float[units];
            float[] large = new float[block];
            float[] small = new float[block];
            SplittableRandom source = new SplittableRandom(1);
            long read = (long) (width + sequences) * units;
            long written = (long) sequences * width;
            try (INDArray numbers = Nd4j.createUninitializedDetached(DataType.FLOAT, read + 2 * written)) {
                FloatRows r = FloatRows.of(numbers, 0, width + sequences, units);
                for (int row = 0; row < r.rows(); row++) {
                    for (int i = 0; i < units; i++) {
                        random[i] = (float) (source.nextDouble() - 0.5);
                    }
                    r.put(row, random);
                }
                FloatRows weights = r.rows(0, width);
                FloatRows h = r.rows(width, width + sequences);
                FloatRows atOnce = FloatRows.of(numbers, read, sequences, width);
                FloatRows inBlocks = FloatRows.of(numbers, read + written, sequences, width);
                FloatRows.product(1, h, false, weights, true, 0, atOnce);
                FloatRows.product(1, h, false, weights.rows(0, block), true, 0, inBlocks.part(0, sequences, 0, block));
                boolean differ = false;
                for (int k = 0; k < sequences; k++) {
                    atOnce.get(k, 0, large, 0, block);
                    inBlocks.get(k, 0, small, 0, block);
                    differ |= !Arrays.equals(large, small);
                }
                return differ;
            }
        }
    }

    /** @param room most sequences */
    FloatRecurrent(int units, int room) {
        this(units, room, Small.KERNELS);
    }

    /** @param small whether small products are to be preferred */
    FloatRecurrent(int units, int room, boolean small) {
        this.units = units;
        this.small = small;
        width = LstmArithmetic.GATES * units;
        products = new float[width * room];
        row = new float[width];
    }

    /** {@return whether R needn't be transposed for the way back} */
    boolean isInPlace(int sequences) {
        return sequences == 1
                || small && sequences <= MOST && Math.min(rowsForth(sequences), rowsBack(sequences)) >= LEAST;
    }

    /** Rows of R in a block of the product forward. */
    private int rowsForth(int sequences) {
        return (int) Math.min(RESULTS / sequences, MULTIPLICATIONS / ((long) sequences * units));
    }

    private int rowsBack(int sequences) {
        return (int) (MULTIPLICATIONS / ((long) sequences * units));
    }

    /**
     * {@code z += h R}.
     *
     * @param r      {@code [4 H, H]}
     * @param h      {@code [n, H]}
     * @param gates  z {@code [n, 4 H]}
     * @param memory {@code 4 H n} numbers to work in
     */
    void gates(FloatRows r, FloatRows h, FloatRows gates, FloatRows memory) {
        int sequences = h.rows();
        if (isInPlace(sequences)) {
            int block = sequences == 1 ? width : Integer.highestOneBit(rowsForth(sequences));
            for (int from = 0; from < width; from += block) {
                int to = Math.min(from + block, width);
                FloatRows.product(1, h, false, r.rows(from, to), true, 1, gates.part(0, sequences, from, to));
            }
            return;
        }
        FloatRows.product(1, r, false, h, true, 0, memory.reshape(0, width, sequences));
        memory.reshape(0, 1, width * sequences).get(0, 0, products, 0, width * sequences);
        for (int k = 0; k < sequences; k++) {
            gates.get(k, row);
            for (int j = 0; j < width; j++) {
                row[j] += products[j * sequences + k];
            }
            gates.put(k, row);
        }
    }

    /**
     * {@code dh = dz R^T}.
     *
     * @param r          {@code [4 H, H]}
     * @param transposed {@code [H, 4 H]}; null if {@link #isInPlace}
     * @param gates      dz {@code [n, 4 H]}
     * @param output     dh {@code [n, H]}
     * @param memory     {@code H n} numbers to work in
     */
    void outputs(FloatRows r, @Nullable FloatRows transposed, FloatRows gates, FloatRows output, FloatRows memory) {
        int sequences = gates.rows();
        if (transposed == null) {
            outputsInBlocks(r, gates, output);
            return;
        }
        FloatRows.product(1, transposed, false, gates, true, 0, memory.reshape(0, units, sequences));
        memory.reshape(0, 1, units * sequences).get(0, 0, products, 0, units * sequences);
        for (int k = 0; k < sequences; k++) {
            for (int j = 0; j < units; j++) {
                row[j] = products[j * sequences + k];
            }
            output.put(k, 0, row, 0, units);
        }
    }

    private void outputsInBlocks(FloatRows r, FloatRows gates, FloatRows output) {
        int sequences = gates.rows();
        int block = sequences == 1 ? width : Integer.highestOneBit(rowsBack(sequences));
        for (int from = 0; from < width; from += block) {
            int to = Math.min(from + block, width);
            FloatRows some = gates.part(0, sequences, from, to);
            FloatRows.product(1, some, false, r.rows(from, to), false, from == 0 ? 0 : 1, output);
        }
    }

    /**
     * Transposes some columns of R.
     *
     * @param r          {@code [4 H, H]}
     * @param transposed {@code [H, 4 H]}, of which the rows from one up to another are set
     */
    static void transpose(FloatRows r, FloatRows transposed, int from, int to) {
        float[] some = new float[(to - from) * r.rows()];
        float[] row = new float[to - from];
        for (int i = 0; i < r.rows(); i++) {
            r.get(i, from, row, 0, row.length);
            for (int j = 0; j < row.length; j++) {
                some[j * r.rows() + i] = row[j];
            }
        }
        for (int j = from; j < to; j++) {
            transposed.put(j, 0, some, (j - from) * r.rows(), r.rows());
        }
    }
}
