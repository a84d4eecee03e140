package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.samples.text.Domain;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import org.apache.commons.math3.stat.StatUtils;
import org.apache.commons.math3.stat.correlation.PearsonsCorrelation;
import org.apache.commons.math3.stat.correlation.SpearmansCorrelation;

/**
 * What results come to: chosen on validation text, reported on test text, means with the least and the most over seeds.
 * Writes {@code summary.md}, pictures of the curves for every model and pair, and one file of all results.
 */
public final class Summary {

    private static final String FILE = "summary.md";
    private static final String ALL = "comparison.csv";
    private static final Comparator<Result> ORDER = Comparator.comparing(Result::model)
            .thenComparing(Result::target)
            .thenComparingInt(
                    result -> result.isBase() ? -1 : Method.of(result.method()).ordinal())
            .thenComparing(Result::variant)
            .thenComparingDouble(Result::learningRate)
            .thenComparingInt(Result::warmUp)
            .thenComparingDouble(Result::strength)
            .thenComparingLong(Result::seed)
            .thenComparingInt(result -> MergeKind.order(result.merge()))
            .thenComparingDouble(Result::mergeStrength);

    private final List<Result> results;
    private final String against;

    Summary(List<Result> results, String against) {
        this.results = results;
        this.against = against;
    }

    /**
     * Of all files of results in a folder.
     *
     * @throws IOException if there is none, or one cannot be read
     */
    public static Summary of(Path folder) throws IOException {
        List<Result> results = ResultsFile.readAll(folder);
        if (results.isEmpty()) {
            throw new IOException("folder: expected files of results, got none in " + folder);
        }
        return new Summary(
                TasksFile.addTo(DocumentsFile.addTo(results, folder), folder), Method.PLAIN.label() + " + wise_ft");
    }

    /** The same, with another row of the tables of tasks that others are compared with. */
    public Summary against(String method) {
        return new Summary(results, method);
    }

    /**
     * Of one file, as {@link #write} writes it.
     *
     * @throws IOException if it can't be read, or holds something else
     */
    public static Summary ofFile(Path file) throws IOException {
        return new Summary(ResultsFile.read(file), "");
    }

    /** Writes all files, each at once. */
    public void write(Path folder) throws IOException {
        StringBuilder text = new StringBuilder();
        for (Map.Entry<String, List<Result>> group : groups().entrySet()) {
            Result base = base(group.getValue());
            List<Result> members = trained(group.getValue());
            List<Family> families = Family.of(base, members);
            text.append("## ").append(group.getKey()).append("\n\n");
            text.append(tradeOffs(base, families, members, StepTimes.read(folder, base.model())));
            text.append(new AgainstAveraging(base, members, StepTimes.read(folder, base.model())).tables());
            text.append(new TaskTables(base, members, against).tables());
            text.append(domains(base, families));
            text.append(divergence(base, members));
        }
        draw(folder);
        replace(folder, FILE, text.toString().getBytes(StandardCharsets.UTF_8));
        List<Result> sorted = results.stream().sorted(ORDER).toList();
        ResultsFile.write(folder.resolve(ALL), sorted);
        if (results.stream().anyMatch(result -> !result.test().tasks().isEmpty())) {
            TasksFile.writeAll(folder.resolve("tasks.csv"), sorted);
        }
    }

    /** Writes the pictures alone, three for every model and pair. */
    public void draw(Path folder) throws IOException {
        for (Map.Entry<String, List<Result>> group : groups().entrySet()) {
            Result base = base(group.getValue());
            List<Result> members = trained(group.getValue());
            List<Family> families = Family.of(base, members);
            Curves curves = new Curves(base);
            String name = group.getKey().replace(' ', '-');
            replace(folder, name + ".png", curves.atBestRates(families));
            replace(folder, name + "-rates.png", curves.atEveryRate(Family.atEveryRate(base, members), families));
            replace(folder, name + "-divergence.png", curves.divergences(finite(members), Summary::seesSource));
        }
    }

