package io.github.dl4jretention.samples;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.checkpoint.FinetuningRun;
import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.lm.MemoryEstimate;
import io.github.dl4jretention.lm.layers.NativeAdam;
import io.github.dl4jretention.lm.layers.NativeLayers;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.samples.benchmark.BenchmarkShape;
import io.github.dl4jretention.samples.benchmark.ProcessMemory;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.RandomFolder;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.apache.commons.io.FileUtils;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Memory and time of a few steps of finetuning with retention, all parameters of a random model of the sizes of
 * SmolLM2-135M, beside what {@link MemoryEstimate} says. It ends with a checkpoint of 1.6 GB in a temporary folder.
 */
@Command(
        name = "size-benchmark",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description = "Peak memory and time of steps of a model of 135 million parameters.")
public final class SizeBenchmark implements Callable<Integer> {

    private static final double MEGABYTE = 1 << 20;

    /** Parts that don't follow from the number of parameters. */
    private static final List<String> BESIDE = List.of("activations", "teacher's values", "Java");

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

    @Option(names = "--small", hidden = true, description = "A smaller model, to try the program.")
    private boolean small;

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
            RandomFolder sizes = small ? new RandomFolder(300, 32, 2, 4, 2, 48, 512) : RandomFolder.OF_135_MILLION;
            sizes.write(folder.resolve("model"), true, 1);
            LanguageModel model = LanguageModel.load(folder.resolve("model"));
            MemoryEstimate estimate = MemoryEstimate.builder(model)
                    .batch(batch)
                    .sequenceLength(sequenceLength)
                    .accumulate(accumulate)
                    .recompute(recompute)
                    .halfTeacher(!fullTeacher)
                    .build();
            System.out.println("estimate: " + estimate);
            estimate.requireFits();
            measure(model, estimate, folder.resolve("run"));
        } finally {
            FileUtils.deleteDirectory(folder.toFile());
        }
        return CommandLine.ExitCode.OK;
    }

    private void measure(LanguageModel model, MemoryEstimate estimate, Path run) throws IOException {
        double copy = model.network().numParams() * Float.BYTES / MEGABYTE;
        List<Double> seconds = new ArrayList<>();
        long[] last = {0};
        try (Teacher teacher = fullTeacher ? Teacher.of(model.network()) : Teacher.ofHalf(model.network())) {
            MultiLayerNetwork student = student(model.network(), teacher);
            // The peak from here on: loading is over, and its file isn't mapped any more.
            System.gc();
            Files.writeString(Path.of("/proc/self/clear_refs"), "5");
            last[0] = System.nanoTime();
            FinetuningRun.builder()
                    .student(student)
                    .keepStudent(false)
                    .teacher(teacher)
                    .iterator(new ExistingDataSetIterator(
                            new BenchmarkShape(model.vocabulary(), batch, sequenceLength).ids(steps * accumulate, 1)))
                    .accumulate(accumulate)
                    .report(1, report -> {
                        seconds.add((System.nanoTime() - last[0]) / 1e9);
                        last[0] = System.nanoTime();
                    })
                    .folder(run)
                    .build()
                    .run();
        }
        double peak = ProcessMemory.peak();
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
        System.out.println("seconds of the steps: "
                + seconds.stream()
                        .map(value -> String.format(Locale.ROOT, "%.1f", value))
                        .toList() + "; the first one is longer");
    }

    /** The network's own parameters are freed. */
    private MultiLayerNetwork student(MultiLayerNetwork network, Teacher teacher) {
        MultiLayerNetwork ready = Retention.withUpdater(network, new NativeAdam(1e-4));
        network.params().close();
        NativeLayers.recompute(ready, recompute);
        MultiLayerNetwork student =
                Retention.attach(ready, RetentionConfiguration.builder().build(), teacher);
        ready.params().close();
        return student;
    }
}
