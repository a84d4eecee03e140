package io.github.dl4jretention.lm.layers;

/**
 * How a token's numbers are normalised. Sources: Ba, Kiros and Hinton, "Layer Normalization",
 * https://arxiv.org/abs/1607.06450; Zhang and Sennrich, "Root Mean Square Layer Normalization",
 * https://arxiv.org/abs/1910.07467.
 */
public enum Norm {
    /** {@code gain (x - mean(x)) / sqrt(var(x) + epsilon) + bias}. */
    LAYER_NORM,
    /** {@code gain x / sqrt(mean(x^2) + epsilon)}. */
    RMS_NORM
}
