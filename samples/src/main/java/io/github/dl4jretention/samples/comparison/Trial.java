package io.github.dl4jretention.samples.comparison;

import java.io.Serializable;
import java.util.HashSet;
import java.util.Set;

/**
 * One training of one method.
 *
 * @param model name of the base
 */
public record Trial(
        String model, Plan.Pair pair, MethodPlan method, double strength, double learningRate, int warmUp, long seed)
        implements Serializable {

    /** Under which its results are found again. */
    String key() {
        return key(
                model,
                pair.target().name(),
                method.method().label(),
                method.variant(),
                strength,
                learningRate,
                warmUp,
                seed);
    }

    /** The merge and its strength of every row that its results are to have. */
    Set<String> points() {
        return points(method);
    }

    static Set<String> points(MethodPlan method) {
        Set<String> points = new HashSet<>(Set.of(Result.point("", Double.NaN)));
        method.stops().forEach(step -> points.add(Result.point(Result.STOP, step)));
        method.merges().forEach(merge -> merge.strengths().forEach(strength -> {
            points.add(Result.point(merge.merge().label(), strength));
            method.mergedStops()
                    .forEach(step -> points.add(Result.point(Result.stopped(step, merge.merge()), strength)));
        }));
        return points;
    }

    static String key(
            String model,
            String target,
            String method,
            String variant,
            double strength,
            double learningRate,
            int warmUp,
            long seed) {
        String own = Double.isNaN(strength) ? "" : String.valueOf(strength);
        String rate = learningRate + (warmUp == 0 ? "" : " after " + warmUp);
        return String.join(" ", model, target, MethodPlan.name(method, variant), own, rate, String.valueOf(seed));
    }
}
