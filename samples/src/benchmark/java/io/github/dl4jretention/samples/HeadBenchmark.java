package io.github.dl4jretention.samples;

import io.github.dl4jretention.samples.benchmark.OutputHead;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * An output layer's loss and gradients: DL4J's RnnOutputLayer with cross-entropy against the retention layer with
 * cross-entropy and divergence.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3, time = 3)
@Measurement(iterations = 5, time = 1)
@Fork(
        value = 1,
        jvmArgsAppend = {"-Xmx10g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"})
public class HeadBenchmark {

    private static final int INPUT_SIZE = 256;

    /** Which layer. */
    public enum Side {
        STOCK,
        RETENTION
    }

    @Param({"256", "2000", "8000", "32000"})
    private int vocabulary;

    @Param({"256", "1024", "4096"})
    private int tokens;

    @Param
    private Side side;

    private OutputHead head;

    @Setup
    public void setUp() {
        OutputHead stock = OutputHead.stock(INPUT_SIZE, vocabulary, tokens);
        head = side == Side.STOCK ? stock : stock.retention();
    }

    @Benchmark
    public double gradients() {
        return head.run();
    }
}
