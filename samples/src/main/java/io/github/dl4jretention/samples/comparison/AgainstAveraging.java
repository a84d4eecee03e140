package io.github.dl4jretention.samples.comparison;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;

/**
 * Every method against plain finetuning that is averaged with the start, at equal steps and at equal time. A method has all
 * that it tried, at every strength, learning rate and warm-up.
 *
 * @param base    of one model and pair
 * @param results of the same
 * @param times   of a step of each training as a multiple of plain's
 */
record AgainstAveraging(Result base, List<Result> results, Map<String, Double> times) {

    private static final Family.Kind REFERENCE = new Family.Kind(Method.PLAIN.label(), "", MergeKind.WISE_FT.label());

    private static final double[] LIMITS = {0.01, 0.02, 0.05};

    /** The tables as Markdown; empty without plain finetuning that is averaged. */
    String tables() {
        List<Family> families = Family.atEveryRate(base, results);
        Optional<Family> reference = find(families, REFERENCE);
        if (reference.isEmpty()) {
            return "";
        }
        Bootstrap bootstrap = new Bootstrap(base);
        List<Family> sameTime = Family.atEveryRate(base, Family.atEqualTime(base, results, times));
        return "Against plain finetuning averaged with its start, each method with all that it tried, at equal steps:\n\n"
                + table(families, reference.get(), bootstrap)
                + budgets()
                + edges()
                + (sameTime.isEmpty()
                        ? "No times of steps, so there is no table at equal time.\n\n"
                        : "The same at equal time: a method whose step takes r times as long as plain's has what it reached"
                                + " at its last stop within a share of 1 / r of the steps. Methods without such a stop"
                                + " aren't in it.\n\n"
                                + table(sameTime, reference.get(), bootstrap));
    }

    private static Optional<Family> find(List<Family> families, Family.Kind kind) {
        return families.stream().filter(family -> family.kind().equals(kind)).findFirst();
    }

    private String table(List<Family> families, Family reference, Bootstrap bootstrap) {
        StringBuilder table = new StringBuilder("| method | sees source | steps | trainings | points ")
                .append("| hypervolume x 1000 | to plain + wise_ft | 95 % of draws of documents ");
        for (double limit : LIMITS) {
            table.append("| gain at forgetting <= ").append(limit).append(' ');
        }
        table.append("| of plain's best gain | of its forgetting there avoided |\n")
                .append("|---".repeat(10 + LIMITS.length))
                .append("|\n");
        double hypervolume = reference.hypervolume(Result::test).mean();
        Optional<Family> plain = find(Family.atEveryRate(base, results), new Family.Kind(Method.PLAIN.label(), "", ""));
        for (Family family : families) {
            Family.Spread own = family.hypervolume(Result::test);
            table.append("| %s | %s | %s | %d | %d | %.2f (%.2f to %.2f) | %s | %s |"
                    .formatted(
                            family.kind().name(),
                            Method.of(family.kind().method()).seesSource() ? "yes" : "no",
                            steps(family),
                            family.trainings(),
                            family.points(),
                            1000 * own.mean(),
                            1000 * own.least(),
                            1000 * own.most(),
                            percent("%+.1f", own.mean() / hypervolume - 1),
                            bootstrap
                                    .ratio(family, reference)
                                    .map(AgainstAveraging::percent)
                                    .orElse("no losses by document")));
            for (double limit : LIMITS) {
                table.append(" %.4f |".formatted(mean(family.within(limit), this::gain)));
            }
            table.append(plain.map(of -> atPlainsBest(family, of)).orElse(" | |"))
                    .append('\n');
        }
        return table.append('\n').toString();
    }

    /** Nothing where there is nothing to divide by. */
    private static String percent(String format, double share) {
        return Double.isFinite(share) ? format.formatted(100 * share) + " %" : "-";
    }

    private static String percent(Bootstrap.Interval interval) {
        return Double.isFinite(interval.least()) && Double.isFinite(interval.most())
                ? "%+.1f to %+.1f %%".formatted(100 * (interval.least() - 1), 100 * (interval.most() - 1))
                : "-";
    }

    private static String steps(Family family) {
        return family.seeds().values().stream()
                .flatMap(List::stream)
                .map(Result::steps)
                .collect(Collectors.toCollection(TreeSet::new))
                .stream()
                .map(String::valueOf)
                .collect(Collectors.joining(", "));
    }

    /**
     * What a method forgets where it has plain's best gain, or nearly; where it never has, at its own best gain. Chosen on
     * validation text, seed by seed.
     */
    private String atPlainsBest(Family family, Family plain) {
        List<Result> best = plain.of(family.seeds().keySet()).most();
        List<Result> reached = family.atBestGainOf(plain);
        int seeds = family.seeds().size();
        if (best.size() < seeds || reached.size() < seeds) {
            return " | |";
        }
        double share = 0;
        double avoided = 0;
        for (int i = 0; i < seeds; i++) {
            share += gain(reached.get(i)) / positive(gain(best.get(i))) / seeds;
            avoided += (1 - forgetting(reached.get(i)) / positive(forgetting(best.get(i)))) / seeds;
        }
        return " " + percent("%.1f", share) + " | " + percent("%.1f", avoided) + " |";
    }

    /** Of what isn't above 0 no share says anything. */
    private static double positive(double whole) {
        return whole > 0 ? whole : Double.NaN;
    }

    private double gain(Result result) {
        return result.test().gain(base.test());
    }

    private double forgetting(Result result) {
        return result.test().forgetting(base.test());
    }

    private static double mean(List<Result> results, ToDoubleFunction<Result> value) {
        return Family.Spread.of(results, value).mean();
    }

    /** Whether all methods had the same chances: trainings, and models measured, of the seed with most of them. */
    private String budgets() {
        Map<String, List<String>> methods = new TreeMap<>();
        results.stream()
                .collect(Collectors.groupingBy(
                        result -> MethodPlan.name(result.method(), result.variant()),
                        LinkedHashMap::new,
                        Collectors.groupingBy(Result::seed)))
                .forEach((training, seeds) -> {
                    long trainings = most(seeds, result -> result.merge().isEmpty());
                    long points = most(seeds, result -> true);
                    methods.computeIfAbsent(
                                    trainings + " trainings and " + points + " points", budget -> new ArrayList<>())
                            .add(training);
                });
        if (methods.size() == 1) {
            return "Each method had " + methods.keySet().iterator().next() + " a seed.\n\n";
        }
        return "Trainings and points a seed differ: "
                + methods.entrySet().stream()
                        .map(budget -> budget.getKey() + " (" + String.join("; ", budget.getValue()) + ")")
                        .collect(Collectors.joining(", "))
                + ".\n\n";
    }

    private static long most(Map<Long, List<Result>> seeds, Predicate<Result> which) {
        return seeds.values().stream()
                .mapToLong(results -> results.stream().filter(which).count())
                .max()
                .orElse(0);
    }

    private String edges() {
        List<String> edges = TriedTrainings.of(base, results).entrySet().stream()
                .flatMap(search -> search.getValue().missing().stream()
                        .map(missing -> search.getKey() + " (" + missing.edge() + ")"))
                .toList();
        return edges.isEmpty()
                ? "No best training is at an edge of what was tried.\n\n"
                : "The best training is at an edge of what was tried: " + String.join(", ", edges) + ".\n\n";
    }
}