    private static Result base(List<Result> group) {
        return group.stream().filter(Result::isBase).findFirst().orElseThrow();
    }

    private static List<Result> trained(List<Result> group) {
        return group.stream().filter(result -> !result.isBase()).toList();
    }

    private static List<Result> finite(List<Result> results) {
        return results.stream().filter(result -> result.test().areNumbers()).toList();
    }

    private static void replace(Path folder, String name, byte[] bytes) throws IOException {
        new WholeFile(folder.resolve(name)).write(part -> Files.write(part, bytes));
    }

    /** By model and target, those without a base yet left out. */
    private Map<String, List<Result>> groups() {
        Map<String, List<Result>> groups = results.stream()
                .collect(Collectors.groupingBy(
                        result -> result.model() + " " + result.target().toLowerCase(Locale.ROOT),
                        TreeMap::new,
                        Collectors.toList()));
        groups.values()
                .removeIf(members -> members.stream().allMatch(Result::isBase)
                        || members.stream().noneMatch(Result::isBase));
        return groups;
    }

    private static String tradeOffs(
            Result base, List<Family> families, List<Result> members, Map<String, Double> times) {
        StringBuilder table = new StringBuilder("Base: target %.4f, source %.4f nats per %s. "
                        .formatted(base.test().target(), base.test().source(), base.unit()))
                .append("Hypervolume against gain 0 and forgetting %.4f.\n\n"
                        .formatted(Family.REFERENCE * base.test().source()))
                .append("| method | sees source | rate | trainings | points | hypervolume x 1000 ")
                .append("| gain at <= 1 % | forgetting there | strength there ")
                .append("| gain at <= 5 % | forgetting there | strength there | time | memory |\n")
                .append("|---".repeat(14))
                .append("|\n");
        double plainMemory = heldMegabytes(members, Method.PLAIN.label());
        for (Family family : families) {
            String method = family.kind().method();
            String training = family.kind().training();
            table.append("| %s | %s | %s | %d | %d | %s | %s | %s | %s | %s | %s | %s | %.2f | %.2f |%n"
                    .formatted(
                            family.name(),
                            Method.of(method).seesSource() ? "yes" : "no",
                            family.rate(),
                            family.trainings(),
                            family.points(),
                            spread(1000, family.hypervolume(Result::test)),
                            gains(family.chosen(0.01), base),
                            forgettings(family.chosen(0.01), base),
                            strengths(family.chosen(0.01)),
                            gains(family.chosen(0.05), base),
                            forgettings(family.chosen(0.05), base),
                            strengths(family.chosen(0.05)),
                            times.getOrDefault(training, Double.NaN),
                            heldMegabytes(members, training) / plainMemory));
        }
        return table.append('\n').toString();
    }

    private static boolean seesSource(Result result) {
        return Method.of(result.method()).seesSource();
    }

    private static String gains(List<Result> chosen, Result base) {
        return spread(1, Family.Spread.of(chosen, result -> result.test().gain(base.test())));
    }

    private static String forgettings(List<Result> chosen, Result base) {
        return spread(1, Family.Spread.of(chosen, result -> result.test().forgetting(base.test())));
    }

    /** Of the method, then of what was done afterwards; one for each seed where they differ. */
    static String strengths(List<Result> chosen) {
        return chosen.stream().map(Result::strengths).distinct().collect(Collectors.joining("; "));
    }

    private static String spread(double factor, Family.Spread spread) {
        String digits = factor == 1 ? "%.4f (%.4f to %.4f)" : "%.3f (%.3f to %.3f)";
        return digits.formatted(factor * spread.mean(), factor * spread.least(), factor * spread.most());
    }

    private static double heldMegabytes(List<Result> members, String training) {
        return StatUtils.percentile(
                members.stream()
                        .filter(result -> MethodPlan.name(result.method(), result.variant())
                                        .equals(training)
                                && result.merge().isEmpty())
                        .mapToDouble(Result::heldMegabytes)
                        .filter(Double::isFinite)
                        .toArray(),
                50);
    }

