package io.github.dl4jretention.samples.experiment;

import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.lm.ModelCard;
import io.github.dl4jretention.samples.console.Progress;
import io.github.dl4jretention.sweep.plot.Plot;
import java.io.IOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVPrinter;
import org.apache.commons.io.FileUtils;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

/**
 * An experiment's outcome as a table, a CSV file, a picture and text samples. {@code results.csv} is written last and
 * at once: where it is, everything is.
 */
public final class Report {

    /** The file that tells that a folder holds results. */
    public static final String RESULTS = "results.csv";

    private static final String[] COLUMNS =
            ("run,coefficient,learning_rate,steps,batch,seed,target,source,gain,forgetting,avoided,gain_share,"
                            + "kl_target,kl_source,step_ms,step_ratio")
                    .split(",");
    private static final String PICTURE = "tradeoff.png";
    private static final String SAMPLES = "samples.txt";

    private final Experiment experiment;
    private final Experiment.Outcome outcome;

    public Report(Experiment experiment, Experiment.Outcome outcome) {
        this.experiment = experiment;
        this.outcome = outcome;
    }

    /** The table for the screen. */
    public String table() {
        StringBuilder table = new StringBuilder("%-20s %8s %8s %8s %10s %8s %8s %9s %6s%n"
                .formatted("run", "target", "source", "gain", "forgetting", "avoided", "KL", "ms/step", "ratio"));
        table.append("%-20s %8.4f %8.4f%n"
                .formatted("base", outcome.base().target(), outcome.base().source()));
        for (Run run : outcome.runs()) {
            table.append("%-20s %8.4f %8.4f %8.4f %10.4f %8s %8.4f %9.1f %6.2f%n"
                    .formatted(
                            run.name(),
                            run.measured().target(),
                            run.measured().source(),
                            run.gain(outcome.base()),
                            run.forgetting(outcome.base()),
                            Double.isNaN(avoided(run)) ? "" : "%.0f%%".formatted(100 * avoided(run)),
                            run.measured().targetDivergence(),
                            1000 * run.stepSeconds(),
                            run.stepSeconds() / plain().stepSeconds()));
        }
        return table.append(
                        """
                        Losses are in nats per %s on held-out text; KL is to the teacher, on target text.
                        gain: base minus run, on target text. forgetting: run minus base, on source text.
                        avoided: share of plain finetuning's forgetting; above 100%% the run is better than the base.
                        ratio: time of a step as a multiple of plain finetuning's.
                        """
                                .formatted(unit()))
                .toString();
    }

    /** Writes all files into a folder, which is made if need be. */
    public void write(Path folder) throws IOException {
        Files.createDirectories(folder);
        Path part = folder.resolve(PICTURE + ".part");
        Files.write(part, plot().png());
        move(part, folder.resolve(PICTURE));
        part = folder.resolve(SAMPLES + ".part");
        Files.writeString(part, samples());
        move(part, folder.resolve(SAMPLES));
        part = folder.resolve(RESULTS + ".part");
        try (Writer writer = Files.newBufferedWriter(part, StandardCharsets.UTF_8)) {
            writeCsv(writer);
        }
        move(part, folder.resolve(RESULTS));
    }

    /**
     * Writes every finetuned model without retention into a folder, which is made if need be: as a zip file, or as a model
     * folder if the base was one. What had these names before is replaced.
     */
    public void writeModels(Path folder) throws IOException {
        Files.createDirectories(folder);
        Path parts = folder.resolve("models.part");
        FileUtils.deleteDirectory(parts.toFile());
        Files.createDirectory(parts);
        for (Run run : outcome.runs()) {
            LanguageModel model = run.folder();
            String name = fileName(run.name(), model != null);
            if (model == null) {
                run.network().save(parts.resolve(name).toFile(), false);
            } else {
                model.withCard(card(run)).save(parts.resolve(name));
                FileUtils.deleteDirectory(folder.resolve(name).toFile());
            }
            move(parts.resolve(name), folder.resolve(name));
        }
        Files.delete(parts);
    }

    private ModelCard card(Run run) {
        return new ModelCard(
                "%d tokens of a target text, %d steps of %d x %d"
                        .formatted(
                                experiment.task().training().length,
                                experiment.steps(),
                                experiment.batch(),
                                experiment.base().window()),
                run.gain(outcome.base()),
                run.forgetting(outcome.base()));
    }

    /**
     * Names of the models that {@link #writeModels} writes.
     *
     * @param coefficients of the runs with retention
     * @param cached       whether each is run once more from a cache
     * @param folders      whether they are model folders
     */
    public static List<String> fileNames(List<Double> coefficients, boolean cached, boolean folders) {
        List<String> names = new ArrayList<>(List.of(fileName(Experiment.PLAIN, folders)));
        for (double coefficient : coefficients) {
            names.add(fileName(Experiment.name(coefficient, false), folders));
            if (cached) {
                names.add(fileName(Experiment.name(coefficient, true), folders));
            }
        }
        return names;
    }

