package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.eval.ParetoFront;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;

/**
 * All that one method, with one kind of merge afterwards or none, came to on one model and pair, at all learning rates
 * or at its own best: that of the largest mean hypervolume on validation text. The tuned models before merging belong
 * to it too.
 *
 * @param kind  the method and the merge
 * @param rate  the chosen learning rate, and whether it is the lowest or highest of several that were tried
 * @param base  the base's result
 * @param seeds results by seed
 */
record Family(Kind kind, String rate, Result base, Map<Long, List<Result>> seeds) {

    /** Share of the base's source loss that is the most forgetting of interest. */
    static final double REFERENCE = 0.1;

    /** Two methods whose steps differ by less than this share take the same time. */
    static final double SAME_TIME = 0.02;

    /** Share of another's best gain that is nearly as much. */
    private static final double NEARLY = 0.95;

    private static final String EVERY_RATE = "all";

    /**
     * What makes a family.
     *
     * @param method  label
     * @param variant of the method
     * @param merge  label of a merge, "stop" for earlier ends of training, empty for neither
     */
    record Kind(String method, String variant, String merge) {

        private boolean holds(Result result) {
            return result.method().equals(method)
                    && result.variant().equals(variant)
                    && (result.merge().isEmpty() || result.merge().equals(merge));
        }

        String name() {
            return training() + (merge.isEmpty() ? "" : " + " + merge);
        }

        /** What is trained. */
        String training() {
            return MethodPlan.name(method, variant);
        }
    }

    /** One number of every seed. */
    record Spread(double mean, double least, double most) {

        static Spread of(List<Result> results, ToDoubleFunction<Result> value) {
            return of(results.stream().map(value::applyAsDouble).toList());
        }

        static Spread of(List<Double> values) {
            return new Spread(
                    values.stream().mapToDouble(v -> v).average().orElse(Double.NaN),
                    values.stream().mapToDouble(v -> v).min().orElse(Double.NaN),
                    values.stream().mapToDouble(v -> v).max().orElse(Double.NaN));
        }
    }

    /**
     * The families of one model and pair, each at its best rate, in the order of {@link Method} and {@link MergeKind}.
     * Behind plain finetuning comes plain finetuning at all rates, since the rate is a way to forget less.
     */
    static List<Family> of(Result base, List<Result> results) {
        List<Family> families = new ArrayList<>();
        for (Family family : atEveryRate(base, results)) {
            families.add(family.atBestRate());
            if (family.kind.equals(new Kind(Method.PLAIN.label(), "", ""))) {
                families.add(family);
            }
        }
        return families;
    }

    /**
     * What fits into the time of plain finetuning: of a training whose step takes r times as long as plain's the models of
     * its last stop at {@code steps / r} or before, as if it had been meant to end there.
     *
     * @param times r of each training; those without one are left out, and those without such a stop
     */
    static List<Result> atEqualTime(Result base, List<Result> results, Map<String, Double> times) {
        Map<String, List<Result>> trainings = results.stream()
                .collect(Collectors.groupingBy(
                        result -> MethodPlan.name(result.method(), result.variant()),
                        LinkedHashMap::new,
                        Collectors.toList()));
        List<Result> fitting = new ArrayList<>();
        trainings.forEach((training, members) -> {
            double ratio = times.getOrDefault(training, Double.NaN);
            int fit = (int) (base.steps() / ratio);
            int last = ratio <= 1 + SAME_TIME
                    ? base.steps()
                    : members.stream()
                            .filter(result -> !Double.isNaN(ratio))
                            .mapToInt(Result::trainedSteps)
                            .filter(steps -> steps <= fit)
                            .max()
                            .orElse(0);
            members.stream()
                    .filter(result -> result.trainedSteps() == last)
                    .map(Result::ofLastStep)
                    .forEach(fitting::add);
        });
        return fitting;
    }

