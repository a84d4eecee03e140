package io.github.dl4jretention.samples;

import io.github.dl4jretention.samples.benchmark.BenchmarkShape;
import io.github.dl4jretention.samples.benchmark.OutputHead;
import io.github.dl4jretention.samples.benchmark.ProcessMemory;
import io.github.dl4jretention.samples.benchmark.TrainingSide;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.ModelKind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.apache.commons.io.FileUtils;
import org.apache.commons.math3.stat.descriptive.DescriptiveStatistics;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Peak memory of a training, plain and with retention, and of an output layer alone; for Linux only. */
@Command(
        name = "peak-memory-benchmark",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description = "Prints the peak resident memory of each side, measured in a process of its own.")
public final class PeakMemoryBenchmark implements Callable<Integer> {

    @Option(names = "--models", split = ",", description = "Any of ${COMPLETION-CANDIDATES}.")
    private List<ModelKind> models = List.of(ModelKind.values());

    @Option(
            names = "--sides",
            split = ",",
            description = "Any of ${COMPLETION-CANDIDATES}; the ratios are to the first.")
    private List<TrainingSide> sides = List.of(TrainingSide.PLAIN, TrainingSide.ONLINE, TrainingSide.CACHED);

    @Option(names = "--vocabulary", converter = Errors.Count.class, description = "Classes of a token in training.")
    private int vocabulary = 2000;

    @Option(names = "--time", converter = Errors.Count.class, description = "Tokens of a sequence.")
    private int time = 64;

    @Option(names = "--batch", converter = Errors.Count.class, description = "Sequences of a minibatch.")
    private int batch = 16;

    @Option(names = "--steps", converter = Errors.Count.class, description = "Training steps.")
    private int steps = 60;

    @Option(
            names = "--head-vocabularies",
            converter = Errors.Count.class,
            split = ",",
            description = "Classes of a token of the output layer alone.")
    private List<Integer> headVocabularies = List.of(8000, 32_000);

    @Option(
            names = "--head-tokens",
            converter = Errors.Count.class,
            description = "Tokens of the output layer alone, a multiple of 64.")
    private int headTokens = 1024;

    @Option(
            names = "--runs",
            converter = Errors.Count.class,
            description = "Processes of each side; the table has their median.")
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
        System.out.printf("OMP_NUM_THREADS=%s, -Xmx%s, %d runs%n", System.getenv("OMP_NUM_THREADS"), heap, runs);
        System.out.printf("%-22s %-10s %9s %9s %9s %6s%n", "what", "side", "MB", "quarter", "3/4", "ratio");
        for (ModelKind model : models) {
            Path cache = Files.createTempDirectory("cache");
            try {
                trainings(model, cache);
            } finally {
                FileUtils.deleteDirectory(cache.toFile());
            }
        }
        for (int classes : headVocabularies) {
            double first = Double.NaN;
            for (OutputHead.Kind kind : OutputHead.Kind.values()) {
                List<String> arguments = List.of(kind.name(), String.valueOf(classes), String.valueOf(headTokens));
                String side = kind.name().toLowerCase(Locale.ROOT);
                first = row("head, V = " + classes, side, first, Head.class, arguments);
            }
        }
        return CommandLine.ExitCode.OK;
    }

    private void trainings(ModelKind model, Path cache) throws IOException, InterruptedException {
        double first = Double.NaN;
        for (TrainingSide side : sides) {
            List<String> arguments = List.of(
                    model.name(),
                    side.name(),
                    String.valueOf(vocabulary),
                    String.valueOf(batch),
                    String.valueOf(time),
                    String.valueOf(steps),
                    cache.toString());
            if (side == TrainingSide.CACHED) {
                // The process that writes the cache has a teacher, which later ones don't need.
                ProcessMemory.measure(Steps.class, heap, arguments);
            }
            first = row(model.label(), side.label(), first, Steps.class, arguments);
        }
    }

    /** Prints a row and returns what the next one's ratio is to. */
    private double row(String what, String side, double first, Class<?> program, List<String> arguments)
            throws IOException, InterruptedException {
        DescriptiveStatistics megabytes = new DescriptiveStatistics();
        for (int run = 0; run < runs; run++) {
            megabytes.addValue(ProcessMemory.measure(program, heap, arguments));
        }
        double median = megabytes.getPercentile(50);
        double reference = Double.isNaN(first) ? median : first;
        System.out.printf(
                "%-22s %-10s %9.1f %9.1f %9.1f %6.2f%n",
                what, side, median, megabytes.getPercentile(25), megabytes.getPercentile(75), median / reference);
        return reference;
    }

    /** A process that trains one side and prints the most memory that was ever resident. */
    static final class Steps {

        private static final int DIFFERENT_BATCHES = 4;

        private Steps() {}

        /** @param args model, side, V, batch, time, steps, folder of the cache */
        public static void main(String[] args) throws IOException {
            Console.prepare(1);
            BenchmarkShape shape =
                    new BenchmarkShape(Integer.parseInt(args[2]), Integer.parseInt(args[3]), Integer.parseInt(args[4]));
            TrainingSide.Training training = TrainingSide.valueOf(args[1])
                    .start(
                            shape.network(ModelKind.valueOf(args[0])),
                            shape.tokens(DIFFERENT_BATCHES, 1),
                            Path.of(args[6]));
            for (int step = 0; step < Integer.parseInt(args[5]); step++) {
                training.step();
            }
            System.out.println(ProcessMemory.peak());
            // A teacher that is preparing the next batch isn't waited for.
            System.exit(0);
        }
    }

    /**
     * A process that computes an output layer's loss and gradients and prints by how much it grew at most beyond the
     * layer's input, labels, parameters and gradients.
     */
    static final class Head {

        private static final int RUNS = 3;
        private static final int FEW = 64;

        private Head() {}

        /** @param args kind of the layer, V, tokens */
        public static void main(String[] args) throws IOException, InterruptedException {
            Console.prepare(1);
            OutputHead.Kind kind = OutputHead.Kind.valueOf(args[0]);
            // Loads the code, with a layer so small that its memory hides nothing.
            OutputHead.of(kind, FEW, FEW).run();
            OutputHead head = OutputHead.of(kind, Integer.parseInt(args[1]), Integer.parseInt(args[2]));
            // Gives back what the set-up left, so that it can't hide what the layer takes.
            System.gc();
            Thread.sleep(1000);
            System.gc();
            ProcessMemory.resetPeak();
            double before = ProcessMemory.resident();
            for (int run = 0; run < RUNS; run++) {
                head.run();
            }
            System.out.println(ProcessMemory.peak() - before);
        }
    }
}
