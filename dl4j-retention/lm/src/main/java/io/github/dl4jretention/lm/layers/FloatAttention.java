package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Causal attention of one head of one sequence:
 * <pre>
 * s(i, j) = q(i) k(j) / sqrt(headSize),  p(i, j) = exp(s(i, j) - l(i)),  l(i) = log sum_j exp s(i, j),
 * o(i) = sum_j p(i, j) v(j)
 * </pre>
 *
 * over the keys j that token i sees: those up to itself, inside the window, that no mask hides. A token that sees none
 * gets 0. On the way back, with {@code g = dL/do}:
 * <pre>
 * dL/dv(j) = sum_i p(i, j) g(i),  dp(i, j) = g(i) v(j),  ds(i, j) = p(i, j) (dp(i, j) - sum_m p(i, m) dp(i, m)),
 * dL/dq(i) = sum_j ds(i, j) k(j) / sqrt(headSize),  dL/dk(j) = sum_i ds(i, j) q(i) / sqrt(headSize)
 * </pre>
 *
 * <p>Only {@code l} is kept, one number for each token; p is computed once more from it. Scores exist for a tile of
 * queries at a time, so memory doesn't grow with the square of the time. Source: Dao et al., "FlashAttention",
 * https://arxiv.org/abs/2205.14135; where that cuts keys into tiles as well, here a tile of queries sees all its keys at
 * once, which a processor's cache has room for and which makes longer, faster products.
 *
 * <p>One object belongs to one thread.
 */
final class FloatAttention {

    /** Scores of a tile, a quarter of a megabyte in FLOAT. */
    private static final int TILE_ELEMENTS = 1 << 16;

    private static final int SHORTEST_TILE = 16;
    private static final int LONGEST_TILE = 128;

    private final double scale;
    private final int window;
    private final FloatDropout dropout;
    private @Nullable FloatRows scoreTile;
    private @Nullable FloatRows productTile;
    private float[] score = new float[0];
    private float[] product = new float[0];
    private float[] scratch = new float[0];
    private float[] sums = new float[0];

    /** @param window how many tokens a token sees, itself among them */
    FloatAttention(int headSize, int window, double dropout) {
        this.scale = 1 / Math.sqrt(headSize);
        this.window = window;
        this.dropout = new FloatDropout(dropout);
    }

    /** Queries at once. */
    static int tile(Sequences sequences) {
        int fitting = Math.min(Math.max(TILE_ELEMENTS / sequences.total(), SHORTEST_TILE), LONGEST_TILE);
        return Math.min(fitting, sequences.time());
    }

    /**
     * Before the heads of a minibatch.
     *
     * @param scoreTile   memory {@code [tile, past + time]}
     * @param productTile likewise; null if backward isn't called
     */
    void start(Sequences sequences, FloatRows scoreTile, @Nullable FloatRows productTile) {
        this.scoreTile = scoreTile;
        this.productTile = productTile;
        if (score.length < sequences.total()) {
            score = new float[sequences.total()];
            product = new float[sequences.total()];
            scratch = new float[sequences.total()];
            sums = new float[sequences.total()];
        }
    }

    /** The first key that a token sees: within its document, where documents share a sequence. */
    private int firstKey(int position, Sequences.Keys seen) {
        int first = Math.max(0, position - window + 1);
        return seen.starts() == null ? first : Math.max(first, seen.starts()[position]);
    }

    /**
     * @param query  {@code [time, headSize]}
     * @param keys   {@code [past + time, headSize]}; values likewise
     * @param seen   which keys may be seen
     * @param logSum {@code [1, time]}, to be set to l
     * @param mixed  {@code [time, headSize]}, to be set to o
     * @param place  of the head's first probability in the choices of dropout
     */
    void forward(
            Sequences sequences,
            FloatRows query,
            FloatRows keys,
            FloatRows values,
            Sequences.Keys seen,
            FloatRows logSum,
            FloatRows mixed,
            long place) {
        int past = sequences.past();
        FloatRows scoreTile = requireNonNull(this.scoreTile);
        int tile = scoreTile.rows();
        for (int from = 0; from < query.rows(); from += tile) {
            int to = Math.min(from + tile, query.rows());
            int firstKey = firstKey(past + from, seen);
            int endKey = past + to;
            FloatRows scores = scoreTile.part(0, to - from, 0, endKey - firstKey);
            FloatRows.product(scale, query.rows(from, to), false, keys.rows(firstKey, endKey), true, 0, scores);
            for (int i = from; i < to; i++) {
                scores.get(i - from, score);
                int start = firstKey(past + i, seen) - firstKey;
                int end = past + i + 1 - firstKey;
                hide(seen.keep(), firstKey, start, end);
                sums[i] = softmax(start, end);
                clearOutside(score, start, end, endKey - firstKey);
                if (sequences.training()) {
                    dropout.apply(
                            score, start, end - start, sequences.seed(), place(sequences, place, i, firstKey + start));
                }
                scores.put(i - from, score);
            }
            FloatRows.product(1, scores, false, values.rows(firstKey, endKey), false, 0, mixed.rows(from, to));
        }
        logSum.put(0, 0, sums, 0, query.rows());
    }

