package io.github.dl4jretention.lm.generation;

import java.util.Arrays;
import java.util.PriorityQueue;
import java.util.Random;
import java.util.Set;

/**
 * Chooses a token from a distribution; {@link io.github.dl4jretention.lm.Generator} has the formulas. Never changes.
 *
 * @param temperature       0 for the likeliest
 * @param topK              how many of the likeliest; 0 for all
 * @param topP              what the likeliest sum to
 * @param repetitionPenalty divides logits above 0, and multiplies others, of tokens that were there before
 */
public record TokenChoice(double temperature, int topK, double topP, double repetitionPenalty) {

    /** The model's own distribution. */
    public static final TokenChoice PLAIN = new TokenChoice(1, 0, 1, 1);

    /**
     * Checks the settings.
     *
     * @param temperature       at least 0
     * @param topK              at least 0
     * @param topP              in (0, 1]
     * @param repetitionPenalty at least 1
     */
    public TokenChoice {
        require(
                temperature >= 0 && temperature < Double.POSITIVE_INFINITY,
                "temperature",
                "a number of at least 0",
                temperature);
        require(topK >= 0, "topK", "a number of at least 1", topK);
        require(topP > 0 && topP <= 1, "topP", "a number in (0, 1]", topP);
        require(
                repetitionPenalty >= 1 && repetitionPenalty < Double.POSITIVE_INFINITY,
                "repetitionPenalty",
                "a number of at least 1",
                repetitionPenalty);
    }

    private static void require(boolean fits, String name, String expected, Object got) {
        if (!fits) {
            throw new IllegalArgumentException(name + ": expected " + expected + ", got " + got);
        }
    }

    /**
     * {@return the same with another temperature}
     *
     * @param value at least 0
     */
    public TokenChoice temperature(double value) {
        return new TokenChoice(value, topK, topP, repetitionPenalty);
    }

    /**
     * {@return the same with another number of tokens}
     *
     * @param value at least 1
     */
    public TokenChoice topK(int value) {
        require(value >= 1, "topK", "a number of at least 1", value);
        return new TokenChoice(temperature, value, topP, repetitionPenalty);
    }

    /**
     * {@return the same with another sum}
     *
     * @param value in (0, 1]
     */
    public TokenChoice topP(double value) {
        return new TokenChoice(temperature, topK, value, repetitionPenalty);
    }

    /**
     * {@return the same with another penalty}
     *
     * @param value at least 1
     */
    public TokenChoice repetitionPenalty(double value) {
        return new TokenChoice(temperature, topK, topP, value);
    }

    /**
     * {@return a token}
     *
     * @param probabilities of all tokens, finite and at least 0
     * @param normaliser    the logarithm of the sum of all tokens' exponentials of logits, so that a token's logit is its
     *     log-probability plus this; only read for a repetition penalty other than 1
     * @param seen          tokens that are in the text already
     * @param random        draws one number if the temperature isn't 0
     * @throws IllegalArgumentException if a probability is NaN
     */
    public int choose(float[] probabilities, double normaliser, Set<Integer> seen, Random random) {
        double[] weights = new double[probabilities.length];
        for (int i = 0; i < weights.length; i++) {
            if (Float.isNaN(probabilities[i])) {
                throw new IllegalArgumentException("network: expected probabilities, got NaN of token " + i);
            }
            weights[i] = probabilities[i];
        }
        if (repetitionPenalty != 1) {
            for (int i : seen) {
                double logit = Math.log(weights[i]) + normaliser;
                double less = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
                weights[i] = Math.exp(less - normaliser);
            }
        }
        int best = 0;
        for (int i = 1; i < weights.length; i++) {
            best = weights[i] > weights[best] ? i : best;
        }
        return temperature == 0 ? best : draw(weights, weights[best], random);
    }

    private int draw(double[] weights, double largest, Random random) {
        double least = topK > 0 && topK < weights.length ? ofRank(weights, topK) : 0;
        double sum = 0;
        for (int i = 0; i < weights.length; i++) {
            weights[i] = weights[i] < least
                    ? 0
                    : temperature == 1 ? weights[i] : Math.exp(Math.log(weights[i] / largest) / temperature);
            sum += weights[i];
        }
        if (topP < 1) {
            least = smallest(weights, temperature == 1 ? largest : 1, topP * sum);
            sum = 0;
            for (int i = 0; i < weights.length; i++) {
                weights[i] = weights[i] < least ? 0 : weights[i];
                sum += weights[i];
            }
        }
        double left = random.nextDouble() * sum;
        int chosen = -1;
        for (int i = 0; i < weights.length; i++) {
            if (weights[i] > 0) {
                chosen = i;
                left -= weights[i];
                if (left < 0) {
                    break;
                }
            }
        }
        return chosen;
    }

    /** {@return the largest number but {@code rank - 1}} */
    private static double ofRank(double[] numbers, int rank) {
        PriorityQueue<Double> largest = new PriorityQueue<>(rank);
        for (double number : numbers) {
            if (largest.size() < rank) {
                largest.add(number);
            } else if (number > largest.element()) {
                largest.remove();
                largest.add(number);
            }
        }
        return largest.element();
    }

    /** {@return the smallest of the largest numbers that sum to so much} Sorts only as many of them as need be. */
    private static double smallest(double[] numbers, double largest, double sum) {
        double[] sorted = {};
        double covered = -1;
        for (double bound = largest / 64; covered < sum && sorted.length < numbers.length; bound /= 64) {
            double from = bound;
            sorted = Arrays.stream(numbers).filter(number -> number >= from).toArray();
            covered = Arrays.stream(sorted).sum();
        }
        Arrays.sort(sorted);
        double part = 0;
        for (int i = sorted.length - 1; i >= 0; i--) {
            part += sorted[i];
            if (part >= sum) {
                return sorted[i];
            }
        }
        return 0;
    }
}
