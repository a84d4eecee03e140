package io.github.dl4jretention.loss.samediff;

import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;

/**
 * Rows of logits, a token each, without the NaN that would spread from a token of weight 0 to others: 0 times NaN is
 * NaN, in a sum and in a gradient.
 *
 * @param values {@code [tokens, V]}, the lower bound of {@link SameDiffTokenLoss} in place of NaN
 * @param wrong  1 for each row that held NaN, 0 for others, {@code [tokens, 1]}; it has no gradient
 */
public record FiniteRows(SDVariable values, SDVariable wrong) {

    /** {@return the rows without NaN} */
    public static FiniteRows of(SameDiff sd, SDVariable rows) {
        SDVariable sums = SameDiffTokenLoss.bounded(sd, rows).sum(true, 1);
        return new FiniteRows(
                SameDiffTokenLoss.numbers(sd, rows), sd.math.isNaN(sums).castTo(rows.dataType()));
    }

    /**
     * {@return the weights {@code [tokens, 1]}, NaN for a token that counts and is wrong: its loss and gradient must not
     * look like numbers}
     */
    public static SDVariable weights(SameDiff sd, SDVariable weights, SDVariable wrong, SDVariable alsoWrong) {
        SDVariable counts = sd.neq(weights, 0).castTo(weights.dataType());
        // The logarithm of 1 or -1.
        return weights.add(
                sd.math.log(sd.math.max(wrong, alsoWrong).mul(counts).mul(-2).add(1)));
    }
}
