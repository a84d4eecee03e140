package io.github.dl4jretention.samples;

import io.github.dl4jretention.internal.ArrayStream;
import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.internal.CheckedZip;
import io.github.dl4jretention.samples.console.Console;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.apache.commons.math3.stat.StatUtils;
import org.deeplearning4j.util.ModelSerializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * How fast a checkpoint's arrays are written and read, beside a plain copy of the same bytes: parameters, and Adam's
 * state, which is twice as large. All of it is on the disk when a time ends. Before something is read, the system is
 * asked to forget what it has of files in memory, which takes root.
 */
@Command(
        name = "checkpoint-benchmark",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description = "Writes and reads a checkpoint's arrays, beside plain copies of the file.")
public final class CheckpointBenchmark implements Callable<Integer> {

    private static final Path FORGET = Path.of("/proc/sys/vm/drop_caches");
    private static final int CHUNK = 1 << 22;

    @Option(names = "--parameters", description = "Parameters; the default is those of SmolLM2-135M.")
    private long parameters = 134_515_008;

    @Option(names = "--turns", converter = Errors.Count.class, description = "How often each is done, in turns.")
    private int turns = 5;

    @Option(names = "--folder", paramLabel = "DIR", description = "On the disk to be measured; made if need be.")
    private Path folder = Path.of("out", "checkpoint-benchmark");

    private final List<Double> written = new ArrayList<>();
    private final List<Double> copied = new ArrayList<>();
    private final List<Double> read = new ArrayList<>();
    private final List<Double> readPlainly = new ArrayList<>();
    private boolean forgets = true;

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new CheckpointBenchmark()));
    }

    /** What is timed. */
    private interface Work {
        void run() throws IOException;
    }

    @Override
    public Integer call() throws IOException {
        Files.createDirectories(folder);
        Path file = folder.resolve("checkpoint.zip");
        Path copy = folder.resolve("copy.zip");
        try (INDArray weights = Nd4j.rand(DataType.FLOAT, 1, parameters);
                INDArray state = Nd4j.rand(DataType.FLOAT, 1, 2 * parameters)) {
            for (int turn = 0; turn < turns; turn++) {
                written.add(seconds(() -> write(file, weights, state)));
                copied.add(seconds(() -> copy(file, copy)));
                Files.delete(copy);
                forget();
                read.add(seconds(() -> read(file, weights, state)));
                forget();
                readPlainly.add(seconds(() -> copy(file, null)));
            }
            double megabytes = Files.size(file) / 1e6;
            System.out.printf(Locale.ROOT, "%.0f MB, %d turns, median seconds and MB/s%n", megabytes, turns);
            double copies = row("plain copy", copied, megabytes);
            System.out.printf(
                    Locale.ROOT,
                    "  share of the plain copy: %.2f%n",
                    copies / row("checkpoint written", written, megabytes));
            double plain = row("plain reading", readPlainly, megabytes);
            System.out.printf(
                    Locale.ROOT, "  share of plain reading: %.2f%n", plain / row("checkpoint read", read, megabytes));
            if (!forgets) {
                System.out.println("reading was from memory: " + FORGET + " can't be written to");
            }
        } finally {
            Files.deleteIfExists(file);
            Files.deleteIfExists(copy);
        }
        return CommandLine.ExitCode.OK;
    }

    private static double row(String name, List<Double> seconds, double megabytes) {
        double median = StatUtils.percentile(
                seconds.stream().mapToDouble(value -> value).toArray(), 50);
        System.out.printf(
                Locale.ROOT,
                "%-20s %6.2f %7.0f   %s%n",
                name,
                median,
                megabytes / median,
                seconds.stream()
                        .map(value -> String.format(Locale.ROOT, "%.2f", value))
                        .toList());
        return median;
    }

    private static double seconds(Work work) throws IOException {
        long start = System.nanoTime();
        work.run();
        return (System.nanoTime() - start) / 1e9;
    }

    private void forget() {
        try {
            Files.writeString(FORGET, "1");
        } catch (IOException e) {
            forgets = false;
        }
    }

    private static void write(Path file, INDArray weights, INDArray state) throws IOException {
        AtomicFile.write(file, out -> {
            CheckedZip.Writer zip = new CheckedZip.Writer(out);
            zip.add(ModelSerializer.COEFFICIENTS_BIN, entry -> write(weights, new DataOutputStream(entry)));
            zip.add(ModelSerializer.UPDATER_BIN, entry -> write(state, new DataOutputStream(entry)));
            zip.finish();
        });
    }

    private static void write(INDArray array, DataOutputStream out) throws IOException {
        ArrayStream.write(array, out);
        out.flush();
    }

    private static void read(Path file, INDArray weights, INDArray state) throws IOException {
        try (CheckedZip zip = new CheckedZip(file)) {
            zip.array(ModelSerializer.COEFFICIENTS_BIN, weights);
            zip.array(ModelSerializer.UPDATER_BIN, state);
        }
    }

    /** @param to null to read only */
    private static void copy(Path from, @Nullable Path to) throws IOException {
        ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK);
        try (FileChannel in = FileChannel.open(from);
                FileChannel out =
                        to == null ? null : FileChannel.open(to, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            while (in.read(chunk.clear()) >= 0) {
                chunk.flip();
                while (out != null && chunk.hasRemaining()) {
                    out.write(chunk);
                }
            }
            if (out != null) {
                out.force(true);
            }
        }
    }
}
