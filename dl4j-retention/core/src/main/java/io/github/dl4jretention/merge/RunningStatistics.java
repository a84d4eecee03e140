package io.github.dl4jretention.merge;

import io.github.dl4jretention.merge.MergeMethod.Weighted;
import java.util.List;

/**
 * Merges what batch normalisation has gathered, which no method may carry beyond the models': a variance below 0 has no
 * root. Whatever the method, it is a mean of base and models, {@code sum_i a_i s_i} with {@code a_i} at least 0 and of
 * sum 1: the method's own shares, those below 0 taken as 0, divided by their sum. Densities and sign elections play no
 * part. The shares are
 *
 * <pre>
 * interpolation, slerp   1 - t of the base, t of the model
 * task vectors           1 - sum_i v_i of the base, v_i of model i; v_i = lambda weight_i / divisor
 * linear                 weight_i / divisor of model i
 * </pre>
 *
 * with the divisor {@code sum_i weight_i} if the method normalises, else 1.
 */
final class RunningStatistics {

    private static final double ZERO = 1e-8;

    private RunningStatistics() {}

    /** @param base not looked at for a method without one */
    static double[] merge(MergeMethod method, double[] base, List<Weighted> models) {
        double factor = factor(method, models);
        double weights = models.stream().mapToDouble(Weighted::weight).sum();
        double baseShare = !method.hasBase() ? 0 : Math.max(0, 1 - factor * weights);
        double[] shares = models.stream()
                .mapToDouble(model -> Math.max(0, factor * model.weight()))
                .toArray();
        double total = baseShare;
        for (double share : shares) {
            total += share;
        }
        double[] merged = new double[models.get(0).values().length];
        if (baseShare > 0) {
            add(merged, base, baseShare / total);
        }
        for (int m = 0; m < shares.length; m++) {
            // Where no share is above 0, all count alike.
            double share = total > 0 ? shares[m] / total : 1.0 / shares.length;
            add(merged, models.get(m).values(), share);
        }
        return merged;
    }

    /** What a model's weight is multiplied by to be its share. */
    private static double factor(MergeMethod method, List<Weighted> models) {
        if (method instanceof InterpolationMerge interpolation) {
            return interpolation.t();
        }
        if (method instanceof SlerpMerge slerp) {
            return slerp.t();
        }
        if (method instanceof TaskVectorMerge vectors) {
            return vectors.lambda() / divisor(vectors.normalize(), models);
        }
        return 1 / divisor(((LinearMerge) method).normalize(), models);
    }

    private static double divisor(boolean normalize, List<Weighted> models) {
        double sum = models.stream().mapToDouble(Weighted::weight).sum();
        return normalize && Math.abs(sum) >= ZERO ? sum : 1;
    }

    private static void add(double[] sum, double[] values, double share) {
        for (int i = 0; i < sum.length; i++) {
            sum[i] += share * values[i];
        }
    }
}
