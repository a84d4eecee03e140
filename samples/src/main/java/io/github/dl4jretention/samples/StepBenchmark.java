package io.github.dl4jretention.samples;

import io.github.dl4jretention.samples.benchmark.BenchmarkShape;
import io.github.dl4jretention.samples.benchmark.TrainingSide;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.ModelKind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.apache.commons.io.FileUtils;
import org.apache.commons.math3.stat.descriptive.DescriptiveStatistics;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.Options;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.VerboseMode;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * What a training step costs, plain and with retention. JMH measures {@link Steps}; this program runs the sides in
 * turns, each block in a process of its own, and prints one table.
 */
@Command(
        name = "step-benchmark",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description = "Prints the median time of a training step, plain and with retention, for every combination of"
                + " the options.")
public final class StepBenchmark implements Callable<Integer> {

    private static final String ROW = "%-12s %6s %5s %5s %-8s %s%n";

    @Option(names = "--models", split = ",", description = "Any of ${COMPLETION-CANDIDATES}.")
    private List<ModelKind> models = List.of(ModelKind.values());

    @Option(
            names = "--sides",
            split = ",",
            description = "Any of ${COMPLETION-CANDIDATES}; the ratios are to the first.")
    private List<TrainingSide> sides = List.of(
            TrainingSide.PLAIN,
            TrainingSide.ZERO,
            TrainingSide.ONLINE,
            TrainingSide.ONLINE_IN_TURN,
            TrainingSide.CACHED);

    @Option(names = "--vocabulary", split = ",", description = "Classes of a token.")
    private List<Integer> vocabularies = List.of(2000);

    @Mixin
    private StepTableOptions table = new StepTableOptions();

    @Option(names = "--blocks", description = "Blocks of each side, in turns with the others, each in a new process.")
    private int blocks = 3;

    @Option(names = "--steps", description = "Measured steps of a block.")
    private int steps = 8;

    @Option(names = "--warm-up", description = "Steps of a block before those that are measured.")
    private int warmUp = 40;

    /** One training step, to be run by JMH. */
    @State(Scope.Benchmark)
    @BenchmarkMode(Mode.SingleShotTime)
    @OutputTimeUnit(TimeUnit.MILLISECONDS)
    @Warmup(iterations = 10)
    @Measurement(iterations = 8)
    @Fork(5)
    public static class Steps {

        private static final int DIFFERENT_BATCHES = 4;

        @Param
        private ModelKind model;

        @Param
        private TrainingSide side;

        @Param("2000")
        private int vocabulary;

        @Param("64")
        private int time;

        @Param("16")
        private int batch;

        private Path cache;
        private TrainingSide.Training training;

        /** Makes the network, its batches, and the cache if the side reads one. */
        @Setup
        public void start() throws IOException {
            Console.prepare(1);
            cache = Files.createTempDirectory("cache");
            BenchmarkShape shape = new BenchmarkShape(vocabulary, batch, time);
            training = side.start(shape.network(model), shape.tokens(DIFFERENT_BATCHES, 1), cache);
        }

        /** Deletes the cache. */
        @TearDown
        public void end() throws IOException {
            FileUtils.deleteDirectory(cache.toFile());
        }

        /** What is measured. */
        @Benchmark
        public void step() {
            training.step();
        }
    }

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new StepBenchmark()).setCaseInsensitiveEnumValuesAllowed(true));
    }

    @Override
    public Integer call() throws RunnerException {
        System.out.printf(
                "%d processors, OMP_NUM_THREADS=%s, Java %s, %d steps of each side%n",
                Runtime.getRuntime().availableProcessors(),
                System.getenv("OMP_NUM_THREADS"),
                System.getProperty("java.version"),
                blocks * steps);
        System.out.printf(ROW, "model", "V", "time", "batch", "side", StepTableOptions.HEADER);
        for (ModelKind model : models) {
            for (int vocabulary : vocabularies) {
                for (int time : table.times) {
                    for (int batch : table.batches) {
                        BenchmarkShape shape = new BenchmarkShape(vocabulary, batch, time);
                        System.out.print(rows(model, shape, measure(model, shape)));
                    }
                }
            }
        }
        return CommandLine.ExitCode.OK;
    }

    private Map<TrainingSide, DescriptiveStatistics> measure(ModelKind model, BenchmarkShape shape)
            throws RunnerException {
        Map<TrainingSide, DescriptiveStatistics> milliseconds = new EnumMap<>(TrainingSide.class);
        for (int block = 0; block < blocks; block++) {
            for (TrainingSide side : sides) {
                DescriptiveStatistics all = milliseconds.computeIfAbsent(side, s -> new DescriptiveStatistics());
                new Runner(options(model, shape, side))
                        .runSingle()
                        .getAggregatedResult()
                        .getIterationResults()
                        .forEach(step -> all.addValue(step.getPrimaryResult().getScore()));
            }
        }
        return milliseconds;
    }

    private Options options(ModelKind model, BenchmarkShape shape, TrainingSide side) {
        return new OptionsBuilder()
                .include(Steps.class.getCanonicalName())
                .param("model", model.name())
                .param("side", side.name())
                .param("vocabulary", String.valueOf(shape.vocabulary()))
                .param("time", String.valueOf(shape.time()))
                .param("batch", String.valueOf(shape.batch()))
                .forks(1)
                .warmupIterations(warmUp)
                .measurementIterations(steps)
                .shouldFailOnError(true)
                .verbosity(VerboseMode.SILENT)
                .build();
    }

    /** The table's rows of one shape: median, quartiles, and the median's ratio to that of the first of the sides. */
    String rows(ModelKind model, BenchmarkShape shape, Map<TrainingSide, DescriptiveStatistics> milliseconds) {
        StringBuilder rows = new StringBuilder();
        double first = Double.NaN;
        for (TrainingSide side : sides) {
            DescriptiveStatistics measured = Objects.requireNonNull(milliseconds.get(side));
            first = Double.isNaN(first) ? measured.getPercentile(50) : first;
            rows.append(ROW.formatted(
                    model.label(),
                    shape.vocabulary(),
                    shape.time(),
                    shape.batch(),
                    side.label(),
                    StepTableOptions.columns(measured, first)));
        }
        return rows.toString();
    }
}
