package io.github.dl4jretention.sweep.task;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.baseline.Importance;
import io.github.dl4jretention.baseline.ImportanceEstimator;
import io.github.dl4jretention.baseline.QuadraticPenalty;
import io.github.dl4jretention.baseline.ReplayMultiDataSetIterator;
import io.github.dl4jretention.baseline.ReplayUnit;
import io.github.dl4jretention.baseline.SelfReplay;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.sweep.SweepTexts;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.space.FinetuneMethod;
import io.github.dl4jretention.sweep.space.Leaves;
import io.github.dl4jretention.sweep.space.Search;
import io.github.dl4jretention.sweep.space.UntrustedJson;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.IOException;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.deeplearning4j.arbiter.optimize.api.CandidateGenerator;
import org.deeplearning4j.arbiter.optimize.serde.jackson.JsonMapper;
import org.deeplearning4j.datasets.iterator.IteratorMultiDataSetIterator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

class BaselineMethodsTest {

    private static final DataType TYPE = DataType.DOUBLE;
    private static final double RATE = 0.01;

    private static FinetuneConfiguration of(FinetuneMethod method, double strength) {
        return new FinetuneConfiguration(method, null, RATE, 1, 0, -1, strength);
    }

    private static SweepData texts() {
        return SweepTexts.data(TYPE).withTrainingSource(SweepTexts.source(TYPE, 2, 60));
    }

    private static INDArray tuned(FinetuneProblem problem, FinetuneMethod method, double strength) {
        return ((MultiLayerNetwork) problem.finetune(of(method, strength))).params();
    }

    /** A loop over fit of the stock network, written by hand. */
    private static INDArray stock(MultiLayerNetwork pretrained, MultiDataSetIterator text, QuadraticPenalty penalty) {
        MultiLayerNetwork network = Retention.withUpdater(pretrained, new Adam(RATE));
        if (penalty != null) {
            network.addListeners(penalty.listener());
        }
        while (text.hasNext()) {
            MultiDataSet batch = text.next();
            network.fit(batch.getFeatures(0), batch.getLabels(0));
        }
        return network.params();
    }

    @Test
    void a_network_s_baselines_are_those_of_the_baseline_package() {
        MultiLayerNetwork pretrained = Networks.lstm(TYPE, 1);
        SweepData texts = texts();
        FinetuneProblem problem = new FinetuneProblem(FinetuneModel.of(pretrained), texts);
        Batches training = texts.training();
        Importance fisher = ImportanceEstimator.of(pretrained)
                .empiricalFisher(texts.trainingSource().iterator());
        Importance synapses = ImportanceEstimator.of(pretrained)
                .memoryAwareSynapses(texts.trainingSource().iterator());
        assertClose(
                stock(pretrained, training.iterator(), QuadraticPenalty.toStart(pretrained, 3)),
                tuned(problem, FinetuneMethod.L2_SP, 3),
                1e-9);
        assertClose(
                stock(pretrained, training.iterator(), QuadraticPenalty.weighted(pretrained, fisher, 3)),
                tuned(problem, FinetuneMethod.EWC, 3),
                1e-9);
        assertClose(
                stock(pretrained, training.iterator(), QuadraticPenalty.weighted(pretrained, synapses, 3)),
                tuned(problem, FinetuneMethod.MAS, 3),
                1e-9);
        assertClose(
                stock(
                        pretrained,
                        new ReplayMultiDataSetIterator(
                                training.iterator(),
                                texts.trainingSource().iterator(),
                                0.4,
                                ReplayUnit.EXAMPLES,
                                problem.seed()),
                        null),
                tuned(problem, FinetuneMethod.REPLAY, 0.4),
                1e-9);
        MultiDataSetIterator smoothed = training.iterator();
        MultiLayerNetwork network = Retention.withUpdater(pretrained, new Adam(RATE));
        while (smoothed.hasNext()) {
            MultiDataSet batch = smoothed.next();
            network.fit(batch.getFeatures(0), batch.getLabels(0).mul(0.8).add(0.2 / Networks.VOCABULARY));
        }
        assertClose(network.params(), tuned(problem, FinetuneMethod.LABEL_SMOOTHING, 0.2), 1e-9);
    }

