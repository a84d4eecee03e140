package io.github.dl4jretention.eval;

import org.nd4j.evaluation.IEvaluation;
import org.nd4j.evaluation.IMetric;

/** What a {@link RetentionEvaluation} measures, for early stopping and hyperparameter search. */
public enum RetentionMetric implements IMetric {
    /** Mean cross-entropy in nats per token. */
    CROSS_ENTROPY(true),
    /** {@code exp} of the cross-entropy. */
    PERPLEXITY(true),
    /** Cross-entropy in bits per byte of text. */
    BITS_PER_BYTE(true),
    /** Mean {@code KL(p0 || p)} from the teacher in nats per token. */
    DIVERGENCE(true),
    /** Share of tokens on which student and teacher hold the same class most probable. */
    AGREEMENT(false);

    private final boolean minimize;

    RetentionMetric(boolean minimize) {
        this.minimize = minimize;
    }

    @Override
    @SuppressWarnings("rawtypes")
    public Class<? extends IEvaluation> getEvaluationClass() {
        return RetentionEvaluation.class;
    }

    @Override
    public boolean minimize() {
        return minimize;
    }
}
