package io.github.dl4jretention.samples;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.checkpoint.FinetuningRun;
import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.lm.LowRankAdapters;
import io.github.dl4jretention.lm.MemoryEstimate;
import io.github.dl4jretention.lm.layers.NativeAdam;
import io.github.dl4jretention.lm.layers.NativeLayers;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.samples.benchmark.BenchmarkShape;
import io.github.dl4jretention.samples.benchmark.ProcessMemory;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.RandomFolder;
import io.github.dl4jretention.teacher.NetworkIdentity;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import org.apache.commons.io.FileUtils;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Memory and time of a few steps of finetuning with retention, beside what {@link MemoryEstimate} says: all parameters of a
 * random model of the sizes of SmolLM2-135M or of Llama 3.2 1B, or adapters of it, whose base stays in BF16. It ends with a
 * checkpoint, of 1.6 GB for all parameters of the first.
 */
@Command(
        name = "size-benchmark",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description = "Peak memory and time of steps of a model of 135 million or of 1.2 billion parameters.")
public final class SizeBenchmark implements Callable<Integer> {

    private static final double MEGABYTE = 1 << 20;

    /** Of many steps, the times that are printed. */
    private static final int LISTED = 20;

    /** Parts that don't follow from the number of parameters. */
    private static final List<String> BESIDE = List.of("activations", "teacher's values", "logits", "Java");

    /** The sizes of a model. */
    private enum Size {
        SMALL(new RandomFolder(300, 32, 2, 4, 2, 48, 512)),
        MILLIONS_135(RandomFolder.OF_135_MILLION),
        BILLION(RandomFolder.OF_A_BILLION);

        private final RandomFolder folder;

        Size(RandomFolder folder) {
            this.folder = folder;
        }
    }

    @Option(names = "--steps", converter = Errors.Count.class, description = "Steps.")
    private int steps = 3;

    @Option(names = "--batch", converter = Errors.Count.class, description = "Sequences of a minibatch.")
    private int batch = 4;

    @Option(names = "--sequence-length", converter = Errors.Count.class, description = "Tokens of a sequence.")
    private int sequenceLength = 256;

    @Option(names = "--accumulate", converter = Errors.Count.class, description = "Minibatches of a step.")
    private int accumulate = 1;

    @Option(names = "--recompute", description = "Whether blocks keep their input alone.")
    private boolean recompute;

    @Option(names = "--full-teacher", description = "Whether the teacher isn't in half precision.")
    private boolean fullTeacher;

    @Option(names = "--size", description = "Of the model: ${COMPLETION-CANDIDATES}; SMALL is to try the program.")
    private Size size = Size.MILLIONS_135;

    @Option(
            names = "--lora",
            paramLabel = "RANK",
            converter = Errors.Count.class,
            description = "Train adapters of this rank beside all weights of the blocks, and nothing else.")
    private @Nullable Integer lora;

    @Option(
            names = "--folder",
            paramLabel = "DIR",
            description = "Where the random model is, or is left for another time; default: a temporary folder.")
    private @Nullable Path kept;

    @Option(
            names = "--every",
            converter = Errors.Count.class,
            description = "Steps from one line with the resident memory to the next; default: none.")
    private @Nullable Integer every;

