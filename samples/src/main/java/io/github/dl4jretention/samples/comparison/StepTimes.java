package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.samples.console.Progress;
import java.io.IOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVParser;
import org.apache.commons.csv.CSVPrinter;
import org.apache.commons.csv.CSVRecord;
import org.apache.commons.math3.stat.StatUtils;
import org.deeplearning4j.datasets.iterator.EarlyTerminationDataSetIterator;

/**
 * What a training step of each method takes against one of plain finetuning: all methods in turn, round after round in
 * one process, the median of the rounds' ratios. Each method at its first strength and learning rate, on the first
 * pair, for every model.
 */
final class StepTimes implements AutoCloseable {

    private static final String FILE = "step-times.csv";
    private static final List<String> COLUMNS = List.of("model", "method", "step_ms", "ratio");
    private static final int ROUNDS = 5;
    private static final int STEPS = 5;

    private final String model;
    private final int steps;
    private final Map<String, Method.Training> trainings = new LinkedHashMap<>();

    private StepTimes(Plan plan, String model, TrialRunner runner) {
        this.model = model;
        steps = Math.min(STEPS, plan.steps());
        for (Trial trial : plan.trials(model)) {
            if (trial.pair().equals(plan.pairs().get(0))) {
                trainings.computeIfAbsent(trial.method().name(), label -> runner.prepare(trial));
            }
        }
    }

    /** Measures, unless the file has all methods of the plan for this model. */
    static void measure(Plan plan, String model, TrialRunner runner, Path folder) throws IOException {
        List<String> labels = plan.methods().stream().map(MethodPlan::name).toList();
        if (!read(folder, model).keySet().containsAll(labels)) {
            try (StepTimes times = new StepTimes(plan, model, runner)) {
                times.write(folder);
            }
        }
    }

    @Override
    public void close() {
        trainings.values().forEach(Method.Training::close);
    }

    private void write(Path folder) throws IOException {
        Map<String, double[]> millis = new LinkedHashMap<>();
        trainings.keySet().forEach(method -> millis.put(method, new double[ROUNDS]));
        try (Progress progress = new Progress("step times", (ROUNDS + 1L) * trainings.size())) {
            // The first round warms up.
            for (int round = -1; round < ROUNDS; round++) {
                for (Map.Entry<String, Method.Training> training : trainings.entrySet()) {
                    double taken = round(training.getValue());
                    if (round >= 0) {
                        Objects.requireNonNull(millis.get(training.getKey()))[round] = taken;
                    }
                    progress.step(() -> "%.0f ms".formatted(taken));
                }
            }
        }
        List<CSVRecord> kept = rows(folder).stream()
                .filter(row -> !row.get("model").equals(model) || !millis.containsKey(row.get("method")))
                .toList();
        new WholeFile(folder.resolve(FILE)).write(part -> write(part, kept, millis));
    }

    /** Other models, and methods of plans before this one, keep their times. */
    private void write(Path part, List<CSVRecord> kept, Map<String, double[]> millis) throws IOException {
        CSVFormat format = CSVFormat.RFC4180
                .builder()
                .setHeader(COLUMNS.toArray(String[]::new))
                .build();
        try (Writer writer = Files.newBufferedWriter(part, StandardCharsets.UTF_8);
                CSVPrinter csv = new CSVPrinter(writer, format)) {
            for (CSVRecord row : kept) {
                csv.printRecord(row);
            }
            double[] plain = Objects.requireNonNull(millis.get(Method.PLAIN.label()));
            for (Map.Entry<String, double[]> method : millis.entrySet()) {
                double[] ratios = new double[ROUNDS];
                Arrays.setAll(ratios, round -> method.getValue()[round] / plain[round]);
                csv.printRecord(
                        model,
                        method.getKey(),
                        StatUtils.percentile(method.getValue(), 50),
                        StatUtils.percentile(ratios, 50));
            }
        }
    }

    /** By {@code fit} of an iterator, so that batches are prepared ahead as they are in any training. */
    private double round(Method.Training training) {
        training.batches().reset();
        long started = System.nanoTime();
        training.network().fit(new EarlyTerminationDataSetIterator(training.batches(), steps));
        return (System.nanoTime() - started) / 1e6 / steps;
    }

    /** Ratios of a model by method; empty if they were not measured. */
    static Map<String, Double> read(Path folder, String model) throws IOException {
        Map<String, Double> ratios = new LinkedHashMap<>();
        for (CSVRecord row : rows(folder)) {
            if (row.get("model").equals(model)) {
                ratios.put(row.get("method"), Double.parseDouble(row.get("ratio")));
            }
        }
        return ratios;
    }

    private static List<CSVRecord> rows(Path folder) throws IOException {
        Path file = folder.resolve(FILE);
        if (!Files.exists(file)) {
            return List.of();
        }
        try (CSVParser parser = CSVParser.parse(file, StandardCharsets.UTF_8, ResultsFile.WITH_HEADER)) {
            if (!parser.getHeaderNames().equals(COLUMNS)) {
                throw new IOException("step times: expected a file with the columns " + COLUMNS + ", got " + file
                        + " with " + parser.getHeaderNames() + "; delete it to measure again");
            }
            return parser.getRecords();
        }
    }
}
