package io.github.dl4jretention.internal;

import java.io.Serializable;
import java.util.Objects;

/**
 * Settings of a low-rank adapter beside a weight W {@code [nIn, nOut]}: {@code x W + scale (dropout(x) D) U} with D
 * {@code [nIn, rank]} and U {@code [rank, nOut]}, {@code scale = alpha / rank}, or {@code alpha / sqrt(rank)} where it's
 * rank-stabilised.
 *
 * <p>Sources: Hu et al., "LoRA", https://arxiv.org/abs/2106.09685, section 4.1; Kalajdzievski, "A Rank Stabilization
 * Scaling Factor for Fine-Tuning with LoRA", https://arxiv.org/abs/2312.03732, theorem 3.2.
 */
@JsonFields
public final class LowRank implements Serializable {

    /** Behind a weight's name, that of D. */
    public static final String DOWN = "Down";

    /** Behind a weight's name, that of U. */
    public static final String UP = "Up";

    private static final long serialVersionUID = 1L;

    private int rank;
    private double alpha;
    private boolean rankStabilized;
    private double dropout;

    /** For JSON. */
    LowRank() {}

    /**
     * Settings of an adapter.
     *
     * @param rank           columns of D, at least 1
     * @param alpha          the scale's numerator, a finite number
     * @param rankStabilized whether it's divided by the rank's root rather than the rank
     * @param dropout        how likely a number of the adapter's input is dropped in training, at least 0 and below 1
     * @throws IllegalArgumentException if a number is out of its range
     */
    public LowRank(int rank, double alpha, boolean rankStabilized, double dropout) {
        if (rank < 1) {
            throw new IllegalArgumentException("rank: expected a number of at least 1, got " + rank);
        }
        if (!Double.isFinite(alpha)) {
            throw new IllegalArgumentException("alpha: expected a finite number, got " + alpha);
        }
        if (!(dropout >= 0 && dropout < 1)) {
            throw new IllegalArgumentException("dropout: expected a rate of at least 0 and below 1, got " + dropout);
        }
        this.rank = rank;
        this.alpha = alpha;
        this.rankStabilized = rankStabilized;
        this.dropout = dropout;
    }

    /** {@return columns of D and rows of U} */
    public int rank() {
        return rank;
    }

    /** {@return the scale's numerator} */
    public double alpha() {
        return alpha;
    }

    /** {@return whether the scale is {@code alpha / sqrt(rank)}} */
    public boolean isRankStabilized() {
        return rankStabilized;
    }

    /** {@return how likely a number of the adapter's input is dropped in training} */
    public double dropout() {
        return dropout;
    }

    /** {@return what the product of D and U is multiplied by} */
    public double scale() {
        return alpha / (rankStabilized ? Math.sqrt(rank) : rank);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof LowRank that
                && rank == that.rank
                && alpha == that.alpha
                && rankStabilized == that.rankStabilized
                && dropout == that.dropout;
    }

    @Override
    public int hashCode() {
        return Objects.hash(rank, alpha, rankStabilized, dropout);
    }

    @Override
    public String toString() {
        return "rank " + rank + ", scale " + scale() + ", dropout " + dropout;
    }
}
