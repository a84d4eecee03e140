package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.samples.text.Domain;
import java.io.IOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVParser;
import org.apache.commons.csv.CSVPrinter;
import org.apache.commons.csv.CSVRecord;

/**
 * Results in a CSV file that is replaced at once, complete, after every trial: a comparison that's killed picks up
 * after the last trial that it holds.
 */
final class ResultsFile {

    /** Reads files whose first row names the columns. */
    static final CSVFormat WITH_HEADER =
            CSVFormat.RFC4180.builder().setHeader().setSkipHeaderRecord(true).build();

    /** Of other versions' files, which may lack columns of domains, and those of a variant and a warm-up. */
    private static final List<String> REQUIRED =
            List.of(("model,target,method,strength,merge,merge_strength,learning_rate,"
                            + "seed,steps,batch,validation_target,validation_source,validation_kl_target,validation_kl_source,"
                            + "test_target,test_source,test_kl_target,test_kl_source,step_ms,held_mb")
                    .split(","));

    private static final List<String> COLUMNS = columns();

    private final Path file;
    private final Map<String, List<Result>> rows = new LinkedHashMap<>();

    /** @throws IOException if the file is there and holds something else */
    ResultsFile(Path file) throws IOException {
        this.file = file;
        for (Result result : Files.exists(file) ? read(file) : List.<Result>of()) {
            rows.computeIfAbsent(result.key(), key -> new ArrayList<>()).add(result);
        }
    }

    private static List<String> columns() {
        List<String> columns = new ArrayList<>(REQUIRED);
        for (Domain domain : Domain.values()) {
            columns.add(column(domain));
        }
        columns.addAll(List.of("variant", "warm_up"));
        return List.copyOf(columns);
    }

    private static String column(Domain domain) {
        return "test_" + domain.name().toLowerCase(Locale.ROOT);
    }

    List<Result> results() {
        return rows.values().stream().flatMap(List::stream).toList();
    }

    boolean holds(String key) {
        return rows.containsKey(key);
    }

    /** Whether every row that the trial is to have is there. */
    boolean holds(Trial trial) {
        List<Result> found = rows.getOrDefault(trial.key(), List.of());
        return found.stream().anyMatch(Result::isDiverged)
                || found.stream().map(Result::point).collect(Collectors.toSet()).containsAll(trial.points());
    }

    /**
     * Puts the rows of one trial in place of those of the same points; others that it has stay, unless the tuned model
     * has no scores.
     */
    void put(List<Result> trial) throws IOException {
        boolean diverged = trial.stream().anyMatch(Result::isDiverged);
        rows.merge(trial.get(0).key(), trial, (before, now) -> diverged ? now : united(List.of(now, before)));
        write(file, results());
    }

    /** Of several rows of one point the first. */
    private static List<Result> united(List<List<Result>> trials) {
        Map<String, Result> points = new LinkedHashMap<>();
        trials.forEach(trial -> trial.forEach(row -> points.putIfAbsent(row.point(), row)));
        return List.copyOf(points.values());
    }

    /** Writes results to a new file, or in place of one. */
    static void write(Path file, List<Result> results) throws IOException {
        CSVFormat format = CSVFormat.RFC4180
                .builder()
                .setHeader(COLUMNS.toArray(String[]::new))
                .build();
        new WholeFile(file).write(part -> {
            try (Writer writer = Files.newBufferedWriter(part, StandardCharsets.UTF_8);
                    CSVPrinter csv = new CSVPrinter(writer, format)) {
                for (Result result : results) {
                    csv.printRecord(values(result));
                }
            }
        });
    }

    private static List<Object> values(Result result) {
        List<Object> values = new ArrayList<>(List.of(
                result.model(),
                result.target(),
                result.method(),
                orEmpty(result.strength()),
                result.merge(),
                orEmpty(result.mergeStrength()),
                orEmpty(result.learningRate()),
                result.seed(),
                result.steps(),
                result.batch()));
        for (Scores scores : List.of(result.validation(), result.test())) {
            values.addAll(List.of(
                    orEmpty(scores.target()),
                    orEmpty(scores.source()),
                    orEmpty(scores.targetDivergence()),
                    orEmpty(scores.sourceDivergence())));
        }
        values.add(orEmpty(result.stepMillis()));
        values.add(orEmpty(result.heldMegabytes()));
        for (Domain domain : Domain.values()) {
            values.add(orEmpty(result.test().on(domain)));
        }
        values.add(result.variant());
        values.add(result.warmUp());
        return values;
    }

    private static Object orEmpty(double value) {
        return Double.isNaN(value) ? "" : value;
    }

    /** The files of all parts in a folder. */
    static List<Path> all(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.getFileName().toString().matches("results.*\\.csv"))
                    .sorted()
                    .toList();
        }
    }

    /** All results in a folder; of several of one model those of the file that was written last. */
    static List<Result> readAll(Path folder) throws IOException {
        List<Path> newestFirst = new ArrayList<>(all(folder));
        Map<Path, FileTime> written = new HashMap<>();
        for (Path file : newestFirst) {
            written.put(file, Files.getLastModifiedTime(file));
        }
        newestFirst.sort(Comparator.comparing(written::get).reversed());
        Map<String, List<List<Result>>> byKey = new LinkedHashMap<>();
        for (Path file : newestFirst) {
            new ResultsFile(file).rows.forEach((key, trial) -> byKey.computeIfAbsent(key, k -> new ArrayList<>())
                    .add(trial));
        }
        return byKey.values().stream()
                .flatMap(trials -> united(trials).stream())
                .toList();
    }

    /** Reads the results of a file. */
    static List<Result> read(Path file) throws IOException {
        try (CSVParser parser = CSVParser.parse(file, StandardCharsets.UTF_8, WITH_HEADER)) {
            List<String> header = parser.getHeaderNames();
            if (!header.containsAll(REQUIRED) || !COLUMNS.containsAll(header)) {
                throw new IOException(
                        "results: expected a file with the columns " + COLUMNS + ", got " + file + " with " + header);
            }
            List<Result> results = new ArrayList<>();
            for (CSVRecord row : parser) {
                results.add(result(row));
            }
            return results;
        }
    }

    private static Result result(CSVRecord row) {
        Map<Domain, Double> domains = new EnumMap<>(Domain.class);
        for (Domain domain : Domain.values()) {
            String column = column(domain);
            if (row.isMapped(column) && !row.get(column).isEmpty()) {
                domains.put(domain, number(row, column));
            }
        }
        return new Result(
                row.get("model"),
                row.get("target"),
                row.get("method"),
                row.isMapped("variant") ? row.get("variant") : "",
                number(row, "strength"),
                row.get("merge"),
                number(row, "merge_strength"),
                number(row, "learning_rate"),
                row.isMapped("warm_up") ? Integer.parseInt(row.get("warm_up")) : 0,
                Long.parseLong(row.get("seed")),
                Integer.parseInt(row.get("steps")),
                Integer.parseInt(row.get("batch")),
                scores(row, "validation", Map.of()),
                scores(row, "test", domains),
                number(row, "step_ms"),
                number(row, "held_mb"));
    }

    private static Scores scores(CSVRecord row, String part, Map<Domain, Double> domains) {
        return new Scores(
                number(row, part + "_target"),
                number(row, part + "_source"),
                number(row, part + "_kl_target"),
                number(row, part + "_kl_source"),
                domains);
    }

    private static double number(CSVRecord row, String column) {
        return row.get(column).isEmpty() ? Double.NaN : Double.parseDouble(row.get(column));
    }
}
