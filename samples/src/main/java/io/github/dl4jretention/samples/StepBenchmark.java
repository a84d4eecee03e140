package io.github.dl4jretention.samples;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.learning.config.Adam;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** What a training step costs: plain, with the retention layer at coefficient 0, and with a teacher, taken in turns. */
@Command(
        name = "step-benchmark",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description = "Median time of a training step of each sample model, plain and with retention.")
public final class StepBenchmark implements Callable<Integer> {

    @Option(names = "--steps", description = "Measured steps of each side.")
    private int steps = 30;

    @Option(names = "--warm-up", description = "Steps of each side before that.")
    private int warmUp = 15;

    @Option(names = "--batch", description = "Sequences of 64 bytes in a minibatch.")
    private int batch = 16;

    private record Side(MultiLayerNetwork network, DataSetIterator batches, double[] milliseconds) {
        private void step(int index) {
            long started = System.nanoTime();
            network.fit(batches.next());
            if (index >= 0) {
                milliseconds[index] = (System.nanoTime() - started) / 1e6;
            }
        }
    }

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(new CommandLine(new StepBenchmark()).execute(args));
    }

    @Override
    public Integer call() {
        System.out.printf(
                "%d processors, OMP_NUM_THREADS=%s, Java %s, batch %d x %d%n",
                Runtime.getRuntime().availableProcessors(),
                System.getenv("OMP_NUM_THREADS"),
                System.getProperty("java.version"),
                batch,
                ModelKind.CONTEXT);
        System.out.printf("%-12s %-14s %9s %9s %9s %6s%n", "model", "step", "median ms", "quarter", "3/4", "ratio");
        for (ModelKind kind : ModelKind.values()) {
            measure(kind);
        }
        return CommandLine.ExitCode.OK;
    }

    private void measure(ModelKind kind) {
        MultiLayerNetwork base = kind.create(new Adam(1e-3), 1);
        Teacher teacher = Teacher.of(base);
        Map<String, Side> sides = new LinkedHashMap<>();
        sides.put("plain", side(base.clone(), batches()));
        sides.put("coefficient 0", side(attach(base, 0), batches()));
        sides.put("with teacher", side(attach(base, 1), new TeacherIterator(batches(), teacher)));
        for (int i = -warmUp; i < steps; i++) {
            for (Side side : sides.values()) {
                side.step(i);
            }
        }
        double plain = Double.NaN;
        for (Map.Entry<String, Side> side : sides.entrySet()) {
            double[] sorted = side.getValue().milliseconds();
            Arrays.sort(sorted);
            double median = sorted[steps / 2];
            plain = Double.isNaN(plain) ? median : plain;
            System.out.printf(
                    "%-12s %-14s %9.1f %9.1f %9.1f %6.2f%n",
                    kind.label(), side.getKey(), median, sorted[steps / 4], sorted[3 * steps / 4], median / plain);
        }
    }

    private Side side(MultiLayerNetwork network, DataSetIterator batches) {
        return new Side(network, batches, new double[steps]);
    }

    private static MultiLayerNetwork attach(MultiLayerNetwork base, double coefficient) {
        return Retention.attach(
                base, RetentionConfiguration.builder().coefficient(coefficient).build());
    }

    private DataSetIterator batches() {
        byte[] text = new byte[1 << 16];
        new Random(1).nextBytes(text);
        return ByteWindowIterator.training(batch, ModelKind.CONTEXT, warmUp + steps, 1, text);
    }
}
