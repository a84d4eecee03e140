package io.github.dl4jretention.baseline;

/**
 * What {@link SelfReplay} needs to know of a model: which token comes next. Models of DL4J and SameDiff need none of
 * their own; write one for a model that has a faster way than a whole window for each token.
 */
@FunctionalInterface
public interface NextToken {

    /**
     * {@return log-probabilities {@code [sequences][V]} in nats, at temperature 1, of the token that follows the first
     * tokens of each sequence}
     *
     * <p>While the same sequences are written, the array stays the same one, its rows grow by a token between two calls,
     * and {@code length} by 1: what a model has computed of the tokens before (a recurrent state, keys and values) can be
     * kept from one call to the next. Another array, or a length that isn't greater, begins anew.
     *
     * @param sequences ids; of each row the first {@code length} are known
     * @param length    at least 1
     */
    double[][] logProbabilities(int[][] sequences, int length);
}
