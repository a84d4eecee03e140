package io.github.dl4jretention.sweep.task;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionListener;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.sweep.SweepTexts;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.space.FinetuneMethod;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.space.Search;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.deeplearning4j.arbiter.optimize.api.Candidate;
import org.deeplearning4j.arbiter.optimize.api.OptimizationResult;
import org.deeplearning4j.arbiter.optimize.config.OptimizationConfiguration;
import org.deeplearning4j.arbiter.optimize.runner.CandidateInfo;
import org.deeplearning4j.arbiter.optimize.runner.CandidateStatus;
import org.deeplearning4j.arbiter.optimize.runner.LocalOptimizationRunner;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.datasets.iterator.IteratorMultiDataSetIterator;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.ops.transforms.Transforms;
import org.nd4j.linalg.schedule.ISchedule;
import org.nd4j.linalg.schedule.MapSchedule;
import org.nd4j.linalg.schedule.ScheduleType;

class FinetuneTaskTest {

    private static final DataType TYPE = DataType.DOUBLE;
    private static final double RATE = 0.01;

    @TempDir
    private Path folder;

    /** What a task has told. */
    private static final class Seen implements FinetuneObserver {
        private FinetuneResult result;
        private Object plain;
        private Double score;
        private Throwable failure;

        @Override
        public void onResult(
                int candidate, FinetuneConfiguration configuration, FinetuneResult told, Double of, Object network) {
            result = told;
            plain = network;
            score = of;
        }

        @Override
        public void onFailure(int candidate, FinetuneConfiguration configuration, Throwable reason) {
            failure = reason;
        }
    }

    private static FinetuneConfiguration retention(double coefficient, int epochs, int steps, int frozenUpTo) {
        return new FinetuneConfiguration(FinetuneMethod.RETENTION, loss(coefficient), RATE, epochs, steps, frozenUpTo);
    }

    private static RetentionConfiguration loss(double coefficient) {
        return RetentionConfiguration.builder().coefficient(coefficient).build();
    }

    private static Seen run(FinetuneProblem problem, FinetuneConfiguration configuration) throws Exception {
        Seen seen = new Seen();
        OptimizationResult ended = new FinetuneTaskCreator(problem, seen)
                .create(
                        new Candidate<>(configuration, 3, new double[0]),
                        null,
                        null,
                        RetentionScore.weighted(2),
                        List.of(),
                        null)
                .call();
        assertEquals(3, ended.getIndex());
        assertEquals(seen.result, ended.getModelSpecificResults());
        assertEquals(
                seen.failure == null ? CandidateStatus.Complete : CandidateStatus.Failed,
                ended.getCandidateInfo().getCandidateStatus());
        assertEquals(seen.score, ended.getScore());
        return seen;
    }

    @Test
    void a_candidate_is_what_a_loop_over_fit_makes() throws Exception {
        MultiLayerNetwork pretrained = Networks.lstm(TYPE, 1);
        INDArray before = pretrained.params().dup();
        FinetuneProblem problem = new FinetuneProblem(FinetuneModel.of(pretrained), SweepTexts.data(TYPE));
        Seen seen = run(problem, retention(2, 2, 0, -1));

        MultiLayerNetwork student = Retention.attach(Retention.withUpdater(pretrained, new Adam(RATE)), loss(2));
        Teacher teacher = Teacher.of(pretrained);
        MultiDataSetIterator text =
                new TeacherMultiDataSetIterator(SweepTexts.target(TYPE, 4, 10).iterator(), teacher);
        for (int epoch = 0; epoch < 2; epoch++) {
            student.fit(text);
            text.reset();
        }
        assertClose(student.params(), ((MultiLayerNetwork) seen.plain).params(), 0);
        assertEquals(8, seen.result.steps());
        assertEquals(8, seen.result.curve().size());
        assertEquals(0, seen.result.curve().get(0).divergence(), 1e-9);
        assertTrue(seen.result.curve().get(7).divergence() > 0);
        assertClose(before, pretrained.params(), 0);

        // MCXENT sums over the five tokens of a sequence and divides by the sequences.
        MultiLayerNetwork tuned = (MultiLayerNetwork) seen.plain;
        double sum = 0;
        for (MultiDataSetIterator held = problem.data().validationTarget().iterator(); held.hasNext(); ) {
            org.nd4j.linalg.dataset.api.MultiDataSet batch = held.next();
            INDArray p = tuned.output(batch.getFeatures(0));
            sum -= Transforms.log(p).mul(batch.getLabels(0)).sumNumber().doubleValue();
        }
        assertEquals(sum / (2 * 3 * Networks.TIME), seen.result.validation().target(), 1e-9);
        Losses losses = seen.result.validation();
        assertEquals(losses.target() + 2 * losses.source(), seen.score, 1e-12);
    }

