package io.github.dl4jretention.loss;

/**
 * What the threads of a {@link FusedLoss} read and write of a minibatch.
 *
 * @param factor   {@code lambda T^2}
 * @param gradient whether gradients are put in the place of the logits
 * @param values   to be filled
 */
record FusedBatch(TokenRows rows, FusedLabels labels, double factor, boolean gradient, TokenValues values) {

    FusedBatch(TokenRows rows, double factor, boolean agreement, boolean gradient) {
        this(rows, new FusedLabels(rows), factor, gradient, values(rows, agreement));
    }

    private static TokenValues values(TokenRows rows, boolean agreement) {
        boolean taught = rows.kind().hasTeacher();
        return new TokenValues(
                new double[rows.size()],
                taught ? new double[rows.size()] : null,
                taught && agreement ? new double[rows.size()] : null);
    }
}
