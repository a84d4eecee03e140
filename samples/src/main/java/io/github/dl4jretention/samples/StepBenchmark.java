package io.github.dl4jretention.samples;

import io.github.dl4jretention.samples.benchmark.BenchmarkModel;
import io.github.dl4jretention.samples.benchmark.Quartiles;
import io.github.dl4jretention.samples.benchmark.RandomTokens;
import io.github.dl4jretention.samples.benchmark.Training;
import io.github.dl4jretention.samples.benchmark.TrainingSide;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.ModelKind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.apache.commons.io.FileUtils;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.DataSet;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** What a training step costs: plain and with retention, a block of steps of each side in turn. */
@Command(
        name = "step-benchmark",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description = "Median time of a training step, plain and with retention, for every combination of the options.")
public final class StepBenchmark implements Callable<Integer> {

    private static final int DIFFERENT_BATCHES = 4;

    @Option(names = "--models", split = ",", description = "Of ${COMPLETION-CANDIDATES}.")
    private List<ModelKind> models = List.of(ModelKind.values());

    @Option(names = "--sides", split = ",", description = "Of ${COMPLETION-CANDIDATES}; ratios are to the first.")
    private List<TrainingSide> sides = List.of(TrainingSide.values());

    @Option(names = "--vocabulary", split = ",", description = "Classes of a token.")
    private List<Integer> vocabularies = List.of(2000);

    @Option(names = "--time", split = ",", description = "Tokens of a sequence.")
    private List<Integer> times = List.of(64);

    @Option(names = "--batch", split = ",", description = "Sequences of a minibatch.")
    private List<Integer> batches = List.of(16);

    @Option(names = "--blocks", description = "Measured blocks of each side; one more comes before for warm-up.")
    private int blocks = 5;

    @Option(names = "--steps", description = "Measured steps of a block; one more comes before.")
    private int steps = 8;

    private record Timed(TrainingSide side, Training training, List<Double> milliseconds) {}

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new StepBenchmark()).setCaseInsensitiveEnumValuesAllowed(true));
    }

    @Override
    public Integer call() throws IOException {
        System.out.printf(
                "%d processors, OMP_NUM_THREADS=%s, Java %s, %d steps of each side%n",
                Runtime.getRuntime().availableProcessors(),
                System.getenv("OMP_NUM_THREADS"),
                System.getProperty("java.version"),
                blocks * steps);
        System.out.printf(
                "%-12s %6s %5s %5s %-8s %9s %9s %9s %6s%n",
                "model", "V", "time", "batch", "side", "median ms", "quarter", "3/4", "ratio");
        for (ModelKind model : models) {
            for (int vocabulary : vocabularies) {
                for (int time : times) {
                    for (int batch : batches) {
                        measure(model, new RandomTokens(vocabulary, batch, time));
                    }
                }
            }
        }
        return CommandLine.ExitCode.OK;
    }

    private void measure(ModelKind kind, RandomTokens tokens) throws IOException {
        MultiLayerNetwork base = BenchmarkModel.create(kind, tokens.vocabulary(), tokens.time());
        List<DataSet> data = tokens.create(DIFFERENT_BATCHES, 1);
        Path cache = Files.createTempDirectory("cache");
        try {
            List<Timed> timed = new ArrayList<>();
            for (TrainingSide side : sides) {
                timed.add(new Timed(side, side.start(base, data, cache), new ArrayList<>()));
            }
            timed.forEach(this::block);
            timed.forEach(side -> side.milliseconds.clear());
            for (int block = 0; block < blocks; block++) {
                timed.forEach(this::block);
            }
            print(kind, tokens, timed);
        } finally {
            FileUtils.deleteDirectory(cache.toFile());
        }
    }

    private void block(Timed side) {
        side.training.step();
        for (int step = 0; step < steps; step++) {
            long started = System.nanoTime();
            side.training.step();
            side.milliseconds.add((System.nanoTime() - started) / 1e6);
        }
        side.training.pause();
    }

    private static void print(ModelKind kind, RandomTokens tokens, List<Timed> timed) {
        double first = quartiles(timed.get(0)).median();
        for (Timed side : timed) {
            Quartiles measured = quartiles(side);
            System.out.printf(
                    "%-12s %6d %5d %5d %-8s %9.1f %9.1f %9.1f %6.2f%n",
                    kind.label(),
                    tokens.vocabulary(),
                    tokens.time(),
                    tokens.batch(),
                    side.side.label(),
                    measured.median(),
                    measured.lower(),
                    measured.upper(),
                    measured.median() / first);
        }
    }

    private static Quartiles quartiles(Timed side) {
        return Quartiles.of(
                side.milliseconds.stream().mapToDouble(Double::doubleValue).toArray());
    }
}