    /** The families of one model and pair, each with all that was tried. */
    static List<Family> atEveryRate(Result base, List<Result> all) {
        List<Result> results =
                all.stream().filter(result -> !result.isStoppedMerge()).toList();
        return results.stream()
                .map(result -> new Kind(result.method(), result.variant(), result.merge()))
                .distinct()
                .sorted(Comparator.comparingInt(
                                (Kind kind) -> Method.of(kind.method).ordinal())
                        .thenComparing(Kind::variant)
                        .thenComparingInt(kind -> MergeKind.order(kind.merge)))
                .map(kind -> new Family(
                        kind,
                        EVERY_RATE,
                        base,
                        bySeed(results.stream().filter(kind::holds).toList())))
                .toList();
    }

    private Family atBestRate() {
        TreeMap<Rate, List<Result>> byRate =
                results().stream().collect(Collectors.groupingBy(Rate::of, TreeMap::new, Collectors.toList()));
        return byRate.entrySet().stream()
                .map(rate -> new Family(kind, rate.getKey().name(byRate.keySet()), base, bySeed(rate.getValue())))
                .max(Comparator.comparingDouble(
                        family -> family.hypervolume(Result::validation).mean()))
                .orElseThrow();
    }

    private List<Result> results() {
        return seeds.values().stream().flatMap(List::stream).toList();
    }

    /** For tables. */
    String name() {
        return kind.name() + (rate.equals(EVERY_RATE) ? ", every rate" : "");
    }

    /** A learning rate and the steps in which it rises. */
    record Rate(double rate, int warmUp) implements Comparable<Rate> {

        static Rate of(Result result) {
            return new Rate(result.learningRate(), result.warmUp());
        }

        @Override
        public int compareTo(Rate other) {
            return Comparator.comparingDouble(Rate::rate)
                    .thenComparingInt(Rate::warmUp)
                    .compare(this, other);
        }

        /** With whether it is at an edge of several that were tried; a warm-up of 0 is the least there is. */
        String name(Set<Rate> tried) {
            List<Double> rates =
                    tried.stream().map(Rate::rate).distinct().sorted().toList();
            String edge = rate == rates.get(0) ? ", lowest" : rate == rates.get(rates.size() - 1) ? ", highest" : "";
            int longest = tried.stream().mapToInt(Rate::warmUp).max().orElseThrow();
            return this + (rates.size() == 1 ? "" : edge) + (warmUp > 0 && warmUp == longest ? ", longest" : "");
        }

        @Override
        public String toString() {
            return Result.number(rate) + (warmUp == 0 ? "" : " after " + warmUp);
        }
    }

    private static Map<Long, List<Result>> bySeed(List<Result> results) {
        return results.stream().collect(Collectors.groupingBy(Result::seed, TreeMap::new, Collectors.toList()));
    }

    /** Models of a seed, the most of all seeds: on the text of the choice more of them never make a smaller front. */
    int points() {
        return seeds.values().stream().mapToInt(List::size).max().orElse(0);
    }

    /**
     * Models of a seed that were trained, the most of all seeds; others come of them by merging, or are steps on the
     * way.
     */
    int trainings() {
        return seeds.values().stream()
                .mapToInt(results -> (int) results.stream()
                        .filter(result -> result.merge().isEmpty())
                        .count())
                .max()
                .orElse(0);
    }

    private static ParetoFront<Result> front(List<Result> results, Result base, Function<Result, Scores> part) {
        return ParetoFront.of(results, result -> part.apply(result).gain(part.apply(base)), result -> part.apply(result)
                .forgetting(part.apply(base)));
    }

    /**
     * Of the points that are the front on validation text, against gain 0 and forgetting of a tenth of the base's
     * source loss.
     *
     * @param part the text on which it is measured
     */
    Spread hypervolume(Function<Result, Scores> part) {
        double reference = REFERENCE * part.apply(base).source();
        return Spread.of(fronts().stream()
                .map(results -> front(results, base, part).hypervolume(0, reference))
                .toList());
    }

    /** For each seed the points of the front on validation text. */
    List<List<Result>> fronts() {
        return seeds.values().stream()
                .map(results -> front(results, base, Result::validation).points())
                .toList();
    }

    /** On validation text, the mean over seeds, of any models of one model and pair. */
    static double hypervolume(Result base, List<Result> results) {
        return new Family(new Kind("", "", ""), "", base, bySeed(results))
                .hypervolume(Result::validation)
                .mean();
    }