    @ParameterizedTest
    @EnumSource(
            value = FinetuneMethod.class,
            mode = EnumSource.Mode.EXCLUDE,
            names = {"PLAIN", "RETENTION", "MAS", "SELF_REPLAY", "SELF_REPLAY_RETENTION"})
    void graphs_too_train_with_every_baseline(FinetuneMethod method) {
        FinetuneProblem problem = graph();
        INDArray weak = ((ComputationGraph) problem.finetune(of(method, 0))).params();
        INDArray plain = ((ComputationGraph) problem.finetune(of(FinetuneMethod.PLAIN, 0))).params();
        assertClose(plain, weak, 1e-9);
        INDArray strong = ((ComputationGraph) problem.finetune(of(method, strong(method)))).params();
        assertTrue(strong.distance2(plain) > 1e-6, method + " " + strong.distance2(plain));
    }

    @Test
    void memory_aware_synapses_refuse_a_graph_with_an_output_that_is_no_softmax() {
        FinetuneProblem problem = graph();
        FinetuneConfiguration configuration = of(FinetuneMethod.MAS, 1);
        Exception refused = assertThrows(IllegalStateException.class, () -> problem.finetune(configuration));
        assertTrue(refused.getMessage().contains("\"other\" with activation identity"), refused.getMessage());
    }

    private static FinetuneProblem graph() {
        ComputationGraph pretrained = Networks.graph(TYPE, 1);
        Batches[] text = new Batches[6];
        Arrays.setAll(
                text,
                i -> held(List.of(Networks.graphBatch(TYPE, 3, 10 * i), Networks.graphBatch(TYPE, 3, 10 * i + 1))));
        return new FinetuneProblem(
                FinetuneModel.of(pretrained, "text"),
                new SweepData(text[0], text[1], text[2], text[3], text[4], text[5]));
    }

    private static Batches held(List<MultiDataSet> text) {
        return Batches.ofMultiDataSets(() -> new Again(text));
    }

    /** The same batches after each reset. */
    private static final class Again extends IteratorMultiDataSetIterator {
        private static final long serialVersionUID = 1L;
        private final transient List<MultiDataSet> text;
        private int next;

        Again(List<MultiDataSet> text) {
            super(text.iterator(), 3);
            this.text = text;
        }

        @Override
        public boolean hasNext() {
            return next < text.size();
        }

        @Override
        public MultiDataSet next() {
            return text.get(next++);
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
        Random random = new Random(seed);
        int[][] ids = new int[3][Networks.TIME];
        for (int[] row : ids) {
            Arrays.setAll(row, t -> random.nextInt(Networks.VOCABULARY));
        }
        return held(List.of(new org.nd4j.linalg.dataset.MultiDataSet(
                Networks.normal(TYPE, random, 3, Networks.TIME, Networks.INPUTS), Nd4j.createFromArray(ids))));
    }

    @ParameterizedTest
    @EnumSource(
            value = FinetuneMethod.class,
            mode = EnumSource.Mode.EXCLUDE,
            names = {"PLAIN", "RETENTION", "SELF_REPLAY", "SELF_REPLAY_RETENTION"})
    void samediff_graphs_too_train_with_every_baseline(FinetuneMethod method) {
        FinetuneProblem problem = new FinetuneProblem(
                FinetuneModel.of(SweepTexts.graph(TYPE), "logits", "labels", "features"),
                new SweepData(ids(1), ids(2), ids(3), ids(4), ids(5), ids(6)));
        INDArray weak = weights(problem.finetune(steps(method, 0)));
        INDArray plain = weights(problem.finetune(steps(FinetuneMethod.PLAIN, 0)));
        assertClose(plain, weak, 1e-9);
        INDArray strong = weights(problem.finetune(steps(method, strong(method))));
        assertTrue(strong.distance2(plain) > 1e-6, method + " " + strong.distance2(plain));
    }

