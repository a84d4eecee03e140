package io.github.dl4jretention.loss.fused;

/**
 * Loops over the classes of a token: simple enough for the JIT to vectorise, or, where sums are taken, with four of
 * them at once, for one would wait for each addition. FLOAT in, sums in double.
 */
final class FusedLoops {

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

    /** {@code sum w(i) ((x(i) - xShift) - (y(i) - yShift))}: exactly 0 where x and y differ by their shifts alone. */
    static double weightedDifference(float[] w, float[] x, float xShift, float[] y, float yShift, int length) {
        double a = 0;
        double b = 0;
        double c = 0;
        double d = 0;
        int i = 0;
        for (; i < length - 3; i += 4) {
            a += w[i] * ((x[i] - xShift) - (y[i] - yShift));
            b += w[i + 1] * ((x[i + 1] - xShift) - (y[i + 1] - yShift));
            c += w[i + 2] * ((x[i + 2] - xShift) - (y[i + 2] - yShift));
            d += w[i + 3] * ((x[i + 3] - xShift) - (y[i + 3] - yShift));
        }
        for (; i < length; i++) {
            a += w[i] * ((x[i] - xShift) - (y[i] - yShift));
        }
        return a + b + c + d;
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
}
