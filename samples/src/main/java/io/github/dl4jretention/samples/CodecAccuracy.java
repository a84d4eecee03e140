package io.github.dl4jretention.samples;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.CacheCodec;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.apache.commons.io.FileUtils;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.ops.transforms.Transforms;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** How near a cache's gradient comes to that of its teacher, by codec. What a cache costs is in TeacherBenchmark. */
@Command(
        name = "codec-accuracy",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description = "Compares the gradient of the divergence with a cached teacher to that with the teacher itself,"
                + " on one minibatch after 20 steps of finetuning.")
public final class CodecAccuracy implements Callable<Integer> {

    private static final int FINETUNING = 20;

    @Option(names = "--models", split = ",", description = "Any of ${COMPLETION-CANDIDATES}, as in TeacherBenchmark.")
    private List<ModelKind> models = List.of(ModelKind.TRANSFORMER);

    @Option(names = "--vocabulary", converter = Errors.Count.class, description = "Of the LSTM.")
    private int vocabulary = 2000;

    @Option(names = "--codecs", split = ",", description = "Codecs to measure.")
    private List<CacheCodec> codecs = Stream.of("sample:36", "sample:27", "topK:12", "half")
            .map(CacheCodec::of)
            .toList();

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new CodecAccuracy())
                .setCaseInsensitiveEnumValuesAllowed(true)
                .registerConverter(CacheCodec.class, CacheCodec::of));
    }

    @Override
    public Integer call() throws IOException {
        for (ModelKind model : models) {
            measure(model);
        }
        return CommandLine.ExitCode.OK;
    }

    private void measure(ModelKind model) throws IOException {
        MultiLayerNetwork base = TeacherBenchmark.network(model, vocabulary);
        try (Teacher teacher = Teacher.of(base)) {
            measure(model, base, teacher);
        }
    }

    private void measure(ModelKind model, MultiLayerNetwork base, Teacher teacher) throws IOException {
        MultiLayerNetwork student = Retention.attach(
                Retention.withUpdater(base, new Adam(1e-3)),
                RetentionConfiguration.builder().build());
        Retention.finetune(
                student,
                teacher,
                new ExistingDataSetIterator(TeacherBenchmark.batches(model, vocabulary, FINETUNING, 5)),
                1);
        DataSet one = TeacherBenchmark.batches(model, vocabulary, 1, 9).get(0);
        long tokens = one.getFeatures().length();
        INDArray logProbabilities = teacher.logProbabilities(one.getFeatures(), null);
        System.out.printf(
                "%s: entropy of the teacher %.2f nats per token%n",
                model.label(),
                -Transforms.exp(logProbabilities)
                                .mul(logProbabilities)
                                .sumNumber()
                                .doubleValue()
                        / tokens);
        INDArray plain = gradient(student, one);
        INDArray whole = gradient(student, taught(one, teacher)).subi(plain);
        System.out.printf(
                "%-14s %12s %14s %10s %16s%n", "codec", "bytes/token", "classes/token", "cosine", "relative error");
        for (CacheCodec codec : codecs) {
            Path folder = Files.createTempDirectory("cache");
            try (TeacherCache cache = TeacherCache.builder()
                    .teacher(teacher)
                    .folder(folder)
                    .codec(codec)
                    .build(iterator(one))) {
                INDArray found = gradient(student, taught(one, cache)).subi(plain);
                INDArray kept = cache.logProbabilities(one.getFeatures(), null).gt(Double.NEGATIVE_INFINITY);
                double norms =
                        whole.norm2Number().doubleValue() * found.norm2Number().doubleValue();
                System.out.printf(
                        "%-14s %12.2f %14.1f %10.4f %16.4f%n",
                        codec,
                        cache.statistics().bytesPerToken(),
                        kept.castTo(DataType.FLOAT).sumNumber().doubleValue() / tokens,
                        whole.mul(found).sumNumber().doubleValue() / norms,
                        whole.distance2(found) / whole.norm2Number().doubleValue());
            } finally {
                FileUtils.deleteDirectory(folder.toFile());
            }
        }
    }

    private static ExistingDataSetIterator iterator(DataSet one) {
        return new ExistingDataSetIterator(List.of(one));
    }

    private static DataSet taught(DataSet one, Teacher teacher) {
        return new TeacherIterator(iterator(one), teacher).next();
    }

    /** With respect to all parameters. */
    private static INDArray gradient(MultiLayerNetwork student, DataSet batch) {
        student.setInput(batch.getFeatures());
        student.setLabels(batch.getLabels());
        student.computeGradientAndScore();
        return student.getFlattenedGradients().dup();
    }
}
