package io.github.dl4jretention.loss.fused;

/**
 * Loops over the classes of a token: simple enough for the JIT to vectorise, or, where sums are taken, with four of
 * them at once, for one would wait for each addition. FLOAT in, sums in double.
 */
public final class FusedLoops {

    private static final float SMALLEST = -87f;
    private static final float LOG2_E = 1.44269504f;
    private static final float LOG_2_HIGH = 0.693359375f;
    private static final float LOG_2_LOW = -2.12194440e-4f;

    /** Added and subtracted, it rounds to a whole number: {@code 1.5 * 2^23}. */
    private static final float ROUND = 12582912f;

    private static final int EXPONENT_BIAS = 127;
    private static final int MANTISSA_BITS = 23;

    private FusedLoops() {}

    /** The largest number; NaN is passed over. */
    static float max(float[] x, int length) {
        float max = Float.NEGATIVE_INFINITY;
        for (int i = 0; i < length; i++) {
            if (x[i] > max) {
                max = x[i];
            }
        }
        return max;
    }

    /** The largest number; NaN if one is as low as a bound. NaN is passed over. */
    static float maxAbove(float bound, float[] x, int length) {
        float max = Float.NEGATIVE_INFINITY;
        boolean low = false;
        for (int i = 0; i < length; i++) {
            float value = x[i];
            if (value > max) {
                max = value;
            }
            if (value <= bound) {
                low = true;
            }
        }
        return low ? Float.NaN : max;
    }

    /** The smallest number; NaN is passed over. */
    static float min(float[] x, int length) {
        float min = Float.POSITIVE_INFINITY;
        for (int i = 0; i < length; i++) {
            if (x[i] < min) {
                min = x[i];
            }
        }
        return min;
    }

    /** The first index of the largest number. */
    static int indexOfMax(float[] x, int length) {
        float max = max(x, length);
        int index = 0;
        while (index < length - 1 && x[index] != max) {
            index++;
        }
        return index;
    }

    static void clip(float[] x, float bound, int length) {
        for (int i = 0; i < length; i++) {
            x[i] = Math.min(Math.max(x[i], -bound), bound);
        }
    }

    /** {@code y(i) = factor x(i)}. */
    static void scale(float factor, float[] x, float[] y, int length) {
        for (int i = 0; i < length; i++) {
            y[i] = factor * x[i];
        }
    }

    /** {@code y(i) += factor x(i)}. */
    static void add(float factor, float[] x, float[] y, int length) {
        for (int i = 0; i < length; i++) {
            y[i] += factor * x[i];
        }
    }

    /** {@code y(i) += constant}. */
    static void add(float constant, float[] y, int length) {
        for (int i = 0; i < length; i++) {
            y[i] += constant;
        }
    }

    /** {@code y(i) = (x(i) - a) - b}. */
    static void subtract(float[] x, float a, float b, float[] y, int length) {
        for (int i = 0; i < length; i++) {
            y[i] = (x[i] - a) - b;
        }
    }

    static double sum(float[] x, int length) {
        double a = 0;
        double b = 0;
        double c = 0;
        double d = 0;
        int i = 0;
        for (; i < length - 3; i += 4) {
            a += x[i];
            b += x[i + 1];
            c += x[i + 2];
            d += x[i + 3];
        }
        for (; i < length; i++) {
            a += x[i];
        }
        return a + b + c + d;
    }

    /** {@code sum w(i) (shift - x(i))} over the w that are not 0. */
    static double weightedDistance(float[] w, double shift, float[] x, int length) {
        double total = 0;
        for (int i = 0; i < length; i++) {
            if (w[i] != 0) {
                total += w[i] * (shift - x[i]);
            }
        }
        return total;
    }

    /**
     * {@return {@code sum w(i) ((x(i) - xShift) - (y(i) - yShift))}} It's exactly 0 where x and y differ by their shifts alone.
     *
     * @param scratch of the length: the terms, because a loop that sums isn't vectorised
     */
    static double weightedDifference(
            float[] w, float[] x, float xShift, float[] y, float yShift, float[] scratch, int length) {
        for (int i = 0; i < length; i++) {
            scratch[i] = w[i] * ((x[i] - xShift) - (y[i] - yShift));
        }
        return sum(scratch, length);
    }

