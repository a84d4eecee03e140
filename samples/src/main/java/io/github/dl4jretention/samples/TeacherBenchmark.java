package io.github.dl4jretention.samples;

import io.github.dl4jretention.cache.CacheCodec;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.loss.LabelArrays;
import io.github.dl4jretention.samples.benchmark.BenchmarkShape;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.Checkpoint;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.commons.io.FileUtils;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * A JMH benchmark of what a token of the teacher costs: computed, read from a cache, written to one, and checked when a
 * cache is opened, by codec. Models: the sample transformer (V = 256) on Scala code, and a random LSTM (V = 2000 or any
 * other) with about the entropy of a language model on random tokens.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 2, time = 3)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class TeacherBenchmark {

    private static final int BATCHES = 10;
    private static final int BATCH = 16;
    private static final int TOKENS = BATCH * ModelKind.CONTEXT;

    /** Nats of entropy that the random model has, about. */
    private static final double ENTROPY = 3.9;

    @Param
    private ModelKind model;

    @Param({"sample:36", "sample:27", "topK:12", "half"})
    private String codec;

    /** Of the LSTM. */
    @Param("2000")
    private int vocabulary;

    private List<DataSet> batches;
    private int next;
    private Teacher teacher;
    private Path folder;
    private TeacherCache cache;

    /** Makes the teacher and its cache. */
    @Setup
    public void setUp() throws IOException {
        Console.prepare(1);
        batches = batches(model, vocabulary, BATCHES, 1);
        teacher = Teacher.of(network(model, vocabulary));
        folder = Files.createTempDirectory("cache");
        cache = cache("read");
    }

    /** Deletes the cache. */
    @TearDown
    public void tearDown() throws IOException {
        FileUtils.deleteDirectory(folder.toFile());
    }

    /** Deletes what {@link #build} has written. */
    @TearDown(Level.Iteration)
    public void deleteBuilt() throws IOException {
        FileUtils.deleteDirectory(folder.resolve("built").toFile());
    }

    /** The teacher's forward pass. */
    @Benchmark
    @OperationsPerInvocation(TOKENS)
    public void teacher() {
        ask(teacher);
    }

    /** The same from the cache. */
    @Benchmark
    @OperationsPerInvocation(TOKENS)
    public void read() {
        ask(cache);
    }

    /** Computes and writes the cache. */
    @Benchmark
    @OperationsPerInvocation(BATCHES * TOKENS)
    public TeacherCache build() throws IOException {
        deleteBuilt();
        return cache("built");
    }

    /** Opens the cache and checks all of it. */
    @Benchmark
    @OperationsPerInvocation(BATCHES * TOKENS)
    public TeacherCache open() throws IOException {
        return cache("read");
    }

    private void ask(Teacher asked) {
        next = (next + 1) % BATCHES;
        INDArray found = asked.logProbabilities(batches.get(next).getFeatures(), null);
        // As a TeacherIterator does: fresh memory would be most of the time.
        LabelArrays.release(found);
    }

    private TeacherCache cache(String name) throws IOException {
        return TeacherCache.builder()
                .teacher(teacher)
                .folder(folder.resolve(name))
                .codec(CacheCodec.of(codec))
                .build(new ExistingDataSetIterator(batches));
    }

    /** The benchmark's network of a kind. */
    static MultiLayerNetwork network(ModelKind kind, int vocabulary) throws IOException {
        if (kind == ModelKind.TRANSFORMER) {
            return Checkpoint.load(Path.of("samples", "checkpoints", "transformer.zip"))
                    .network();
        }
        MultiLayerNetwork network = new BenchmarkShape(vocabulary, BATCH, ModelKind.CONTEXT).network(kind);
        // The entropy of normal logits is log V - s^2 / 2.
        INDArray ids = new BenchmarkShape(vocabulary, 2, ModelKind.CONTEXT)
                .ids(1, 3)
                .get(0)
                .getFeatures();
        double deviation;
        try (Teacher teacher = Teacher.of(network)) {
            INDArray logits = teacher.logProbabilities(ids, null);
            deviation = logits.std(1).meanNumber().doubleValue();
            logits.close();
        }
        network.getOutputLayer().getParam("W").muli(Math.sqrt(2 * (Math.log(vocabulary) - ENTROPY)) / deviation);
        return network;
    }

    /** Minibatches of 16 x 64 tokens for it. */
    static List<DataSet> batches(ModelKind kind, int vocabulary, int count, long seed) throws IOException {
        if (kind == ModelKind.LSTM) {
            return new BenchmarkShape(vocabulary, BATCH, ModelKind.CONTEXT).ids(count, seed);
        }
        byte[] scala = Corpus.read(Path.of("samples", "target", "corpus")).text(Domain.SCALA, Corpus.Part.FINETUNE);
        List<DataSet> batches = new ArrayList<>();
        ByteWindowIterator.training(BATCH, ModelKind.CONTEXT, count, seed, scala)
                .forEachRemaining(batches::add);
        return batches;
    }
}
