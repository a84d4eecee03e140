package io.github.dl4jretention.samples;

import io.github.dl4jretention.samples.benchmark.BenchmarkModel;
import io.github.dl4jretention.samples.benchmark.RandomTokens;
import io.github.dl4jretention.samples.benchmark.StepPart;
import io.github.dl4jretention.samples.benchmark.StepSamples;
import io.github.dl4jretention.samples.benchmark.StepWork;
import io.github.dl4jretention.samples.benchmark.Training;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.ModelKind;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Where the time of a plain DL4J training step goes, by sampled stacks. */
@Command(
        name = "step-profile",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description = "Shares of a plain training step's parts, new data for every step.")
public final class StepProfile implements Callable<Integer> {

    @Option(names = "--models", split = ",", description = "Of ${COMPLETION-CANDIDATES}.")
    private List<ModelKind> models = List.of(ModelKind.values());

    @Option(names = "--vocabulary", description = "Classes of a token.")
    private int vocabulary = 2000;

    @Option(names = "--time", description = "Tokens of a sequence.")
    private int time = 64;

    @Option(names = "--batch", description = "Sequences of a minibatch.")
    private int batch = 16;

    @Option(names = "--warm-up", description = "Steps before those that are sampled.")
    private int warmUp = 15;

    @Option(names = "--steps", description = "Sampled steps.")
    private int steps = 60;

    @Option(names = "--innermost", description = "Methods to list that were innermost most often.")
    private int innermost;

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new StepProfile()).setCaseInsensitiveEnumValuesAllowed(true));
    }

    @Override
    public Integer call() throws IOException {
        for (ModelKind model : models) {
            profile(model);
        }
        return CommandLine.ExitCode.OK;
    }

    private void profile(ModelKind model) throws IOException {
        Training training = new Training(
                BenchmarkModel.create(model, vocabulary, time),
                new RandomTokens(vocabulary, batch, time).stream(1),
                false);
        steps(training, warmUp);
        long started = System.nanoTime();
        StepSamples samples = StepSamples.of(() -> steps(training, steps));
        double milliseconds = (System.nanoTime() - started) / 1e6 / steps;
        System.out.printf("%s: %.1f ms a step, %d samples%n", model.label(), milliseconds, samples.total());
        System.out.printf("%-45s %7s %9s", "part", "share", "ms a step");
        for (StepWork work : StepWork.values()) {
            System.out.printf(" %9s", work.label());
        }
        System.out.println();
        for (StepPart part : StepPart.values()) {
            System.out.printf(
                    "%-45s %6.1f%% %9.1f", part.label(), 100 * samples.share(part), milliseconds * samples.share(part));
            for (StepWork work : StepWork.values()) {
                System.out.printf(" %8.1f%%", 100 * samples.share(part, work));
            }
            System.out.println();
        }
        samples.innermost(innermost)
                .forEach(method -> System.out.printf("%6.1f%% %s%n", 100 * method.getValue(), method.getKey()));
    }

    private static void steps(Training training, int count) {
        for (int step = 0; step < count; step++) {
            training.step();
        }
    }
}
