package io.github.dl4jretention.samples;

import io.github.dl4jretention.samples.comparison.ComparisonRun;
import io.github.dl4jretention.samples.comparison.Plan;
import io.github.dl4jretention.samples.comparison.Summary;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.TextModel;
import io.github.dl4jretention.samples.text.Corpus;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/**
 * Compares finetuning methods by a plan, and sums up what came out. If it's killed, run it again: it picks up at the first
 * trial that's missing.
 */
@Command(
        name = "comparison",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false,
        description =
                "Runs the trials of a plan that are missing, then writes summary.md, comparison.csv and pictures of the"
                        + " curves.")
public final class Comparison implements Callable<Integer> {

    private static final Pattern PART = Pattern.compile("([1-9]\\d*)/([1-9]\\d*)");

    @Spec
    private CommandSpec spec;

    @Option(names = "--plan", paramLabel = "FILE", description = "What to compare, as JSON.")
    private Path plan = Path.of("samples", "comparisons", "reduced.json");

    @Option(
            names = "--out",
            paramLabel = "FOLDER",
            description = "Where the results go. If there are some, the trials that are missing are run.")
    private Path out = Path.of("out", "comparison");

    @Option(
            names = "--part",
            paramLabel = "I/N",
            description =
                    "Which part of the plan this process runs, for several processes with one folder. When all are"
                            + " done, run one of them again to sum up all parts.")
    private String part = "1/1";

    @Option(
            names = "--model",
            paramLabel = "DIR",
            description =
                    "A model folder that is compared in place of the plan's models; its name is that in the results.")
    private Path model;

    @Option(
            names = "--tasks",
            paramLabel = "DIR",
            description =
                    "Tasks that every model is asked, as Lessons writes them: --out of it. Scores go to tasks.csv, and"
                            + " into the tables.")
    private Path tasks;

    @Option(
            names = "--against",
            paramLabel = "METHOD",
            description = "Which row of the tables of tasks the others are compared with.")
    private String against = "plain + wise_ft";

    @Option(
            names = "--redraw",
            paramLabel = "FILE",
            description = "Trains nothing, and draws the pictures of this comparison.csv into the folder.")
    private Path redraw;

    @Option(
            names = "--sum-up",
            description = "Trains nothing, and sums up the results that are in the folder, of a run under way, say.")
    private boolean sumUp;

    @Option(names = "--corpus", hidden = true)
    private Path corpus = Path.of("samples", "target", "corpus");

    @Option(
            names = "--checkpoints",
            paramLabel = "FOLDER",
            description = "Where the models are, as Pretrain writes them.")
    private Path checkpoints = Path.of("samples", "checkpoints");

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new Comparison()));
    }

    @Override
    public Integer call() throws IOException {
        if (redraw != null) {
            Errors.require(spec, Files.isReadable(redraw), "--redraw: expected a readable file, got " + redraw);
            Files.createDirectories(out);
            Summary.ofFile(redraw).draw(out);
            System.out.println("wrote pictures to " + out.toAbsolutePath());
            return CommandLine.ExitCode.OK;
        }
        if (sumUp) {
            return sumUp();
        }
        Matcher matcher = PART.matcher(part);
        Errors.require(
                spec,
                matcher.matches() && Integer.parseInt(matcher.group(1)) <= Integer.parseInt(matcher.group(2)),
                "--part: expected I/N with I from 1 to N, got " + part);
        Errors.require(spec, Files.isReadable(plan), "--plan: expected a readable file, got " + plan);
        Errors.require(
                spec,
                tasks == null || Files.isDirectory(tasks),
                "--tasks: expected a folder, got " + tasks + "; Lessons writes it");
        Plan read = Plan.read(plan);
        ComparisonRun run = new ComparisonRun(
                read,
                Corpus.read(corpus),
                bases(read),
                out,
                Integer.parseInt(matcher.group(1)),
                Integer.parseInt(matcher.group(2)));
        (tasks == null ? run : run.asking(tasks)).run();
        return sumUp();
    }

    private int sumUp() throws IOException {
        Summary.of(out).against(against).write(out);
        System.out.println("wrote summary.md, comparison.csv and pictures to " + out.toAbsolutePath());
        return CommandLine.ExitCode.OK;
    }

    /** Its bases, by their names in the results. */
    private Map<String, ComparisonRun.Base> bases(Plan read) throws IOException {
        if (model == null) {
            return ComparisonRun.samples(read, checkpoints);
        }
        TextModel base = TextModel.of(ModelOption.load(spec, model)).withWindow(read.window());
        return Map.of(String.valueOf(model.toAbsolutePath().normalize().getFileName()), () -> base);
    }
}