    /**
     * For each seed the point of most gain on validation text that forgets no more than a share of the source loss
     * there.
     */
    List<Result> chosen(double share) {
        return within(share * base.validation().source());
    }

    /** For each seed the point of most gain on validation text that forgets no more than so many nats there. */
    List<Result> within(double most) {
        return seeds.values().stream()
                .map(results -> front(results, base, Result::validation).best(most))
                .map(found -> found.filter(point -> point.validation().gain(base.validation()) > 0)
                        .orElse(base))
                .toList();
    }

    /** For each seed that has any numbers the point of most gain on validation text. */
    List<Result> most() {
        return seeds.values().stream().map(this::most).flatMap(Optional::stream).toList();
    }

    private Optional<Result> most(List<Result> results) {
        return results.stream()
                .filter(result ->
                        result.validation().areNumbers() && result.test().areNumbers())
                .max(Comparator.comparingDouble(this::validationGain));
    }

    private double validationGain(Result result) {
        return result.validation().gain(base.validation());
    }

    /**
     * For each seed that has any numbers, and of which another has some, the point that forgets least among those of 95 % of
     * the other's best gain; where it never has that, the point of its own best gain. All on validation text.
     */
    List<Result> atBestGainOf(Family other) {
        List<Result> points = new ArrayList<>();
        seeds.forEach((seed, results) -> other.most(other.seeds.getOrDefault(seed, List.of()))
                .ifPresent(best -> results.stream()
                        .filter(result ->
                                result.test().areNumbers() && validationGain(result) >= NEARLY * validationGain(best))
                        .min(Comparator.comparingDouble(
                                result -> result.validation().forgetting(base.validation())))
                        .or(() -> most(results))
                        .ifPresent(points::add)));
        return points;
    }

    /** The same of some seeds alone. */
    Family of(Set<Long> some) {
        Map<Long, List<Result>> kept = new TreeMap<>(seeds);
        kept.keySet().retainAll(some);
        return new Family(kind, rate, base, kept);
    }

    /** For each seed that has any numbers the point of the least sum of target and source loss on validation text. */
    List<Result> balanced() {
        return seeds.values().stream()
                .map(results -> results.stream()
                        .filter(result -> result.validation().areNumbers())
                        .min(Comparator.comparingDouble(
                                result -> result.validation().target()
                                        + result.validation().source())))
                .flatMap(Optional::stream)
                .toList();
    }

    /**
     * The curves: for every learning rate, and with a merge for every strength of the method, results of all seeds
     * together for every point, in the order of its strength; of a method without any, one over the learning rate.
     * Points without numbers are left out.
     */
    List<Curve> curves() {
        Map<String, Map<Double, List<Result>>> curves = new LinkedHashMap<>();
        results().stream()
                .sorted(Comparator.comparing(Rate::of).thenComparingDouble(Result::strength))
                .filter(result -> result.test().areNumbers())
                .forEach(result -> curves.computeIfAbsent(curveOf(result), name -> new TreeMap<>())
                        .computeIfAbsent(placeOf(result), place -> new ArrayList<>())
                        .add(result));
        return curves.entrySet().stream()
                .map(curve ->
                        new Curve(curve.getKey(), List.copyOf(curve.getValue().values())))
                .toList();
    }

    private String curveOf(Result result) {
        if (kind.merge.isEmpty() && Double.isNaN(result.strength())) {
            return "over the rate";
        }
        boolean ofOneTraining = !kind.merge.isEmpty() && !Double.isNaN(result.strength());
        return "rate " + Rate.of(result) + (ofOneTraining ? ", strength " + Result.number(result.strength()) : "");
    }

    private double placeOf(Result result) {
        if (kind.merge.isEmpty()) {
            return Double.isNaN(result.strength()) ? result.learningRate() : result.strength();
        }
        return result.merge().isEmpty() ? MergeKind.strengthOfTuned(kind.merge) : result.mergeStrength();
    }

    /**
     * One line of a picture.
     *
     * @param name   its learning rate, and its strength where the merge's varies along the line
     * @param points results of all seeds for each
     */
    record Curve(String name, List<List<Result>> points) {}
}
