package io.github.dl4jretention.lm.layers;

/**
 * Functions of many numbers at once, in FLOAT. {@code DoubleFunctions} has the same for DOUBLE.
 *
 * <p><b>exp.</b> {@code exp(x) = 2^n exp(r)} with {@code n = round(x / log 2)} and {@code r = x - n log 2}, log 2 in two
 * parts (Cody and Waite, <em>Software Manual for the Elementary Functions</em>, 1980, chapter 6), {@code exp(r)} by the
 * polynomial of Cephes' {@code expf}. The relative error is below 1.5e-7 on [-87, 88]; arguments beyond are held at
 * these ends. NaN gives NaN. The first loop has no branch and no conversion, so the JIT vectorises it; the second puts
 * in the powers of two.
 *
 * <p><b>Normal distribution.</b> {@code erfc} by Abramowitz and Stegun, <em>Handbook of Mathematical Functions</em>,
 * 1964, formula 7.1.26. The absolute error of the distribution function is below 2e-7.
 */
final class FloatFunctions {

    private static final float SMALLEST = -87f;
    private static final float LARGEST = 88f;
    private static final float LOG2_E = 1.44269504f;
    private static final float LOG_2_HIGH = 0.693359375f;
    private static final float LOG_2_LOW = -2.12194440e-4f;

    /** Added and subtracted, it rounds to a whole number: {@code 1.5 * 2^23}. */
    private static final float ROUND = 12582912f;

    private static final int EXPONENT_BIAS = 127;
    private static final int MANTISSA_BITS = 23;

    private static final float SQRT_HALF = 0.70710678f;
    private static final float SQRT_HALF_OVER_PI = 0.39894228f;
    private static final float HUGE = 1e30f;

    private FloatFunctions() {}

    /**
     * {@code y(i) = exp(x(i) - shift)} for i from one index up to another.
     *
     * @param y the result; may be x
     */
    static void exp(float[] x, float shift, float[] scratch, float[] y, int from, int to) {
        for (int i = from; i < to; i++) {
            float value = Math.min(Math.max(x[i] - shift, SMALLEST), LARGEST);
            float n = (value * LOG2_E + ROUND) - ROUND;
            float r = (value - n * LOG_2_HIGH) - n * LOG_2_LOW;
            float p = 1.9875691500e-4f;
            p = p * r + 1.3981999507e-3f;
            p = p * r + 8.3334519073e-3f;
            p = p * r + 4.1665795894e-2f;
            p = p * r + 1.6666665459e-1f;
            p = p * r + 5.0000001201e-1f;
            y[i] = p * r * r + r + 1f;
            scratch[i] = n;
        }
        for (int i = from; i < to; i++) {
            y[i] *= Float.intBitsToFloat(((int) scratch[i] + EXPONENT_BIAS) << MANTISSA_BITS);
        }
    }

    /**
     * The standard normal distribution's function and density at x.
     *
     * @param scratch three arrays
     */
    static void normal(float[] x, float[] distribution, float[] density, float[][] scratch, int count) {
        float[] square = scratch[0];
        float[] exponential = scratch[1];
        for (int i = 0; i < count; i++) {
            square[i] = -0.5f * x[i] * x[i];
        }
        exp(square, 0, scratch[2], exponential, 0, count);
        for (int i = 0; i < count; i++) {
            float t = 1f / (1f + 0.3275911f * SQRT_HALF * Math.abs(x[i]));
            float p = 1.061405429f;
            p = p * t - 1.453152027f;
            p = p * t + 1.421413741f;
            p = p * t - 0.284496736f;
            p = p * t + 0.254829592f;
            float upperHalf = 0.5f - 0.5f * p * t * exponential[i];
            float sign = Math.min(Math.max(x[i] * HUGE, -1f), 1f);
            distribution[i] = 0.5f + sign * upperHalf;
            density[i] = SQRT_HALF_OVER_PI * exponential[i];
        }
    }
}
