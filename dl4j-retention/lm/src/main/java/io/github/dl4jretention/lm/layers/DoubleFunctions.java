package io.github.dl4jretention.lm.layers;

/**
 * What {@link FloatFunctions} computes, in DOUBLE and in the same words, by {@link Math}; {@code erf} by its Taylor
 * series up to 3 and by the continued fraction of {@code erfc} beyond (Abramowitz and Stegun, <em>Handbook of
 * Mathematical Functions</em>, 1964, formulas 7.1.6 and 7.1.14), to about 1e-15. Exact rather than fast: DOUBLE is for
 * checks of gradients.
 */
final class DoubleFunctions {

    private static final double SERIES_END = 3;
    private static final int FRACTION_DEPTH = 60;

    private DoubleFunctions() {}

    static void exp(double[] x, double shift, double[] scratch, double[] y, int from, int to) {
        for (int i = from; i < to; i++) {
            y[i] = Math.exp(x[i] - shift);
        }
    }

    static void tanh(double[] x, double[] y, int from, int to) {
        for (int i = from; i < to; i++) {
            y[i] = Math.tanh(x[i]);
        }
    }

    static void normalDistribution(double[] x, double[] y, int count) {
        for (int i = 0; i < count; i++) {
            y[i] = 0.5 * erfc(-x[i] / Math.sqrt(2));
        }
    }

    static void normalDensity(double[] x, double[] scratch, double[] y, int count) {
        for (int i = 0; i < count; i++) {
            y[i] = Math.exp(-0.5 * x[i] * x[i]) / Math.sqrt(2 * Math.PI);
        }
    }

    private static double erfc(double x) {
        if (x < 0) {
            return 2 - erfc(-x);
        }
        if (x < SERIES_END) {
            double term = x;
            double sum = x;
            for (int n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
                term *= 2 * x * x / (2 * n + 1);
                sum += term;
            }
            return 1 - 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
        }
        double fraction = x;
        for (int n = FRACTION_DEPTH; n > 0; n--) {
            fraction = x + 0.5 * n / fraction;
        }
        return Math.exp(-x * x) / Math.sqrt(Math.PI) / fraction;
    }
}
