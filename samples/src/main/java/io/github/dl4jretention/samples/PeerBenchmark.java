package io.github.dl4jretention.samples;

import io.github.dl4jretention.samples.benchmark.BenchmarkShape;
import io.github.dl4jretention.samples.benchmark.PeerShape;
import io.github.dl4jretention.samples.benchmark.ProcessMemory;
import io.github.dl4jretention.samples.benchmark.TrainingSide;
import io.github.dl4jretention.samples.console.Console;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.apache.commons.io.FileUtils;
import org.apache.commons.math3.stat.descriptive.DescriptiveStatistics;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.DataSet;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Training steps beside other libraries: stock DL4J, this project's layers, DJL and PyTorch on the same shapes. Sides
 * run in turns, each time in a process of its own that warms up first, and one table has the medians.
 *
 * <p>DJL takes part if it is on the class path (profile {@code peers}), PyTorch if a Python has it.
 */
@Command(
        name = "peer-benchmark",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description = "Prints the median time of a training step and the peak resident memory of stock DL4J, this"
                + " project's layers, DJL and PyTorch.")
public final class PeerBenchmark implements Callable<Integer> {

    private static final String ROW = "%-12s %5s %5s %-15s %s %8s %-12s%n";
    private static final Logger LOG = LoggerFactory.getLogger(PeerBenchmark.class);
    private static final Path PEERS = Path.of("samples", "peers");

    @Option(names = "--shapes", split = ",", description = "Any of ${COMPLETION-CANDIDATES}.")
    private List<PeerShape> shapes = List.of(PeerShape.LSTM, PeerShape.TRANSFORMER);

    @Option(
            names = "--sides",
            split = ",",
            description = "Any of ${COMPLETION-CANDIDATES}; the ratios are to the first.")
    private List<Side> sides = List.of(Side.values());

    @Mixin
    private StepTableOptions table = new StepTableOptions();

    @Option(names = "--rounds", description = "How often each side has its turn.")
    private int rounds = 3;

    @Option(names = "--warm-up", description = "Seconds of steps that aren't measured, each time.")
    private double warmUp = 4;

    @Option(names = "--seconds", description = "Seconds of steps that are, each time; at least 3 steps.")
    private double seconds = 3;

    @Option(names = "--heap", description = "The Java sides' -Xmx.")
    private String heap = "1g";

    @Option(
            names = "--kernels",
            description =
                    "OPENBLAS_CORETYPE of all processes, such as SKYLAKEX; empty: none, so that OpenBLAS looks for"
                            + " itself. Without the option: as it is here.")
    private @Nullable String kernels;

    /** Who trains, and how. */
    public enum Side {
        /** DL4J's own layers, of which it has no decoder block. */
        STOCK,
        /** The transformer's layers as SameDiff operations, the nearest that DL4J itself has to a decoder block. */
        SAMEDIFF,
        /** This project's layers, at coefficient 0. */
        PLAIN,
        /** With the teacher's values from a cache. */
        CACHED,
        /** With a teacher that predicts each minibatch. */
        ONLINE,
        /** DJL's LSTM. */
        DJL,
        /** With a teacher that predicts each minibatch. */
        DJL_ONLINE,
        /** Layers of torch.nn. */
        PYTORCH,
        /** With the teacher's values ready in memory. */
        PYTORCH_CACHED,
        /** With a teacher that predicts each minibatch. */
        PYTORCH_ONLINE;

        String label() {
            return name().toLowerCase(Locale.ROOT);
        }

        boolean isPyTorch() {
            return name().startsWith("PYTORCH");
        }

        boolean isDjl() {
            return name().startsWith("DJL");
        }

        /** What the other libraries' programs call it. */
        String mode() {
            return this == DJL || this == PYTORCH ? "plain" : this == PYTORCH_CACHED ? "cached" : "online";
        }

        TrainingSide training() {
            return switch (this) {
                case STOCK, SAMEDIFF -> TrainingSide.PLAIN;
                case PLAIN -> TrainingSide.ZERO;
                case CACHED -> TrainingSide.CACHED;
                case ONLINE -> TrainingSide.ONLINE;
                default -> throw new IllegalArgumentException("side: expected one of this project's, got " + this);
            };
        }
    }