    @Option(
            names = "--run",
            paramLabel = "DIR",
            description =
                    "Where a checkpoint of every step is left: killed and run again, it picks up and ends with the"
                            + " same SHA-256. Default: one checkpoint in a temporary folder.")
    private @Nullable Path run;

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new SizeBenchmark()));
    }

    @Override
    public Integer call() throws IOException {
        Path folder = Files.createTempDirectory("size");
        try {
            Path files = kept == null ? folder.resolve("model") : kept;
            if (!Files.exists(files.resolve("model.safetensors"))) {
                size.folder.write(files, true, new SplittableRandom(1));
            }
            LanguageModel model = lora == null ? LanguageModel.load(files) : LanguageModel.loadFrozen(files);
            MultiLayerNetwork start = lora == null
                    ? model.network()
                    : LowRankAdapters.attach(model.network(), LowRankAdapters.rank(lora));
            MemoryEstimate.Builder builder = MemoryEstimate.builder(model)
                    .batch(batch)
                    .sequenceLength(sequenceLength)
                    .accumulate(accumulate)
                    .recompute(recompute)
                    .halfTeacher(!fullTeacher);
            MemoryEstimate estimate = (lora == null ? builder : builder.trained(start.numParams())).build();
            System.out.println("estimate: " + estimate);
            estimate.requireFits();
            measure(model, start, estimate, run == null ? folder.resolve("run") : run);
        } finally {
            FileUtils.deleteDirectory(folder.toFile());
        }
        return CommandLine.ExitCode.OK;
    }

    private Teacher teacher(MultiLayerNetwork start) {
        if (lora != null) {
            return LowRankAdapters.teacher(start);
        }
        return fullTeacher ? Teacher.of(start) : Teacher.ofHalf(start);
    }

    private void measure(LanguageModel model, MultiLayerNetwork start, MemoryEstimate estimate, Path checkpoints)
            throws IOException {
        double copy = model.parameters() * Float.BYTES / MEGABYTE;
        List<Double> seconds = new ArrayList<>();
        long[] last = {0};
        double peak;
        try (Teacher teacher = teacher(start)) {
            MultiLayerNetwork student = student(start, teacher);
            // The peak from here on: loading is over, and its file isn't mapped any more.
            System.gc();
            Files.writeString(Path.of("/proc/self/clear_refs"), "5");
            last[0] = System.nanoTime();
            MultiLayerNetwork trained = FinetuningRun.builder()
                    .student(student)
                    .keepStudent(false)
                    .every(run == null ? steps : 1)
                    .teacher(teacher)
                    .iterator(new ExistingDataSetIterator(
                            new BenchmarkShape(model.vocabulary(), batch, sequenceLength).ids(steps * accumulate, 1)))
                    .accumulate(accumulate)
                    .report(1, report -> {
                        seconds.add((System.nanoTime() - last[0]) / 1e9);
                        resident(seconds.size());
                        last[0] = System.nanoTime();
                    })
                    .folder(checkpoints)
                    .build()
                    .run();
            peak = ProcessMemory.peak();
            double heap = heap();
            double java =
                    ManagementFactory.getMemoryMXBean().getNonHeapMemoryUsage().getCommitted() / MEGABYTE;
            System.out.printf(
                    Locale.ROOT,
                    "at the end %.0f MB: Java's heap %.0f, classes and compiled code %.0f, arrays and libraries %.0f%n",
                    ProcessMemory.ofArrays(),
                    heap,
                    java,
                    ProcessMemory.ofArrays() - heap - java);
            System.out.println("SHA-256 of the student: " + NetworkIdentity.sha256(trained));
        }
        double beside = BESIDE.stream()
                        .mapToLong(part -> estimate.parts().getOrDefault(part, 0L))
                        .sum()
                / MEGABYTE;
        System.out.printf(
                Locale.ROOT,
                "peak %.0f MB, estimated %.0f MB; a copy of the weights is %.0f MB: %.2f copies, %.2f without activations,"
                        + " teacher's values and Java as estimated%n",
                peak,
                estimate.total() / MEGABYTE,
                copy,
                peak / copy,
                (peak - beside) / copy);
        System.out.printf(
                Locale.ROOT,
                "seconds of the steps: %s; the first one is longer. Products with weights in a step: %.2f TFLOP%n",
                seconds.stream()
                        .limit(LISTED)
                        .map(value -> String.format(Locale.ROOT, "%.1f", value))
                        .toList(),
                operations(model) / 1e12);
    }

    private static double heap() {
        return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getCommitted() / MEGABYTE;
    }

    /** As a training leaves it: nobody collects garbage here. */
    private void resident(int step) {
        if (every == null || step % every != 0) {
            return;
        }
        try {
            System.out.printf(
                    Locale.ROOT,
                    "step %d: %.1f MB are resident, Java's heap is %.0f%n",
                    step,
                    ProcessMemory.resident(),
                    heap());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Of a multiplication and an addition each: forward in teacher and student, backward to the inputs, and for weights that
     * train their gradients; once more forward where that's recomputed. Attention's scores and adapters aren't in it.
     */
    private double operations(LanguageModel model) {
        double passes = 3 + (lora == null ? 1 : 0) + (recompute ? 1 : 0);
        // A tied embedding is the output layer's weights; norms are few.
        return 2.0 * model.parameters() * passes * batch * sequenceLength * accumulate;
    }

    /** The network's own parameters are freed. */
    private MultiLayerNetwork student(MultiLayerNetwork network, Teacher teacher) {
        MultiLayerNetwork ready = Retention.withUpdater(network, new NativeAdam(1e-4));
        if (lora == null) {
            network.params().close();
        }
        NativeLayers.recompute(ready, recompute);
        MultiLayerNetwork student =
                Retention.attach(ready, RetentionConfiguration.builder().build(), teacher);
        ready.params().close();
        return student;
    }
}
