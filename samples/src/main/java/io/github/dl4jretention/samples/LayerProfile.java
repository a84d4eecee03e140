package io.github.dl4jretention.samples;

import io.github.dl4jretention.internal.Workers;
import io.github.dl4jretention.lm.layers.DecoderBlock;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.samples.benchmark.PeerShape;
import io.github.dl4jretention.samples.benchmark.TrainingSide;
import io.github.dl4jretention.samples.console.Console;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import org.apache.commons.io.FileUtils;
import org.apache.commons.math3.stat.descriptive.DescriptiveStatistics;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.layers.IOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Where a training step with a cached teacher goes, layer by layer, and how near to the machine's own matrix product
 * each part comes: a stopwatch stands before every layer of the network that trains.
 */
@Command(
        name = "layer-profile",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description = "Prints the median milliseconds of each kind of layer in a training step, and its GFLOP/s.")
public final class LayerProfile implements Callable<Integer> {

    private static final int DIFFERENT_BATCHES = 4;
    private static final int SQUARE = 1024;
    private static final int PRODUCTS = 20;

    @Option(names = "--shapes", split = ",", description = "Any of ${COMPLETION-CANDIDATES}.")
    private List<PeerShape> shapes = List.of(PeerShape.LSTM, PeerShape.TRANSFORMER);

    @Option(names = "--batch", description = "Sequences of a minibatch.")
    private int batch = 16;

    @Option(names = "--time", description = "Tokens of a sequence.")
    private int time = 64;

    @Option(names = "--warm-up", description = "Steps before those that are measured.")
    private int warmUp = 60;

    @Option(names = "--steps", description = "Measured steps.")
    private int steps = 40;

    /** Milliseconds of each part in this step, and multiplications and additions, in billions. */
    private final Map<String, Double> current = new LinkedHashMap<>();

