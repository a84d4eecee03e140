package io.github.dl4jretention.loss;

/**
 * How far the student's token distribution {@code p} is from the teacher's {@code p0}, in nats per token. Both are
 * softmax distributions over the vocabulary at the configured temperature T. Every divergence is 0 where the two are
 * equal and positive elsewhere. Gradients are with respect to the student's logits.
 */
public enum Divergence {
    /**
     * {@code KL(p0 || p) = sum_v p0(v) (log p0(v) - log p(v))}: the student must cover all that the teacher holds
     * possible. Gradient: {@code (p - p0) / T}. Source: Hinton et al., arXiv 1503.02531, section 2.
     */
    FORWARD_KL,

    /**
     * {@code KL(p || p0) = sum_v p(v) (log p(v) - log p0(v))}: the student must not hold possible what the teacher does
     * not. Gradient: {@code p (log p - log p0 - KL) / T}. Source: Gu et al., MiniLLM, arXiv 2306.08543, section 2.
     */
    REVERSE_KL,

    /**
     * The generalised Jensen-Shannon divergence {@code beta KL(p0 || m) + (1 - beta) KL(p || m)} with the mixture
     * {@code m = beta p0 + (1 - beta) p} and beta in (0, 1). It is bounded: by log 2 at beta = 0.5. Divided by beta it
     * tends to forward KL for beta to 0, divided by {@code 1 - beta} to reverse KL for beta to 1. Gradient:
     * {@code (1 - beta) p (log(p / m) - KL(p || m)) / T}. Source: Agarwal et al., On-Policy Distillation of Language
     * Models, arXiv 2306.13649, section 2.
     */
    JENSEN_SHANNON
}
