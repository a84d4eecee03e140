package io.github.dl4jretention.loss;

import java.util.Arrays;

/**
 * The loss of every token of a minibatch, in nats, without weights, in the order time, then batch. What a weight of 0
 * takes out may be anything.
 *
 * @param crossEntropy of each token
 * @param divergence   from the teacher, without {@code lambda T^2}; null without a teacher
 * @param agreement    1 where student and teacher hold the same class most probable, else 0; null if not measured
 */
public record TokenLosses(double[] crossEntropy, double[] divergence, double[] agreement) {

    /** Weighted sums over all tokens. */
    public TokenLoss sums(TokenRows rows, double factor) {
        boolean taught = rows.kind().hasTeacher();
        return new TokenLoss(
                weightedSum(rows.weights(), crossEntropy),
                taught ? weightedSum(rows.divergenceWeights(), divergence) : Double.NaN,
                taught ? factor : 0,
                Arrays.stream(rows.weights()).sum(),
                Arrays.stream(rows.divergenceWeights()).sum(),
                agreement == null ? Double.NaN : weightedSum(rows.divergenceWeights(), agreement));
    }

    /** The loss of each example, summed over its tokens. */
    public double[] ofExamples(TokenRows rows, double factor, int batch) {
        double[] sums = new double[batch];
        for (int token = 0; token < rows.size(); token++) {
            sums[token % batch] += weighted(rows.weights()[token], crossEntropy[token]);
            if (divergence != null) {
                sums[token % batch] += factor * weighted(rows.divergenceWeights()[token], divergence[token]);
            }
        }
        return sums;
    }

    private static double weightedSum(double[] weights, double[] values) {
        double sum = 0;
        for (int i = 0; i < weights.length; i++) {
            sum += weighted(weights[i], values[i]);
        }
        return sum;
    }

    /** Whatever a token of weight 0 holds. */
    private static double weighted(double weight, double value) {
        return weight == 0 ? 0 : weight * value;
    }
}
