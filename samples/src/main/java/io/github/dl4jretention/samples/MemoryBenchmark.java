package io.github.dl4jretention.samples;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.checkpoint.FinetuningRun;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.listener.ReportCsv;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;
import org.apache.commons.io.FileUtils;
import org.apache.commons.math3.stat.regression.SimpleRegression;
import org.bytedeco.javacpp.Pointer;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
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
        description = "Heap, resident memory and file descriptors over many training steps.")
public final class MemoryBenchmark implements Callable<Integer> {

    private static final int BATCH = 4;
    private static final int LENGTH = 16;
    private static final int FEW = 8;
    private static final double MEGABYTE = 1 << 20;

    @Option(names = "--steps", converter = Errors.Count.class, description = "Training steps.")
    private int steps = 10_000;

    @Option(
            names = "--every",
            converter = Errors.Count.class,
            description = "Steps from one measurement to the next; the first two are warm-up.")
    private int every = 500;

    @Option(names = "--how", description = "What is done: ${COMPLETION-CANDIDATES}.")
    private How how = How.FIT;

    @Option(names = "--vocabulary", description = "Size of the vocabulary; FinetuningRuns have 256.")
    private int vocabulary = ByteWindowIterator.VOCABULARY;

    private final List<Sample> samples = new ArrayList<>();

    /**
     * By fit alone: stock DL4J, near a teacher, near a cache of it; a cache that is built, an evaluation; or a run with
     * checkpoints and reports.
     */
    private enum How {
        PLAIN_FIT,
        FIT,
        CACHED_FIT,
        BUILD_CACHE,
        EVALUATE,
        RUN,
        SAME_DIFF_RUN
    }