    private static long place(Sequences sequences, long place, int token, int key) {
        return place + (long) token * sequences.total() + key;
    }

    private void hide(boolean @Nullable [] keep, int firstKey, int start, int end) {
        if (keep != null) {
            for (int j = start; j < end; j++) {
                score[j] = keep[firstKey + j] ? score[j] : Float.NEGATIVE_INFINITY;
            }
        }
    }

    /** Scores become probabilities; gives l, which is infinite for a token that sees nothing. */
    private float softmax(int start, int end) {
        float max = FloatVectors.max(score, start, end);
        if (max == Float.NEGATIVE_INFINITY) {
            Arrays.fill(score, start, end, 0);
            return Float.POSITIVE_INFINITY;
        }
        exponentials(max, start, end);
        float sum = FloatVectors.sum(score, start, end);
        FloatVectors.scale(1 / sum, score, start, end);
        return max + (float) Math.log(sum);
    }

    /** {@code exp(score - shift)}, exactly 0 for what is hidden. */
    private void exponentials(float shift, int start, int end) {
        System.arraycopy(score, start, product, start, end - start);
        FloatFunctions.exp(score, shift, scratch, score, start, end);
        for (int j = start; j < end; j++) {
            if (product[j] == Float.NEGATIVE_INFINITY) {
                score[j] = 0;
            }
        }
    }

    private static void clearOutside(float[] row, int start, int end, int length) {
        Arrays.fill(row, 0, start, 0);
        Arrays.fill(row, end, length, 0);
    }

    /**
     * Sets the gradient of the query and adds to those of the keys and values of this minibatch's tokens.
     *
     * @param mixedGradient {@code [time, headSize]}, g
     */
    void backward(
            Sequences sequences,
            FloatRows query,
            FloatRows keys,
            FloatRows values,
            Sequences.Keys seen,
            FloatRows logSum,
            FloatRows mixedGradient,
            FloatRows queryGradient,
            FloatRows keyGradient,
            FloatRows valueGradient,
            long place) {
        int past = sequences.past();
        FloatRows scoreTile = requireNonNull(this.scoreTile);
        int tile = scoreTile.rows();
        FloatRows productTile = requireNonNull(this.productTile);
        logSum.get(0, 0, sums, 0, query.rows());
        for (int from = 0; from < query.rows(); from += tile) {
            int to = Math.min(from + tile, query.rows());
            int firstKey = firstKey(past + from, seen);
            int endKey = past + to;
            FloatRows someKeys = keys.rows(firstKey, endKey);
            FloatRows someGradients = mixedGradient.rows(from, to);
            FloatRows scores = scoreTile.part(0, to - from, 0, endKey - firstKey);
            FloatRows products = productTile.part(0, to - from, 0, endKey - firstKey);
            FloatRows.product(scale, query.rows(from, to), false, someKeys, true, 0, scores);
            FloatRows.product(1, someGradients, false, values.rows(firstKey, endKey), true, 0, products);
            for (int i = from; i < to; i++) {
                scores.get(i - from, score);
                int start = firstKey(past + i, seen) - firstKey;
                int end = past + i + 1 - firstKey;
                hide(seen.keep(), firstKey, start, end);
                if (sums[i] == Float.POSITIVE_INFINITY) {
                    Arrays.fill(score, start, end, 0);
                } else {
                    exponentials(sums[i], start, end);
                }
                clearOutside(score, start, end, endKey - firstKey);
                products.get(i - from, product);
                scoreGradient(sequences, place(sequences, place, i, firstKey + start), start, end);
                clearOutside(product, start, end, endKey - firstKey);
                scores.put(i - from, score);
                products.put(i - from, product);
            }
            FloatRows.product(scale, products, false, someKeys, false, 0, queryGradient.rows(from, to));
            int firstNew = Math.max(firstKey, past);
            FloatRows newScores = scores.part(0, to - from, firstNew - firstKey, endKey - firstKey);
            FloatRows newProducts = products.part(0, to - from, firstNew - firstKey, endKey - firstKey);
            FloatRows newKeys = keyGradient.rows(firstNew - past, endKey - past);
            FloatRows newValues = valueGradient.rows(firstNew - past, endKey - past);
            FloatRows.product(scale, newProducts, true, query.rows(from, to), false, 1, newKeys);
            FloatRows.product(1, newScores, true, someGradients, false, 1, newValues);
        }
    }

    /** From probabilities in score and dp in product: the dropped probabilities, and ds. */
    private void scoreGradient(Sequences sequences, long place, int start, int end) {
        if (sequences.training() && dropout.drops()) {
            System.arraycopy(score, start, scratch, start, end - start);
            dropout.apply(score, start, end - start, sequences.seed(), place);
            dropout.apply(product, start, end - start, sequences.seed(), place);
            float mean = FloatVectors.dot(scratch, start, product, start, end - start);
            for (int j = start; j < end; j++) {
                product[j] = scratch[j] * (product[j] - mean);
            }
        } else {
            float mean = FloatVectors.dot(score, start, product, start, end - start);
            for (int j = start; j < end; j++) {
                product[j] = score[j] * (product[j] - mean);
            }
        }
    }
}
