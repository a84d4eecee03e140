package io.github.dl4jretention.samples;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.Checkpoint;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import io.github.dl4jretention.sweep.SuccessiveHalving;
import io.github.dl4jretention.sweep.Sweep;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.FinetuneMethod;
import io.github.dl4jretention.sweep.space.RetentionOutputLayerSpace;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.space.Search;
import io.github.dl4jretention.sweep.task.Batches;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import io.github.dl4jretention.sweep.task.FinetuneSpace;
import io.github.dl4jretention.sweep.task.SweepData;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.deeplearning4j.arbiter.MultiLayerSpace;
import org.deeplearning4j.arbiter.layers.fixed.FixedLayerSpace;
import org.deeplearning4j.arbiter.optimize.api.data.DataSource;
import org.deeplearning4j.arbiter.optimize.api.termination.MaxCandidatesCondition;
import org.deeplearning4j.arbiter.optimize.config.OptimizationConfiguration;
import org.deeplearning4j.arbiter.optimize.generator.GridSearchCandidateGenerator;
import org.deeplearning4j.arbiter.optimize.runner.LocalOptimizationRunner;
import org.deeplearning4j.arbiter.scoring.impl.TestSetLossScoreFunction;
import org.deeplearning4j.arbiter.task.MultiLayerNetworkTaskCreator;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.learning.config.Adam;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * What a sweep of twelve candidates costs against twelve plain finetunings written as a loop over {@code fit}, against
 * Arbiter's own task creator, and with two candidates at once.
 */
@Command(
        name = "sweep-benchmark",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description = "A sweep of twelve candidates against loops over fit and against Arbiter's own task creator.")
@SuppressWarnings("NullAway.Init")
public final class SweepBenchmark implements Callable<Integer> {

    private static final int CANDIDATES = 12;
    private static final int BATCH = 16;
    private static final int HELD_OUT = 4;
    private static final double RATE = 1e-3;

    /** What is measured against the loop over fit. */
    enum Side {
        PLAIN("sweep, plain"),
        COEFFICIENTS("sweep, coefficients"),
        TEACHER_ASKED("sweep, coefficients, no cache"),
        TWO_AT_ONCE("sweep, coefficients, 2 at once"),
        PRUNED("sweep, coefficients, pruned"),
        ARBITER("Arbiter's own task creator");

        private final String what;

        Side(String what) {
            this.what = what;
        }
    }

    /** Static because Arbiter makes its data source by itself. */
    private static MultiLayerNetwork base;

    private static Teacher teacher;
    private static byte[] training;
    private static byte[] heldOut;
    private static int steps;

    @Option(names = "--steps", converter = Errors.Count.class, description = "Training steps of a candidate.")
    private int candidateSteps = 100;

