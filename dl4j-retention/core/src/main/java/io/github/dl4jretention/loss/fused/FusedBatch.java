package io.github.dl4jretention.loss.fused;

import io.github.dl4jretention.loss.TokenLosses;
import io.github.dl4jretention.loss.TokenRows;

/**
 * What the threads of a {@link FusedLoss} read and write of a minibatch.
 *
 * @param factor   {@code lambda T^2}
 * @param gradient whether gradients are put in the place of the logits
 * @param values   to be filled
 */
record FusedBatch(TokenRows rows, FusedLabels labels, double factor, boolean gradient, TokenLosses values) {

    FusedBatch(TokenRows rows, double factor, boolean agreement, boolean gradient) {
        this(rows, new FusedLabels(rows), factor, gradient, values(rows, agreement));
    }

    private static TokenLosses values(TokenRows rows, boolean agreement) {
        boolean taught = rows.kind().hasTeacher();
        return new TokenLosses(
                new double[rows.size()],
                taught ? new double[rows.size()] : null,
                taught && agreement ? new double[rows.size()] : null);
    }
}
