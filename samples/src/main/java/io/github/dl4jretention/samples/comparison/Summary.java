package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.samples.text.Domain;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;

/**
 * What results come to: chosen on validation text, reported on test text, means with the least and the most over seeds.
 * Writes {@code summary.md} and a picture of the curves for every model and pair.
 */
public final class Summary {

    private static final String FILE = "summary.md";

    private final List<Result> results;

    Summary(List<Result> results) {
        this.results = results;
    }

    /**
     * Of all files of results in a folder.
     *
     * @throws IOException if there is none, or one cannot be read
     */
    public static Summary of(Path folder) throws IOException {
        Map<String, List<Result>> byKey = new LinkedHashMap<>();
        try (var files = Files.list(folder)) {
            for (Path file : files.filter(f -> f.getFileName().toString().matches("results.*\\.csv"))
                    .sorted()
                    .toList()) {
                ResultsFile.read(file).stream()
                        .collect(Collectors.groupingBy(Result::key, LinkedHashMap::new, Collectors.toList()))
                        .forEach(byKey::putIfAbsent);
            }
        }
        if (byKey.isEmpty()) {
            throw new IOException("folder: expected files of results, got none in " + folder);
        }
        return new Summary(byKey.values().stream().flatMap(List::stream).toList());
    }

    /** Writes all files, each at once. */
    public void write(Path folder) throws IOException {
        StringBuilder text = new StringBuilder();
        for (Map.Entry<String, List<Result>> group : groups().entrySet()) {
            List<Result> members = group.getValue();
            Result base = members.stream().filter(Result::isBase).findFirst().orElseThrow();
            List<Family> families = Family.of(
                    base, members.stream().filter(result -> !result.isBase()).toList());
            text.append("## ").append(group.getKey()).append("\n\n");
            text.append(tradeOffs(base, families, members));
            text.append(domains(base, families));
            text.append(divergence(base, members));
            replace(folder, group.getKey().replace(' ', '-') + ".png", Curves.png(group.getKey(), base, families));
        }
        replace(folder, FILE, text.toString().getBytes(StandardCharsets.UTF_8));
    }

    private static void replace(Path folder, String name, byte[] bytes) throws IOException {
        Path part = folder.resolve(name + ".part");
        Files.write(part, bytes);
        Files.move(part, folder.resolve(name), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
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

    private static String tradeOffs(Result base, List<Family> families, List<Result> members) {
        StringBuilder table = new StringBuilder("Base: target %.4f, source %.4f nats per byte. "
                        .formatted(base.test().target(), base.test().source()))
                .append("Hypervolume against gain 0 and forgetting %.4f.\n\n"
                        .formatted(Family.REFERENCE * base.test().source()))
                .append("| method | sees source | rate | hypervolume x 1000 | gain at <= 1 % | forgetting there ")
                .append(
                        "| gain at <= 5 % | forgetting there | time | memory |\n|---|---|---|---|---|---|---|---|---|---|\n");
        double plainTime = median(members, Method.PLAIN.label(), Result::stepMillis);
        double plainMemory = median(members, Method.PLAIN.label(), Result::heldMegabytes);
        for (Family family : families) {
            String method = family.name().split(" ")[0];
            table.append("| %s | %s | %s | %s | %s | %s | %s | %s | %.2f | %.2f |%n"
                    .formatted(
                            family.name(),
                            seesSource(method) ? "yes" : "no",
                            family.rate(),
                            spread(1000, family.hypervolume(Result::test)),
                            gains(family.chosen(0.01), base),
                            forgettings(family.chosen(0.01), base),
                            gains(family.chosen(0.05), base),
                            forgettings(family.chosen(0.05), base),
                            median(members, method, Result::stepMillis) / plainTime,
                            median(members, method, Result::heldMegabytes) / plainMemory));
        }
        return table.append('\n').toString();
    }

    private static boolean seesSource(String label) {
        return Arrays.stream(Method.values()).anyMatch(method -> method.label().equals(label) && method.seesSource());
    }

    private static String gains(List<Result> chosen, Result base) {
        return spread(1, spread(chosen, result -> result.test().gain(base.test())));
    }

    private static String forgettings(List<Result> chosen, Result base) {
        return spread(1, spread(chosen, result -> result.test().forgetting(base.test())));
    }

    private static Family.Spread spread(List<Result> chosen, ToDoubleFunction<Result> value) {
        return Family.Spread.of(chosen.stream().map(value::applyAsDouble).toList());
    }

    private static String spread(double factor, Family.Spread spread) {
        String digits = factor == 1 ? "%.4f (%.4f to %.4f)" : "%.3f (%.3f to %.3f)";
        return digits.formatted(factor * spread.mean(), factor * spread.least(), factor * spread.most());
    }

    private static double median(List<Result> members, String method, ToDoubleFunction<Result> value) {
        double[] values = members.stream()
                .filter(result ->
                        result.method().equals(method) && result.merge().isEmpty())
                .mapToDouble(value)
                .filter(Double::isFinite)
                .sorted()
                .toArray();
        return values.length == 0 ? Double.NaN : values[values.length / 2];
    }

    /** A row a method, a column a domain: test losses of the point of the least validation loss on target and source. */
    private static String domains(Result base, List<Family> families) {
        List<Domain> domains = List.copyOf(base.test().domains().keySet());
        StringBuilder table = new StringBuilder("| method |");
        domains.forEach(domain ->
                table.append(' ').append(domain.name().toLowerCase(Locale.ROOT)).append(" |"));
        table.append("\n|---|").append("---|".repeat(domains.size())).append('\n');
        row(table, Result.BASE, List.of(base), domains);
        families.forEach(family -> row(table, family.name(), family.balanced(), domains));
        return table.append('\n').toString();
    }

    private static void row(StringBuilder table, String name, List<Result> chosen, List<Domain> domains) {
        table.append("| ").append(name).append(" |");
        for (Domain domain : domains) {
            table.append(" %.4f |"
                    .formatted(spread(chosen, result -> result.test().domains().get(domain))
                            .mean()));
        }
        table.append('\n');
    }

    /** Does the forward KL from the base on target text tell forgetting, over all that was tried? */
    private static String divergence(Result base, List<Result> members) {
        List<Result> finite = members.stream()
                .filter(result -> Double.isFinite(result.test().target()))
                .toList();
        double[] divergence = finite.stream()
                .mapToDouble(result -> result.test().targetDivergence())
                .toArray();
        double[] forgetting = finite.stream()
                .mapToDouble(result -> result.test().forgetting(base.test()))
                .toArray();
        return "Forward KL from the base on target text against forgetting, %d models: Pearson %.3f, Spearman %.3f.%n%n"
                .formatted(
                        finite.size(),
                        Correlation.pearson(divergence, forgetting),
                        Correlation.spearman(divergence, forgetting));
    }
}
