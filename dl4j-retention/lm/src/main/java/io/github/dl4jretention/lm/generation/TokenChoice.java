package io.github.dl4jretention.lm.generation;

import io.github.dl4jretention.internal.Workers;
import java.util.Arrays;
import java.util.PriorityQueue;
import java.util.Set;
import java.util.random.RandomGenerator;

/**
 * Chooses a token from a distribution; {@link io.github.dl4jretention.lm.Generator} has the formulas. Never changes.
 *
 * @param temperature       0 for the likeliest
 * @param topK              how many of the likeliest; 0 for all
 * @param topP              what the likeliest sum to
 * @param repetitionPenalty divides logits above 0, and multiplies others, of tokens that were there before
 */
public record TokenChoice(double temperature, int topK, double topP, double repetitionPenalty) {

    /** Tokens whose exponentials take longer than asking another thread to compute them. */
    private static final int SHARE = 2048;

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
     * @param logits of all tokens
     * @param seen   tokens that are in the text already
     * @param random draws one number if the temperature isn't 0
     * @throws IllegalArgumentException if a logit is NaN or positive infinity, or if all are negative infinity
     */
    public int choose(float[] logits, Set<Integer> seen, RandomGenerator random) {
        float[] scores = logits;
        if (repetitionPenalty != 1) {
            scores = logits.clone();
            for (int i : seen) {
                double factor = scores[i] > 0 ? 1 / repetitionPenalty : repetitionPenalty;
                scores[i] = (float) (scores[i] * factor);
            }
        }
        int best = 0;
        for (int i = 0; i < scores.length; i++) {
            if (!(scores[i] < Float.POSITIVE_INFINITY)) {
                throw new IllegalArgumentException(
                        "network: expected logits below infinity, got " + scores[i] + " of token " + i);
            }
            best = scores[i] > scores[best] ? i : best;
        }
        if (scores[best] == Float.NEGATIVE_INFINITY) {
            throw new IllegalArgumentException(
                    "network: expected a logit above negative infinity, got none of " + scores.length);
        }
        return temperature == 0 ? best : draw(scores, scores[best], random);
    }

    private int draw(float[] scores, float largest, RandomGenerator random) {
        float lowest = topK > 0 && topK < scores.length ? ofRank(scores, topK) : Float.NEGATIVE_INFINITY;
        double[] weights = new double[scores.length];
        int parts = Math.max(1, Math.min(Workers.ofMachine().rows(), scores.length / SHARE));
        Workers.split(scores.length, parts, (part, from, to) -> {
            for (int i = from; i < to; i++) {
                weights[i] = scores[i] < lowest ? 0 : Math.exp((scores[i] - largest) / temperature);
            }
        });
        double sum = 0;
        for (double weight : weights) {
            sum += weight;
        }
        if (topP < 1) {
            double least = smallest(weights, topP * sum);
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
    private static float ofRank(float[] numbers, int rank) {
        PriorityQueue<Float> largest = new PriorityQueue<>(rank);
        for (float number : numbers) {
            if (largest.size() < rank) {
                largest.add(number);
            } else if (number > largest.element()) {
                largest.remove();
                largest.add(number);
            }
        }
        return largest.element();
    }

    /** {@return the smallest of the largest numbers, all at most 1, that sum to so much} Sorts only as many as need be. */
    private static double smallest(double[] numbers, double sum) {
        double[] sorted = {};
        double covered = -1;
        for (double bound = 1.0 / 64; covered < sum && sorted.length < numbers.length; bound /= 64) {
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
