package io.github.dl4jretention.lm.generation;

import java.util.Arrays;
import java.util.Random;
import java.util.Set;

/**
 * Chooses a token from a distribution; {@link io.github.dl4jretention.lm.Generator} has the formulas. Never changes.
 *
 * @param temperature       0 for the likeliest
 * @param topK              how many of the likeliest; 0 for all
 * @param topP              what the likeliest sum to
 * @param repetitionPenalty factor of log-probabilities of tokens that were there before
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
     * @param probabilities of all tokens
     * @param seen          tokens that are in the text already
     * @param random        draws one number if the temperature isn't 0
     * @throws IllegalArgumentException if a probability is NaN
     */
    public int choose(float[] probabilities, Set<Integer> seen, Random random) {
        double[] scores = new double[probabilities.length];
        int best = 0;
        for (int i = 0; i < scores.length; i++) {
            if (Float.isNaN(probabilities[i])) {
                throw new IllegalArgumentException("network: expected probabilities, got NaN of token " + i);
            }
            scores[i] = repetitionPenalty == 1 ? probabilities[i] : Math.log(probabilities[i]);
            if (repetitionPenalty != 1 && seen.contains(i)) {
                scores[i] *= repetitionPenalty;
            }
            if (scores[i] > scores[best]) {
                best = i;
            }
        }
        if (temperature == 0) {
            return best;
        }
        double largest = repetitionPenalty == 1 ? Math.log(scores[best]) : scores[best];
        for (int i = 0; i < scores.length; i++) {
            double score = repetitionPenalty == 1 ? Math.log(scores[i]) : scores[i];
            scores[i] = Math.exp((score - largest) / temperature);
        }
        return draw(scores, random);
    }

    private int draw(double[] weights, Random random) {
        double least = 0;
        if (topK > 0 || topP < 1) {
            double[] sorted = weights.clone();
            Arrays.sort(sorted);
            int kept = topK == 0 ? sorted.length : Math.min(topK, sorted.length);
            double sum =
                    Arrays.stream(sorted, sorted.length - kept, sorted.length).sum();
            double part = 0;
            for (int i = sorted.length - 1; i >= sorted.length - kept; i--) {
                part += sorted[i];
                least = sorted[i];
                if (part >= topP * sum) {
                    break;
                }
            }
        }
        double sum = 0;
        for (double weight : weights) {
            sum += weight >= least ? weight : 0;
        }
        double left = random.nextDouble() * sum;
        int chosen = -1;
        for (int i = 0; i < weights.length; i++) {
            if (weights[i] >= least && weights[i] > 0) {
                chosen = i;
                left -= weights[i];
                if (left < 0) {
                    break;
                }
            }
        }
        return chosen;
    }
}
