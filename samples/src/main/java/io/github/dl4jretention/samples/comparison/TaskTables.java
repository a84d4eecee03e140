package io.github.dl4jretention.samples.comparison;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * What the models of one base and target answer: a row a method, a column a task. Gain is the mean change of the shares of
 * right answers in the tasks that are learned, forgetting minus that in those that are to be kept.
 *
 * <p>Intervals are 95 % of {@value Bootstrap#DRAWS} draws, with replacement, of each task's questions and of the seeds, the
 * same for every row (a paired bootstrap). What was chosen on validation text stays chosen.
 */
final class TaskTables {

    private static final long SEED = 20240605;

    private final Result base;
    private final String against;
    private final List<Family> families;
    private final Optional<Family> plain;
    private final Map<String, int[][]> questions = new TreeMap<>();
    private final int[][] seeds;

    /**
     * One model for each seed, in their order.
     *
     * @param name of the method
     */
    private record Row(String name, String seesSource, List<Result> models) {}

    /**
     * @param results of the base
     * @param against name of the row that others are compared with
     */
    TaskTables(Result base, List<Result> results, String against) {
        this.base = base;
        this.against = against;
        List<Result> asked = results.stream()
                .filter(result -> !result.test().tasks().isEmpty())
                .toList();
        asked.forEach(result -> requireSameQuestions(base, result));
        List<Family> all = Family.atEveryRate(base, asked);
        Set<Long> shared = all.stream()
                .map(family -> family.seeds().keySet())
                .findFirst()
                .map(HashSet::new)
                .orElseGet(HashSet::new);
        all.forEach(family -> shared.retainAll(family.seeds().keySet()));
        families = shared.isEmpty()
                ? List.of()
                : all.stream().map(family -> family.of(shared)).toList();
        plain = families.stream()
                .filter(family -> family.kind().equals(new Family.Kind(Method.PLAIN.label(), "", "")))
                .findFirst();
        Random random = new Random(SEED);
        base.test().tasks().forEach((task, score) -> {
            if (!score.marks().isEmpty()) {
                questions.put(task, draws(random, score.marks().size()));
            }
        });
        seeds = draws(random, shared.size());
    }

    /** How often each of some things is drawn; before all draws once, which is what was measured. */
    private static int[][] draws(Random random, int things) {
        int[][] draws = new int[1 + Bootstrap.DRAWS][things];
        Arrays.fill(draws[0], 1);
        for (int draw = 1; draw < draws.length; draw++) {
            for (int i = 0; i < things; i++) {
                draws[draw][random.nextInt(things)]++;
            }
        }
        return draws;
    }

    private static void requireSameQuestions(Result base, Result result) {
        Map<String, Integer> own = counts(result);
        if (!own.equals(counts(base))) {
            throw new IllegalStateException("tasks: expected answers to as many questions as the base's, "
                    + counts(base) + ", got " + own + " of " + result.key() + "; ask other tasks in another folder");
        }
    }

    private static Map<String, Integer> counts(Result result) {
        return result.test().tasks().entrySet().stream()
                .collect(Collectors.toMap(
                        Map.Entry::getKey, task -> task.getValue().marks().size(), Math::max, TreeMap::new));
    }

    /** The tables as Markdown; empty where no tasks were asked. */
    String tables() {
        if (plain.isEmpty()) {
            return "";
        }
        return "A row a method, a column a task: right answers in percent, and perplexities, with what they differ from the"
                + " base's by; means over " + seeds[0].length + " seeds. In brackets 95 % of " + Bootstrap.DRAWS
                + " draws of questions and seeds, in percent.\n\n"
                + "Of each seed the model that forgets least among those of 95 % of plain's best gain, or else that of its own"
                + " best gain, on validation text:\n\n"
                + tables(family -> family.atBestGainOf(plain.get()))
                + "Of each seed the model of the least sum of target and source loss on validation text:\n\n"
                + tables(Family::balanced);
    }

    private String tables(Function<Family, List<Result>> choice) {
        List<Row> rows = new ArrayList<>();
        for (Family family : families) {
            List<Result> models = choice.apply(family);
            if (models.size() == seeds[0].length) {
                boolean sees = Method.of(family.kind().method()).seesSource();
                rows.add(new Row(family.kind().name(), sees ? "yes" : "no", models));
            }
        }
        Optional<Row> ofPlain = find(rows, Method.PLAIN.label());
        StringBuilder table = new StringBuilder("| method | sees source | strength |");
        base.test()
                .tasks()
                .forEach((task, score) -> table.append(' ').append(task).append(score.source() ? " |" : ", target |"));
        table.append(" gain | forgetting | of plain's forgetting avoided |\n")
                .append("|---".repeat(6 + base.test().tasks().size()))
                .append("|\n| base | | |");
        base.test()
                .tasks()
                .values()
                .forEach(score -> table.append(
                        score.marks().isEmpty()
                                ? " %.3f |".formatted(score.value())
                                : " %.1f |".formatted(100 * score.value())));
        table.append(" | | |\n");
        for (Row row : rows) {
            table.append("| %s | %s | %s |".formatted(row.name, row.seesSource, Summary.strengths(row.models)));
            base.test().tasks().forEach((task, score) -> table.append(cell(row, task, score)));
            table.append(" %s | %s | %s |%n"
                    .formatted(
                            percent(change(row, false)),
                            percent(negative(change(row, true))),
                            ofPlain.map(reference -> percent(avoided(row, reference)))
                                    .orElse("-")));
        }
        return table.append('\n')
                .append(find(rows, against)
                        .map(reference -> differences(rows, reference))
                        .orElseGet(() -> "No differences from a row: expected one of "
                                + rows.stream().map(Row::name).toList() + ", got " + against + ".\n\n"))
                .toString();
    }

    private static Optional<Row> find(List<Row> rows, String name) {
        return rows.stream().filter(row -> row.name.equals(name)).findFirst();
    }

    private String differences(List<Row> rows, Row reference) {
        StringBuilder table = new StringBuilder("Against ")
                .append(reference.name)
                .append(", question by question and seed by seed:\n\n| method | gain | forgetting |\n|---|---|---|\n");
        for (Row row : rows) {
            if (row != reference) {
                table.append("| %s | %s | %s |%n"
                        .formatted(
                                row.name,
                                percent(minus(change(row, false), change(reference, false))),
                                percent(minus(change(reference, true), change(row, true)))));
            }
        }
        return table.append('\n').toString();
    }

    private static String cell(Row row, String task, Scores.TaskScore ofBase) {
        double value = Family.Spread.of(row.models, model -> score(model, task).value())
                .mean();
        double scale = ofBase.marks().isEmpty() ? 1 : 100;
        return (scale == 1 ? " %.3f (%+.3f) |" : " %.1f (%+.1f) |")
                .formatted(scale * value, scale * (value - ofBase.value()));
    }

    private static Scores.TaskScore score(Result model, String task) {
        return Objects.requireNonNull(model.test().tasks().get(task), task);
    }

    /** The mean change of the tasks of one role, measured and by draw; not a number where there are none. */
    private double[] change(Row row, boolean source) {
        double[] sum = new double[1 + Bootstrap.DRAWS];
        List<String> tasks = questions.keySet().stream()
                .filter(task -> score(base, task).source() == source)
                .toList();
        for (String task : tasks) {
            double[] after = share(row.models, task);
            double[] before = share(Collections.nCopies(seeds[0].length, base), task);
            Arrays.setAll(sum, draw -> sum[draw] + after[draw] - before[draw]);
        }
        Arrays.setAll(sum, draw -> sum[draw] / tasks.size());
        return sum;
    }

    /** Of right answers. */
    private double[] share(List<Result> models, String task) {
        int[][] drawn = Objects.requireNonNull(questions.get(task), task);
        double[] shares = new double[drawn.length];
        for (int seed = 0; seed < models.size(); seed++) {
            double[] marks = score(models.get(seed), task).marks().stream()
                    .mapToDouble(mark -> mark)
                    .toArray();
            for (int draw = 0; draw < drawn.length; draw++) {
                double right = 0;
                for (int i = 0; i < marks.length; i++) {
                    right += drawn[draw][i] * marks[i];
                }
                shares[draw] += seeds[draw][seed] * right / marks.length / models.size();
            }
        }
        return shares;
    }

    private double[] avoided(Row row, Row reference) {
        double[] own = change(row, true);
        double[] other = change(reference, true);
        double[] share = new double[own.length];
        Arrays.setAll(share, draw -> other[draw] < 0 ? 1 - own[draw] / other[draw] : Double.NaN);
        return share;
    }

    private static double[] negative(double[] values) {
        return Arrays.stream(values).map(value -> -value).toArray();
    }

    private static double[] minus(double[] one, double[] other) {
        double[] difference = new double[one.length];
        Arrays.setAll(difference, draw -> one[draw] - other[draw]);
        return difference;
    }

    private static String percent(double[] measuredAndDrawn) {
        if (!Double.isFinite(measuredAndDrawn[0])) {
            return "-";
        }
        Bootstrap.Interval interval =
                Bootstrap.Interval.of(Arrays.copyOfRange(measuredAndDrawn, 1, measuredAndDrawn.length));
        String measured = percent(measuredAndDrawn[0]);
        return Double.isFinite(interval.least())
                ? measured + " (%s to %s)".formatted(percent(interval.least()), percent(interval.most()))
                : measured;
    }

    /** Without a sign that rounding has left. */
    private static String percent(double share) {
        return "%+.1f".formatted(100 * share).replaceFirst("^-(0\\.0)$", "+$1");
    }

    /** What a model forgets of the tasks that are to be kept, as a share of right answers; not a number without tasks. */
    static double forgetting(Result base, Result model) {
        return model.test().tasks().entrySet().stream()
                .filter(task ->
                        task.getValue().source() && !task.getValue().marks().isEmpty())
                .mapToDouble(task ->
                        score(base, task.getKey()).value() - task.getValue().value())
                .average()
                .orElse(Double.NaN);
    }
}
