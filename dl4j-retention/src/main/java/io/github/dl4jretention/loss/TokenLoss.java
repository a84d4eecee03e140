package io.github.dl4jretention.loss;

/**
 * The parts of the loss over one minibatch, in nats, summed over unmasked tokens (each times its mask's weight).
 *
 * @param crossEntropySum sum of the tokens' cross-entropies
 * @param divergenceSum   sum of the tokens' divergences from the teacher, without lambda and without {@code T^2}; NaN if
 *     the batch carried no teacher
 * @param factor          what the divergence is multiplied by: {@code lambda * T^2}, or 0 if there was no teacher
 * @param tokens          sum of the mask, the number of tokens where it is 0 or 1
 */
public record TokenLoss(double crossEntropySum, double divergenceSum, double factor, double tokens) {

    /** Mean cross-entropy in nats per token; NaN if every token is masked. */
    public double crossEntropy() {
        return crossEntropySum / tokens;
    }

    /** Mean divergence from the teacher in nats per token; NaN if every token is masked or there was no teacher. */
    public double divergence() {
        return divergenceSum / tokens;
    }

    /** Mean of cross-entropy plus {@code lambda * T^2} times divergence, per token; NaN if every token is masked. */
    public double total() {
        return sum() / tokens;
    }

    /** The summed loss that training minimises; 0 if every token is masked. */
    public double sum() {
        return Double.isNaN(divergenceSum) && factor == 0 ? crossEntropySum : crossEntropySum + factor * divergenceSum;
    }
}