    @Test
    void a_warm_up_is_that_of_withUpdater() throws Exception {
        MultiLayerNetwork pretrained = Networks.lstm(TYPE, 1);
        FinetuneProblem problem = new FinetuneProblem(FinetuneModel.of(pretrained), SweepTexts.data(TYPE));
        Seen seen = run(problem, new FinetuneConfiguration(FinetuneMethod.RETENTION, loss(2), RATE, 1, 0, -1, 0, 3));
        MultiLayerNetwork student = Retention.attach(Retention.withUpdater(pretrained, new Adam(RATE), 3), loss(2));
        student.fit(
                new TeacherMultiDataSetIterator(SweepTexts.target(TYPE, 4, 10).iterator(), Teacher.of(pretrained)));
        assertClose(student.params(), ((MultiLayerNetwork) seen.plain).params(), 0);
        Seen without = run(problem, new FinetuneConfiguration(FinetuneMethod.RETENTION, loss(2), RATE, 1, 0, -1));
        assertTrue(student.params().distance2(((MultiLayerNetwork) without.plain).params()) > 1e-4);
    }

    @Test
    void plain_finetuning_is_the_stock_network_s() throws Exception {
        MultiLayerNetwork pretrained = Networks.lstm(TYPE, 2);
        FinetuneProblem problem = new FinetuneProblem(FinetuneModel.of(pretrained), SweepTexts.data(TYPE));
        Seen seen = run(problem, new FinetuneConfiguration(FinetuneMethod.PLAIN, null, RATE, 1, 10, -1));
        MultiLayerNetwork stock = Retention.withUpdater(pretrained, new Adam(RATE));
        MultiDataSetIterator text = SweepTexts.target(TYPE, 4, 10).iterator();
        for (int step = 0; step < 10; step++) {
            if (!text.hasNext()) {
                text.reset();
            }
            org.nd4j.linalg.dataset.api.MultiDataSet batch = text.next();
            stock.fit(batch.getFeatures(0), batch.getLabels(0));
        }
        assertClose(stock.params(), ((MultiLayerNetwork) seen.plain).params(), 1e-9);
    }

    @Test
    void layers_that_are_frozen_keep_their_weights() throws Exception {
        MultiLayerNetwork pretrained = Networks.lstm(TYPE, 3);
        FinetuneProblem problem = new FinetuneProblem(FinetuneModel.of(pretrained), SweepTexts.data(TYPE));
        MultiLayerNetwork tuned = (MultiLayerNetwork) run(problem, retention(1, 1, 3, 0)).plain;
        assertClose(pretrained.getLayer(0).params(), tuned.getLayer(0).params(), 0);
        assertTrue(pretrained.getLayer(1).params().distance2(tuned.getLayer(1).params()) > 1e-3);
        Throwable failure = run(problem, retention(1, 1, 3, 1)).failure;
        assertTrue(failure.getMessage().startsWith("frozenUpTo: expected at most 0"), failure.getMessage());
    }

    @Test
    void a_graph_s_output() throws Exception {
        ComputationGraph pretrained = Networks.graph(TYPE, 1);
        Batches[] texts = new Batches[5];
        Arrays.setAll(texts, i -> Batches.ofMultiDataSets(() -> new IteratorOverGraphBatches(10 * i, 3)));
        FinetuneProblem problem = new FinetuneProblem(
                FinetuneModel.of(pretrained, "text"), new SweepData(texts[0], texts[1], texts[2], texts[3], texts[4]));
        Seen seen = run(problem, retention(1, 2, 0, 0));
        assertNull(seen.failure);
        assertEquals(6, seen.result.steps());
        ComputationGraph tuned = (ComputationGraph) seen.plain;
        assertClose(pretrained.getLayer("lstm").params(), tuned.getLayer("lstm").params(), 0);
        assertTrue(pretrained
                        .getLayer("second")
                        .params()
                        .distance2(tuned.getLayer("second").params())
                > 1e-3);
        Path file = folder.resolve("graph.zip");
        problem.model().save(tuned, file);
        assertEquals(
                seen.result.validation(), problem.validation(problem.model().load(file)));
    }

