package io.github.dl4jretention.merge;

import java.util.List;

/**
 * {@code (1 - t) base + t model}: between the two for t in [0, 1], see {@link MergeMethod#wiseFt}, beyond the model for
 * t above 1, see {@link MergeMethod#expo}.
 *
 * @param t where on the line through both; finite
 */
public record InterpolationMerge(double t) implements MergeMethod {

    /**
     * Checks t.
     *
     * @param t where on the line through both, 0 the base and 1 the model
     * @throws IllegalArgumentException if t is not finite
     */
    public InterpolationMerge {
        if (!Double.isFinite(t)) {
            throw new IllegalArgumentException("t: expected a finite number, got " + t);
        }
    }

    @Override
    public int mostModels() {
        return 1;
    }

    @Override
    public double[] merge(double[] base, List<Weighted> models, int parameter) {
        return between(base, models.get(0).values(), 1 - t, t);
    }

    static double[] between(double[] base, double[] model, double baseShare, double modelShare) {
        double[] merged = new double[base.length];
        for (int i = 0; i < merged.length; i++) {
            merged[i] = baseShare * base[i] + modelShare * model[i];
        }
        return merged;
    }
}
