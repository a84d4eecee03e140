package io.github.dl4jretention.lm.layers;

/**
 * The feed-forward part of a {@link DecoderBlock}, {@code down(activation(up(x)))}.
 *
 * <p>Sources: Hendrycks and Gimpel, "Gaussian Error Linear Units", https://arxiv.org/abs/1606.08415; Shazeer, "GLU
 * Variants Improve Transformer", https://arxiv.org/abs/2002.05202.
 */
public enum FeedForward {
    /** {@code x Phi(x)} with the standard normal distribution's function. */
    GELU,
    /** {@code x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))}, as in GPT-2. */
    GELU_TANH,
    /** {@code max(x, 0)}. */
    RELU,
    /** {@code silu(gate(x)) up(x)} with {@code silu(g) = g / (1 + exp(-g))}, as in Llama: three matrices. */
    SWIGLU;

    boolean isGated() {
        return this == SWIGLU;
    }
}