    /** {@code g(i) += factor w(i) ((x(i) - xShift) - (y(i) - yShift) - mean)}. */
    static void addWeightedDifference(
            float factor,
            float[] w,
            float[] x,
            float xShift,
            float[] y,
            float yShift,
            float mean,
            float[] g,
            int length) {
        for (int i = 0; i < length; i++) {
            g[i] += factor * w[i] * ((x[i] - xShift) - (y[i] - yShift) - mean);
        }
    }

    /**
     * {@code y(i) = exp(x(i) - shift)} for i below the length.
     *
     * <p>Algorithm: {@code exp(x) = 2^n exp(r)} with {@code n = round(x / log 2)} and {@code r = x - n log 2}, log 2 in
     * two parts (Cody and Waite, <em>Software Manual for the Elementary Functions</em>, 1980, chapter 6),
     * {@code exp(r)} by the polynomial of degree 7 of Cephes' {@code expf}. The first loop has no branch and no
     * conversion, so that the JIT vectorises it; the second puts in the powers of two, from the last bits of {@code n} plus
     * {@code 1.5 * 2^23}.
     *
     * <p><b>Bound.</b> The relative error is below 1.2e-7 on [-87, 0]. Below -87 the result is {@code exp(-87)},
     * 1.6e-38, which keeps it a normal number. NaN gives NaN.
     *
     * @param x       numbers of at most {@code shift}
     * @param scratch of the length
     * @param y       the result; may be x
     * @return the sum of y, added up in double
     */
    static double exponentials(float[] x, float shift, float[] scratch, float[] y, int length) {
        mantissas(x, shift, scratch, y, length);
        return scaled(scratch, y, length);
    }

    /**
     * {@return {@code log sum exp(x)}; NaN or infinite where a number is NaN or {@code +inf}, or all are {@code -inf}}
     *
     * @param x       numbers
     * @param scratch of their length at least
     * @param y       of their length at least; {@code exp(x - max x)} afterwards
     */
    public static double logSumOfExponentials(float[] x, float[] scratch, float[] y) {
        float max = max(x, x.length);
        return Float.isInfinite(max) ? max : max + Math.log(exponentials(x, max, scratch, y, x.length));
    }

    private static void mantissas(float[] x, float shift, float[] exponents, float[] y, int length) {
        for (int i = 0; i < length; i++) {
            float value = Math.max(x[i] - shift, SMALLEST);
            float rounded = value * LOG2_E + ROUND;
            float n = rounded - ROUND;
            float r = (value - n * LOG_2_HIGH) - n * LOG_2_LOW;
            float p = 1.9875691500e-4f;
            p = p * r + 1.3981999507e-3f;
            p = p * r + 8.3334519073e-3f;
            p = p * r + 4.1665795894e-2f;
            p = p * r + 1.6666665459e-1f;
            p = p * r + 5.0000001201e-1f;
            y[i] = p * r * r + r + 1f;
            exponents[i] = rounded;
        }
    }

    /** Four sums at once: one would wait for each addition. */
    private static double scaled(float[] exponents, float[] y, int length) {
        double a = 0;
        double b = 0;
        double c = 0;
        double d = 0;
        int i = 0;
        for (; i < length - 3; i += 4) {
            float first = y[i] * powerOfTwo(exponents[i]);
            float second = y[i + 1] * powerOfTwo(exponents[i + 1]);
            float third = y[i + 2] * powerOfTwo(exponents[i + 2]);
            float fourth = y[i + 3] * powerOfTwo(exponents[i + 3]);
            y[i] = first;
            y[i + 1] = second;
            y[i + 2] = third;
            y[i + 3] = fourth;
            a += first;
            b += second;
            c += third;
            d += fourth;
        }
        for (; i < length; i++) {
            y[i] *= powerOfTwo(exponents[i]);
            a += y[i];
        }
        return a + b + c + d;
    }

    private static float powerOfTwo(float rounded) {
        return Float.intBitsToFloat((Float.floatToRawIntBits(rounded) + EXPONENT_BIAS) << MANTISSA_BITS);
    }
}
