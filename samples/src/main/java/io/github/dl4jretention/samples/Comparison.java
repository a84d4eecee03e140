package io.github.dl4jretention.samples;

import io.github.dl4jretention.samples.comparison.ComparisonRun;
import io.github.dl4jretention.samples.comparison.Plan;
import io.github.dl4jretention.samples.comparison.Summary;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.text.Corpus;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Compares finetuning methods by a plan, and sums up what came out. Killed, it goes on where it was. */
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

    @Option(names = "--plan", paramLabel = "FILE", description = "What is compared, JSON.")
    private Path plan = Path.of("samples", "comparisons", "reduced.json");

    @Option(names = "--out", paramLabel = "FOLDER", description = "Where the results are, and go on.")
    private Path out = Path.of("out", "comparison");

    @Option(
            names = "--part",
            paramLabel = "I/N",
            description =
                    "One of several parts, for processes side by side with one folder; run the last again when all"
                            + " are done for a summary of all.")
    private String part = "1/1";

    @Option(names = "--corpus", hidden = true)
    private Path corpus = Path.of("samples", "target", "corpus");

    @Option(names = "--checkpoints", hidden = true)
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
        Matcher matcher = PART.matcher(part);
        if (!matcher.matches() || Integer.parseInt(matcher.group(1)) > Integer.parseInt(matcher.group(2))) {
            throw new ParameterException(spec.commandLine(), "--part: expected I/N with I from 1 to N, got " + part);
        }
        new ComparisonRun(
                        Plan.read(plan),
                        Corpus.read(corpus),
                        checkpoints,
                        out,
                        Integer.parseInt(matcher.group(1)),
                        Integer.parseInt(matcher.group(2)))
                .run();
        Summary.of(out).write(out);
        System.out.println("wrote summary.md, comparison.csv and pictures to " + out.toAbsolutePath());
        return CommandLine.ExitCode.OK;
    }
}
