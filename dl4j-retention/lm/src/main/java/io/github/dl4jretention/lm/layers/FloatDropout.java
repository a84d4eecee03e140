package io.github.dl4jretention.lm.layers;

/**
 * Inverted dropout whose choices are a function of a seed and a place, so that the backward pass makes the same ones and
 * nothing is kept: number i stays, divided by {@code 1 - rate}, if the hash of seed and i says so, and is 0 otherwise. The seed is hashed
 * by itself first, so that choices of neighbouring seeds have nothing to do with each other.
 *
 * <p>Sources: Srivastava et al., "Dropout", https://jmlr.org/papers/v15/srivastava14a.html; the hash is SplitMix64 of
 * Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
 */
final class FloatDropout {

    private static final long GOLDEN = 0x9E3779B97F4A7C15L;

    private final long threshold;
    private final float factor;

    /** @param rate how likely a number is dropped, at least 0 and below 1 */
    FloatDropout(double rate) {
        threshold = (long) (rate * (1L << 53));
        factor = (float) (1 / (1 - rate));
    }

    boolean drops() {
        return threshold > 0;
    }

    /**
     * Drops numbers of a row, or those of its gradient.
     *
     * @param place of the first number, different for every number of a forward pass
     */
    void apply(float[] x, int offset, int count, long seed, long place) {
        if (threshold == 0) {
            return;
        }
        long start = mixed(seed * GOLDEN);
        for (int i = 0; i < count; i++) {
            x[offset + i] *= (mixed(start + (place + i) * GOLDEN) >>> 11) < threshold ? 0 : factor;
        }
    }

    private static long mixed(long number) {
        long z = (number ^ (number >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }
}
