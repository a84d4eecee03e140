package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.samples.text.Domain;
import java.io.IOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
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
 * What the models of one trial lose on each document of the test text: a file of its own in the folder {@code documents}
 * beside the results, a row a point and domain. A document is written as {@code 192*1.25}: 192 tokens that are predicted, 1.25
 * nats per token in the mean.
 */
final class DocumentsFile {

    private static final List<String> COLUMNS = List.of("point", "domain", "documents");

    private final Path file;

    DocumentsFile(Path folder, String key) {
        file = folder.resolve("documents").resolve(key.trim().replaceAll("[^\\w.-]+", "_") + ".csv");
    }

    /** Results with what is known of their documents. */
    static List<Result> addTo(List<Result> results, Path folder) throws IOException {
        Map<String, Map<String, Map<Domain, List<Scores.Document>>>> trials = new HashMap<>();
        List<Result> added = new ArrayList<>();
        for (Result result : results) {
            Map<String, Map<Domain, List<Scores.Document>>> points = trials.get(result.key());
            if (points == null) {
                points = new DocumentsFile(folder, result.key()).read();
                trials.put(result.key(), points);
            }
            added.add(result.withDocuments(points.getOrDefault(result.point(), Map.of())));
        }
        return added;
    }

    /** By point and domain; empty if there is no such file. */
    Map<String, Map<Domain, List<Scores.Document>>> read() throws IOException {
        Map<String, Map<Domain, List<Scores.Document>>> points = new LinkedHashMap<>();
        if (!Files.exists(file)) {
            return points;
        }
        try (CSVParser parser = CSVParser.parse(file, StandardCharsets.UTF_8, ResultsFile.WITH_HEADER)) {
            if (!parser.getHeaderNames().equals(COLUMNS)) {
                throw new IOException("documents: expected a file with the columns " + COLUMNS + ", got " + file
                        + " with " + parser.getHeaderNames());
            }
            for (CSVRecord row : parser) {
                points.computeIfAbsent(row.get("point"), point -> new EnumMap<>(Domain.class))
                        .put(Domain.valueOf(row.get("domain").toUpperCase(Locale.ROOT)), parse(row.get("documents")));
            }
        }
        return points;
    }

    private static List<Scores.Document> parse(String documents) {
        return Stream.of(documents.split(" "))
                .map(document -> document.split("\\*"))
                .map(parts -> new Scores.Document(Integer.parseInt(parts[0]), Double.parseDouble(parts[1])))
                .toList();
    }

    /** Puts a trial's points in place of those of the same name; others stay. */
    void put(List<Result> trial) throws IOException {
        Map<String, Map<Domain, List<Scores.Document>>> points = new LinkedHashMap<>(read());
        trial.forEach(result -> points.put(result.point(), result.test().documents()));
        Files.createDirectories(file.getParent());
        CSVFormat format = CSVFormat.RFC4180
                .builder()
                .setHeader(COLUMNS.toArray(String[]::new))
                .build();
        new WholeFile(file).write(part -> {
            try (Writer writer = Files.newBufferedWriter(part, StandardCharsets.UTF_8);
                    CSVPrinter csv = new CSVPrinter(writer, format)) {
                for (List<Object> row : rows(points)) {
                    csv.printRecord(row);
                }
            }
        });
    }

    private static List<List<Object>> rows(Map<String, Map<Domain, List<Scores.Document>>> points) {
        List<List<Object>> rows = new ArrayList<>();
        points.forEach((point, domains) -> domains.forEach((domain, documents) -> rows.add(List.of(
                point,
                domain.name().toLowerCase(Locale.ROOT),
                documents.stream()
                        .map(document -> document.tokens() + "*" + (float) document.loss())
                        .collect(Collectors.joining(" "))))));
        return rows;
    }
}
