package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * The products of an adapter beside a weight, on rows of tokens: {@code y += scale (drop(x) D) U}. Neither D U nor the
 * weight with it ever exists.
 */
final class FloatLowRank {

    private final LowRankWeight weight;
    private final FloatRows down;
    private final FloatRows up;
    private final FloatDropout dropout;
    private final long number;

    /** @param number of the adapter in its layer, from which its choices of dropout follow */
    FloatLowRank(LowRankWeight weight, int number) {
        this.weight = weight;
        this.number = number;
        down = FloatRows.of(weight.down(), Math.toIntExact(weight.down().size(0)));
        up = FloatRows.of(weight.up(), weight.settings().rank());
        dropout = new FloatDropout(weight.settings().dropout());
    }

    int rank() {
        return down.rows();
    }

    int inputs() {
        return down.columns();
    }

    boolean drops() {
        return dropout.drops();
    }

    void requireOpen() {
        down.requireOpen();
    }

    private double scale() {
        return weight.settings().scale();
    }

    /**
     * Adds to some rows of y.
     *
     * @param low     working memory of as many rows and the rank's columns
     * @param dropped working memory of x's shape, or larger, for dropout
     * @param seed    of the pass; null for no dropout
     */
    void forward(FloatRows x, FloatRows y, FloatRows low, FloatRows dropped, @Nullable Long seed, int from, int to) {
        FloatRows input = dropped(x, dropped, seed, from, to);
        FloatRows lowRows = low.part(0, to - from, 0, rank());
        FloatRows.product(1, input, false, down, true, 0, lowRows);
        FloatRows.product(scale(), lowRows, false, up, true, 1, y.rows(from, to));
    }

    private FloatRows dropped(FloatRows x, FloatRows dropped, @Nullable Long seed, int from, int to) {
        if (seed == null || !drops()) {
            return x.rows(from, to);
        }
        FloatRows result = dropped.part(0, to - from, 0, inputs());
        float[] row = new float[inputs()];
        for (int r = from; r < to; r++) {
            x.get(r, row);
            drop(row, seed, r);
            result.put(r - from, row);
        }
        return result;
    }

    private void drop(float[] row, long seed, int r) {
        dropout.apply(row, 0, row.length, seed + number, (long) r * row.length);
    }

    /**
     * Sets {@code lowGradient = scale dy U^T} of some rows, and adds its share to dx.
     *
     * @param lowGradient of all rows
     * @param dropped     working memory of the rows from the first one on
     */
    void backward(
            FloatRows dy,
            FloatRows dx,
            FloatRows lowGradient,
            FloatRows dropped,
            @Nullable Long seed,
            int from,
            int to) {
        lowGradient(dy, lowGradient, from, to);
        FloatRows mine = lowGradient.rows(from, to);
        if (seed == null || !drops()) {
            FloatRows.product(1, mine, false, down, false, 1, dx.rows(from, to));
            return;
        }
        FloatRows share = dropped.part(0, to - from, 0, inputs());
        FloatRows.product(1, mine, false, down, false, 0, share);
        float[] row = new float[inputs()];
        float[] sum = new float[inputs()];
        for (int r = from; r < to; r++) {
            share.get(r - from, row);
            drop(row, seed, r);
            dx.get(r, sum);
            FloatVectors.add(row, sum, sum.length);
            dx.put(r, sum);
        }
    }

    /** Sets {@code lowGradient = scale dy U^T} of some rows. */
    void lowGradient(FloatRows dy, FloatRows lowGradient, int from, int to) {
        FloatRows.product(scale(), dy.rows(from, to), false, up, false, 0, lowGradient.rows(from, to));
    }

    /**
     * Sets the gradients of D and U.
     *
     * @param low       working memory of as many rows as x has
     * @param dropped   likewise
     * @param gradients of the layer's parameters by name
     */
    void gradients(
            FloatRows x,
            FloatRows dy,
            FloatRows lowGradient,
            FloatRows low,
            FloatRows dropped,
            @Nullable Long seed,
            Map<String, INDArray> gradients) {
        FloatRows input = dropped(x, dropped, seed, 0, x.rows());
        FloatRows lowRows = low.part(0, x.rows(), 0, rank());
        FloatRows.product(1, input, false, down, true, 0, lowRows);
        FloatRows ofUp = FloatRows.of(requireNonNull(gradients.get(weight.upName())), rank());
        FloatRows.product(scale(), dy, true, lowRows, false, 0, ofUp);
        FloatRows ofDown = FloatRows.of(requireNonNull(gradients.get(weight.downName())), inputs());
        FloatRows.product(1, lowGradient, true, input, false, 0, ofDown);
    }
}
