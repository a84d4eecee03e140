package io.github.dl4jretention.merge;

import java.util.List;

/**
 * Spherical linear interpolation, mergekit's {@code slerp}: with the angle theta between base and model as vectors,
 *
 * <pre>
 * w = sin((1 - t) theta) / sin(theta) base + sin(t theta) / sin(theta) model
 * </pre>
 *
 * It interpolates the vectors themselves, not their directions. Where the cosine of the angle is beyond +-0.9995, as it
 * is between most models and their start, it is the linear interpolation {@code (1 - t) base + t model}. A vector
 * shorter than 1e-8 counts as perpendicular to the other.
 *
 * @param t 0 gives the base, 1 the model; in [0, 1]
 */
public record SlerpMerge(double t) implements MergeMethod {

    private static final double COLLINEAR = 0.9995;
    private static final double SHORTEST = 1e-8;

    /**
     * Checks t.
     *
     * @param t 0 gives the base, 1 the model
     * @throws IllegalArgumentException if t is outside of [0, 1]
     */
    public SlerpMerge {
        if (!(t >= 0 && t <= 1)) {
            throw new IllegalArgumentException("t: expected a number in [0, 1], got " + t);
        }
    }

    @Override
    public int mostModels() {
        return 1;
    }

    @Override
    public double[] merge(double[] base, List<Weighted> models, int parameter) {
        double[] model = models.get(0).values();
        double cosine = dot(base, model) / (length(base) * length(model));
        if (Math.abs(cosine) > COLLINEAR) {
            return InterpolationMerge.between(base, model, 1 - t, t);
        }
        double angle = Math.acos(cosine);
        double sine = Math.sin(angle);
        return InterpolationMerge.between(base, model, Math.sin(angle - angle * t) / sine, Math.sin(angle * t) / sine);
    }

    /** 1 for a vector that is too short to have a direction. */
    private static double length(double[] vector) {
        double length = Math.sqrt(dot(vector, vector));
        return length > SHORTEST ? length : 1;
    }

    private static double dot(double[] a, double[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += a[i] * b[i];
        }
        return sum;
    }
}
