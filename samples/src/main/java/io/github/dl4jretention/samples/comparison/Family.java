package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.eval.ParetoFront;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * All that one method, with one kind of merge afterwards or none, came to on one model and pair, at its own best
 * learning rate: that of the largest mean hypervolume on validation text. The tuned models before merging belong to it
 * too. Plain finetuning at all rates is a family of its own, since the rate is a way to forget less.
 *
 * @param name  of the method and the merge
 * @param rate  the chosen learning rate, and whether it is the lowest or highest of several that were tried
 * @param base  the base's result
 * @param seeds results at that rate by seed
 */
record Family(String name, String rate, Result base, Map<Long, List<Result>> seeds) {

    /** Share of the base's source loss that is the most forgetting of interest. */
    static final double REFERENCE = 0.1;

    /** One number of every seed. */
    record Spread(double mean, double least, double most) {

        static Spread of(List<Double> values) {
            return new Spread(
                    values.stream().mapToDouble(v -> v).average().orElse(Double.NaN),
                    values.stream().mapToDouble(v -> v).min().orElse(Double.NaN),
                    values.stream().mapToDouble(v -> v).max().orElse(Double.NaN));
        }
    }

    /** The families of one model and pair, in the order in which their first results came. */
    static List<Family> of(Result base, List<Result> results) {
        Map<String, List<Result>> byName = new LinkedHashMap<>();
        for (Result result : results) {
            byName.computeIfAbsent(name(result.method(), result.merge()), name -> new ArrayList<>());
        }
        byName.forEach((name, members) -> results.stream()
                .filter(result -> name.equals(name(result.method(), result.merge()))
                        || result.merge().isEmpty() && name.startsWith(result.method() + " + "))
                .forEach(members::add));
        List<Family> families = new ArrayList<>();
        byName.forEach((name, members) -> {
            families.add(atBestRate(name, base, members));
            if (name.equals(Method.PLAIN.label())) {
                families.add(new Family(name + ", every rate", "all", base, bySeed(members)));
            }
        });
        return families;
    }

    private static String name(String method, String merge) {
        return merge.isEmpty() ? method : method + " + " + merge;
    }

    private static Family atBestRate(String name, Result base, List<Result> members) {
        TreeMap<Double, List<Result>> byRate = members.stream()
                .collect(Collectors.groupingBy(Result::learningRate, TreeMap::new, Collectors.toList()));
        return byRate.entrySet().stream()
                .map(rate -> new Family(name, rate(rate.getKey(), byRate), base, bySeed(rate.getValue())))
                .max(Comparator.comparingDouble(
                        family -> family.hypervolume(Result::validation).mean()))
                .orElseThrow();
    }

    private static String rate(double rate, TreeMap<Double, ?> tried) {
        String edge = rate == tried.firstKey() ? ", lowest" : rate == tried.lastKey() ? ", highest" : "";
        return rate + (tried.size() == 1 ? "" : edge);
    }

    private static Map<Long, List<Result>> bySeed(List<Result> results) {
        return results.stream().collect(Collectors.groupingBy(Result::seed, TreeMap::new, Collectors.toList()));
    }

    /** Models of a seed, the most of all seeds: the more there are, the larger a hypervolume can be. */
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

    /** Whether points differ in more than one strength. */
    boolean hasTwoStrengths() {
        return trainings() > 1 && points() > trainings();
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
        return Spread.of(seeds.values().stream()
                .map(results -> front(front(results, base, Result::validation).points(), base, part)
                        .hypervolume(0, reference))
                .toList());
    }

    /**
     * For each seed the point of most gain on validation text that forgets no more than a share of the source loss
     * there.
     */
    List<Result> chosen(double share) {
        double most = share * base.validation().source();
        return seeds.values().stream()
                .map(results -> front(results, base, Result::validation).best(most))
                .map(found -> found.filter(point -> point.validation().gain(base.validation()) > 0)
                        .orElse(base))
                .toList();
    }

    /** For each seed the point of the least sum of target and source loss on validation text. */
    List<Result> balanced() {
        return seeds.values().stream()
                .map(results -> results.stream()
                        .filter(result -> Double.isFinite(result.validation().target()))
                        .min(Comparator.comparingDouble(
                                result -> result.validation().target()
                                        + result.validation().source())))
                .flatMap(Optional::stream)
                .toList();
    }

    /** The curve: results of all seeds together for every strength, in the order of their mean gain on test text. */
    List<List<Result>> curve() {
        Map<String, List<Result>> byStrength = new LinkedHashMap<>();
        seeds.values().stream()
                .flatMap(List::stream)
                .filter(result -> Double.isFinite(result.test().target()))
                .forEach(result -> byStrength
                        .computeIfAbsent(
                                result.strength() + " " + result.point() + " " + result.learningRate(),
                                key -> new ArrayList<>())
                        .add(result));
        return byStrength.values().stream()
                .sorted(Comparator.comparingDouble(results -> meanGain(results, base)))
                .toList();
    }

    private static double meanGain(List<Result> results, Result base) {
        return results.stream()
                .mapToDouble(result -> result.test().gain(base.test()))
                .average()
                .orElse(Double.NaN);
    }
}
