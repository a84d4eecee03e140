package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.sweep.plot.Plot;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;

/**
 * Pictures of gain and forgetting on test text, means over seeds. Bars are half of the range of forgetting over seeds.
 * No panel has more curves than can be told apart: the others are grey.
 *
 * @param base what gain and forgetting are measured from
 */
record Curves(Result base) {

    private static final String FORGETTING = "forgetting on source text (less is better)";
    /** A panel shows this many times the forgetting of interest; what forgets more is outside of it. */
    private static final double SHOWN = 1.35;
    /** A panel shows at least this gain, where nothing gains too. */
    private static final double LEAST_GAIN = 0.01;

    /** All methods, each at its best rate; a panel for each kind of method, with the other kinds in grey. */
    byte[] atBestRates(List<Family> families) {
        List<Family> shown = families.stream()
                .filter(family -> !family.name().equals(Method.PLAIN.label()))
                .toList();
        double most = mostGain(shown);
        List<Plot> panels = new ArrayList<>();
        groups(shown).forEach((title, members) -> {
            Plot.Builder panel = panel(title, most)
                    .axes("gain on target text, nats per " + base.unit() + " (more is better)", FORGETTING)
                    .size(480, 380, 13);
            shown.stream().filter(family -> !members.contains(family)).forEach(family -> {
                List<List<Result>> points = points(family);
                panel.contextDots(gains(points), forgettings(points));
            });
            for (Family family : members) {
                List<List<Result>> points = points(family);
                if (family.curves().size() == 1) {
                    panel.curve(family.name(), gains(points), forgettings(points), bars(points));
                } else {
                    panel.dots(family.name(), gains(points), forgettings(points));
                }
            }
            panels.add(panel.point(Result.BASE, 0, 0).build());
        });
        return Plot.png(panels, 2);
    }

    /** Families by kind, at most as many together as a panel has room for. */
    private static Map<String, List<Family>> groups(List<Family> families) {
        Map<String, List<Family>> groups = families.stream()
                .collect(Collectors.groupingBy(Curves::group, LinkedHashMap::new, Collectors.toList()));
        Map<String, List<Family>> small = new LinkedHashMap<>();
        groups.forEach((title, members) -> {
            for (int from = 0; from < members.size(); from += Plot.MOST) {
                small.put(
                        from == 0 ? title : title + ", " + (from / Plot.MOST + 1),
                        members.subList(from, Math.min(members.size(), from + Plot.MOST)));
            }
        });
        return small;
    }

    private static String group(Family family) {
        Method method = Method.of(family.kind().method());
        if (method == Method.LORA || method == Method.LORA_RETENTION) {
            return "low-rank adapters";
        }
        if (method.seesSource()) {
            return "methods that see source text";
        }
        if (family.kind().merge().isEmpty()) {
            return "methods that see target text only";
        }
        return method == Method.PLAIN ? "plain, stopped earlier or merged" : "other methods, merged";
    }

    /**
     * A panel a method, a line a learning rate, and for merges a strength of the method. Where there are too many,
     * those of the best rate are named. All panels have the same axes.
     *
     * @param everyRate families with all that was tried
     * @param bestRate  the same at their best rates
     */
    byte[] atEveryRate(List<Family> everyRate, List<Family> bestRate) {
        double most = mostGain(everyRate);
        Map<Family.Kind, Family> best = bestRate.stream()
                .collect(Collectors.toMap(Family::kind, Function.identity(), (first, second) -> first));
        return Plot.png(
                everyRate.stream()
                        .map(family -> panelOfRates(family, Objects.requireNonNull(best.get(family.kind())), most))
                        .toList(),
                3);
    }

    private Plot panelOfRates(Family family, Family best, double most) {
        boolean all = family.curves().size() <= Plot.MOST;
        Plot.Builder panel = panel(family.kind().name() + (all ? "" : ", rate " + best.rate()), most)
                .axes("gain", "forgetting")
                .size(400, 310, 12);
        family.curves().forEach(curve -> panel.contextLine(gains(curve.points()), forgettings(curve.points())));
        for (Family.Curve curve :
                (all ? family : best).curves().stream().limit(Plot.MOST).toList()) {
            String name = all ? curve.name() : curve.name().replaceFirst("^rate [^,]*, ", "");
            panel.curve(name, gains(curve.points()), forgettings(curve.points()), bars(curve.points()));
        }
        return panel.point("", 0, 0).build();
    }

    /** Forgetting over the forward KL from the base on target text: a dot a model. */
    byte[] divergences(List<Result> results, Predicate<Result> seesSource) {
        Predicate<Result> merged = result -> !result.merge().isEmpty();
        Plot.Builder plot = Plot.builder("Forgetting over divergence: each dot is a model tuned on " + domain())
                .axes("forward KL from the base on target text, nats per " + base.unit(), FORGETTING);
        addDots(plot, "stopped earlier or merged", results, merged.and(seesSource.negate()));
        addDots(plot, "saw source text", results, seesSource);
        addDots(plot, "trained to the end", results, seesSource.or(merged).negate());
        return plot.build().png();
    }

    private String domain() {
        return base.target().charAt(0) + base.target().substring(1).toLowerCase(Locale.ROOT);
    }

    private void addDots(Plot.Builder plot, String name, List<Result> results, Predicate<Result> which) {
        List<Result> shown = results.stream().filter(which).toList();
        plot.dots(
                name,
                shown.stream()
                        .mapToDouble(result -> result.test().targetDivergence())
                        .toArray(),
                shown.stream().mapToDouble(this::forgetting).toArray());
    }

    private Plot.Builder panel(String title, double mostGain) {
        double reference = Family.REFERENCE * base.test().source();
        return Plot.builder(title).xRange(-0.1 * mostGain, 1.05 * mostGain).yRange(-reference / 2, SHOWN * reference);
    }

    private double mostGain(List<Family> families) {
        return families.stream()
                .flatMap(family -> points(family).stream())
                .mapToDouble(results -> mean(results, this::gain))
                .reduce(LEAST_GAIN, Math::max);
    }

    private static List<List<Result>> points(Family family) {
        return family.curves().stream()
                .flatMap(curve -> curve.points().stream())
                .toList();
    }

    private double[] gains(List<List<Result>> points) {
        return each(points, results -> mean(results, this::gain));
    }

    private double[] forgettings(List<List<Result>> points) {
        return each(points, results -> mean(results, this::forgetting));
    }

    private double[] bars(List<List<Result>> points) {
        return each(points, results -> {
            Family.Spread spread = Family.Spread.of(results, this::forgetting);
            return (spread.most() - spread.least()) / 2;
        });
    }

    private double gain(Result result) {
        return result.test().gain(base.test());
    }

    private double forgetting(Result result) {
        return result.test().forgetting(base.test());
    }

    private static double[] each(List<List<Result>> points, ToDoubleFunction<List<Result>> value) {
        return points.stream().mapToDouble(value).toArray();
    }

    private static double mean(List<Result> results, ToDoubleFunction<Result> value) {
        return Family.Spread.of(results, value).mean();
    }
}
