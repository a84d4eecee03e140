package io.github.dl4jretention.samples;

import io.github.dl4jretention.samples.benchmark.BenchmarkShape;
import io.github.dl4jretention.samples.benchmark.TrainingSide;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.ModelKind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Where the time of a plain DL4J training step goes. Java Flight Recorder samples the stacks of the thread that trains,
 * in Java and in native code alike; for the methods that are innermost most often, JMH's own profilers do
 * ({@code StepBenchmark -prof stack}).
 */
@Command(
        name = "step-profile",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description = "Prints the share of each part of a plain training step. Every step has new data.")
public final class StepProfile implements Callable<Integer> {

    private static final Duration PERIOD = Duration.ofMillis(10);
    private static final List<String> EVENTS = List.of("jdk.ExecutionSample", "jdk.NativeMethodSample");

    @Option(names = "--models", split = ",", description = "Any of ${COMPLETION-CANDIDATES}.")
    private List<ModelKind> models = List.of(ModelKind.values());

    @Option(names = "--vocabulary", converter = Errors.Count.class, description = "Classes of a token.")
    private int vocabulary = 2000;

    @Option(names = "--time", converter = Errors.Count.class, description = "Tokens of a sequence.")
    private int time = 64;

    @Option(names = "--batch", converter = Errors.Count.class, description = "Sequences of a minibatch.")
    private int batch = 16;

    @Option(names = "--warm-up", converter = Errors.Count.class, description = "Steps before those that are sampled.")
    private int warmUp = 15;

    @Option(names = "--steps", converter = Errors.Count.class, description = "Sampled steps.")
    private int steps = 60;

    /** A part of a step: the first, in this order, all of whose frames are on the stack. */
    enum Part {
        OUTPUT("output layer, loss, its gradients", "layers.BaseOutputLayer."),
        LSTM_FORWARD_AGAIN(
                "LSTM: forward again, in backprop",
                "recurrent.LSTM.backpropGradientHelper",
                "recurrent.LSTMHelpers.activateHelper"),
        LSTM_BACKWARD("LSTM: backward", "recurrent.LSTM.backpropGradientHelper"),
        LSTM_FORWARD("LSTM: forward", "recurrent.LSTMHelpers.activateHelper"),
        BLOCKS_BACKWARD(
                "SameDiff layers: forward again and backward", "layers.samediff.SameDiffLayer.backpropGradient"),
        BLOCKS_FORWARD("SameDiff layers: forward", "layers.samediff.SameDiffLayer.activate"),
        EMBEDDING("embedding", "embedding.EmbeddingSequenceLayer."),
        UPDATER("updater, parameters", "optimize.solvers."),
        DATA("data", "samples.benchmark.BenchmarkShape."),
        OTHER("other: workspaces, listeners");

        private static final String OPTIMIZER_CALLS_NETWORK = "multilayer.MultiLayerNetwork.computeGradientAndScore";

        private final String label;
        private final List<String> frames;

        Part(String label, String... frames) {
            this.label = label;
            this.frames = List.of(frames);
        }

        /** @param stack names of the methods on it, {@code package.Class.method} */
        static Part of(List<String> stack) {
            return Arrays.stream(values())
                    .filter(part -> part.matches(stack))
                    .findFirst()
                    .orElse(OTHER);
        }

        private boolean matches(List<String> stack) {
            // The optimizer is on every stack of a step; its own part is what it doesn't leave to the network.
            if (this == UPDATER && stack.stream().anyMatch(name -> name.contains(OPTIMIZER_CALLS_NETWORK))) {
                return false;
            }
            return frames.stream().allMatch(frame -> stack.stream().anyMatch(name -> name.contains(frame)));
        }
    }

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new StepProfile()).setCaseInsensitiveEnumValuesAllowed(true));
    }

    @Override
    public Integer call() throws IOException {
        for (ModelKind model : models) {
            profile(model);
        }
        return CommandLine.ExitCode.OK;
    }

    private void profile(ModelKind model) throws IOException {
        BenchmarkShape shape = new BenchmarkShape(vocabulary, batch, time);
        TrainingSide.Training training = new TrainingSide.Training(shape.network(model), shape.endlessTokens(1));
        steps(training, warmUp);
        Map<Part, Integer> samples = new EnumMap<>(Part.class);
        long taken;
        Path file = Files.createTempFile("steps", ".jfr");
        try (Recording recording = new Recording()) {
            EVENTS.forEach(event -> recording.enable(event).withPeriod(PERIOD));
            recording.start();
            long started = System.nanoTime();
            steps(training, steps);
            taken = System.nanoTime() - started;
            recording.stop();
            recording.dump(file);
            RecordingFile.readAllEvents(file).stream()
                    .filter(StepProfile::isOfThisThread)
                    .forEach(event -> samples.merge(Part.of(stack(event)), 1, Integer::sum));
        } finally {
            Files.delete(file);
        }
        print(model, taken / 1e6 / steps, samples);
    }

    private static void steps(TrainingSide.Training training, int count) {
        for (int step = 0; step < count; step++) {
            training.step();
        }
    }

    private static boolean isOfThisThread(RecordedEvent event) {
        return EVENTS.contains(event.getEventType().getName())
                && event.getStackTrace() != null
                && event.getThread("sampledThread").getJavaThreadId()
                        == Thread.currentThread().getId();
    }

    private static List<String> stack(RecordedEvent event) {
        return event.getStackTrace().getFrames().stream()
                .map(frame -> frame.getMethod().getType().getName() + "."
                        + frame.getMethod().getName())
                .toList();
    }

    private static void print(ModelKind model, double milliseconds, Map<Part, Integer> samples) {
        int all = samples.values().stream().mapToInt(Integer::intValue).sum();
        System.out.printf("%s: %.1f ms a step, %d samples%n", model.label(), milliseconds, all);
        System.out.printf("%-45s %7s %9s%n", "part", "share", "ms a step");
        for (Part part : Part.values()) {
            double share = samples.getOrDefault(part, 0) / (double) all;
            System.out.printf("%-45s %6.1f%% %9.1f%n", part.label, 100 * share, milliseconds * share);
        }
    }
}
