package io.github.dl4jretention.lm.layers;

import io.github.dl4jretention.internal.Workers;
import org.nd4j.linalg.api.ndarray.INDArray;

/** The arithmetic of {@link NativeAdam}: threads share the numbers, a few thousand of which are on the heap at a time. */
final class FloatAdam {

    private static final int CHUNK = 4096;

    private FloatAdam() {}

    /**
     * Moves m and v on, and puts {@code step m / (sqrt(v) + epsilon)} in the place of the gradient.
     *
     * @param step the learning rate with its bias corrections
     */
    static void apply(
            INDArray gradient, INDArray m, INDArray v, double beta1, double beta2, double step, double epsilon) {
        long length = gradient.length();
        FloatRows gradients = FloatRows.all(gradient);
        FloatRows means = FloatRows.all(m);
        FloatRows squares = FloatRows.all(v);
        int chunks = Math.toIntExact((length + CHUNK - 1) / CHUNK);
        int parts = Math.min(Workers.ofMachine().rows(), chunks);
        Workers.split(chunks, parts, (part, first, end) -> {
            float[] g = new float[CHUNK];
            float[] mean = new float[CHUNK];
            float[] square = new float[CHUNK];
            for (int chunk = first; chunk < end; chunk++) {
                long from = (long) chunk * CHUNK;
                int count = (int) Math.min(CHUNK, length - from);
                FloatRows someGradients = gradients.reshape(from, 1, count);
                FloatRows someMeans = means.reshape(from, 1, count);
                FloatRows someSquares = squares.reshape(from, 1, count);
                someGradients.get(0, g);
                someMeans.get(0, mean);
                someSquares.get(0, square);
                apply(g, mean, square, (float) beta1, (float) beta2, (float) step, (float) epsilon, count);
                someGradients.put(0, g);
                someMeans.put(0, mean);
                someSquares.put(0, square);
            }
        });
    }

    private static void apply(
            float[] g, float[] m, float[] v, float beta1, float beta2, float step, float epsilon, int count) {
        for (int i = 0; i < count; i++) {
            m[i] = beta1 * m[i] + (1 - beta1) * g[i];
            v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
        }
        for (int i = 0; i < count; i++) {
            g[i] = step * m[i] / ((float) Math.sqrt(v[i]) + epsilon);
        }
    }
}
