package io.github.dl4jretention.samples;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.Checkpoint;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import io.github.dl4jretention.sweep.Sweep;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.space.Search;
import io.github.dl4jretention.sweep.task.Batches;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import io.github.dl4jretention.sweep.task.FinetuneSpace;
import io.github.dl4jretention.sweep.task.SweepData;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.learning.config.Adam;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * What a sweep of twelve coefficients costs against twelve plain finetunings written as a loop over {@code fit}, one
 * candidate and two at once.
 */
@Command(
        name = "sweep-benchmark",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description = "A sweep of twelve candidates, one and two at once, against loops over fit.")
@SuppressWarnings("NullAway.Init")
public final class SweepBenchmark implements Callable<Integer> {

    private static final int CANDIDATES = 12;
    private static final int BATCH = 16;
    private static final int HELD_OUT = 4;
    private static final double RATE = 1e-3;

    private MultiLayerNetwork base;
    private byte[] training;

    @Option(names = "--steps", converter = Errors.Count.class, description = "Training steps of a candidate.")
    private int steps = 100;

    @Option(names = "--corpus", hidden = true)
    private Path corpusFolder = Path.of("samples", "target", "corpus");

    @Option(names = "--model", paramLabel = "FILE", description = "The pretrained network.")
    private Path model = Path.of("samples", "checkpoints", "transformer.zip");

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new SweepBenchmark()));
    }

    @Override
    public Integer call() throws IOException {
        Corpus corpus = Corpus.read(corpusFolder);
        base = Checkpoint.load(model).network();
        training = corpus.text(Domain.SCALA, Corpus.Part.FINETUNE);
        SweepData data = new SweepData(
                Batches.of(this::batches),
                held(corpus, Domain.SCALA, Corpus.Part.VALIDATION),
                held(corpus, Domain.JAVA, Corpus.Part.VALIDATION),
                held(corpus, Domain.SCALA, Corpus.Part.TEST),
                held(corpus, Domain.JAVA, Corpus.Part.TEST));
        FinetuneModel pretrained = FinetuneModel.of(base);
        FinetuneSpace coefficients = FinetuneSpace.builder()
                .retention(RetentionSpace.builder().coefficient(0.03, 30).build())
                .learningRates(RATE)
                .steps(steps)
                .build();
        plain();
        pretrained.losses(data.validationTarget(), data.validationSource());

        double before = loop();
        long started = System.nanoTime();
        TeacherCache cache = TeacherCache.builder()
                .pretrained(base)
                .folder(Files.createTempDirectory("cache"))
                .data("training text")
                .build(batches());
        double pass = seconds(started);
        double one = pass + sweep("one at once", pretrained, data, coefficients, cache, 1);
        double two = pass + sweep("two at once", pretrained, data, coefficients, cache, 2);
        double after = loop();

        double bound = (before + after) / 2 + pass;
        System.out.printf(
                Locale.ROOT, "%d candidates of %d steps; the sweeps with the teacher pass%n", CANDIDATES, steps);
        tell("loop over fit, plain, before", before, bound);
        tell("loop over fit, plain, after", after, bound);
        tell("one teacher pass, which writes the cache", pass, bound);
        tell("loop + teacher pass", bound, bound);
        tell("sweep, coefficients", one, bound);
        tell("sweep, coefficients, 2 at once", two, bound);
        return CommandLine.ExitCode.OK;
    }

    private double loop() {
        double seconds = 0;
        for (int i = 0; i < CANDIDATES; i++) {
            seconds += plain();
        }
        return seconds;
    }

    private DataSetIterator batches() {
        return ByteWindowIterator.training(BATCH, ModelKind.CONTEXT, steps, 1, training);
    }

    private static Batches held(Corpus corpus, Domain domain, Corpus.Part part) {
        byte[] text = corpus.text(domain, part);
        return Batches.of(() -> ByteWindowIterator.evaluation(BATCH, ModelKind.CONTEXT, HELD_OUT, text));
    }

    private double plain() {
        long started = System.nanoTime();
        MultiLayerNetwork network = Retention.withUpdater(base, new Adam(RATE));
        DataSetIterator text = batches();
        while (text.hasNext()) {
            network.fit(text.next());
        }
        return seconds(started);
    }

    private static double sweep(
            String name,
            FinetuneModel model,
            SweepData data,
            FinetuneSpace coefficients,
            TeacherCache teacher,
            int parallelism)
            throws IOException {
        long started = System.nanoTime();
        Sweep sweep = Sweep.builder()
                .model(model)
                .data(data)
                .teacher(teacher)
                .space(coefficients)
                .search(Search.grid(CANDIDATES))
                .parallelism(parallelism)
                .folder(Files.createTempDirectory("sweep"))
                .build();
        SweepOutcome outcome = sweep.run();
        double all = seconds(started);
        if (outcome.candidates().size() != CANDIDATES || !outcome.failed().isEmpty()) {
            throw new IllegalStateException(
                    "candidates: expected " + CANDIDATES + " that do not fail, got " + outcome.candidates());
        }
        System.out.printf(
                Locale.ROOT,
                "%s: %.1f s, of it in steps %.1f s, in losses %.1f s, summed over threads%n",
                name,
                all,
                outcome.candidates().stream()
                        .mapToDouble(CandidateOutcome::trainingSeconds)
                        .sum(),
                outcome.candidates().stream()
                        .mapToDouble(CandidateOutcome::evaluationSeconds)
                        .sum());
        return all;
    }

    private static double seconds(long started) {
        return (System.nanoTime() - started) / 1e9;
    }

    private static void tell(String what, double seconds, double against) {
        System.out.printf(Locale.ROOT, "%-50s %7.1f s %6.3f%n", what, seconds, seconds / against);
    }
}
