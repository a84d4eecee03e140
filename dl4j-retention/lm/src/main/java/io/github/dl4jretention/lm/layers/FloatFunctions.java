package io.github.dl4jretention.lm.layers;

/**
 * Functions of many numbers at once, in FLOAT. {@code DoubleFunctions} has the same for DOUBLE.
 *
 * <p><b>exp.</b> {@code exp(x) = 2^n exp(r)} with {@code n = round(x / log 2)} and {@code r = x - n log 2}, log 2 in two
 * parts (Cody and Waite, <em>Software Manual for the Elementary Functions</em>, 1980, chapter 6), {@code exp(r)} by the
 * polynomial of Cephes' {@code expf}. The relative error is below 1.5e-7 on [-87, 88]; arguments beyond are held at
 * these ends. NaN gives NaN. The first loop has no branch and no conversion, so the JIT vectorises it; the second puts
 * in the powers of two, from the last bits of {@code n} plus {@code 1.5 * 2^23}.
 *
 * <p><b>tanh, erf.</b> An odd polynomial over an even one, as Eigen has them ({@code generic_fast_tanh_float},
 * {@code generic_fast_erf_float}, https://gitlab.com/libeigen/eigen): no exponential, so one loop that the JIT vectorises.
 * The absolute error is below 4e-7 for tanh, 2.5e-7 for {@code (1 + tanh) / 2} and for the normal
 * distribution's function.
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
    private static final float LARGEST_ERF = 4f;
    private static final float LARGEST_TANH = 7.90531111f;

    private FloatFunctions() {}

    /**
     * {@code y(i) = exp(x(i) - shift)} for i from one index up to another.
     *
     * @param y the result; may be x
     */
    static void exp(float[] x, float shift, float[] scratch, float[] y, int from, int to) {
        for (int i = from; i < to; i++) {
            float value = Math.min(Math.max(x[i] - shift, SMALLEST), LARGEST);
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
            scratch[i] = rounded;
        }
        for (int i = from; i < to; i++) {
            y[i] *= Float.intBitsToFloat((Float.floatToRawIntBits(scratch[i]) + EXPONENT_BIAS) << MANTISSA_BITS);
        }
    }

    /** {@code y(i) = tanh(x(i))} for i from one index up to another; y may be x. */
    static void tanh(float[] x, float[] y, int from, int to) {
        for (int i = from; i < to; i++) {
            float t = Math.min(Math.max(x[i], -LARGEST_TANH), LARGEST_TANH);
            float z = t * t;
            float p = -2.76076847742355e-16f;
            p = p * z + 2.00018790482477e-13f;
            p = p * z - 8.60467152213735e-11f;
            p = p * z + 5.12229709037114e-08f;
            p = p * z + 1.48572235717979e-05f;
            p = p * z + 6.37261928875436e-04f;
            p = p * z + 4.89352455891786e-03f;
            float q = 1.19825839466702e-06f;
            q = q * z + 1.18534705686654e-04f;
            q = q * z + 2.26843463243900e-03f;
            q = q * z + 4.89352518554385e-03f;
            y[i] = t * p / q;
        }
    }

    /** The standard normal distribution's function at x, {@code (1 + erf(x / sqrt(2))) / 2}. */
    static void normalDistribution(float[] x, float[] y, int count) {
        for (int i = 0; i < count; i++) {
            float t = Math.min(Math.max(SQRT_HALF * x[i], -LARGEST_ERF), LARGEST_ERF);
            float z = t * t;
            float p = -2.72614225801306e-10f;
            p = p * z + 2.77068142495902e-08f;
            p = p * z - 2.10102402082508e-06f;
            p = p * z - 5.69250639462346e-05f;
            p = p * z - 7.34990630326855e-04f;
            p = p * z - 2.95459980854025e-03f;
            p = p * z - 1.60960333262415e-02f;
            float q = -1.45660718464996e-05f;
            q = q * z - 2.13374055278905e-04f;
            q = q * z - 1.68282697438203e-03f;
            q = q * z - 7.37332916720468e-03f;
            q = q * z - 1.42647390514189e-02f;
            y[i] = 0.5f + 0.5f * (t * p / q);
        }
    }

    /** The standard normal distribution's density at x. */
    static void normalDensity(float[] x, float[] scratch, float[] y, int count) {
        for (int i = 0; i < count; i++) {
            y[i] = -0.5f * x[i] * x[i];
        }
        exp(y, 0, scratch, y, 0, count);
        for (int i = 0; i < count; i++) {
            y[i] *= SQRT_HALF_OVER_PI;
        }
    }
}