    private static String fileName(String run, boolean folder) {
        return run.replace(' ', '-') + (folder ? "" : ".zip");
    }

    private void writeCsv(Writer writer) throws IOException {
        CSVFormat format = CSVFormat.RFC4180.builder().setHeader(COLUMNS).build();
        try (CSVPrinter csv = new CSVPrinter(writer, format)) {
            Measurement base = outcome.base();
            csv.printRecord("base", "", "", "", "", "", base.target(), base.source(), 0, 0, "", "", 0, 0, "", "");
            for (Run run : outcome.runs()) {
                csv.printRecord(
                        run.name(),
                        Double.isNaN(run.coefficient()) ? "" : run.coefficient(),
                        experiment.learningRate(),
                        experiment.steps(),
                        experiment.batch(),
                        experiment.seed(),
                        run.measured().target(),
                        run.measured().source(),
                        run.gain(base),
                        run.forgetting(base),
                        orEmpty(avoided(run)),
                        orEmpty(gainShare(run)),
                        run.measured().targetDivergence(),
                        run.measured().sourceDivergence(),
                        1000 * run.stepSeconds(),
                        run.stepSeconds() / plain().stepSeconds());
            }
        }
    }

    private Plot plot() {
        List<Run> retained = outcome.runs().stream()
                .filter(run -> !Double.isNaN(run.coefficient()))
                .sorted(Comparator.comparingDouble(Run::coefficient))
                .toList();
        Plot.Builder plot = Plot.builder("What was learned and what was forgotten")
                .axes(
                        "gain on target text, nats per " + unit() + " (more is better)",
                        "forgetting on source text, nats per " + unit() + " (less is better)")
                .point("base", 0, 0)
                .curve("plain finetuning", gains(List.of(plain())), forgettings(List.of(plain())))
                .curve("retention", gains(retained), forgettings(retained));
        // Room for the label of the point that is farthest to the right.
        double widest = outcome.runs().stream()
                .mapToDouble(run -> run.gain(outcome.base()))
                .max()
                .orElse(0);
        if (widest > 0) {
            plot.xRange(-0.1 * widest, 1.25 * widest);
        }
        for (Run run : retained) {
            plot.label("coefficient " + run.coefficient(), run.gain(outcome.base()), run.forgetting(outcome.base()));
        }
        return plot.build();
    }

    private double[] gains(List<Run> runs) {
        return runs.stream().mapToDouble(run -> run.gain(outcome.base())).toArray();
    }

    private double[] forgettings(List<Run> runs) {
        return runs.stream().mapToDouble(run -> run.forgetting(outcome.base())).toArray();
    }

    private String samples() throws IOException {
        List<int[]> prompts =
                List.of(experiment.task().sources().get(0), experiment.task().target());
        Map<String, List<String>> written = new LinkedHashMap<>();
        try (Progress progress = new Progress("text samples", 1 + outcome.runs().size())) {
            written.put("base", sample(prompts, experiment.base().network(), progress));
            for (Run run : outcome.runs()) {
                written.put(run.name(), sample(prompts, run.network(), progress));
            }
        }
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < prompts.size(); i++) {
            text.append("=== prompt: ")
                    .append(TextSample.prompt(prompts.get(i), experiment.base()))
                    .append("\n\n");
            for (Map.Entry<String, List<String>> model : written.entrySet()) {
                text.append("--- ").append(model.getKey()).append('\n');
                text.append(model.getValue().get(i)).append("\n\n");
            }
        }
        return text.toString();
    }

    private List<String> sample(List<int[]> prompts, MultiLayerNetwork network, Progress progress) throws IOException {
        List<String> written = TextSample.after(prompts, experiment.base(), network, experiment.seed());
        progress.step(() -> prompts.size() + " prompts");
        return written;
    }

    private String unit() {
        return experiment.base().unit();
    }

    private Run plain() {
        return outcome.runs().get(0);
    }

    /** NaN where plain finetuning forgot nothing. */
    private double avoided(Run run) {
        double forgotten = plain().forgetting(outcome.base());
        return forgotten > 0 ? 1 - run.forgetting(outcome.base()) / forgotten : Double.NaN;
    }

    /** NaN where plain finetuning gained nothing. */
    private double gainShare(Run run) {
        double gained = plain().gain(outcome.base());
        return gained > 0 ? run.gain(outcome.base()) / gained : Double.NaN;
    }

    private static Object orEmpty(double value) {
        return Double.isNaN(value) ? "" : value;
    }

    private static void move(Path from, Path to) throws IOException {
        Files.move(from, to, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    }
}
