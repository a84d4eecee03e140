package io.github.dl4jretention.merge;

import java.util.List;

/**
 * {@code sum_i weight_i w_i}, divided by {@code sum_i weight_i} if normalised; mergekit's {@code linear},
 * except that it doesn't normalise weights whose sum is about 0, but refuses them.
 *
 * @param normalize whether the weights are divided by their sum; default true
 */
public record LinearMerge(boolean normalize) implements MergeMethod {

    /**
     * {@return the same with or without division by the sum of the weights}
     *
     * @param normalize whether the weights are divided by their sum
     */
    public LinearMerge withNormalize(boolean normalize) {
        return new LinearMerge(normalize);
    }

    @Override
    public boolean hasBase() {
        return false;
    }

    /** @throws IllegalArgumentException if weights are to be normalised and their sum is within 1e-8 of 0 */
    @Override
    public double[] merge(double[] base, List<Weighted> models, int parameter) {
        double divisor = 1;
        if (normalize) {
            divisor = models.stream().mapToDouble(Weighted::weight).sum();
            if (Math.abs(divisor) < 1e-8) {
                throw new IllegalArgumentException("weight: expected weights whose sum is not 0, got "
                        + models.stream().map(Weighted::weight).toList());
            }
        }
        double[] merged = new double[models.get(0).values().length];
        for (Weighted model : models) {
            double[] values = model.values();
            for (int i = 0; i < merged.length; i++) {
                merged[i] += model.weight() * values[i];
            }
        }
        for (int i = 0; i < merged.length; i++) {
            merged[i] /= divisor;
        }
        return merged;
    }
}
