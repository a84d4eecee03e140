package io.github.dl4jretention.sweep.space;

/** How a candidate is finetuned. */
public enum FinetuneMethod {
    /** On the cross-entropy alone, without a teacher: {@code sum CE(y, p)}. */
    PLAIN(false, 0),

    /** Near the teacher: {@code sum [ CE(y, p) + lambda T^2 D(p0, p) ]}. */
    RETENTION(false, 0),

    /** Plain, with a pull back to the start, {@code strength / 2 sum (w - w0)^2}. Source: arXiv 1802.01483. */
    L2_SP(false, Double.POSITIVE_INFINITY),

    /**
     * Elastic weight consolidation: the pull is weighted by the diagonal F of the empirical Fisher information on
     * source text, {@code strength / 2 sum F (w - w0)^2}. Source: arXiv 1612.00796.
     */
    EWC(true, Double.POSITIVE_INFINITY),

    /**
     * Memory aware synapses: the pull is weighted by the sensitivity of the outputs on source text. Source: arXiv
     * 1711.09601.
     */
    MAS(true, Double.POSITIVE_INFINITY),

    /** Plain with source text among the target text; the strength is its share of all examples, below 1. */
    REPLAY(true, 1),

    /**
     * Near the teacher on text that the model writes before it is trained, mixed into the target text, and nowhere else;
     * the strength is its share of all examples, below 1. See {@link io.github.dl4jretention.baseline.SelfReplay}.
     */
    SELF_REPLAY(false, 1),

    /** Near the teacher on target text and on what the model writes; the strength is the share of the latter, below 1. */
    SELF_REPLAY_RETENTION(false, 1),

    /** Plain with labels {@code (1 - strength) y + strength / V}; the strength is below 1. Source: arXiv 1512.00567. */
    LABEL_SMOOTHING(false, 1);

    private final boolean needsSource;
    private final double end;

    FinetuneMethod(boolean needsSource, double end) {
        this.needsSource = needsSource;
        this.end = end;
    }

    /** {@return whether it is trained with source text} */
    public boolean needsSource() {
        return needsSource;
    }

    /** {@return whether it has a loss near the teacher} */
    public boolean hasRetention() {
        return this == RETENTION || writes();
    }

    /** {@return whether it trains on what the model writes} */
    public boolean writes() {
        return this == SELF_REPLAY || this == SELF_REPLAY_RETENTION;
    }

    /** {@return whether it has a strength} */
    public boolean hasStrength() {
        return end > 0;
    }

    /**
     * {@return whether a number is a strength of this method: 0 where it has none, else at least 0 and below its end}
     *
     * @param strength any number
     */
    public boolean allows(double strength) {
        return hasStrength() ? strength >= 0 && strength < end : strength == 0;
    }

    /** {@return the strengths it allows, in words} */
    public String strengths() {
        if (!hasStrength()) {
            return "0, it has none";
        }
        return end == 1 ? "numbers of at least 0 and below 1" : "finite numbers of at least 0";
    }
}
