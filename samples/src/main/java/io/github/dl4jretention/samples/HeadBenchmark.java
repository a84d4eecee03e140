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

/** A JMH benchmark of loss and gradients of the output layer alone: DL4J's RnnOutputLayer against retention. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3, time = 3)
@Measurement(iterations = 5, time = 1)
@Fork(
        value = 1,
        jvmArgsAppend = {"-Xmx10g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"})
public class HeadBenchmark {

    @Param({"256", "2000", "8000", "32000"})
    private int vocabulary;

    @Param({"256", "1024", "4096"})
    private int tokens;

    @Param
    private OutputHead.Kind side;

    private OutputHead head;

    /** Makes the layer, its input and its labels. */
    @Setup
    public void setUp() {
        head = OutputHead.of(side, vocabulary, tokens);
    }

    /** Loss and gradients of the minibatch. */
    @Benchmark
    public double gradients() {
        return head.run();
    }
}