    /** What one side's processes printed. */
    private record Measured(DescriptiveStatistics milliseconds, DescriptiveStatistics megabytes, Set<String> kernels) {
        Measured() {
            this(new DescriptiveStatistics(), new DescriptiveStatistics(), new TreeSet<>());
        }
    }

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new PeerBenchmark()).setCaseInsensitiveEnumValuesAllowed(true));
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        String python = python();
        System.out.printf(
                "%d processors, Java %s, PyTorch %s, DJL %s%n",
                Runtime.getRuntime().availableProcessors(),
                System.getProperty("java.version"),
                python == null ? "not found" : "of " + python,
                hasDjl() ? "on the class path" : "not on the class path (profile peers)");
        System.out.printf(ROW, "shape", "batch", "time", "side", StepTableOptions.HEADER, "peak MB", "OpenBLAS");
        for (PeerShape shape : shapes) {
            for (int batch : table.batches) {
                for (int time : table.times) {
                    System.out.print(rows(shape, batch, time, measure(shape, batch, time, python)));
                }
            }
        }
        return CommandLine.ExitCode.OK;
    }

    private Map<Side, Measured> measure(PeerShape shape, int batch, int time, @Nullable String python)
            throws IOException, InterruptedException {
        Map<Side, Measured> measured = new EnumMap<>(Side.class);
        for (int round = 0; round < rounds; round++) {
            for (Side side : sides) {
                if (takesPart(side, shape, python)) {
                    run(
                            command(side, shape, batch, time, python),
                            side,
                            measured.computeIfAbsent(side, s -> new Measured()));
                }
            }
        }
        return measured;
    }

    private static boolean takesPart(Side side, PeerShape shape, @Nullable String python) {
        if (side == Side.STOCK || side == Side.SAMEDIFF) {
            return shape == (side == Side.STOCK ? PeerShape.LSTM : PeerShape.TRANSFORMER);
        }
        return side.isPyTorch() ? python != null : !side.isDjl() || hasDjl() && shape == PeerShape.LSTM;
    }

    private static boolean hasDjl() {
        return PeerBenchmark.class.getClassLoader().getResource("ai/djl/pytorch/engine/PtEngine.class") != null;
    }

    /** A Python that has PyTorch; null for none. */
    private static @Nullable String python() throws InterruptedException {
        for (String candidate : List.of("python3", "/usr/bin/python3")) {
            try {
                Process process = new ProcessBuilder(candidate, "-c", "import torch")
                        .redirectErrorStream(true)
                        .start();
                process.getInputStream().readAllBytes();
                if (process.waitFor() == 0) {
                    return candidate;
                }
            } catch (IOException e) {
                LOG.debug("no program {}", candidate, e);
            }
        }
        return null;
    }

    private List<String> command(Side side, PeerShape shape, int batch, int time, @Nullable String python) {
        List<String> command = new ArrayList<>();
        if (side.isPyTorch()) {
            command.addAll(List.of(
                    Objects.requireNonNull(python),
                    PEERS.resolve("torch_peer.py").toString(),
                    shape.label(),
                    side.mode()));
        } else {
            command.addAll(List.of(
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "-Xmx" + heap,
                    // Beyond the heap, JavaCPP's limit is as much again, too little for 135 million parameters.
                    "-Dorg.bytedeco.javacpp.maxbytes=0",
                    "-Dorg.bytedeco.javacpp.maxphysicalbytes=0",
                    "-Ddl4jretention.samediff=" + (side == Side.SAMEDIFF),
                    "-cp",
                    System.getProperty("java.class.path")));
            command.addAll(
                    side.isDjl()
                            ? List.of(
                                    "-Dai.djl.offline=true",
                                    PEERS.resolve("DjlPeer.java").toString(),
                                    side.mode())
                            : List.of(Steps.class.getName(), shape.name(), side.name()));
        }
        command.addAll(
                List.of(String.valueOf(batch), String.valueOf(time), String.valueOf(warmUp), String.valueOf(seconds)));
        return command;
    }

    private void run(List<String> command, Side side, Measured measured) throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        if (side.isPyTorch() || side.isDjl()) {
            builder.environment()
                    .put("OMP_NUM_THREADS", String.valueOf(Runtime.getRuntime().availableProcessors()));
        }
        // OpenBLAS says which kernels it takes.
        builder.environment().put("OPENBLAS_VERBOSE", "2");
        if (kernels != null && kernels.isBlank()) {
            builder.environment().remove("OPENBLAS_CORETYPE");
        } else if (kernels != null) {
            builder.environment().put("OPENBLAS_CORETYPE", kernels);
        }
        Process process = builder.start();
        String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (process.waitFor() != 0) {
            throw new IOException(String.join(" ", command) + " failed:\n" + printed);
        }
        printed.lines().forEach(line -> {
            if (line.startsWith("step ")) {
                measured.milliseconds().addValue(Double.parseDouble(line.substring("step ".length())));
            } else if (line.startsWith("Core: ")) {
                measured.kernels().add(line.substring("Core: ".length()).strip());
            } else if (line.startsWith("peak ")) {
                measured.megabytes().addValue(Double.parseDouble(line.substring("peak ".length())));
            }
        });
    }

    private static String rows(PeerShape shape, int batch, int time, Map<Side, Measured> measured) {
        StringBuilder rows = new StringBuilder();
        double first = Double.NaN;
        for (Map.Entry<Side, Measured> entry : measured.entrySet()) {
            DescriptiveStatistics milliseconds = entry.getValue().milliseconds();
            double median = milliseconds.getPercentile(50);
            first = Double.isNaN(first) ? median : first;
            rows.append(ROW.formatted(
                    shape.label(),
                    batch,
                    time,
                    entry.getKey().label(),
                    StepTableOptions.columns(milliseconds, first),
                    "%.0f".formatted(entry.getValue().megabytes().getPercentile(50)),
                    String.join(", ", entry.getValue().kernels())));
        }
        return rows.toString();
    }

    /** A process that trains one of this project's sides; it prints as the other libraries' programs do. */
    static final class Steps {

        private static final int DIFFERENT_BATCHES = 4;
        private static final int FEWEST = 3;

        private Steps() {}

        /** @param args shape, side, batch, time, seconds of warm-up, seconds of measurement */
        public static void main(String[] args) throws IOException {
            Console.prepare(1);
            PeerShape shape = PeerShape.valueOf(args[0]);
            Side side = Side.valueOf(args[1]);
            int batch = Integer.parseInt(args[2]);
            int time = Integer.parseInt(args[3]);
            boolean stock = side.training() == TrainingSide.PLAIN;
            // DL4J's output layer reads one-hot labels only.
            List<DataSet> data = stock
                    ? new BenchmarkShape(shape.vocabulary(), batch, time).tokens(DIFFERENT_BATCHES, 1)
                    : shape.tokens(DIFFERENT_BATCHES, batch, time);
            Path cache = Files.createTempDirectory("cache");
            try {
                TrainingSide.Training training = side.training().start(shape.network(stock, batch, time), data, cache);
                steps(training, Double.parseDouble(args[4]), false);
                steps(training, Double.parseDouble(args[5]), true);
            } finally {
                FileUtils.deleteDirectory(cache.toFile());
            }
            System.out.printf("peak %.1f%n", ProcessMemory.peak());
            // A teacher that is preparing the next batch isn't waited for.
            System.exit(0);
        }

        private static void steps(TrainingSide.Training training, double seconds, boolean print) {
            long start = System.nanoTime();
            for (int i = 0; i < FEWEST || System.nanoTime() - start < seconds * TimeUnit.SECONDS.toNanos(1); i++) {
                long before = System.nanoTime();
                training.step();
                if (print) {
                    System.out.printf("step %.3f%n", (System.nanoTime() - before) / 1e6);
                }
            }
        }
    }
}
