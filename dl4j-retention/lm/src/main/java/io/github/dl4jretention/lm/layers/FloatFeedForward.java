package io.github.dl4jretention.lm.layers;

/** The activation between the two products of a feed-forward part, for one row; formulas in {@link FeedForward}. */
final class FloatFeedForward {

    private static final double TANH_SCALE = Math.sqrt(2 / Math.PI);
    private static final double TANH_CUBE = 0.044715;

    private final FeedForward kind;
    private final int count;
    private final float[] value;
    private final float[] slope;
    private final float[] half;
    private final float[] scratch;

    /** @param count numbers of a row */
    FloatFeedForward(FeedForward kind, int count) {
        this.kind = kind;
        this.count = count;
        value = new float[count];
        slope = new float[count];
        half = new float[count];
        scratch = new float[count];
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
        slopes(x);
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

    /** Values of the activation, and what slopes are computed from: x times {@code half}, but for ReLU. */
    private void activate(float[] x) {
        switch (kind) {
            case GELU -> FloatFunctions.normalDistribution(x, half, count);
            case GELU_TANH -> {
                for (int i = 0; i < count; i++) {
                    half[i] = (float) TANH_SCALE * (x[i] + (float) TANH_CUBE * x[i] * x[i] * x[i]);
                }
                halfOfTanh();
            }
            case SWIGLU -> {
                for (int i = 0; i < count; i++) {
                    half[i] = 0.5f * x[i];
                }
                halfOfTanh();
            }
            case RELU -> {
                for (int i = 0; i < count; i++) {
                    value[i] = Math.max(x[i], 0);
                }
                return;
            }
        }
        for (int i = 0; i < count; i++) {
            value[i] = x[i] * half[i];
        }
    }

    /** {@code (1 + tanh(half)) / 2}, the sigmoid of twice as much. */
    private void halfOfTanh() {
        FloatFunctions.tanh(half, half, 0, count);
        for (int i = 0; i < count; i++) {
            half[i] = 0.5f + 0.5f * half[i];
        }
    }

    /** Slopes of the activation, after its values. */
    private void slopes(float[] x) {
        switch (kind) {
            case GELU -> {
                FloatFunctions.normalDensity(x, scratch, slope, count);
                for (int i = 0; i < count; i++) {
                    slope[i] = half[i] + x[i] * slope[i];
                }
            }
            case GELU_TANH -> {
                float scale = (float) TANH_SCALE;
                float cube = (float) TANH_CUBE;
                for (int i = 0; i < count; i++) {
                    float h = half[i];
                    slope[i] = h + 2 * x[i] * h * (1 - h) * scale * (1 + 3 * cube * x[i] * x[i]);
                }
            }
            case SWIGLU -> {
                for (int i = 0; i < count; i++) {
                    slope[i] = half[i] * (1 + x[i] * (1 - half[i]));
                }
            }
            case RELU -> {
                for (int i = 0; i < count; i++) {
                    slope[i] = x[i] > 0 ? 1 : 0;
                }
            }
        }
    }
}
