package io.github.dl4jretention.lm.layers;

/** Sums and multiples of rows on the heap. Sums run in four lanes, because one lane would wait for each addition. */
final class FloatVectors {

    private FloatVectors() {}

    static float sum(float[] x, int from, int to) {
        float a = 0;
        float b = 0;
        float c = 0;
        float d = 0;
        int i = from;
        for (; i < to - 3; i += 4) {
            a += x[i];
            b += x[i + 1];
            c += x[i + 2];
            d += x[i + 3];
        }
        for (; i < to; i++) {
            a += x[i];
        }
        return (a + b) + (c + d);
    }

    /** Products of {@code count} numbers of x and y from their offsets on, summed. */
    static float dot(float[] x, int offsetX, float[] y, int offsetY, int count) {
        float a = 0;
        float b = 0;
        float c = 0;
        float d = 0;
        int i = 0;
        for (; i < count - 3; i += 4) {
            a += x[offsetX + i] * y[offsetY + i];
            b += x[offsetX + i + 1] * y[offsetY + i + 1];
            c += x[offsetX + i + 2] * y[offsetY + i + 2];
            d += x[offsetX + i + 3] * y[offsetY + i + 3];
        }
        for (; i < count; i++) {
            a += x[offsetX + i] * y[offsetY + i];
        }
        return (a + b) + (c + d);
    }

    static float max(float[] x, int from, int to) {
        float max = Float.NEGATIVE_INFINITY;
        for (int i = from; i < to; i++) {
            max = Math.max(max, x[i]);
        }
        return max;
    }

    /** {@code y += x}. */
    static void add(float[] x, float[] y, int count) {
        for (int i = 0; i < count; i++) {
            y[i] += x[i];
        }
    }

    static void scale(float factor, float[] x, int from, int to) {
        for (int i = from; i < to; i++) {
            x[i] *= factor;
        }
    }
}
