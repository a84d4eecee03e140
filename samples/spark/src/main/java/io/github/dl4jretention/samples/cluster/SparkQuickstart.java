package io.github.dl4jretention.samples.cluster;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.samples.Errors;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.experiment.Measurement;
import io.github.dl4jretention.samples.experiment.Task;
import io.github.dl4jretention.samples.model.Checkpoint;
import io.github.dl4jretention.samples.model.TextModel;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import io.github.dl4jretention.spark.SparkFinetuning;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.DoubleSummaryStatistics;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.DoubleStream;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.learning.config.Adam;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/**
 * Finetunes the sample transformer on Scala code, on one machine and by averaging over several workers, with several seeds:
 * does averaging change more than a seed does?
 */
@Command(
        name = "spark-quickstart",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false,
        description =
                "Gain and forgetting of the sample transformer with retention, on one machine and averaged over workers.")
public final class SparkQuickstart implements Callable<Integer> {

    private static final double LEARNING_RATE = 1e-3;

    @Spec
    private CommandSpec spec;

    /** How a student is trained. */
    private enum Kind {
        ONE_MACHINE("one machine"),
        SHARED_OUT("averaged, minibatches shared out"),
        WHOLE("averaged, a minibatch for each worker");

        private final String words;

        Kind(String words) {
            this.words = words;
        }
    }

    /** In nats per token, as the quickstart has them. */
    private record Outcome(double gain, double forgetting) {}

    @Option(names = "--steps", converter = Errors.Count.class, description = "Steps of a training.")
    private int steps = 160;

    @Option(
            names = "--batch",
            converter = Errors.Count.class,
            description = "Sequences of a minibatch; workers share them out.")
    private int batch = 16;

    @Option(names = "--workers", converter = Errors.Count.class, description = "Workers, on as many cores.")
    private int workers = 2;

    @Option(
            names = "--averaging-frequency",
            converter = Errors.Count.class,
            description = "Steps of a worker between two averages.")
    private int averagingFrequency = 10;

    @Option(names = "--coefficient", description = "Of the KL term.")
    private double coefficient = 1;

    @Option(names = "--seeds", converter = Errors.Count.class, description = "Seeds of the minibatches, from 1.")
    private int seeds = 5;

    @Option(names = "--corpus", hidden = true)
    private Path corpusDirectory = Path.of("samples", "target", "corpus");

    @Option(names = "--checkpoint", hidden = true)
    private Path checkpoint = Path.of("samples", "checkpoints", "transformer.zip");

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(Errors.asLines(new CommandLine(new SparkQuickstart())).execute(args));
    }

    @Override
    public Integer call() throws IOException {
        Errors.require(
                spec,
                batch % workers == 0,
                "--batch: expected a multiple of the " + workers + " workers, who share a minibatch out, got " + batch);
        TextModel base = TextModel.of(Checkpoint.load(checkpoint).network());
        Task task = task(base, Corpus.read(corpusDirectory));
        try (JavaSparkContext spark = new JavaSparkContext(new SparkConf()
                        .setIfMissing("spark.master", "local[" + workers + "]")
                        .setAppName("quickstart"));
                Teacher teacher = Teacher.of(base.network())) {
            Measurement before = Measurement.of(base, base.network(), teacher, task);
            System.out.printf(
                    "%d steps of %d x %d bytes, coefficient %s; %d workers, averaged every %d steps%n",
                    steps, batch, base.window(), coefficient, workers, averagingFrequency);
            for (Kind kind : Kind.values()) {
                List<Outcome> outcomes = new ArrayList<>();
                for (long seed = 1; seed <= seeds; seed++) {
                    MultiLayerNetwork tuned = Retention.detach(train(kind, spark, base, task, seed, teacher));
                    Measurement after = Measurement.of(base, tuned, teacher, task);
                    Outcome outcome = new Outcome(before.target() - after.target(), after.source() - before.source());
                    outcomes.add(outcome);
                    System.out.printf(
                            "%s, seed %d: gain %.4f, forgetting %.4f%n",
                            kind.words, seed, outcome.gain(), outcome.forgetting());
                }
                System.out.printf(
                        "%s: gain %s, forgetting %s%n",
                        kind.words,
                        spread(outcomes.stream().mapToDouble(Outcome::gain)),
                        spread(outcomes.stream().mapToDouble(Outcome::forgetting)));
            }
        }
        return CommandLine.ExitCode.OK;
    }

    /** Scala code to learn; prose and Java code to keep. */
    private static Task task(TextModel base, Corpus corpus) throws IOException {
        return new Task(
                base.tokens(corpus.text(Domain.SCALA, Corpus.Part.FINETUNE)),
                base.tokens(corpus.text(Domain.SCALA, Corpus.Part.TEST)),
                List.of(
                        base.tokens(corpus.text(Domain.PROSE, Corpus.Part.TEST)),
                        base.tokens(corpus.text(Domain.JAVA, Corpus.Part.TEST))));
    }

    private MultiLayerNetwork train(
            Kind kind, JavaSparkContext spark, TextModel base, Task task, long seed, Teacher teacher)
            throws IOException {
        MultiLayerNetwork pretrained = Retention.withUpdater(base.network(), new Adam(LEARNING_RATE));
        RetentionConfiguration conf =
                RetentionConfiguration.builder().coefficient(coefficient).build();
        if (kind == Kind.ONE_MACHINE) {
            MultiLayerNetwork student = Retention.attach(pretrained, conf);
            try (TeacherIterator batches =
                    new TeacherIterator(base.training(batch, steps, seed, task.training()), teacher)) {
                student.fit(batches, 1);
            }
            return student;
        }
        List<DataSet> minibatches = kind == Kind.WHOLE
                ? list(base.training(batch, workers * steps, seed, task.training()))
                : shares(list(base.training(batch, steps, seed, task.training())));
        // A partition each, for a task of Spark's holds at most 128 MB.
        return SparkFinetuning.on(spark, pretrained)
                .configuration(conf)
                .workers(workers)
                .averagingFrequency(averagingFrequency)
                .fit(spark.parallelize(minibatches, minibatches.size()), 1);
    }

    private static List<DataSet> list(DataSetIterator batches) {
        List<DataSet> list = new ArrayList<>();
        batches.forEachRemaining(list::add);
        return list;
    }

    /** A part of each minibatch for each worker: minibatch j is worker j mod n's. */
    private List<DataSet> shares(List<DataSet> minibatches) {
        List<DataSet> shares = new ArrayList<>();
        for (DataSet minibatch : minibatches) {
            shares.addAll(minibatch.batchBy(batch / workers));
        }
        return shares;
    }

    private static String spread(DoubleStream values) {
        DoubleSummaryStatistics all = values.summaryStatistics();
        return "%.4f (%.4f to %.4f)".formatted(all.getAverage(), all.getMin(), all.getMax());
    }
}
