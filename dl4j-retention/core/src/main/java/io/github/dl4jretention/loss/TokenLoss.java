package io.github.dl4jretention.loss;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * The parts of the loss over one minibatch, in nats, summed over unmasked tokens (each times its mask's weight).
 *
 * @param crossEntropySum  sum of the tokens' cross-entropies, without their {@link TokenWeight}
 * @param divergenceSum    sum of the tokens' divergences from the teacher, without lambda and without {@code T^2}; NaN
 *     if the batch carried no teacher
 * @param factor           what the divergence is multiplied by: {@code lambda * T^2}, or 0 if there was no teacher
 * @param tokens           sum of the cross-entropy's weights, the number of tokens where they are 0 or 1
 * @param divergenceTokens sum of the divergence's weights; {@code tokens} if it has none of its own
 * @param agreements sum of the divergence's weights of the tokens on which student and teacher hold the same class most
 *     probable; NaN if it was not measured
 * @param objectiveSum     what's minimised beside the divergence: the sum of the cross-entropies times their
 *     {@link TokenWeight}s, which is crossEntropySum where there are none; with a {@link Preference} the sum of the
 *     sequences' losses
 */
public record TokenLoss(
        double crossEntropySum,
        double divergenceSum,
        double factor,
        double tokens,
        double divergenceTokens,
        double agreements,
        double objectiveSum) {

    /**
     * Without token weights.
     *
     * @param crossEntropySum  sum of the tokens' cross-entropies, which is what's minimised beside the divergence
     * @param divergenceSum    sum of the tokens' divergences; NaN without a teacher
     * @param factor           {@code lambda * T^2}, or 0
     * @param tokens           sum of the cross-entropy's weights
     * @param divergenceTokens sum of the divergence's weights
     * @param agreements       sum of the weights of tokens that agree; NaN if not measured
     */
    public TokenLoss(
            double crossEntropySum,
            double divergenceSum,
            double factor,
            double tokens,
            double divergenceTokens,
            double agreements) {
        this(crossEntropySum, divergenceSum, factor, tokens, divergenceTokens, agreements, crossEntropySum);
    }

    /** Sums over tokens; the teacher's parts are null if there's none, and agreements if nobody asked for them. */
    static TokenLoss of(
            double[] weights,
            double[] crossEntropies,
            double[] divergenceWeights,
            double @Nullable [] divergences,
            double factor,
            double @Nullable [] agreements,
            double objectiveSum) {
        return new TokenLoss(
                weightedSum(weights, crossEntropies),
                weightedSum(divergenceWeights, divergences),
                factor,
                Arrays.stream(weights).sum(),
                Arrays.stream(divergenceWeights).sum(),
                weightedSum(divergenceWeights, agreements),
                objectiveSum);
    }

    static double weightedSum(double[] weights, double @Nullable [] values) {
        return values == null
                ? Double.NaN
                : IntStream.range(0, weights.length)
                        .mapToDouble(i -> weighted(weights[i], values[i]))
                        .sum();
    }

    /** Whatever a token of weight 0 holds. */
    static double weighted(double weight, double value) {
        return weight == 0 ? 0 : weight * value;
    }

    /**
     * {@return the parts over the tokens of two minibatches}
     *
     * @param other of the same factor
     */
    public TokenLoss plus(TokenLoss other) {
        return new TokenLoss(
                crossEntropySum + other.crossEntropySum,
                divergenceSum + other.divergenceSum,
                factor,
                tokens + other.tokens,
                divergenceTokens + other.divergenceTokens,
                agreements + other.agreements,
                objectiveSum + other.objectiveSum);
    }

    /** {@return mean cross-entropy in nats per token, without token weights; NaN if every token is masked} */
    public double crossEntropy() {
        return crossEntropySum / tokens;
    }

    /**
     * {@return mean divergence from the teacher in nats per token; NaN if every token is masked or there was no
     * teacher}
     */
    public double divergence() {
        return divergenceSum / divergenceTokens;
    }

    /** {@return share of tokens on which student and teacher hold the same class most probable; NaN if unmeasured} */
    public double agreement() {
        return agreements / divergenceTokens;
    }

    /**
     * {@return mean cross-entropy, times token weights, plus {@code lambda * T^2} times mean divergence; NaN if every
     * token is masked}
     */
    public double total() {
        double objective = objectiveSum / tokens;
        return hasTeacher() ? objective + factor * divergence() : objective;
    }

    /** {@return the summed loss that training minimises, in nats; 0 if every token is masked} */
    public double sum() {
        return hasTeacher() ? objectiveSum + factor * divergenceSum : objectiveSum;
    }

    /** {@return whether the batch carried a teacher} */
    public boolean hasTeacher() {
        return !Double.isNaN(divergenceSum) || factor != 0;
    }
}