    private final Map<String, Double> work = new LinkedHashMap<>();

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new LayerProfile()).setCaseInsensitiveEnumValuesAllowed(true));
    }

    @Override
    public Integer call() throws IOException {
        System.out.printf("matrix product of 1024 x 1024 on all processors: %.1f GFLOP/s%n", product());
        for (PeerShape shape : shapes) {
            Path cache = Files.createTempDirectory("cache");
            try {
                profile(shape, cache);
            } finally {
                FileUtils.deleteDirectory(cache.toFile());
            }
        }
        return CommandLine.ExitCode.OK;
    }

    /** One product on each processor, at the same time, as the layers run them. */
    private static double product() {
        int parts = Workers.ofMachine().products();
        INDArray[] a = new INDArray[parts];
        INDArray[] b = new INDArray[parts];
        INDArray[] c = new INDArray[parts];
        for (int part = 0; part < parts; part++) {
            a[part] = Nd4j.rand(SQUARE, SQUARE);
            b[part] = Nd4j.rand(SQUARE, SQUARE);
            c[part] = Nd4j.createUninitialized(new long[] {SQUARE, SQUARE}, 'f');
        }
        DescriptiveStatistics seconds = new DescriptiveStatistics();
        for (int i = 0; i < PRODUCTS; i++) {
            long start = System.nanoTime();
            Workers.run(parts, part -> Nd4j.gemm(a[part], b[part], c[part], false, false, 1, 0));
            seconds.addValue((System.nanoTime() - start) / 1e9);
        }
        return 2e-9 * SQUARE * SQUARE * SQUARE * parts / seconds.getPercentile(50);
    }

    private void profile(PeerShape shape, Path cache) throws IOException {
        TrainingSide.Training training = TrainingSide.CACHED.start(
                shape.network(false, batch, time), shape.tokens(DIFFERENT_BATCHES, batch, time), cache);
        Layer[] layers = training.network().getLayers();
        work.clear();
        for (int i = 0; i < layers.length; i++) {
            layers[i] = timed(layers[i], work(training.network(), i, shape));
        }
        Map<String, DescriptiveStatistics> milliseconds = new LinkedHashMap<>();
        DescriptiveStatistics whole = new DescriptiveStatistics();
        DescriptiveStatistics rest = new DescriptiveStatistics();
        for (int step = 0; step < warmUp + steps; step++) {
            current.clear();
            long start = System.nanoTime();
            training.step();
            double taken = (System.nanoTime() - start) / 1e6;
            if (step >= warmUp) {
                current.forEach((part, time) -> milliseconds
                        .computeIfAbsent(part, p -> new DescriptiveStatistics())
                        .addValue(time));
                whole.addValue(taken);
                rest.addValue(taken
                        - current.values().stream()
                                .mapToDouble(Double::doubleValue)
                                .sum());
            }
        }
        System.out.printf("%n%s, %d x %d tokens%n", shape.label(), batch, time);
        System.out.printf("%-45s %9s %7s %9s%n", "part", "median ms", "GFLOP", "GFLOP/s");
        milliseconds.forEach((part, times) -> print(part, times, work.getOrDefault(part, 0.0)));
        print("updater, the next minibatch, DL4J itself", rest, 0);
        print(
                "whole step",
                whole,
                work.values().stream().mapToDouble(Double::doubleValue).sum());
    }

    private static void print(String part, DescriptiveStatistics milliseconds, double work) {
        double median = milliseconds.getPercentile(50);
        String count = work == 0 ? "" : "%.2f".formatted(work);
        String speed = work == 0 ? "" : "%.1f".formatted(work / median * 1000);
        System.out.printf("%-45s %9.2f %7s %9s%n", part, median, count, speed);
    }

    /** What a layer's forward pass multiplies and adds, in billions: a token meets every weight, and half of the tokens. */
    private double work(MultiLayerNetwork network, int index, PeerShape shape) {
        org.deeplearning4j.nn.conf.layers.Layer conf =
                network.getLayerWiseConfigurations().getConf(index).getLayer();
        long tokens = (long) batch * time;
        if (index == network.getnLayers() - 1) {
            return 2e-9 * tokens * shape.vocabulary() * ((RetentionOutputLayer) conf).getNIn();
        }
        double attention =
                conf instanceof DecoderBlock block ? 2e-9 * tokens * time * block.getHeads() * block.getHeadSize() : 0;
        return index == 0 ? 0 : attention + 2e-9 * tokens * weights(network.getLayer(index));
    }

    private static double weights(Layer layer) {
        return layer.paramTable().values().stream()
                .filter(array -> array.rank() == 2 && array.size(0) > 1 && array.size(1) > 1)
                .mapToDouble(INDArray::length)
                .sum();
    }

    /** A layer that is called through a stopwatch. */
    private Layer timed(Layer layer, double forward) {
        String kind = layer.conf().getLayer().getClass().getSimpleName();
        boolean isOutput = layer instanceof IOutputLayer;
        String there = kind + " forward";
        String back = kind + (isOutput ? ", loss and gradients" : " backward");
        if (forward > 0) {
            if (!isOutput) {
                work.merge(there, forward, Double::sum);
            }
            work.merge(back, (isOutput ? 3 : 2) * forward, Double::sum);
        }
        Class<?>[] interfaces = interfaces(layer.getClass()).toArray(Class<?>[]::new);
        return (Layer) Proxy.newProxyInstance(Layer.class.getClassLoader(), interfaces, (proxy, method, arguments) -> {
            long start = System.nanoTime();
            try {
                return method.invoke(layer, arguments);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            } finally {
                double taken = (System.nanoTime() - start) / 1e6;
                if (method.getName().equals("backpropGradient")) {
                    current.merge(back, taken, Double::sum);
                } else if (method.getName().equals("activate")) {
                    current.merge(there, taken, Double::sum);
                }
            }
        });
    }

    private static Set<Class<?>> interfaces(Class<?> type) {
        Set<Class<?>> interfaces = new LinkedHashSet<>();
        for (Class<?> ancestor = type; ancestor != null; ancestor = ancestor.getSuperclass()) {
            interfaces.addAll(List.of(ancestor.getInterfaces()));
        }
        return interfaces;
    }
}
