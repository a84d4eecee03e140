package io.github.dl4jretention.loss.fused;

/**
 * {@code exp} of numbers that are not above 0, many at once, in FLOAT.
 *
 * <p>Algorithm: {@code exp(x) = 2^n exp(r)} with {@code n = round(x / log 2)} and {@code r = x - n log 2}, log 2 in two
 * parts (Cody and Waite, <em>Software Manual for the Elementary Functions</em>, 1980, chapter 6), {@code exp(r)} by the
 * polynomial of degree 7 of Cephes' {@code expf}. The first loop has no branch and no conversion, so that the JIT
 * vectorises it; the second puts in the powers of two.
 *
 * <p><b>Bound.</b> The relative error is below 1.2e-7 on [-87, 0]. Below -87 the result is {@code exp(-87)}, 1.6e-38,
 * which keeps it a normal number. NaN gives NaN.
 */
final class FusedExponential {

    private static final float SMALLEST = -87f;
    private static final float LOG2_E = 1.44269504f;
    private static final float LOG_2_HIGH = 0.693359375f;
    private static final float LOG_2_LOW = -2.12194440e-4f;

    /** Added and subtracted, it rounds to a whole number: {@code 1.5 * 2^23}. */
    private static final float ROUND = 12582912f;

    private static final int EXPONENT_BIAS = 127;
    private static final int MANTISSA_BITS = 23;

    private FusedExponential() {}

    /**
     * {@code y(i) = exp(x(i) - shift)} for i below the length.
     *
     * @param x       numbers of at most {@code shift}
     * @param scratch of the length
     * @param y       the result; may be x
     * @return the sum of y, added up in double
     */
    static double apply(float[] x, float shift, float[] scratch, float[] y, int length) {
        mantissas(x, shift, scratch, y, length);
        return scale(scratch, y, length);
    }

    private static void mantissas(float[] x, float shift, float[] exponents, float[] y, int length) {
        for (int i = 0; i < length; i++) {
            float value = Math.max(x[i] - shift, SMALLEST);
            float n = (value * LOG2_E + ROUND) - ROUND;
            float r = (value - n * LOG_2_HIGH) - n * LOG_2_LOW;
            float p = 1.9875691500e-4f;
            p = p * r + 1.3981999507e-3f;
            p = p * r + 8.3334519073e-3f;
            p = p * r + 4.1665795894e-2f;
            p = p * r + 1.6666665459e-1f;
            p = p * r + 5.0000001201e-1f;
            y[i] = p * r * r + r + 1f;
            exponents[i] = n;
        }
    }

    /** Four sums at once: one would wait for each addition. */
    private static double scale(float[] exponents, float[] y, int length) {
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

    private static float powerOfTwo(float exponent) {
        return Float.intBitsToFloat(((int) exponent + EXPONENT_BIAS) << MANTISSA_BITS);
    }
}
