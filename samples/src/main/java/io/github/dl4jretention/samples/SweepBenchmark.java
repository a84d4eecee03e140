package io.github.dl4jretention.samples;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.Checkpoint;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import io.github.dl4jretention.sweep.Sweep;
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
import java.util.Properties;
import java.util.stream.IntStream;
import org.deeplearning4j.arbiter.MultiLayerSpace;
import org.deeplearning4j.arbiter.layers.fixed.FixedLayerSpace;
import org.deeplearning4j.arbiter.optimize.api.data.DataSource;
import org.deeplearning4j.arbiter.optimize.api.termination.MaxCandidatesCondition;
import org.deeplearning4j.arbiter.optimize.config.OptimizationConfiguration;
import org.deeplearning4j.arbiter.optimize.generator.RandomSearchGenerator;
import org.deeplearning4j.arbiter.optimize.runner.LocalOptimizationRunner;
import org.deeplearning4j.arbiter.scoring.impl.TestSetLossScoreFunction;
import org.deeplearning4j.arbiter.task.MultiLayerNetworkTaskCreator;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.learning.config.Adam;

/**
 * What a sweep of twelve candidates costs against twelve plain finetunings written as a loop over {@code fit}, against
 * Arbiter's own task creator, and with two candidates at once.
 */
public final class SweepBenchmark {

    private static final int CANDIDATES = 12;
    private static final int BATCH = 16;
    private static final int HELD_OUT = 4;
    private static final double RATE = 1e-3;

    private static MultiLayerNetwork base;
    private static Teacher teacher;
    private static byte[] training;
    private static byte[] heldOut;
    private static int steps = 20;

    private SweepBenchmark() {}

    /** @param args steps of a candidate, 20 by default; folder of the corpus; checkpoint */
    public static void main(String[] args) throws IOException {
        Console.prepare(1);
        steps = args.length > 0 ? Integer.parseInt(args[0]) : steps;
        Corpus corpus = Corpus.read(Path.of(args.length > 1 ? args[1] : "samples/target/corpus"));
        base = Checkpoint.load(Path.of(args.length > 2 ? args[2] : "samples/checkpoints/transformer.zip"))
                .network();
        teacher = Teacher.of(base);
        training = corpus.text(Domain.SCALA, Corpus.Part.FINETUNE);
        heldOut = corpus.text(Domain.SCALA, Corpus.Part.VALIDATION);
        SweepData data = new SweepData(
                Batches.of(SweepBenchmark::batches),
                held(corpus, Domain.SCALA, Corpus.Part.VALIDATION),
                held(corpus, Domain.JAVA, Corpus.Part.VALIDATION),
                held(corpus, Domain.SCALA, Corpus.Part.TEST),
                held(corpus, Domain.JAVA, Corpus.Part.TEST));
        FinetuneModel model = FinetuneModel.of(base);
        plain();
        model.losses(data.validationTarget(), data.validationSource());

        double loop = 0;
        for (int i = 0; i < CANDIDATES; i++) {
            loop += plain();
        }
        tell("loop over fit, plain, training only", loop, loop);
        double evaluations = 0;
        for (int i = 0; i < CANDIDATES; i++) {
            long started = System.nanoTime();
            model.losses(base, data.validationTarget(), data.validationSource());
            evaluations += seconds(started);
        }
        tell("losses on validation text of " + CANDIDATES + " models", evaluations, loop);
        double pass = teacherPass();
        tell("one teacher pass over the training text", pass, loop);
        double fair = loop + evaluations + pass;
        tell("loop + losses + teacher pass", fair, fair);
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
        for (int parallelism = 1; parallelism <= 2; parallelism++) {
            sweep("sweep of plain finetunings, " + parallelism + " at once", model, data, rates, parallelism, fair);
            sweep("sweep of coefficients, " + parallelism + " at once", model, data, coefficients, parallelism, fair);
        }
        tell("Arbiter's own task creator, random weights", stock(), fair);
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

    private static double teacherPass() {
        long started = System.nanoTime();
        new TeacherIterator(batches(), teacher).forEachRemaining(batch -> {});
        return seconds(started);
    }

    private static void sweep(
            String name, FinetuneModel model, SweepData data, FinetuneSpace space, int parallelism, double fair)
            throws IOException {
        Sweep sweep = Sweep.builder()
                .model(model)
                .data(data)
                .space(space)
                .search(Search.grid(CANDIDATES))
                .parallelism(parallelism)
                .folder(Files.createTempDirectory("sweep"))
                .build();
        long started = System.nanoTime();
        SweepOutcome outcome = sweep.run();
        double all = seconds(started);
        if (outcome.complete().size() != CANDIDATES) {
            throw new IllegalStateException(
                    "candidates: expected " + CANDIDATES + " complete, got " + outcome.candidates());
        }
        double inSteps = outcome.candidates().stream()
                .mapToDouble(candidate -> candidate.trainingSeconds())
                .sum();
        double inLosses = outcome.candidates().stream()
                .mapToDouble(candidate -> candidate.evaluationSeconds())
                .sum();
        tell(name, all, fair);
        System.out.printf("  of it in steps %.1f s, in losses %.1f s, summed over threads%n", inSteps, inLosses);
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
                .candidateGenerator(new RandomSearchGenerator(space.build()))
                .scoreFunction(new TestSetLossScoreFunction())
                .dataSource(StockSource.class, null)
                .terminationConditions(new MaxCandidatesCondition(CANDIDATES))
                .build();
        LocalOptimizationRunner runner = new LocalOptimizationRunner(configuration, new MultiLayerNetworkTaskCreator());
        long started = System.nanoTime();
        runner.execute();
        double all = seconds(started);
        System.out.printf(
                "  stock: %d complete, %d failed, %d started%n",
                runner.numCandidatesCompleted(), runner.numCandidatesFailed(), runner.numCandidatesTotal());
        return all;
    }

    private static double seconds(long started) {
        return (System.nanoTime() - started) / 1e9;
    }

    private static void tell(String what, double seconds, double against) {
        System.out.printf("%-50s %7.1f s %6.3f%n", what, seconds, seconds / against);
    }
}