    private static double strong(FinetuneMethod method) {
        return method.allows(1) ? 50 : 0.9;
    }

    private static FinetuneConfiguration steps(FinetuneMethod method, double strength) {
        return new FinetuneConfiguration(method, null, RATE, 1, 4, -1, strength);
    }

    private static INDArray weights(Object graph) {
        return ((SameDiff) graph).getVariable("w").getArr();
    }

    @Test
    void a_space_of_baselines_survives_json_and_searches_each_one_s_strength() throws Exception {
        FinetuneSpace space = FinetuneSpace.builder()
                .methods(FinetuneMethod.PLAIN, FinetuneMethod.EWC, FinetuneMethod.REPLAY)
                .strengths(FinetuneMethod.EWC, 1, 10)
                .strengths(FinetuneMethod.REPLAY, 0.1, 0.2, 0.3)
                .build();
        String json = JsonMapper.getMapper().writeValueAsString(space);
        assertEquals(space, JsonMapper.getMapper().readValue(json, FinetuneSpace.class));
        assertEquals(space, UntrustedJson.read(json, FinetuneSpace.class));
        CandidateGenerator grid = Search.grid(2).over(space, RetentionScore.weighted(1), 0);
        Set<String> found = new HashSet<>();
        while (grid.hasMoreCandidates()) {
            FinetuneConfiguration drawn =
                    (FinetuneConfiguration) grid.getCandidate().getValue();
            found.add(drawn.method() + " " + drawn.strength());
        }
        assertEquals(Set.of("PLAIN 0.0", "EWC 1.0", "EWC 10.0", "REPLAY 0.1", "REPLAY 0.2", "REPLAY 0.3"), found);
    }

    @Test
    void malformed_strengths_and_missing_source_text_are_refused() {
        assertRefused("strength: expected 0, it has none for PLAIN, got 1.0", () -> of(FinetuneMethod.PLAIN, 1));
        assertRefused(
                "strength: expected numbers of at least 0 and below 1 for REPLAY, got 1.0",
                () -> of(FinetuneMethod.REPLAY, 1));
        assertRefused(
                "strength: expected finite numbers of at least 0 for EWC, got -1.0", () -> of(FinetuneMethod.EWC, -1));
        assertRefused("strength of REPLAY: expected numbers of at least 0 and below 1", () -> FinetuneSpace.builder()
                .strengths(FinetuneMethod.REPLAY, 0.5, 2));
        assertRefused("strength of EWC: expected finite numbers of at least 0", () -> FinetuneSpace.builder()
                .strength(FinetuneMethod.EWC, Leaves.logUniform("strength", 1, 2))
                .strengths(FinetuneMethod.EWC, -1));
        assertRefused("baseline: expected a method with a strength, got PLAIN", () -> FinetuneSpace.builder()
                .strengths(FinetuneMethod.PLAIN, 1));
        FinetuneModel model = FinetuneModel.of(Networks.lstm(TYPE, 1));
        FinetuneSpace space =
                FinetuneSpace.builder().methods(FinetuneMethod.EWC).build();
        assertRefused(
                "trainingSource: expected source text, which EWC trains with",
                () -> space.requireFits(model, SweepTexts.data(TYPE)));
        assertRefused("validationSource: expected another text than trainingSource", () -> SweepTexts.data(TYPE)
                .withTrainingSource(SweepTexts.source(TYPE, 2, 30))
                .identities());
    }

    private static void assertRefused(String message, org.junit.jupiter.api.function.Executable call) {
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, call);
        assertTrue(e.getMessage().startsWith(message), e.getMessage());
    }

    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().coefficient(2).build();

    /** Tokens, one-hot. */
    private static SweepData tokens(DataType type, boolean timeFirst) {
        Batches[] text = new Batches[5];
        Arrays.setAll(text, i -> held(List.of(tokens(type, 10 * i, timeFirst), tokens(type, 10 * i + 1, timeFirst))));
        return new SweepData(text[0], text[1], text[2], text[3], text[4]);
    }

