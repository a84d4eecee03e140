package io.github.dl4jretention.samples;

import io.github.dl4jretention.internal.Workers;
import io.github.dl4jretention.lm.Generator;
import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.samples.benchmark.ProcessMemory;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.RandomFolder;
import io.github.dl4jretention.samples.text.BytePairs;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.commons.io.FileUtils;
import org.apache.commons.math3.stat.descriptive.DescriptiveStatistics;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Loads a model folder of 135 million random weights, and writes text with it: how long loading takes beside reading the
 * file, what memory it takes beside the network's, and how many tokens a second there are beside what the memory's
 * bandwidth allows.
 */
@Command(
        name = "generation-benchmark",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false,
        description = "Times loading and generation of a model of 135 million random weights.")
public final class GenerationBenchmark implements Callable<Integer> {

    private static final double MEGABYTE = 1 << 20;
    private static final int BUFFER = 1 << 20;
    private static final int LOADS = 5;
    private static final int READS = 9;
    private static final int TURNS = 5;
    private static final int WITHOUT_CACHE = 3;

    /** Of the first tokens the JVM is still compiling. */
    private static final int WARM_UP = 16;

    @Option(names = "--tokens", converter = Errors.Count.class, description = "New tokens that are timed.")
    private int tokens = 64;

    @Option(names = "--load", hidden = true, description = "A folder that is loaded, and nothing else.")
    private @Nullable Path loaded;

