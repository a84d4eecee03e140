package io.github.dl4jretention.samples;

import io.github.dl4jretention.sweep.plot.Plot;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVPrinter;

/**
 * What a model learned and forgot, for the screen and as files: samples.txt, tradeoff.png, and results.csv, which comes
 * last and at once: where it is, everything is.
 *
 * @param folder      of the files
 * @param coefficient of the divergence
 * @param settings    coefficient, learning rate, steps, batch, sequence length and seed
 * @param before      the base
 * @param after       the tuned model
 */
record FinetuneReport(Path folder, double coefficient, List<Object> settings, Measured before, Measured after) {

    /** The file that tells that a run is done. */
    static final String RESULTS = "results.csv";

    private static final List<String> COLUMNS = List.of(
            "run",
            "coefficient",
            "learning_rate",
            "steps",
            "batch",
            "sequence_length",
            "seed",
            "target",
            "source",
            "gain",
            "forgetting",
            "kl_target",
            "kl_source",
            "step_ms");

    /** Losses on held-out text and divergences from the base, nats per token. */
    record Measured(double target, double source, double targetDivergence, double sourceDivergence) {}

    private double gain() {
        return before.target() - after.target();
    }

    private double forgetting() {
        return after.source() - before.source();
    }

    /** The table for the screen. */
    String table() {
        return "%-8s %10s %10s %10s %10s%n".formatted("", "target", "source", "KL target", "KL source")
                + line("base", before)
                + line("tuned", after)
                + "gain %.4f, forgetting %.4f; all in nats per token of held-out text, KL to the base%n"
                        .formatted(gain(), forgetting());
    }

    private static String line(String name, Measured measured) {
        return "%-8s %10.4f %10.4f %10.4f %10.4f%n"
                .formatted(
                        name,
                        measured.target(),
                        measured.source(),
                        measured.targetDivergence(),
                        measured.sourceDivergence());
    }

    /**
     * Writes all files.
     *
     * @param samples     what both models write
     * @param stepSeconds median time of a step; NaN if it isn't known
     */
    void write(String samples, double stepSeconds) throws IOException {
        write("samples.txt", samples.getBytes(StandardCharsets.UTF_8));
        write("tradeoff.png", plot().png());
        write(RESULTS, csv(stepSeconds).getBytes(StandardCharsets.UTF_8));
    }

    private void write(String name, byte[] bytes) throws IOException {
        Path part = folder.resolve(name + ".part");
        Files.write(part, bytes);
        Files.move(part, folder.resolve(name), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    private Plot plot() {
        return Plot.builder("What was learned and what was forgotten")
                .axes(
                        "gain on target text, nats per token (more is better)",
                        "forgetting on source text, nats per token (less is better)")
                .point("base", 0, 0)
                .curve("tuned, coefficient " + coefficient, new double[] {gain()}, new double[] {forgetting()})
                .build();
    }

    private String csv(double stepSeconds) throws IOException {
        CSVFormat format = CSVFormat.RFC4180
                .builder()
                .setHeader(COLUMNS.toArray(String[]::new))
                .build();
        StringWriter text = new StringWriter();
        try (CSVPrinter csv = new CSVPrinter(text, format)) {
            csv.printRecord("base", "", "", "", "", "", "", before.target(), before.source(), 0, 0, 0, 0, "");
            List<Object> tuned = new ArrayList<>(List.of("tuned"));
            tuned.addAll(settings);
            tuned.addAll(List.of(
                    after.target(),
                    after.source(),
                    gain(),
                    forgetting(),
                    after.targetDivergence(),
                    after.sourceDivergence(),
                    Double.isNaN(stepSeconds) ? "" : 1000 * stepSeconds));
            csv.printRecord(tuned);
        }
        return text.toString();
    }
}
