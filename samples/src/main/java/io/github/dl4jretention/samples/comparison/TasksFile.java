package io.github.dl4jretention.samples.comparison;

import java.io.IOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVParser;
import org.apache.commons.csv.CSVPrinter;
import org.apache.commons.csv.CSVRecord;

/**
 * What the models of one trial answer: a file of its own in the folder {@code tasks} beside the results, a row a point and
 * task, with the marks of all questions.
 */
final class TasksFile {

    private static final List<String> COLUMNS = List.of("point", "task", "role", "value", "marks");

    private final Path file;

    TasksFile(Path folder, String key) {
        file = folder.resolve("tasks").resolve(key.trim().replaceAll("[^\\w.-]+", "_") + ".csv");
    }

    /** Whether the trial was asked; a training that went wrong was, without answers. */
    boolean exists() {
        return Files.exists(file);
    }

    /** Results with what is known of their answers. */
    static List<Result> addTo(List<Result> results, Path folder) throws IOException {
        Map<String, Map<String, Map<String, Scores.TaskScore>>> trials = new HashMap<>();
        List<Result> added = new ArrayList<>();
        for (Result result : results) {
            Map<String, Map<String, Scores.TaskScore>> points = trials.get(result.key());
            if (points == null) {
                points = new TasksFile(folder, result.key()).read();
                trials.put(result.key(), points);
            }
            added.add(result.withTasks(points.getOrDefault(result.point(), Map.of())));
        }
        return added;
    }

    /** By point and task; empty if there is no such file. */
    Map<String, Map<String, Scores.TaskScore>> read() throws IOException {
        Map<String, Map<String, Scores.TaskScore>> points = new LinkedHashMap<>();
        if (!exists()) {
            return points;
        }
        try (CSVParser parser = CSVParser.parse(file, StandardCharsets.UTF_8, ResultsFile.WITH_HEADER)) {
            if (!parser.getHeaderNames().equals(COLUMNS)) {
                throw new IOException("tasks: expected a file with the columns " + COLUMNS + ", got " + file + " with "
                        + parser.getHeaderNames());
            }
            for (CSVRecord row : parser) {
                points.computeIfAbsent(row.get("point"), point -> new TreeMap<>())
                        .put(
                                row.get("task"),
                                new Scores.TaskScore(
                                        row.get("role").equals("source"),
                                        Double.parseDouble(row.get("value")),
                                        Stream.of(row.get("marks").split(" "))
                                                .filter(mark -> !mark.isEmpty())
                                                .map(Double::valueOf)
                                                .toList()));
            }
        }
        return points;
    }

    /** Writes a row for every model and task, without marks. */
    static void writeAll(Path file, List<Result> results) throws IOException {
        CSVFormat format = CSVFormat.RFC4180
                .builder()
                .setHeader(
                        "model",
                        "target",
                        "method",
                        "strengths",
                        "learning_rate",
                        "warm_up",
                        "seed",
                        "task",
                        "role",
                        "questions",
                        "value")
                .build();
        new WholeFile(file).write(part -> {
            try (Writer writer = Files.newBufferedWriter(part, StandardCharsets.UTF_8);
                    CSVPrinter csv = new CSVPrinter(writer, format)) {
                for (Result result : results) {
                    for (Map.Entry<String, Scores.TaskScore> task :
                            result.test().tasks().entrySet()) {
                        csv.printRecord(
                                result.model(),
                                result.target(),
                                MethodPlan.name(result.method(), result.variant()),
                                result.strengths(),
                                result.learningRate(),
                                result.warmUp(),
                                result.seed(),
                                task.getKey(),
                                task.getValue().role(),
                                task.getValue().marks().size(),
                                task.getValue().value());
                    }
                }
            }
        });
    }

    /** Puts a trial's points in place of those of the same name; others stay. */
    void put(List<Result> trial) throws IOException {
        Map<String, Map<String, Scores.TaskScore>> points = read();
        trial.forEach(result -> points.put(result.point(), result.test().tasks()));
        Files.createDirectories(file.getParent());
        CSVFormat format = CSVFormat.RFC4180
                .builder()
                .setHeader(COLUMNS.toArray(String[]::new))
                .build();
        new WholeFile(file).write(part -> {
            try (Writer writer = Files.newBufferedWriter(part, StandardCharsets.UTF_8);
                    CSVPrinter csv = new CSVPrinter(writer, format)) {
                for (Map.Entry<String, Map<String, Scores.TaskScore>> point : points.entrySet()) {
                    for (Map.Entry<String, Scores.TaskScore> task :
                            point.getValue().entrySet()) {
                        Scores.TaskScore score = task.getValue();
                        csv.printRecord(
                                point.getKey(),
                                task.getKey(),
                                score.role(),
                                score.value(),
                                score.marks().stream().map(Result::number).collect(Collectors.joining(" ")));
                    }
                }
            }
        });
    }
}
