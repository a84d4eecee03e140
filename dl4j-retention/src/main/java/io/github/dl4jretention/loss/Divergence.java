package io.github.dl4jretention.loss;

/**
 * How far the student's token distribution {@code p} is from the teacher's {@code p0}, in nats per token. Both are
 * softmax distributions over the vocabulary at the configured temperature. Every divergence is 0 where the two are
 * equal and positive elsewhere.
 *
 * <p>Source of the two directions as a distillation loss: Gu et al., MiniLLM, arXiv 2306.08543, section 2.
 */
public enum Divergence {
    /**
     * {@code KL(p0 || p) = sum_v p0(v) (log p0(v) - log p(v))}: the student must cover all that the teacher holds
     * possible. Gradient with respect to the student's logits: {@code (p - p0) / T}.
     */
    FORWARD_KL,

    /**
     * {@code KL(p || p0) = sum_v p(v) (log p(v) - log p0(v))}: the student must not hold possible what the teacher does
     * not. Gradient with respect to the student's logits: {@code p (log p - log p0 - KL) / T}.
     */
    REVERSE_KL
}