    /** As many batches of a graph, again after each reset. */
    private static final class IteratorOverGraphBatches extends IteratorMultiDataSetIterator {
        private static final long serialVersionUID = 1L;
        private final long seed;
        private final int count;
        private int next;

        IteratorOverGraphBatches(long seed, int count) {
            super(new ArrayList<org.nd4j.linalg.dataset.api.MultiDataSet>().iterator(), 3);
            this.seed = seed;
            this.count = count;
        }

        @Override
        public boolean hasNext() {
            return next < count;
        }

        @Override
        public org.nd4j.linalg.dataset.api.MultiDataSet next() {
            return Networks.graphBatch(TYPE, 3, seed + next++);
        }

        @Override
        public void reset() {
            next = 0;
        }

        @Override
        public boolean resetSupported() {
            return true;
        }
    }

    private static Batches ids(long seed) {
        List<org.nd4j.linalg.dataset.api.MultiDataSet> text = new ArrayList<>();
        Random random = new Random(seed);
        for (int i = 0; i < 2; i++) {
            int[][] ids = new int[3][Networks.TIME];
            for (int[] row : ids) {
                Arrays.setAll(row, t -> random.nextInt(Networks.VOCABULARY));
            }
            text.add(new MultiDataSet(
                    Networks.normal(TYPE, random, 3, Networks.TIME, Networks.INPUTS), Nd4j.createFromArray(ids)));
        }
        return Batches.ofMultiDataSets(() -> new IteratorMultiDataSetIterator(text.iterator(), 3));
    }

    @Test
    void a_samediff_graph() throws Exception {
        SameDiff pretrained = SweepTexts.graph(TYPE);
        FinetuneProblem problem = new FinetuneProblem(
                FinetuneModel.of(pretrained, "logits", "labels", "features"),
                new SweepData(ids(1), ids(2), ids(3), ids(4), ids(5)));
        for (FinetuneConfiguration configuration : List.of(
                retention(3, 1, 2, -1),
                new FinetuneConfiguration(FinetuneMethod.PLAIN, null, RATE, 1, 2, -1),
                new FinetuneConfiguration(FinetuneMethod.RETENTION, loss(3), RATE, 1, 2, -1, 0, 2))) {
            ISchedule warmUp = new MapSchedule(ScheduleType.ITERATION, Map.of(0, RATE / 2, 1, RATE));
            Seen seen = run(problem, configuration);
            assertNull(seen.failure);
            SameDiff student = SweepTexts.graph(TYPE);
            RetentionLoss.add(student, "logits", "labels", FinetuneModel.lossOf(configuration));
            student.setTrainingConfig(TrainingConfig.builder()
                    .updater(configuration.warmUp() == 0 ? new Adam(RATE) : new Adam(warmUp))
                    .dataSetFeatureMapping("features")
                    .dataSetLabelMapping("labels", RetentionLoss.TEACHER_LOGITS)
                    .build());
            student.setListeners(new RetentionListener());
            student.fit(new TeacherMultiDataSetIterator(ids(1).iterator(), problem.teacher()), 1);
            SameDiff tuned = (SameDiff) seen.plain;
            assertClose(
                    student.getVariable("w").getArr(), tuned.getVariable("w").getArr(), 1e-12);
            assertTrue(!tuned.hasVariable(RetentionLoss.LOSS));
            Path file = folder.resolve("graph.fb");
            problem.model().save(tuned, file);
            assertEquals(
                    seen.result.validation(), problem.validation(problem.model().load(file)));
        }
    }