    @Option(names = "--sides", split = ",", description = "Of ${COMPLETION-CANDIDATES}, beside the loop.")
    private List<Side> sides = List.of(Side.values());

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
        return Errors.asLines(new CommandLine(new SweepBenchmark()).setCaseInsensitiveEnumValuesAllowed(true));
    }

    @Override
    public Integer call() throws IOException {
        steps = candidateSteps;
        Corpus corpus = Corpus.read(corpusFolder);
        base = Checkpoint.load(model).network();
        teacher = Teacher.of(base);
        training = corpus.text(Domain.SCALA, Corpus.Part.FINETUNE);
        heldOut = corpus.text(Domain.SCALA, Corpus.Part.VALIDATION);
        SweepData data = new SweepData(
                Batches.of(SweepBenchmark::batches),
                held(corpus, Domain.SCALA, Corpus.Part.VALIDATION),
                held(corpus, Domain.JAVA, Corpus.Part.VALIDATION),
                held(corpus, Domain.SCALA, Corpus.Part.TEST),
                held(corpus, Domain.JAVA, Corpus.Part.TEST));
        FinetuneModel pretrained = FinetuneModel.of(base);
        FinetuneSpace rates = FinetuneSpace.builder()
                .methods(FinetuneMethod.PLAIN)
                .learningRates(IntStream.range(0, CANDIDATES)
                        .mapToDouble(i -> RATE * (1 + 1e-6 * i))
                        .toArray())
                .steps(steps)
                .build();
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
        UnaryOperator<Sweep.Builder> cached = sweep -> sweep.teacher(cache).space(coefficients);
        Map<Side, Double> seconds = new EnumMap<>(Side.class);
        for (Side side : sides) {
            seconds.put(
                    side,
                    switch (side) {
                        case PLAIN -> sweep(side, pretrained, data, sweep -> sweep.space(rates));
                        case COEFFICIENTS -> pass + sweep(side, pretrained, data, cached);
                        case TEACHER_ASKED -> sweep(side, pretrained, data, sweep -> sweep.teacher(teacher)
                                .space(coefficients));
                        case TWO_AT_ONCE -> pass
                                + sweep(side, pretrained, data, cached.andThen(s -> s.parallelism(2))::apply);
                        case PRUNED -> pass
                                + sweep(side, pretrained, data, cached.andThen(s -> s.pruning(pruning()))::apply);
                        case ARBITER -> stock();
                    });
        }
        double after = loop();

        double bound = (before + after) / 2 + pass;
        System.out.printf(
                Locale.ROOT,
                "%d candidates of %d steps; loop before and after;" + " those with a cache with the teacher pass%n",
                CANDIDATES,
                steps);
        tell("loop over fit, plain, before", before, bound);
        tell("loop over fit, plain, after", after, bound);
        tell("one teacher pass, which writes the cache", pass, bound);
        tell("loop + teacher pass", bound, bound);
        seconds.forEach((side, all) -> tell(side.what, all, bound));
        return CommandLine.ExitCode.OK;
    }

    private static SuccessiveHalving pruning() {
        return new SuccessiveHalving(Math.max(1, steps / 4), 2);
    }

    private static double loop() {
        double seconds = 0;
        for (int i = 0; i < CANDIDATES; i++) {
            seconds += plain();
        }
        return seconds;
    }

    private static DataSetIterator batches() {
        return ByteWindowIterator.training(BATCH, ModelKind.CONTEXT, steps, 1, training);
    }

    private static Batches held(Corpus corpus, Domain domain, Corpus.Part part) {
        byte[] text = corpus.text(domain, part);
        return Batches.of(() -> ByteWindowIterator.evaluation(BATCH, ModelKind.CONTEXT, HELD_OUT, text));
    }

    private static double plain() {
        long started = System.nanoTime();
        MultiLayerNetwork network = Retention.withUpdater(base, new Adam(RATE));
        DataSetIterator text = batches();
        while (text.hasNext()) {
            network.fit(text.next());
        }
        return seconds(started);
    }

    private static double sweep(Side side, FinetuneModel model, SweepData data, UnaryOperator<Sweep.Builder> settings)
            throws IOException {
        long started = System.nanoTime();
        Sweep sweep = settings.apply(Sweep.builder()
                        .model(model)
                        .data(data)
                        .search(Search.grid(CANDIDATES))
                        .folder(Files.createTempDirectory("sweep")))
                .build();
        SweepOutcome outcome = sweep.run();
        double all = seconds(started);
        if (outcome.candidates().size() != CANDIDATES || !outcome.failed().isEmpty()) {
            throw new IllegalStateException(
                    "candidates: expected " + CANDIDATES + " that do not fail, got " + outcome.candidates());
        }
        System.out.printf(
                Locale.ROOT,
                "%s: %.1f s, of it in steps %.1f s, in losses %.1f s, summed over threads; %d pruned, %.1f s saved%n",
                side.what,
                all,
                outcome.candidates().stream()
                        .mapToDouble(CandidateOutcome::trainingSeconds)
                        .sum(),
                outcome.candidates().stream()
                        .mapToDouble(CandidateOutcome::evaluationSeconds)
                        .sum(),
                CANDIDATES - outcome.complete().size(),
                outcome.secondsSaved());
        return all;
    }

    /** For Arbiter: the same training batches near the teacher, and as much held-out text. */
    public static final class StockSource implements DataSource {

        private static final long serialVersionUID = 1L;

        @Override
        public void configure(Properties properties) {}

        @Override
        public Object trainData() {
            return new TeacherIterator(batches(), teacher);
        }

        @Override
        public Object testData() {
            return ByteWindowIterator.evaluation(BATCH, ModelKind.CONTEXT, 2 * HELD_OUT, heldOut);
        }

        @Override
        public Class<?> getDataType() {
            return DataSetIterator.class;
        }
    }

    private static double stock() {
        MultiLayerSpace.Builder space = new MultiLayerSpace.Builder()
                .seed(1)
                .updater(new Adam(RATE))
                .setInputType(InputType.recurrent(ByteWindowIterator.VOCABULARY));
        for (int i = 0; i < base.getnLayers() - 1; i++) {
            space.addLayer(new FixedLayerSpace<>(
                    base.getLayerWiseConfigurations().getConf(i).getLayer()));
        }
        space.addLayer(new RetentionOutputLayerSpace.Builder(
                        RetentionSpace.builder().coefficient(0.03, 30).build())
                .nOut(ByteWindowIterator.VOCABULARY)
                .build());
        OptimizationConfiguration configuration = new OptimizationConfiguration.Builder()
                .candidateGenerator(new GridSearchCandidateGenerator(
                        space.build(), CANDIDATES, GridSearchCandidateGenerator.Mode.Sequential, Map.of()))
                .scoreFunction(new TestSetLossScoreFunction())
                .dataSource(StockSource.class, null)
                .terminationConditions(new MaxCandidatesCondition(CANDIDATES))
                .build();
        LocalOptimizationRunner runner = new LocalOptimizationRunner(configuration, new MultiLayerNetworkTaskCreator());
        long started = System.nanoTime();
        runner.execute();
        double all = seconds(started);
        if (runner.numCandidatesCompleted() != CANDIDATES) {
            throw new IllegalStateException("candidates: expected " + CANDIDATES + " that Arbiter completes, got "
                    + runner.numCandidatesCompleted() + ", " + runner.numCandidatesFailed() + " failed");
        }
        return all;
    }

    private static double seconds(long started) {
        return (System.nanoTime() - started) / 1e9;
    }

    private static void tell(String what, double seconds, double against) {
        System.out.printf(Locale.ROOT, "%-50s %7.1f s %6.3f%n", what, seconds, seconds / against);
    }
}
