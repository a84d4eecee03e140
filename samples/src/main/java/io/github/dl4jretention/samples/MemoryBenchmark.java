package io.github.dl4jretention.samples;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import org.apache.commons.io.FileUtils;
import org.bytedeco.javacpp.Pointer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Whether a long finetuning of a small model keeps its memory and its file descriptors. */
@Command(
        name = "memory-benchmark",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description = "Heap, off-heap memory and file descriptors over many training steps near a teacher.")
public final class MemoryBenchmark implements Callable<Integer> {

    private static final int LENGTH = 16;
    private static final double MEGABYTE = 1 << 20;

    @Option(names = "--steps", description = "Training steps.")
    private int steps = 10_000;

    @Option(names = "--every", description = "Steps from one measurement to the next; the first two are warm-up.")
    private int every = 500;

    @Option(names = "--cached", description = "Take the teacher's values from a cache instead of asking the teacher.")
    private boolean cached;

    private record Sample(int step, double heap, double offHeap, double descriptors) {}

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(new CommandLine(new MemoryBenchmark()).execute(args));
    }

    @Override
    public Integer call() throws IOException {
        MultiLayerNetwork pretrained = pretrained();
        if (!cached) {
            return train(pretrained, Teacher.of(pretrained));
        }
        Path folder = Files.createTempDirectory("cache");
        try {
            TeacherCache.Builder cache = TeacherCache.builder().pretrained(pretrained).folder(folder);
            return train(pretrained, cache.build(batches()));
        } finally {
            FileUtils.deleteDirectory(folder.toFile());
        }
    }

    private ByteWindowIterator batches() {
        byte[] text = new byte[100_000];
        new Random(1).nextBytes(text);
        return ByteWindowIterator.training(4, LENGTH, steps, 1, text);
    }

    private int train(MultiLayerNetwork pretrained, Teacher teacher) {
        MultiLayerNetwork student =
                Retention.attach(pretrained, RetentionConfiguration.builder().build());
        TeacherIterator batches = new TeacherIterator(batches(), teacher);
        List<Sample> samples = new ArrayList<>();
        System.out.printf("%8s %9s %12s %12s%n", "step", "heap MB", "off-heap MB", "descriptors");
        for (int step = 1; step <= steps; step++) {
            student.fit(batches.next());
            if (step % every == 0) {
                Sample sample = measure(step);
                System.out.printf("%8d %9.2f %12.2f %12.0f%n", step, sample.heap, sample.offHeap, sample.descriptors);
                samples.add(sample);
            }
        }
        List<Sample> settled = samples.subList(Math.min(2, samples.size()), samples.size());
        System.out.printf(
                "slope per 1,000 steps, after warm-up: heap %.3f MB, off-heap %.3f MB, descriptors %.3f%n",
                slope(settled.stream().map(s -> new double[] {s.step, s.heap}).toList()),
                slope(settled.stream()
                        .map(s -> new double[] {s.step, s.offHeap})
                        .toList()),
                slope(settled.stream()
                        .map(s -> new double[] {s.step, s.descriptors})
                        .toList()));
        return CommandLine.ExitCode.OK;
    }

    private static MultiLayerNetwork pretrained() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .seed(1)
                .updater(new Adam(1e-3))
                .list()
                .layer(new EmbeddingSequenceLayer.Builder()
                        .nIn(ByteWindowIterator.VOCABULARY)
                        .nOut(8)
                        .inputLength(LENGTH)
                        .build())
                .layer(new LSTM.Builder().nOut(16).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nOut(ByteWindowIterator.VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .build())
                .setInputType(InputType.recurrent(ByteWindowIterator.VOCABULARY))
                .build());
        network.init();
        return network;
    }

    private static Sample measure(int step) {
        System.gc();
        double heap = ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed() / MEGABYTE;
        double descriptors = ManagementFactory.getOperatingSystemMXBean()
                        instanceof com.sun.management.UnixOperatingSystemMXBean unix
                ? unix.getOpenFileDescriptorCount()
                : Double.NaN;
        return new Sample(step, heap, Pointer.totalBytes() / MEGABYTE, descriptors);
    }

    /** Least squares, per 1,000 of the first coordinate. */
    private static double slope(List<double[]> points) {
        double meanX = points.stream().mapToDouble(p -> p[0]).average().orElse(Double.NaN);
        double meanY = points.stream().mapToDouble(p -> p[1]).average().orElse(Double.NaN);
        double covariance = points.stream()
                .mapToDouble(p -> (p[0] - meanX) * (p[1] - meanY))
                .sum();
        double variance = points.stream()
                .mapToDouble(p -> (p[0] - meanX) * (p[0] - meanX))
                .sum();
        return 1000 * covariance / variance;
    }
}
