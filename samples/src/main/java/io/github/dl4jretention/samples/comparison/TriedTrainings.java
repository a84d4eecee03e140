package io.github.dl4jretention.samples.comparison;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.stream.Collectors;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The trainings of one method on one model and pair, and whether the best of them lies inside of what was tried.
 *
 * <p>The best is the training whose own models, tuned and merged, have the largest hypervolume on validation text, mean
 * over seeds. Of strength, learning rate and warm-up, those are searched of which several values were tried. The best is
 * inside if for each of them two trainings that differ from it in this value alone have a lower and a higher one, or can't
 * have: a warm-up of 0 is the least there is, and methods refuse some strengths.
 *
 * @param base     what gain and forgetting are measured from
 * @param settings what was tried, with its models of all seeds
 */
record TriedTrainings(Result base, Map<Setting, List<Result>> settings) {

    /** The next number is of 1, 3, 10, 30 and so on, and at least so many times as far. */
    private static final double FARTHER = 1.5;

    /** The least warm-up that is tried beside none, as a part of all steps. */
    private static final int FIRST_WARM_UP = 16;

    private static final double[] ROUND = IntStream.range(-12, 12)
            .boxed()
            .flatMap(exponent -> Stream.of("1e" + exponent, "3e" + exponent))
            .mapToDouble(Double::parseDouble)
            .toArray();

    /**
     * What is searched.
     *
     * @param strength NaN for none
     */
    record Setting(double strength, double learningRate, int warmUp) {

        private static Setting of(Result result) {
            return new Setting(result.strength(), result.learningRate(), result.warmUp());
        }
    }

    /** One of the searched values. */
    private enum Axis {
        STRENGTH,
        LEARNING_RATE,
        WARM_UP;

        private double of(Setting setting) {
            return switch (this) {
                case STRENGTH -> setting.strength;
                case LEARNING_RATE -> setting.learningRate;
                case WARM_UP -> setting.warmUp;
            };
        }

        private Setting with(Setting setting, double value) {
            return switch (this) {
                case STRENGTH -> new Setting(value, setting.learningRate, setting.warmUp);
                case LEARNING_RATE -> new Setting(setting.strength, value, setting.warmUp);
                case WARM_UP -> new Setting(setting.strength, setting.learningRate, (int) value);
            };
        }

        private String label() {
            return name().toLowerCase(Locale.ROOT).replace('_', ' ');
        }
    }

    /**
     * A training that is missing.
     *
     * @param edge in words
     */
    record Missing(Setting setting, String edge) {}

    /** The searches of one model and pair by the names of their trainings. */
    static Map<String, TriedTrainings> of(Result base, List<Result> results) {
        Map<String, TriedTrainings> searches = new LinkedHashMap<>();
        results.stream()
                .filter(result -> !result.isBase()
                        && result.model().equals(base.model())
                        && result.target().equals(base.target())
                        && result.trainedSteps() == base.steps())
                .collect(Collectors.groupingBy(
                        result -> MethodPlan.name(result.method(), result.variant()),
                        LinkedHashMap::new,
                        Collectors.toList()))
                .forEach((training, members) -> searches.put(
                        training,
                        new TriedTrainings(
                                base,
                                members.stream()
                                        .collect(Collectors.groupingBy(
                                                Setting::of, LinkedHashMap::new, Collectors.toList())))));
        return searches;
    }

    /** Of several that are equal the first. */
    private Setting best() {
        return settings.entrySet().stream()
                .sorted(Comparator.comparingDouble(
                        (Map.Entry<Setting, List<Result>> tried) -> -Family.hypervolume(base, tried.getValue())))
                .findFirst()
                .orElseThrow()
                .getKey();
    }

    /** What makes the best an inner one, if it isn't. */
    List<Missing> missing() {
        Setting best = best();
        Result any = settings.values().iterator().next().get(0);
        Method method = Method.of(any.method());
        List<Missing> missing = new ArrayList<>();
        for (Axis axis : Axis.values()) {
            if (settings.keySet().stream().mapToDouble(axis::of).distinct().count() > 1) {
                double at = axis.of(best);
                double[] line = settings.keySet().stream()
                        .filter(setting -> axis.with(setting, at).equals(best))
                        .mapToDouble(axis::of)
                        .toArray();
                if (DoubleStream.of(line).noneMatch(value -> value < at)) {
                    next(method, axis, at, false)
                            .ifPresent(value -> missing.add(new Missing(
                                    axis.with(best, value), axis.label() + " " + Result.number(at) + ", lowest")));
                }
                if (DoubleStream.of(line).noneMatch(value -> value > at)) {
                    next(method, axis, at, true)
                            .ifPresent(value -> missing.add(new Missing(
                                    axis.with(best, value), axis.label() + " " + Result.number(at) + ", highest")));
                }
            }
        }
        return missing;
    }

    /** The next value, if the method can have it. */
    private OptionalDouble next(Method method, Axis axis, double at, boolean higher) {
        if (axis == Axis.WARM_UP) {
            int first = Math.max(1, base.steps() / FIRST_WARM_UP);
            double next = higher ? Math.max(first, 2 * at) : at <= first ? 0 : at / 2;
            return next == at || next > base.steps() ? OptionalDouble.empty() : OptionalDouble.of(Math.rint(next));
        }
        double next = higher
                ? DoubleStream.of(ROUND)
                        .filter(value -> value >= FARTHER * at)
                        .min()
                        .orElse(at)
                : DoubleStream.of(ROUND)
                        .filter(value -> value <= at / FARTHER)
                        .max()
                        .orElse(at);
        boolean possible = next != at && (axis == Axis.LEARNING_RATE || method.allows(next, base.batch()));
        return possible ? OptionalDouble.of(next) : OptionalDouble.empty();
    }
}