    @Test
    void what_is_not_finite_or_diverges_fails_with_its_reason() throws Exception {
        FinetuneModel model = FinetuneModel.of(Networks.lstm(TYPE, 4));
        SweepData data = SweepTexts.data(TYPE);
        Seen diverged = run(
                new FinetuneProblem(model, data),
                new FinetuneConfiguration(FinetuneMethod.RETENTION, loss(1), 100, 1, 20, -1));
        assertNull(diverged.score);
        assertTrue(diverged.failure.getMessage().startsWith("loss at step 2: diverged"), diverged.failure.getMessage());

        DataSet broken = Networks.sequences(TYPE, 3, 1);
        broken.getFeatures().putScalar(0, 0, 0, Double.NaN);
        SweepData withNan = new SweepData(
                Batches.of(new ExistingDataSetIterator(List.of(broken))),
                data.validationTarget(),
                data.validationSource(),
                data.testTarget(),
                data.testSource());
        Seen notFinite = run(
                new FinetuneProblem(model, withNan),
                new FinetuneConfiguration(FinetuneMethod.PLAIN, null, RATE, 1, 3, -1));
        assertNull(notFinite.score);
        assertEquals("loss at step 1: expected a finite number, got NaN", notFinite.failure.getMessage());
    }

    @Test
    void smoothed_labels_may_begin_above_the_limit_of_the_base() throws Exception {
        MultiLayerNetwork sure = Networks.lstm(TYPE, 4);
        sure.getOutputLayer().getParam("W").muli(1e-3);
        sure.getOutputLayer().getParam("b").putScalar(0, 60);
        SweepData data = SweepTexts.data(TYPE);
        // Held-out text of the class that the network is sure of: the base's loss is 0.
        DataSet one = Networks.sequences(TYPE, 3, 1);
        one.setLabels(Nd4j.zeros(TYPE, 3, Networks.VOCABULARY, Networks.TIME));
        for (int b = 0; b < 3; b++) {
            for (int t = 0; t < Networks.TIME; t++) {
                one.getLabels().putScalar(b, 0, t, 1);
            }
        }
        Batches held = Batches.of(new ExistingDataSetIterator(List.of(one)));
        FinetuneProblem problem =
                new FinetuneProblem(FinetuneModel.of(sure), new SweepData(data.training(), held, held, held, held));
        assertTrue(problem.largestLoss() < 10, "limit " + problem.largestLoss());
        Seen seen = run(problem, new FinetuneConfiguration(FinetuneMethod.LABEL_SMOOTHING, null, 1e-6, 1, 2, -1, 0.9));
        assertNull(seen.failure, String.valueOf(seen.failure));
        assertTrue(
                seen.result.curve().get(0).crossEntropy() > problem.largestLoss(),
                seen.result.curve().toString());
    }

    @Test
    void parameters_in_half_precision_have_a_finite_sum() {
        INDArray half = Nd4j.valueArrayOf(new long[] {1, 200}, 600, DataType.FLOAT16);
        assertEquals(120_000, FinetuneModel.wideSum(half), 1);
        assertEquals(Double.NaN, FinetuneModel.wideSum(half.putScalar(3, Double.NaN)));
    }

    @Test
    void models_without_a_softmax_head_are_refused() {
        MultiLayerNetwork regression = Networks.stacked(
                TYPE,
                1,
                new OutputLayer.Builder(LossFunction.MSE)
                        .nIn(3)
                        .nOut(2)
                        .activation(Activation.IDENTITY)
                        .build());
        assertThrows(IllegalArgumentException.class, () -> FinetuneModel.of(regression));
        assertThrows(IllegalArgumentException.class, () -> FinetuneModel.of(Networks.graph(TYPE, 1)));
        assertThrows(
                IllegalArgumentException.class,
                () -> FinetuneModel.of(SweepTexts.graph(TYPE), "other", "labels", "features"));
        assertThrows(
                IllegalArgumentException.class,
                () -> FinetuneModel.of(SweepTexts.graph(TYPE), "logits", "other", "features"));
    }

    /** For Arbiter, which makes an instance for every candidate. */
    public static final class Source implements FinetuneDataSource {
        private static final long serialVersionUID = 1L;
        private static final FinetuneProblem PROBLEM =
                new FinetuneProblem(FinetuneModel.of(Networks.lstm(TYPE, 5)), SweepTexts.data(TYPE));

        @Override
        public FinetuneProblem problem() {
            return PROBLEM;
        }
    }

