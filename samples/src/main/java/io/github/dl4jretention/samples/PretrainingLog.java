package io.github.dl4jretention.samples;

import io.github.dl4jretention.listener.ReportSink;
import io.github.dl4jretention.listener.RetentionReport;
import io.github.dl4jretention.samples.console.Progress;
import io.github.dl4jretention.sweep.plot.Plot;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVParser;
import org.apache.commons.csv.CSVPrinter;
import org.apache.commons.csv.CSVRecord;

/**
 * What a pretraining has learned so far: losses.csv, a line a measurement, and losses.png, with what was held out. A run that picks up after a kill
 * measures anew what it does again, and replaces those lines. Where a run was stopped within a measurement's steps and picked up, that line's loss
 * of learning is the mean of the steps since then.
 */
final class PretrainingLog implements ReportSink {

    private static final String FILE = "losses.csv";
    private static final String PICTURE = "losses.png";
    private static final String STEP = "step";
    private static final String LEARNED = "learned";

    private final Path file;
    private final Path picture;
    private final Progress progress;
    private final Map<Integer, Map<String, Double>> lines = new TreeMap<>();
    private int steps;
    private int reports;
    private double losses;
    private boolean begun;

    PretrainingLog(Path folder, int total) throws IOException {
        file = folder.resolve(FILE);
        picture = folder.resolve(PICTURE);
        progress = new Progress("pretraining", total);
        if (Files.exists(file)) {
            try (CSVParser rows = CSVParser.parse(
                    file,
                    StandardCharsets.UTF_8,
                    CSVFormat.DEFAULT
                            .builder()
                            .setHeader()
                            .setSkipHeaderRecord(true)
                            .build())) {
                for (CSVRecord row : rows) {
                    Map<String, Double> line = new LinkedHashMap<>();
                    row.toMap().forEach((name, value) -> line.put(name, Double.valueOf(value)));
                    lines.put((int) line.remove(STEP).doubleValue(), line);
                }
            }
        }
    }

    /** Deletes both files, if they're there. */
    static void delete(Path folder) throws IOException {
        Files.deleteIfExists(folder.resolve(FILE));
        Files.deleteIfExists(folder.resolve(PICTURE));
    }

    @Override
    public void accept(RetentionReport report) {
        if (!begun) {
            progress.drop(report.iteration());
            begun = true;
        }
        steps = report.iteration() + 1;
        reports++;
        losses += report.crossEntropy();
        progress.step(() -> "loss %.3f nats per token".formatted(report.crossEntropy()));
    }

    /** Adds a line; the loss of learning is the mean since the last one, or since this run picked up. */
    void measured(Map<String, Double> values) throws IOException {
        Map<String, Double> line = new LinkedHashMap<>();
        line.put(LEARNED, losses / reports);
        line.putAll(values);
        reports = 0;
        losses = 0;
        lines.put(steps, line);
        write();
        System.err.println(steps + " steps: " + line);
    }

    private void write() throws IOException {
        Set<String> columns = new LinkedHashSet<>();
        lines.values().forEach(line -> columns.addAll(line.keySet()));
        StringBuilder text = new StringBuilder();
        try (CSVPrinter printer = new CSVPrinter(text, CSVFormat.DEFAULT)) {
            List<Object> header = new ArrayList<>(List.of(STEP));
            header.addAll(columns);
            printer.printRecord(header);
            for (Map.Entry<Integer, Map<String, Double>> line : lines.entrySet()) {
                List<Object> row = new ArrayList<>(List.of(line.getKey()));
                columns.forEach(column -> row.add(line.getValue().getOrDefault(column, Double.NaN)));
                printer.printRecord(row);
            }
        }
        replace(file, text.toString().getBytes(StandardCharsets.UTF_8));
        List<Plot> panels = new ArrayList<>();
        panels(
                columns.stream()
                        .filter(column -> !column.startsWith("task ") && !column.equals(LEARNED))
                        .toList(),
                "held-out loss, nats per token",
                panels);
        panels(
                columns.stream()
                        .filter(column -> column.startsWith("task "))
                        .filter(column -> lines.values().stream().allMatch(line -> line.getOrDefault(column, 0.0) <= 1))
                        .toList(),
                "share of right answers",
                panels);
        replace(picture, Plot.png(panels, panels.size()));
    }

    private void panels(List<String> columns, String axis, List<Plot> panels) {
        double[] x = lines.keySet().stream().mapToDouble(step -> step).toArray();
        for (int from = 0; from < columns.size(); from += Plot.MOST) {
            Plot.Builder panel = Plot.builder(axis).axes("step", axis).size(600, 420, 13);
            for (String column : columns.subList(from, Math.min(columns.size(), from + Plot.MOST))) {
                panel.curve(
                        column.replaceFirst("^task ", ""),
                        x,
                        lines.values().stream()
                                .mapToDouble(line -> line.getOrDefault(column, Double.NaN))
                                .toArray());
            }
            panels.add(panel.build());
        }
    }

    private static void replace(Path file, byte[] content) throws IOException {
        Path part = Path.of(file + ".part");
        Files.write(part, content);
        Files.move(part, file, StandardCopyOption.REPLACE_EXISTING);
    }

    @Override
    public void close() {
        progress.close();
    }
}