    private static MultiDataSet tokens(DataType type, long seed, boolean timeFirst) {
        DataSet text = Networks.text(type, 3, Networks.TIME, seed);
        return timeFirst
                ? new org.nd4j.linalg.dataset.MultiDataSet(
                        text.getFeatures().permute(0, 2, 1).dup('c'),
                        text.getLabels().permute(0, 2, 1).dup('c'))
                : text.toMultiDataSet();
    }

    @ParameterizedTest
    @EnumSource(
            value = FinetuneMethod.class,
            names = {"SELF_REPLAY", "SELF_REPLAY_RETENTION"})
    void self_replay_is_that_of_the_baseline_package(FinetuneMethod method) throws IOException {
        MultiLayerNetwork pretrained = Networks.languageModel(TYPE, 1);
        SweepData texts = tokens(TYPE, false);
        FinetuneProblem problem = new FinetuneProblem(FinetuneModel.of(pretrained), texts);
        FinetuneConfiguration configuration = new FinetuneConfiguration(method, CONF, RATE, 1, 0, -1, 0.4);
        INDArray found = ((MultiLayerNetwork) problem.finetune(configuration)).params();

        MultiDataSetIterator text = texts.training().iterator();
        ReplayMultiDataSetIterator mixed =
                SelfReplay.of(pretrained, text).seed(problem.seed()).build().mixedInto(text, 0.4);
        MultiLayerNetwork student = Retention.attach(Retention.withUpdater(pretrained, new Adam(RATE)), CONF);
        try (Teacher teacher = Teacher.of(pretrained);
                TeacherMultiDataSetIterator taught = new TeacherMultiDataSetIterator(
                        mixed, teacher, mixed.divergenceWeights(method == FinetuneMethod.SELF_REPLAY ? 0 : 1, 1))) {
            while (taught.hasNext()) {
                MultiDataSet batch = taught.next();
                assertEquals(5, batch.getFeatures(0).size(0), "three of the target, two written");
                student.fit(new DataSet(batch.getFeatures(0), batch.getLabels(0), null, batch.getLabelsMaskArray(0)));
            }
        }
        assertClose(Retention.detach(student).params(), found, 1e-9);
    }

    @ParameterizedTest
    @EnumSource(
            value = FinetuneMethod.class,
            names = {"SELF_REPLAY", "SELF_REPLAY_RETENTION"})
    void samediff_graphs_too_train_on_what_they_write(FinetuneMethod method) {
        SameDiff sd = SameDiff.create();
        sd.placeHolder("features", DataType.FLOAT, -1, Networks.TIME, Networks.VOCABULARY)
                .reshape(-1, Networks.VOCABULARY)
                .mmul(sd.var(
                        "w", Networks.normal(DataType.FLOAT, new Random(1), Networks.VOCABULARY, Networks.VOCABULARY)))
                .reshape(-1, Networks.TIME, Networks.VOCABULARY)
                .rename("logits");
        sd.placeHolder("labels", DataType.FLOAT, -1, Networks.TIME, Networks.VOCABULARY);
        FinetuneProblem problem =
                new FinetuneProblem(FinetuneModel.of(sd, "logits", "labels", "features"), tokens(DataType.FLOAT, true));
        INDArray start = sd.getVariable("w").getArr();
        double plain = way(problem, start, new FinetuneConfiguration(FinetuneMethod.PLAIN, null, RATE, 6, 0, -1, 0));
        RetentionConfiguration strong =
                RetentionConfiguration.builder().coefficient(300).build();
        double near = way(problem, start, new FinetuneConfiguration(method, strong, RATE, 6, 0, -1, 0.5));
        assertTrue(near > 0 && near < 0.7 * plain, near + " of " + plain);
    }

    private static double way(FinetuneProblem problem, INDArray start, FinetuneConfiguration configuration) {
        return ((SameDiff) problem.finetune(configuration))
                .getVariable("w")
                .getArr()
                .distance2(start);
    }
}