    @Test
    void arbiters_own_runner_finds_the_task_creator_ends_with_the_grid_and_never_takes_a_failure_for_the_best() {
        FinetuneSpace space = FinetuneSpace.builder()
                .retention(RetentionSpace.builder().coefficients(0.5, 5).build())
                .learningRates(1e300, RATE)
                .steps(3)
                .build();
        RetentionScore score = RetentionScore.weighted(1);
        OptimizationConfiguration configuration =
                OptimizationConfiguration.fromJson(new OptimizationConfiguration.Builder()
                        .candidateGenerator(Search.grid(2).over(space, score, 0))
                        .scoreFunction(score)
                        .dataSource(Source.class, null)
                        .terminationConditions(new GeneratorExhausted())
                        .build()
                        .toJson());
        LocalOptimizationRunner runner = new LocalOptimizationRunner(configuration);
        runner.execute();
        assertEquals(2, runner.numCandidatesCompleted());
        assertEquals(2, runner.numCandidatesFailed());
        assertNotNull(runner.bestScore());
        CandidateInfo best = runner.getCandidateStatus().get(runner.bestScoreCandidateIndex());
        assertEquals(CandidateStatus.Complete, best.getCandidateStatus());
        assertTrue(Double.isFinite(runner.bestScore()));
        for (CandidateInfo info : runner.getCandidateStatus()) {
            boolean failed = info.getCandidateStatus() == CandidateStatus.Failed;
            assertEquals(failed, info.getScore() == null);
            assertEquals(failed, String.valueOf(info.getExceptionStackTrace()).contains("diverged"));
        }
    }

    @Test
    void scores_are_weighted_or_constrained() {
        Losses base = new Losses(2, 1);
        Losses greedy = new Losses(1.0, 1.5);
        Losses careful = new Losses(1.5, 1.1);
        assertEquals(1.0 + 3 * 1.5, RetentionScore.weighted(3).score(base, greedy), 1e-12);
        RetentionScore constrained = RetentionScore.constrained(0.2);
        assertEquals(1.5, constrained.score(base, careful), 1e-12);
        assertTrue(constrained.isFeasible(base, careful));
        assertTrue(!constrained.isFeasible(base, greedy));
        assertTrue(constrained.score(base, greedy) > 1e6);
        assertTrue(constrained.score(base, new Losses(0.1, 9)) > constrained.score(base, greedy));
        assertEquals(1.0, greedy.gain(base));
        assertEquals(0.5, greedy.forgetting(base));
    }

    @Test
    void masks_and_class_ids_count_in_held_out_losses_as_they_do_in_training() {
        MultiLayerNetwork network = Networks.stacked(
                TYPE,
                1,
                new LSTM.Builder().nIn(Networks.INPUTS).nOut(4).build(),
                new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(4)
                        .nOut(Networks.VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(RNNFormat.NCW)
                        .build());
        DataSet oneHot = Networks.sequences(TYPE, 3, 1);
        INDArray mask = Nd4j.ones(TYPE, 3, Networks.TIME);
        mask.putScalar(0, 1, 0).putScalar(2, 4, 0);
        INDArray ids = Nd4j.argMax(oneHot.getLabels(), 1).castTo(TYPE).reshape(3, 1, Networks.TIME);
        Teacher predictor = Teacher.of(network);
        double[] found = new double[2];
        INDArray[] labels = {oneHot.getLabels(), ids};
        for (int i = 0; i < 2; i++) {
            MultiDataSet batch = new MultiDataSet(
                    new INDArray[] {oneHot.getFeatures()}, new INDArray[] {labels[i]}, null, new INDArray[] {mask});
            found[i] = TokenEvaluation.of(
                            predictor,
                            new IteratorMultiDataSetIterator(
                                    List.<org.nd4j.linalg.dataset.api.MultiDataSet>of(batch)
                                            .iterator(),
                                    3))
                    .crossEntropy();
        }
        oneHot.setLabelsMaskArray(mask);
        // Stock score: sum over unmasked tokens by sequences.
        assertEquals(network.score(oneHot) * 3 / 13, found[0], 1e-9);
        assertEquals(found[0], found[1], 1e-12);
    }
}
