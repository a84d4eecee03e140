package io.github.dl4jretention.samples;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.CacheCodec;
import io.github.dl4jretention.cache.CacheStatistics;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionLabels;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.Checkpoint;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.ops.transforms.Transforms;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** What cheaper teachers cost and change: caches of every codec, and parameters in half precision. */
@Command(
        name = "teacher-benchmark",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description =
                "Size, speed and gradients of a teacher's cache by codec, and what half precision changes. Models: the"
                        + " sample models (V = 256), and a random LSTM (V = 2000) with the entropy of a language model.")
public final class TeacherBenchmark implements Callable<Integer> {

    private static final int BATCH = 16;
    private static final int VOCABULARY = 2000;
    private static final int UNITS = 256;
    /** Of the random output weights: gives about 4 nats of entropy. */
    private static final double SCALE = 260;

    private static final int FINETUNING = 20;
    private static final int PASSES = 5;

    @Option(names = "--batches", description = "Minibatches of 16 x 64 tokens.")
    private int batches = 40;

    @Option(names = "--codecs", split = ",", description = "Codecs to measure.")
    private List<CacheCodec> codecs = Stream.of("sample:36", "sample:27", "topK:12", "half")
            .map(CacheCodec::of)
            .toList();

    private byte[] scala;

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(Errors.asLines(
                        new CommandLine(new TeacherBenchmark()).registerConverter(CacheCodec.class, CacheCodec::of))
                .execute(args));
    }

    @Override
    public Integer call() throws IOException {
        scala = Corpus.read(Path.of("samples", "target", "corpus")).text(Domain.SCALA, Corpus.Part.FINETUNE);
        System.out.printf(
                "%-6s %-14s %12s %14s %14s %18s %10s%n",
                "V", "codec", "bytes/token", "built tokens/s", "read us/token", "teacher us/token", "opened MB/s");
        cost(model(ModelKind.TRANSFORMER), windows(batches, 1));
        cost(lstm(), random());
        direction(model(ModelKind.TRANSFORMER));
        System.out.printf("%n%-14s %20s %16s %10s%n", "half precision", "largest difference", "KL", "same top");
        for (ModelKind kind : ModelKind.values()) {
            half(kind);
        }
        return CommandLine.ExitCode.OK;
    }

    private static MultiLayerNetwork model(ModelKind kind) throws IOException {
        return Checkpoint.load(Path.of("samples", "checkpoints", kind.label() + ".zip"))
                .network();
    }

    private DataSetIterator windows(int count, long seed) {
        return ByteWindowIterator.training(BATCH, ModelKind.CONTEXT, count, seed, scala);
    }

    private void cost(MultiLayerNetwork network, DataSetIterator data) throws IOException {
        Teacher teacher = Teacher.of(network);
        double online = read(teacher, data);
        // Compiled by the JIT before the first one is measured.
        read(cache(teacher, codecs.get(0), data).cache(), data);
        for (CacheCodec codec : codecs) {
            Built built = cache(teacher, codec, data);
            TeacherCache cache = built.cache();
            CacheStatistics statistics = cache.statistics();
            System.out.printf(
                    "%-6d %-14s %12.2f %14.0f %14.2f %18.2f %10.0f%n",
                    network.layerSize(network.getnLayers() - 1),
                    codec,
                    statistics.bytesPerToken(),
                    statistics.tokensPerSecond(),
                    read(cache, data),
                    online,
                    built.openedMegabytesPerSecond());
        }
        data.reset();
        INDArray logProbabilities = teacher.logProbabilities(data.next().getFeatures(), null);
        INDArray entropy =
                Transforms.exp(logProbabilities).mul(logProbabilities).sum(1);
        System.out.printf(
                "entropy of the teacher: %.2f nats per token%n",
                -entropy.meanNumber().doubleValue());
    }

    private record Built(TeacherCache cache, double openedMegabytesPerSecond) {}

    /**
     * A cache that stays readable after its files are gone, and how fast it was opened and verified the second time.
     */
    private static Built cache(Teacher teacher, CacheCodec codec, DataSetIterator data) throws IOException {
        Path folder = Files.createTempDirectory("cache");
        try {
            TeacherCache.Builder builder =
                    TeacherCache.builder().teacher(teacher).folder(folder).codec(codec);
            TeacherCache cache = builder.build(data);
            long bytes = 0;
            try (Stream<Path> files = Files.walk(folder)) {
                for (Path file : files.filter(Files::isRegularFile).toList()) {
                    bytes += Files.size(file);
                }
            }
            long started = System.nanoTime();
            builder.build(data);
            return new Built(cache, bytes * 1e3 / (System.nanoTime() - started));
        } finally {
            try (Stream<Path> files = Files.walk(folder)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
        }
    }

    /** Microseconds a token, the median of several passes. */
    private static double read(Teacher teacher, DataSetIterator data) {
        return IntStream.range(0, PASSES)
                .mapToDouble(pass -> pass(teacher, data))
                .sorted()
                .toArray()[PASSES / 2];
    }

    private static double pass(Teacher teacher, DataSetIterator data) {
        long nanoseconds = 0;
        long tokens = 0;
        for (data.reset(); data.hasNext(); ) {
            INDArray features = data.next().getFeatures();
            long started = System.nanoTime();
            INDArray found = teacher.logProbabilities(features, null);
            // As a TeacherIterator does: fresh memory would be most of the time.
            RetentionLabels.release(found);
            nanoseconds += System.nanoTime() - started;
            tokens += features.size(0) * features.size(2);
        }
        return nanoseconds / 1e3 / tokens;
    }

    /** The divergence's gradient with respect to all parameters, on one minibatch after a short finetuning. */
    private void direction(MultiLayerNetwork base) throws IOException {
        Teacher teacher = Teacher.of(base);
        MultiLayerNetwork student = Retention.attach(
                Retention.withUpdater(base, new Adam(1e-3)),
                RetentionConfiguration.builder().build());
        student.fit(new TeacherIterator(windows(FINETUNING, 5), teacher));
        DataSetIterator one = windows(1, 9);
        INDArray plain = gradient(student, one.next());
        INDArray whole = gradient(student, taught(one, teacher)).subi(plain);
        System.out.printf("%n%-14s %14s %10s %16s%n", "codec", "classes/token", "cosine", "relative error");
        for (CacheCodec codec : codecs) {
            TeacherCache cache = cache(teacher, codec, one).cache();
            INDArray found = gradient(student, taught(one, cache)).subi(plain);
            one.reset();
            INDArray read = cache.logProbabilities(one.next().getFeatures(), null);
            double norms =
                    whole.norm2Number().doubleValue() * found.norm2Number().doubleValue();
            System.out.printf(
                    "%-14s %14.1f %10.4f %16.4f%n",
                    codec,
                    read.gt(Double.NEGATIVE_INFINITY)
                                    .castTo(DataType.FLOAT)
                                    .sumNumber()
                                    .doubleValue()
                            / (BATCH * ModelKind.CONTEXT),
                    whole.mul(found).sumNumber().doubleValue() / norms,
                    whole.distance2(found) / whole.norm2Number().doubleValue());
        }
    }

    private static DataSet taught(DataSetIterator one, Teacher teacher) {
        one.reset();
        return new TeacherIterator(one, teacher).next();
    }

    private static INDArray gradient(MultiLayerNetwork student, DataSet batch) {
        student.setInput(batch.getFeatures());
        student.setLabels(batch.getLabels());
        student.computeGradientAndScore();
        return student.getFlattenedGradients().dup();
    }

    private void half(ModelKind kind) throws IOException {
        MultiLayerNetwork network = model(kind);
        Teacher full = Teacher.of(network);
        Teacher half = Teacher.ofHalf(network);
        double largest = 0;
        double divergence = 0;
        double same = 0;
        for (DataSetIterator data = windows(batches, 2); data.hasNext(); ) {
            INDArray features = data.next().getFeatures();
            INDArray expected = full.logProbabilities(features, null);
            INDArray found = half.logProbabilities(features, null);
            INDArray difference = expected.sub(found);
            largest = Math.max(largest, difference.amaxNumber().doubleValue());
            divergence += Transforms.exp(expected)
                    .muli(difference)
                    .sum(1)
                    .meanNumber()
                    .doubleValue();
            same += expected.argMax(1)
                    .eq(found.argMax(1))
                    .castTo(DataType.FLOAT)
                    .meanNumber()
                    .doubleValue();
        }
        System.out.printf(
                "%-14s %20.4f %16.2e %9.2f%%%n", kind.label(), largest, divergence / batches, 100 * same / batches);
    }

    private static MultiLayerNetwork lstm() {
        NeuralNetConfiguration.ListBuilder layers = new NeuralNetConfiguration.Builder()
                .seed(1)
                .list()
                .layer(new EmbeddingSequenceLayer.Builder()
                        .nIn(VOCABULARY)
                        .nOut(UNITS)
                        .inputLength(ModelKind.CONTEXT)
                        .build());
        for (int i = 0; i < 2; i++) {
            layers.layer(
                    new LSTM.Builder().nOut(UNITS).activation(Activation.TANH).build());
        }
        MultiLayerNetwork network = new MultiLayerNetwork(layers.layer(new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nOut(VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .build())
                .setInputType(InputType.recurrent(VOCABULARY))
                .build());
        network.init();
        network.getOutputLayer().getParam("W").muli(SCALE);
        return network;
    }

    private DataSetIterator random() {
        Random random = new Random(2);
        List<DataSet> all = new ArrayList<>();
        for (int i = 0; i < batches; i++) {
            float[] ids = new float[BATCH * ModelKind.CONTEXT];
            for (int token = 0; token < ids.length; token++) {
                ids[token] = random.nextInt(VOCABULARY);
            }
            INDArray features = Nd4j.createFromArray(ids).reshape(BATCH, 1, ModelKind.CONTEXT);
            all.add(new DataSet(features, features));
        }
        return new ExistingDataSetIterator(all);
    }
}
