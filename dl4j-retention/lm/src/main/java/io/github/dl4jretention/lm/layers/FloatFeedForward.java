package io.github.dl4jretention.lm.layers;

/** The activation between the two products of a feed-forward part, for one row; formulas in {@link FeedForward}. */
final class FloatFeedForward {

    private static final double TANH_SCALE = Math.sqrt(2 / Math.PI);
    private static final double TANH_CUBE = 0.044715;

    private final FeedForward kind;
    private final int count;
    private final float[] value;
    private final float[] slope;
    private final float[] exponential;
    private final float[][] scratch;

    /** @param count numbers of a row */
    FloatFeedForward(FeedForward kind, int count) {
        this.kind = kind;
        this.count = count;
        value = new float[count];
        slope = new float[count];
        exponential = new float[count];
        scratch = new float[3][count];
    }

    /**
     * The row between the products.
     *
     * @param x      after the first product: the gate's part, or all
     * @param up     the other part where there is a gate
     * @param hidden the result
     */
    void forward(float[] x, float[] up, float[] hidden) {
        activate(x);
        if (kind.isGated()) {
            for (int i = 0; i < count; i++) {
                hidden[i] = value[i] * up[i];
            }
        } else {
            System.arraycopy(value, 0, hidden, 0, count);
        }
    }

    /**
     * The row once more, and the gradients of what it was made of, which replace them.
     *
     * @param x        as forward; becomes its gradient
     * @param up       likewise
     * @param gradient of the row
     * @param hidden   the result of forward
     */
    void backward(float[] x, float[] up, float[] gradient, float[] hidden) {
        forward(x, up, hidden);
        if (kind.isGated()) {
            for (int i = 0; i < count; i++) {
                float g = gradient[i];
                x[i] = g * slope[i] * up[i];
                up[i] = g * value[i];
            }
        } else {
            for (int i = 0; i < count; i++) {
                x[i] = gradient[i] * slope[i];
            }
        }
    }

    /** Values and slopes of the activation. */
    private void activate(float[] x) {
        switch (kind) {
            case GELU -> gelu(x);
            case GELU_TANH -> geluTanh(x);
            case RELU -> relu(x);
            case SWIGLU -> silu(x);
        }
    }

    private void gelu(float[] x) {
        FloatFunctions.normal(x, value, slope, scratch, count);
        for (int i = 0; i < count; i++) {
            float distribution = value[i];
            value[i] = x[i] * distribution;
            slope[i] = distribution + x[i] * slope[i];
        }
    }

    private void geluTanh(float[] x) {
        float scale = (float) TANH_SCALE;
        float cube = (float) TANH_CUBE;
        for (int i = 0; i < count; i++) {
            slope[i] = 2 * scale * (x[i] + cube * x[i] * x[i] * x[i]);
        }
        FloatFunctions.exp(slope, 0, scratch[0], exponential, 0, count);
        for (int i = 0; i < count; i++) {
            float half = 1 / (1 + exponential[i]);
            float tanh = 1 - 2 * half;
            value[i] = x[i] * (1 - half);
            slope[i] = (1 - half) + x[i] / 2 * (1 - tanh * tanh) * scale * (1 + 3 * cube * x[i] * x[i]);
        }
    }

    private void relu(float[] x) {
        for (int i = 0; i < count; i++) {
            value[i] = Math.max(x[i], 0);
            slope[i] = x[i] > 0 ? 1 : 0;
        }
    }

    private void silu(float[] x) {
        for (int i = 0; i < count; i++) {
            slope[i] = -x[i];
        }
        FloatFunctions.exp(slope, 0, scratch[0], exponential, 0, count);
        for (int i = 0; i < count; i++) {
            float sigmoid = 1 / (1 + exponential[i]);
            value[i] = x[i] * sigmoid;
            slope[i] = sigmoid * (1 + x[i] * (1 - sigmoid));
        }
    }
}
