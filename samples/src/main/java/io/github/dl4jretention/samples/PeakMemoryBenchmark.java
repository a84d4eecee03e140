package io.github.dl4jretention.samples;

import io.github.dl4jretention.samples.benchmark.MemoryOfProcesses;
import io.github.dl4jretention.samples.benchmark.TrainingSide;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.ModelKind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.apache.commons.io.FileUtils;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** The most memory that a training takes, plain and with retention, and an output layer alone; Linux only. */
@Command(
        name = "peak-memory-benchmark",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description = "Peak resident memory, each side in a process of its own.")
public final class PeakMemoryBenchmark implements Callable<Integer> {

    @Option(names = "--models", split = ",", description = "Of ${COMPLETION-CANDIDATES}.")
    private List<ModelKind> models = List.of(ModelKind.values());

    @Option(names = "--sides", split = ",", description = "Of ${COMPLETION-CANDIDATES}; ratios are to the first.")
    private List<TrainingSide> sides = List.of(TrainingSide.PLAIN, TrainingSide.ONLINE, TrainingSide.CACHED);

    @Option(names = "--vocabulary", description = "Classes of a token in training.")
    private int vocabulary = 2000;

    @Option(names = "--time", description = "Tokens of a sequence.")
    private int time = 64;

    @Option(names = "--batch", description = "Sequences of a minibatch.")
    private int batch = 16;

    @Option(names = "--steps", description = "Training steps.")
    private int steps = 60;

    @Option(names = "--head-vocabularies", split = ",", description = "Classes of a token of the output layer alone.")
    private List<Integer> headVocabularies = List.of(8000, 32_000);

    @Option(names = "--head-tokens", description = "Its tokens, a multiple of 64.")
    private int headTokens = 1024;

    @Option(names = "--runs", description = "Processes of each side; the median counts.")
    private int runs = 3;

    // In a larger heap the peak is that of garbage which Java saw no need to collect.
    @Option(names = "--heap", description = "Each process's -Xmx.")
    private String heap = "512m";

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new PeakMemoryBenchmark()).setCaseInsensitiveEnumValuesAllowed(true));
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        MemoryOfProcesses memory = new MemoryOfProcesses(heap, runs);
        System.out.printf("OMP_NUM_THREADS=%s, -Xmx%s, %d runs%n", System.getenv("OMP_NUM_THREADS"), heap, runs);
        System.out.printf("%-22s %-10s %9s %9s %9s %6s%n", "what", "side", "MB", "quarter", "3/4", "ratio");
        for (ModelKind model : models) {
            Path cache = Files.createTempDirectory("cache");
            try {
                steps(memory, model, cache);
            } finally {
                FileUtils.deleteDirectory(cache.toFile());
            }
        }
        for (int classes : headVocabularies) {
            memory.heads(classes, headTokens);
        }
        return CommandLine.ExitCode.OK;
    }

    private void steps(MemoryOfProcesses memory, ModelKind model, Path cache) throws IOException, InterruptedException {
        List<String> sizes = List.of(
                Integer.toString(vocabulary),
                Integer.toString(batch),
                Integer.toString(time),
                Integer.toString(steps),
                cache.toString());
        memory.steps(model, sides, sizes);
    }
}
