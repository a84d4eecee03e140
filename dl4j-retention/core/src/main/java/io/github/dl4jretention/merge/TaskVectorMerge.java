package io.github.dl4jretention.merge;

import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Merges of task vectors {@code delta_i = w_i - base}, mergekit's generalised task arithmetic:
 *
 * <pre>
 * w = base + lambda sum_i m_i weight_i s_i(delta_i) / divisor
 * </pre>
 *
 * where {@code s_i} is the sparsification to the model's density, and {@code m_i} is 0 or 1 for each element: with an
 * election it keeps the values of the elected sign, without one all values. The divisor is 1; if normalised it's {@code
 * sum_i m_i weight_i}, or 1 where that is within 1e-8 of 0. The elected sign is that of {@code sum_i weight_i
 * s_i(delta_i)}, positive for a sum of 0.
 *
 * <p>Get one from {@link MergeMethod#taskArithmetic}, {@link MergeMethod#ties}, {@link MergeMethod#dareLinear} or
 * {@link MergeMethod#dareTies}.
 *
 * @param sparsification what a density below 1 leaves of a task vector
 * @param election whether signs are elected
 * @param normalize whether the sum is divided by that of the weights; default true for TIES, false for the others
 * @param rescale whether values that a random sparsification keeps are divided by the density; default true for DARE
 * @param lambda factor of the sum; default 1
 * @param seed of a random sparsification; each model and parameter gets random numbers of its own
 */
public record TaskVectorMerge(
        Sparsification sparsification, boolean election, boolean normalize, boolean rescale, double lambda, long seed)
        implements MergeMethod {

    private static final double ZERO = 1e-8;
    private static final long MODEL_STEP = 0xBF58476D1CE4E5B9L;
    private static final long PARAMETER_STEP = 0xD1B54A32D192ED03L;

    /** What a density below 1 leaves of a task vector of n values. */
    public enum Sparsification {
        /** Everything: the density must be 1. */
        NONE,
        /** The {@code floor(density n)} largest absolute values, at least one; of equal ones the first. */
        MAGNITUDE,
        /** Each value with probability {@code density}. */
        RANDOM
    }

    /**
     * Checks lambda and rescale.
     *
     * @param sparsification what a density below 1 leaves of a task vector
     * @param election       whether signs are elected
     * @param normalize      whether the sum is divided by that of the weights
     * @param rescale        whether values that a random sparsification keeps are divided by the density
     * @param lambda         factor of the sum, finite
     * @param seed           of a random sparsification
     * @throws IllegalArgumentException if lambda is not finite, or what is not random is to be rescaled
     */
    public TaskVectorMerge {
        if (!Double.isFinite(lambda)) {
            throw new IllegalArgumentException("lambda: expected a finite number, got " + lambda);
        }
        if (rescale && sparsification != Sparsification.RANDOM) {
            throw new IllegalArgumentException(
                    "rescale: expected false for sparsification " + sparsification + ", got true");
        }
    }

    /**
     * {@return the same with or without division by the sum of the weights}
     *
     * @param normalize whether the sum is divided
     */
    public TaskVectorMerge withNormalize(boolean normalize) {
        return new TaskVectorMerge(sparsification, election, normalize, rescale, lambda, seed);
    }

    /**
     * {@return the same with or without DARE's division by the density}
     *
     * @param rescale whether kept values are divided
     * @throws IllegalArgumentException if it is true and the sparsification is not random
     */
    public TaskVectorMerge withRescale(boolean rescale) {
        return new TaskVectorMerge(sparsification, election, normalize, rescale, lambda, seed);
    }

    /**
     * {@return the same with another factor of the sum}
     *
     * @param lambda the factor, finite; 1 is task arithmetic as it is
     * @throws IllegalArgumentException if it is not finite
     */
    public TaskVectorMerge withLambda(double lambda) {
        return new TaskVectorMerge(sparsification, election, normalize, rescale, lambda, seed);
    }

    /** @throws IllegalArgumentException if a density is not 1 and nothing is sparsified */
    @Override
    public double[] merge(double[] base, List<Weighted> models, int parameter) {
        double[][] deltas = new double[models.size()][];
        for (int m = 0; m < deltas.length; m++) {
            deltas[m] = weightedDelta(base, models.get(m), m, parameter);
        }
        double[] merged = new double[base.length];
        for (int i = 0; i < merged.length; i++) {
            merged[i] = base[i] + lambda * mix(deltas, models, i);
        }
        return merged;
    }

    private double mix(double[][] deltas, List<Weighted> models, int i) {
        double all = 0;
        for (double[] delta : deltas) {
            all += delta[i];
        }
        double sign = all >= 0 ? 1 : -1;
        double sum = 0;
        double divisor = 0;
        for (int m = 0; m < deltas.length; m++) {
            if (!election || Math.signum(deltas[m][i]) == sign) {
                sum += deltas[m][i];
                divisor += models.get(m).weight();
            }
        }
        return normalize && Math.abs(divisor) >= ZERO ? sum / divisor : sum;
    }

    private double[] weightedDelta(double[] base, Weighted model, int index, int parameter) {
        double[] delta = new double[base.length];
        for (int i = 0; i < delta.length; i++) {
            delta[i] = model.values()[i] - base[i];
        }
        double density = model.density();
        if (density < 1) {
            switch (sparsification) {
                case NONE -> throw new IllegalArgumentException(
                        "density: expected 1 for a method without sparsification, got " + density);
                case MAGNITUDE -> keepLargest(delta, Math.max(1, (int) (density * delta.length)));
                case RANDOM -> drop(
                        delta,
                        density,
                        new SplittableRandom(seed + MODEL_STEP * (index + 1) + PARAMETER_STEP * (parameter + 1)));
            }
        }
        for (int i = 0; i < delta.length; i++) {
            delta[i] *= model.weight();
        }
        return delta;
    }

    private static void keepLargest(double[] delta, int count) {
        if (count >= delta.length) {
            return;
        }
        double[] sorted = Arrays.stream(delta).map(Math::abs).sorted().toArray();
        double smallest = sorted[sorted.length - count];
        long larger = Arrays.stream(delta).filter(d -> Math.abs(d) > smallest).count();
        long equal = count - larger;
        for (int i = 0; i < delta.length; i++) {
            double size = Math.abs(delta[i]);
            if (size == smallest && equal > 0) {
                equal--;
            } else if (size <= smallest) {
                delta[i] = 0;
            }
        }
    }

    private void drop(double[] delta, double density, SplittableRandom random) {
        double factor = rescale ? 1 / density : 1;
        for (int i = 0; i < delta.length; i++) {
            delta[i] = random.nextDouble() < density ? factor * delta[i] : 0;
        }
    }
}