    /** What was measured after a step, in megabytes. */
    record Sample(int step, double heap, double resident, double descriptors) {}

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new MemoryBenchmark()));
    }

    @Override
    public Integer call() throws IOException {
        System.out.printf("%8s %9s %12s %12s%n", "step", "heap MB", "resident MB", "descriptors");
        switch (how) {
            case PLAIN_FIT -> fit(pretrained(), new ExistingDataSetIterator(batches(true)));
            case FIT -> fitNear(Teacher.of(pretrained()));
            case CACHED_FIT -> cached(this::fitNear);
            case BUILD_CACHE -> buildCache();
            case EVALUATE -> evaluate();
            case RUN -> run(networkRun(), new MultiDataSetIteratorAdapter(text()));
            case SAME_DIFF_RUN -> run(sameDiffRun(), classesLast(text()));
        }
        List<Sample> settled = samples.subList(Math.min(2, samples.size()), samples.size());
        System.out.printf(
                "slope per 1,000 steps and its standard error, after warm-up: heap %s MB, resident %s MB, descriptors %s%n",
                slope(settled, Sample::heap), slope(settled, Sample::resident), slope(settled, Sample::descriptors));
        return CommandLine.ExitCode.OK;
    }

    private ByteWindowIterator text() {
        byte[] text = new byte[100_000];
        new Random(1).nextBytes(text);
        return ByteWindowIterator.training(BATCH, LENGTH, steps, 1, text);
    }

    /** A few, over and over again: all that grows is then the library's or DL4J's. */
    private Iterable<DataSet> batches(boolean oneHot) {
        Random random = new Random(1);
        List<DataSet> few = new ArrayList<>();
        for (int i = 0; i < FEW; i++) {
            few.add(new DataSet(ids(random), oneHot ? oneHot(random) : ids(random)));
        }
        return () ->
                Stream.generate(() -> few).flatMap(List::stream).limit(steps).iterator();
    }

    private INDArray ids(Random random) {
        return Nd4j.createFromArray(random.doubles(BATCH * LENGTH, 0, vocabulary)
                        .map(Math::floor)
                        .toArray())
                .castTo(DataType.FLOAT)
                .reshape(BATCH, 1, LENGTH);
    }

    private INDArray oneHot(Random random) {
        INDArray labels = Nd4j.zeros(DataType.FLOAT, BATCH, vocabulary, LENGTH);
        for (int example = 0; example < BATCH; example++) {
            for (int t = 0; t < LENGTH; t++) {
                labels.putScalar(example, random.nextInt(vocabulary), t, 1);
            }
        }
        return labels;
    }

    private void fitNear(Teacher teacher) {
        MultiLayerNetwork student =
                Retention.attach(pretrained(), RetentionConfiguration.builder().build());
        try (TeacherIterator taught = new TeacherIterator(new ExistingDataSetIterator(batches(false)), teacher)) {
            fit(student, taught);
        }
    }

    private void fit(MultiLayerNetwork network, DataSetIterator batches) {
        for (int step = 1; step <= steps; step++) {
            network.fit(batches.next());
            measure(step);
        }
    }

    private void cached(Consumer<Teacher> training) throws IOException {
        Path folder = Files.createTempDirectory("cache");
        try (TeacherCache cache = TeacherCache.builder()
                .pretrained(pretrained())
                .folder(folder)
                .build(new ExistingDataSetIterator(batches(false)))) {
            training.accept(cache);
        } finally {
            FileUtils.deleteDirectory(folder.toFile());
        }
    }

    /** Of sequences that are all new. */
    private void buildCache() throws IOException {
        Path folder = Files.createTempDirectory("cache");
        Random random = new Random(2);
        Iterator<DataSet> batches = Stream.generate(() -> new DataSet(ids(random), ids(random)))
                .limit(steps)
                .iterator();
        try (TeacherCache cache =
                TeacherCache.builder().pretrained(pretrained()).folder(folder).build(new Measured(batches))) {
            System.out.println(cache.statistics());
        } finally {
            FileUtils.deleteDirectory(folder.toFile());
        }
    }

    private void evaluate() {
        MultiLayerNetwork pretrained = pretrained();
        MultiLayerNetwork other = pretrained();
        other.params().muli(1.01);
        try (Teacher teacher = Teacher.of(pretrained)) {
            System.out.println(TokenEvaluation.of(
                    other, teacher, new Measured(batches(false).iterator())));
        }
    }

    /** Measures between batches. */
    private final class Measured extends ExistingDataSetIterator {

        private static final long serialVersionUID = 1L;

        private int step;

        Measured(Iterator<DataSet> batches) {
            super(batches);
        }

        @Override
        public boolean resetSupported() {
            return true;
        }

        @Override
        public void reset() {
            // Each is read once.
        }

        @Override
        public DataSet next() {
            measure(step++);
            return super.next();
        }
    }

    /** With a checkpoint every 100 steps and a line of CSV for each. */
    private void run(FinetuningRun.Builder<?> builder, MultiDataSetIterator batches) throws IOException {
        Path folder = Files.createTempDirectory("memory-benchmark");
        try (ReportCsv csv = new ReportCsv(folder.resolve("reports.csv"))) {
            builder.iterator(batches)
                    .folder(folder)
                    .report(1, csv, report -> measure(report.iteration() + 1))
                    .build()
                    .run();
        } finally {
            FileUtils.deleteDirectory(folder.toFile());
        }
    }

    private FinetuningRun.Builder<?> networkRun() {
        MultiLayerNetwork pretrained = pretrained();
        MultiLayerNetwork student =
                Retention.attach(pretrained, RetentionConfiguration.builder().build());
        return FinetuningRun.builder().student(student).teacher(Teacher.of(pretrained));
    }

    private static FinetuningRun.Builder<?> sameDiffRun() {
        SameDiff student = graph();
        RetentionLoss.add(
                student, "logits", "labels", RetentionConfiguration.builder().build());
        student.setTrainingConfig(TrainingConfig.builder()
                .updater(new Adam(1e-3))
                .dataSetFeatureMapping("features")
                .dataSetLabelMapping("labels", RetentionLoss.TEACHER_LOGITS)
                .build());
        return FinetuningRun.builder().student(student).teacher(Teacher.of(graph(), "logits", "features"));
    }

    /** A byte predicts the next one through 16 hidden units. */
    private static SameDiff graph() {
        Nd4j.getRandom().setSeed(1);
        int vocabulary = ByteWindowIterator.VOCABULARY;
        SameDiff sd = SameDiff.create();
        SDVariable features = sd.placeHolder("features", DataType.FLOAT, -1, LENGTH);
        sd.placeHolder("labels", DataType.FLOAT, -1, LENGTH, vocabulary);
        SDVariable in = sd.var("in", Nd4j.randn(DataType.FLOAT, vocabulary, 16));
        SDVariable out = sd.var("out", Nd4j.randn(DataType.FLOAT, 16, vocabulary));
        sd.math
                .tanh(sd.oneHot(features.reshape(-1), vocabulary).mmul(in))
                .mmul(out)
                .reshape(-1, LENGTH, vocabulary)
                .rename("logits");
        return sd;
    }

    private static MultiDataSetIterator classesLast(ByteWindowIterator batches) {
        MultiDataSetIteratorAdapter iterator = new MultiDataSetIteratorAdapter(batches);
        iterator.setPreProcessor(batch -> {
            batch.setFeatures(0, batch.getFeatures(0).reshape(-1, LENGTH));
            batch.setLabels(0, batch.getLabels(0).permute(0, 2, 1).dup('c'));
        });
        return iterator;
    }

    private MultiLayerNetwork pretrained() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .seed(1)
                .updater(new Adam(1e-3))
                .list()
                .layer(new EmbeddingSequenceLayer.Builder()
                        .nIn(vocabulary)
                        .nOut(8)
                        .inputLength(LENGTH)
                        .build())
                .layer(new LSTM.Builder().nOut(16).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nOut(vocabulary)
                        .activation(Activation.SOFTMAX)
                        .build())
                .setInputType(InputType.recurrent(vocabulary))
                .build());
        network.init();
        return network;
    }

    private void measure(int step) {
        if (step == 0 || step % every != 0) {
            return;
        }
        System.gc();
        double heap = ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed() / MEGABYTE;
        double descriptors = ManagementFactory.getOperatingSystemMXBean()
                        instanceof com.sun.management.UnixOperatingSystemMXBean unix
                ? unix.getOpenFileDescriptorCount()
                : Double.NaN;
        Sample sample = new Sample(step, heap, Pointer.physicalBytes() / MEGABYTE, descriptors);
        System.out.printf("%8d %9.2f %12.2f %12.0f%n", step, sample.heap, sample.resident, sample.descriptors);
        samples.add(sample);
    }

    /** Least squares, per 1,000 steps, with its standard error. */
    static String slope(List<Sample> samples, ToDoubleFunction<Sample> value) {
        SimpleRegression line = new SimpleRegression();
        samples.forEach(sample -> line.addData(sample.step, value.applyAsDouble(sample)));
        return "%.3f +- %.3f".formatted(1000 * line.getSlope(), 1000 * line.getSlopeStdErr());
    }
}