    @Option(names = "--small", hidden = true, description = "A smaller model, to try the program.")
    private boolean small;

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new GenerationBenchmark()));
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        if (loaded != null) {
            load(loaded);
            return CommandLine.ExitCode.OK;
        }
        Path temporary = Files.createTempDirectory("generation");
        try {
            RandomFolder sizes = small ? new RandomFolder(300, 32, 2, 4, 2, 48, 512) : RandomFolder.OF_135_MILLION;
            System.out.printf(
                    "%-6s %10s %10s %8s %8s %12s %14s%n",
                    "type", "file, MB", "reading, s", "load, s", "ratio", "network, MB", "beyond it, MB");
            for (boolean bfloat16 : new boolean[] {true, false}) {
                Path folder = temporary.resolve(bfloat16 ? "BF16" : "F32");
                sizes.write(folder, bfloat16, 1);
                BytePairs.write(folder, "", 257);
                System.out.print(ofNewProcess(folder));
            }
            generate(LanguageModel.load(temporary.resolve("F32")));
            return CommandLine.ExitCode.OK;
        } finally {
            FileUtils.deleteDirectory(temporary.toFile());
        }
    }

    /** What this program prints as a process of its own, whose memory holds nothing else. */
    static String ofNewProcess(Path folder) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Xmx1g",
                        "-cp",
                        System.getProperty("java.class.path"),
                        GenerationBenchmark.class.getName(),
                        "--load",
                        folder.toString())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        int code = process.waitFor();
        if (code != 0) {
            throw new IOException(
                    "loading " + folder + " in a process of its own: expected it to end with 0, got " + code);
        }
        return printed;
    }

    /**
     * Memory is that of the first time. Times are the medians of all, from the system's cache of files: of the disk's part
     * reading and loading would differ by chance.
     */
    private static void load(Path folder) throws IOException {
        DescriptiveStatistics reading = new DescriptiveStatistics();
        DescriptiveStatistics loading = new DescriptiveStatistics();
        Path file = folder.resolve("model.safetensors");
        double network = 0;
        double beyond = 0;
        read(file);
        for (int i = 0; i < LOADS; i++) {
            long start = System.nanoTime();
            read(file);
            reading.addValue((System.nanoTime() - start) / 1e9);
            double before = ProcessMemory.ofArrays();
            try (Peak peak = new Peak()) {
                start = System.nanoTime();
                INDArray parameters = LanguageModel.load(folder).network().params();
                loading.addValue((System.nanoTime() - start) / 1e9);
                network = parameters.length() * Float.BYTES / MEGABYTE;
                beyond = i > 0 ? beyond : peak.megabytes() - before - network;
                parameters.close();
            }
        }
        System.out.printf(
                "%-6s %10.0f %10.3f %8.3f %8.2f %12.0f %14.0f%n",
                folder.getFileName(),
                Files.size(file) / MEGABYTE,
                reading.getPercentile(50),
                loading.getPercentile(50),
                loading.getPercentile(50) / reading.getPercentile(50),
                network,
                beyond);
    }

    private static void read(Path file) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER);
        try (FileChannel channel = FileChannel.open(file)) {
            while (channel.read(buffer.clear()) >= 0) {
                // Nothing is kept.
            }
        }
    }

    /** The most memory of arrays, looked at every millisecond. */
    private static final class Peak implements AutoCloseable {

        private final AtomicBoolean ended = new AtomicBoolean();
        private final Thread thread = new Thread(this::watch);
        private volatile double most;

        Peak() throws IOException {
            most = ProcessMemory.ofArrays();
            thread.setDaemon(true);
            thread.start();
        }

        private void watch() {
            try {
                while (!ended.get()) {
                    most = Math.max(most, ProcessMemory.ofArrays());
                    Thread.sleep(1);
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        double megabytes() {
            return most;
        }

        @Override
        public void close() {
            ended.set(true);
        }
    }

    /** In turns, since the memory that a machine shares with others isn't always as fast. */
    private void generate(LanguageModel model) throws IOException {
        INDArray parameters = model.network().params();
        Generator generator = Generator.of(model).maxTokens(WARM_UP + tokens);
        Map<String, Generator> generators = new LinkedHashMap<>();
        generators.put("likeliest token", generator.temperature(0));
        generators.put("temperature 0.8", generator.temperature(0.8));
        generators.put(
                "temperature, top-k, top-p, penalty",
                generator.temperature(0.8).topK(50).topP(0.9).repetitionPenalty(1.1));
        // The first text is slower: the JIT compiles beside it.
        milliseconds(generators.get("likeliest token"));
        DescriptiveStatistics reading = new DescriptiveStatistics();
        Map<String, DescriptiveStatistics> times = new LinkedHashMap<>();
        for (int turn = 0; turn < TURNS; turn++) {
            generators.forEach((name, of) -> {
                readWeights(parameters, reading);
                add(times.computeIfAbsent(name, key -> new DescriptiveStatistics()), milliseconds(of));
            });
        }
        double median = reading.getPercentile(50);
        System.out.printf(
                "%nreading the weights once, %d threads that add them up: %.1f ms (fastest %.1f), %.1f GB/s, which allow %.1f tokens a second%n%n",
                Workers.ofMachine().products(),
                median,
                reading.getMin(),
                parameters.length() * (double) Float.BYTES / median / 1e6,
                1000 / median);
        System.out.printf("%-34s %12s %10s %10s%n", "", "ms a token", "fastest", "of these");
        times.forEach((name, of) -> print(name, of, 1000 / median));
        print("without a cache, " + tokens + " tokens before", withoutCache(model), 1000 / median);
    }

    private static void add(DescriptiveStatistics all, DescriptiveStatistics some) {
        for (double value : some.getValues()) {
            all.addValue(value);
        }
    }

    /** The median and the least of some times, and tokens a second at the median as a share of those allowed. */
    private static void print(String what, DescriptiveStatistics milliseconds, double allowed) {
        double median = milliseconds.getPercentile(50);
        System.out.printf("%-34s %12.1f %10.1f %10.2f%n", what, median, milliseconds.getMin(), 1000 / median / allowed);
    }

    /** Adds the times of reading all weights once, in milliseconds; BLAS adds them up faster than they come. */
    private static void readWeights(INDArray parameters, DescriptiveStatistics milliseconds) {
        int parts = Workers.ofMachine().products();
        long length = parameters.length();
        INDArray flat = parameters.reshape(length);
        for (int i = 0; i < READS; i++) {
            long start = System.nanoTime();
            Workers.run(parts, part -> {
                INDArray share = flat.get(NDArrayIndex.interval(length * part / parts, length * (part + 1) / parts));
                Nd4j.getBlasWrapper().asum(share);
            });
            milliseconds.addValue((System.nanoTime() - start) / 1e6);
        }
    }

    /** The time of each token. */
    private static DescriptiveStatistics milliseconds(Generator generator) {
        DescriptiveStatistics times = new DescriptiveStatistics();
        long[] last = {System.nanoTime()};
        int[] count = {0};
        generator
                .onToken((prompt, id, text) -> {
                    long now = System.nanoTime();
                    if (count[0]++ >= WARM_UP) {
                        times.addValue((now - last[0]) / 1e6);
                    }
                    last[0] = now;
                })
                .generate("Once");
        return times;
    }

    /** The whole text again for each token. */
    private DescriptiveStatistics withoutCache(LanguageModel model) {
        DescriptiveStatistics times = new DescriptiveStatistics();
        for (int i = 0; i < WITHOUT_CACHE; i++) {
            INDArray ids = Nd4j.zeros(1, 1, tokens + i);
            long start = System.nanoTime();
            INDArray output = model.network().output(ids);
            times.addValue((System.nanoTime() - start) / 1e6);
            output.close();
            ids.close();
        }
        return times;
    }
}
