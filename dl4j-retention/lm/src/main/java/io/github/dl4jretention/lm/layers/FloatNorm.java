package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Normalises the rows of a matrix, {@code width} numbers each:
 * <pre>
 * LayerNorm  y = gain (x - mean(x)) / sqrt(var(x) + epsilon) + bias
 * RMSNorm    y = gain x / sqrt(mean(x^2) + epsilon)
 * </pre>
 *
 * and back, with {@code h = (x - mean) / deviation} and {@code g = gain dL/dy}:
 * <pre>
 * dL/dx = (g - mean(g) - h mean(g h)) / deviation      (RMSNorm: without mean(g))
 * dL/dgain = sum over rows of dL/dy h,  dL/dbias = sum over rows of dL/dy
 * </pre>
 *
 * Sources: Ba, Kiros and Hinton, "Layer Normalization", https://arxiv.org/abs/1607.06450; Zhang and Sennrich, "Root Mean
 * Square Layer Normalization", https://arxiv.org/abs/1910.07467.
 *
 * <p>One object belongs to one thread; it sums the gradients of the rows that it has seen.
 */
final class FloatNorm {

    private final boolean centred;
    private final float epsilon;
    private final int width;
    private final float[] gain;
    private final float[] bias;
    private final float[] gainGradient;
    private final float[] biasGradient;
    private final float[] normal;
    private float mean;
    private float scale;

    /** @param centred whether it is LayerNorm, with a bias, rather than RMSNorm */
    FloatNorm(boolean centred, double epsilon, int width) {
        this.centred = centred;
        this.epsilon = (float) epsilon;
        this.width = width;
        gain = new float[width];
        bias = new float[width];
        gainGradient = new float[width];
        biasGradient = new float[width];
        normal = new float[width];
    }

    /** Reads the parameters and forgets the gradients. */
    void start(@Nullable FloatRows gain, @Nullable FloatRows bias) {
        requireNonNull(gain).get(0, this.gain);
        if (bias != null) {
            bias.get(0, this.bias);
        }
        Arrays.fill(gainGradient, 0);
        Arrays.fill(biasGradient, 0);
    }

    /** Adds the gradients of another thread's rows. */
    void add(FloatNorm that) {
        FloatVectors.add(that.gainGradient, gainGradient, width);
        FloatVectors.add(that.biasGradient, biasGradient, width);
    }

    float[] gainGradient() {
        return gainGradient;
    }

    float[] biasGradient() {
        return biasGradient;
    }

    /** {@code y = norm(x)}, both from an offset on; y may be x. */
    void forward(float[] x, float[] y, int offset) {
        measure(x, offset);
        if (centred) {
            for (int i = 0; i < width; i++) {
                y[offset + i] = (x[offset + i] - mean) * scale * gain[i] + bias[i];
            }
        } else {
            for (int i = 0; i < width; i++) {
                y[offset + i] = x[offset + i] * scale * gain[i];
            }
        }
    }

    private void measure(float[] x, int offset) {
        mean = centred ? FloatVectors.sum(x, offset, offset + width) / width : 0;
        for (int i = 0; i < width; i++) {
            normal[i] = x[offset + i] - mean;
        }
        scale = (float) (1 / Math.sqrt(FloatVectors.dot(normal, 0, normal, 0, width) / width + epsilon));
    }

    /**
     * From the gradient of a row's result that of the row, in the same place; adds to the gradients of gain and bias.
     *
     * @param x the row as it was before the norm
     */
    void backward(float[] x, float[] gradient, int offset) {
        measure(x, offset);
        for (int i = 0; i < width; i++) {
            float h = normal[i] * scale;
            float g = gradient[offset + i];
            normal[i] = h;
            gainGradient[i] += g * h;
            biasGradient[i] += g;
            gradient[offset + i] = g * gain[i];
        }
        float centre = centred ? FloatVectors.sum(gradient, offset, offset + width) / width : 0;
        float slope = FloatVectors.dot(gradient, offset, normal, 0, width) / width;
        for (int i = 0; i < width; i++) {
            gradient[offset + i] = (gradient[offset + i] - centre - normal[i] * slope) * scale;
        }
    }
}