    /** A row a method, a column a domain, with what each differs from the base by. */
    private static String domains(Result base, List<Family> families) {
        List<Domain> domains = List.copyOf(base.test().domains().keySet());
        StringBuilder table = new StringBuilder(
                        "A row a method, a column a domain: test losses, and how they differ from")
                .append(" the base's, of each seed's model of the least sum of target and source loss on validation")
                .append(" text, means over seeds.\n\n| method | rate | strength |");
        domains.forEach(domain -> table.append(' ')
                .append(domain.name().toLowerCase(Locale.ROOT))
                .append(domain.name().equals(base.target()) ? ", target |" : " |"));
        table.append("\n|---|---|---|").append("---|".repeat(domains.size())).append("\n| base | | |");
        domains.forEach(domain -> table.append(" %.4f |".formatted(base.test().on(domain))));
        table.append('\n');
        families.forEach(family -> row(table, family, base, domains));
        return table.append('\n').toString();
    }

    private static void row(StringBuilder table, Family family, Result base, List<Domain> domains) {
        List<Result> chosen = family.balanced();
        table.append("| %s | %s | %s |".formatted(family.name(), family.rate(), strengths(chosen)));
        for (Domain domain : domains) {
            double loss =
                    Family.Spread.of(chosen, result -> result.test().on(domain)).mean();
            table.append(" %.4f (%+.4f) |".formatted(loss, loss - base.test().on(domain)));
        }
        table.append('\n');
    }

    /** Does the forward KL from the base on target text tell forgetting, and does it tell more than the gain does? */
    private static String divergence(Result base, List<Result> members) {
        List<Result> finite = finite(members);
        List<Result> unseen =
                finite.stream().filter(result -> !seesSource(result)).toList();
        List<Result> trained =
                unseen.stream().filter(result -> result.merge().isEmpty()).toList();
        StringBuilder table = new StringBuilder("What goes with forgetting, correlations over models:\n\n")
                .append("| models | of them | KL target: Pearson | Spearman | gain: Pearson | Spearman |\n")
                .append("|---|---|---|---|---|---|\n");
        correlations(table, "all", finite, base);
        correlations(table, "without source text", unseen, base);
        correlations(table, "without source text, trained to the end, not merged", trained, base);
        List<Result> asked = unseen.stream()
                .filter(result -> !Double.isNaN(TaskTables.forgetting(base, result)))
                .toList();
        if (!asked.isEmpty()) {
            correlations(
                    table,
                    "without source text, forgetting in tasks",
                    asked,
                    base,
                    result -> TaskTables.forgetting(base, result));
        }
        return table.append('\n').toString();
    }

    private static void correlations(StringBuilder table, String name, List<Result> models, Result base) {
        correlations(table, name, models, base, result -> result.test().forgetting(base.test()));
    }

    private static void correlations(
            StringBuilder table, String name, List<Result> models, Result base, ToDoubleFunction<Result> measure) {
        double[] forgetting = values(models, measure);
        double[] divergence = values(models, result -> result.test().targetDivergence());
        double[] gain = values(models, result -> result.test().gain(base.test()));
        table.append("| %s | %d | %.2f | %.2f | %.2f | %.2f |%n"
                .formatted(
                        name,
                        models.size(),
                        pearson(divergence, forgetting),
                        spearman(divergence, forgetting),
                        pearson(gain, forgetting),
                        spearman(gain, forgetting)));
    }

    /** NaN for less than two models. */
    private static double pearson(double[] x, double[] y) {
        return x.length < 2 ? Double.NaN : new PearsonsCorrelation().correlation(x, y);
    }

    private static double spearman(double[] x, double[] y) {
        return x.length < 2 ? Double.NaN : new SpearmansCorrelation().correlation(x, y);
    }

    private static double[] values(List<Result> models, ToDoubleFunction<Result> value) {
        return models.stream().mapToDouble(value).toArray();
    }
}
