package io.github.dl4jretention.baseline;

import static io.github.dl4jretention.Networks.assertClose;
import static io.github.dl4jretention.Networks.assertMoved;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.checkpoint.FinetuningRun;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.ops.transforms.Transforms;

/** What happens to the parameters after each step: {@link PullToStart} and {@link KlTrustRegion}. */
class StepListenersTest {

    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().coefficient(0.5).build();

    @TempDir
    private Path folder;

    private static MultiLayerNetwork network(DataType type, IUpdater updater) {
        return Retention.withUpdater(Networks.languageModel(type, 3), updater);
    }

    private static DataSet taught(MultiLayerNetwork base, DataSet batch) {
        return new TeacherIterator(new ExistingDataSetIterator(List.of(batch)), Teacher.of(base)).next();
    }

    private static DataSet text(DataType type) {
        return Networks.text(type, 4, 5, 1);
    }

    private static SameDiff sameDiff(IUpdater updater) {
        SameDiff sd = SameDiff.create();
        SDVariable features = sd.placeHolder("features", DataType.FLOAT, -1, 5, Networks.VOCABULARY);
        SDVariable w = sd.var("w", Networks.normal(DataType.FLOAT, new Random(1), Networks.VOCABULARY, 7));
        SDVariable v = sd.var("v", Networks.normal(DataType.FLOAT, new Random(2), 7, Networks.VOCABULARY));
        sd.math
                .tanh(features.reshape(-1, Networks.VOCABULARY).mmul(w))
                .mmul(v)
                .reshape(-1, 5, Networks.VOCABULARY)
                .rename("logits");
        return Retention.withUpdater(Retention.attach(sd, CONF, "logits", "features"), updater);
    }

    private static MultiDataSet timeFirst() {
        DataSet text = text(DataType.FLOAT);
        return new org.nd4j.linalg.dataset.MultiDataSet(
                text.getFeatures().permute(0, 2, 1).dup('c'),
                text.getLabels().permute(0, 2, 1).dup('c'));
    }

    private static void fit(SameDiff student, Teacher teacher, int steps) {
        student.fit(new TeacherMultiDataSetIterator(new SingletonMultiDataSetIterator(timeFirst()), teacher), steps);
    }

    private static INDArray values(SameDiff sd) {
        return Nd4j.concat(
                0,
                ParameterArrays.of(sd).values().stream()
                        .map(array -> array.dup('c').reshape(array.length()))
                        .toArray(INDArray[]::new));
    }

    // The pull.

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE"})
    void each_step_is_followed_by_a_share_of_the_way_back(DataType type) {
        MultiLayerNetwork plain = network(type, new Sgd(0.1));
        MultiLayerNetwork pulled = network(type, new Sgd(0.1));
        INDArray start = plain.params().dup();
        pulled.addListeners(PullToStart.of(pulled, 0.25).listener());
        plain.fit(text(type));
        pulled.fit(text(type));
        INDArray first = plain.params().mul(0.75).add(start.mul(0.25));
        double tolerance = type == DataType.DOUBLE ? 1e-12 : 1e-6;
        assertClose(first, pulled.params(), tolerance);
        // The second step starts where the first was pulled to.
        plain.setParams(first);
        plain.fit(text(type));
        pulled.fit(text(type));
        assertClose(plain.params().mul(0.75).add(start.mul(0.25)), pulled.params(), tolerance);
    }

    @Test
    void no_pull_changes_nothing_and_a_whole_one_undoes_the_step() {
        MultiLayerNetwork plain = network(DataType.FLOAT, new Adam(0.1));
        MultiLayerNetwork without = network(DataType.FLOAT, new Adam(0.1));
        MultiLayerNetwork whole = network(DataType.FLOAT, new Adam(0.1));
        INDArray start = whole.params().dup();
        without.addListeners(PullToStart.of(without, 0).listener());
        whole.addListeners(PullToStart.of(whole, 1).listener());
        for (MultiLayerNetwork each : List.of(plain, without, whole)) {
            each.fit(text(DataType.FLOAT));
        }
        assertClose(plain.params(), without.params(), 0);
        assertClose(start, whole.params(), 1e-7);
        assertMoved(start, plain.params(), 0.01);
    }

    @Test
    void graphs_and_sameDiff_models_are_pulled_too() {
        ComputationGraph base = Networks.graph(DataType.FLOAT, 1);
        ComputationGraph plain = Retention.withUpdater(base, new Adam(0.1));
        ComputationGraph pulled = Retention.withUpdater(base, new Adam(0.1));
        pulled.addListeners(PullToStart.of(base, 0.5).listener());
        plain.fit(Networks.graphBatch(DataType.FLOAT, 3, 1));
        pulled.fit(Networks.graphBatch(DataType.FLOAT, 3, 1));
        assertClose(plain.params().add(base.params()).muli(0.5), pulled.params(), 1e-6);

        SameDiff one = sameDiff(new Adam(0.1));
        SameDiff other = sameDiff(new Adam(0.1));
        INDArray start = values(one);
        try (Teacher teacher = Teacher.of(Retention.detach(one), "logits", "features")) {
            other.addListeners(PullToStart.of(other, 0.5).sameDiffListener());
            fit(one, teacher, 1);
            fit(other, teacher, 1);
        }
        assertMoved(start, values(one), 0.01);
        assertClose(values(one).add(start).muli(0.5), values(other), 1e-6);
    }

    @ParameterizedTest
    @ValueSource(doubles = {-0.1, 1.1, Double.NaN})
    void a_share_out_of_range_is_refused(double rho) {
        String message = assertThrows(
                        IllegalArgumentException.class, () -> PullToStart.of(network(DataType.FLOAT, new Sgd(1)), rho))
                .getMessage();
        assertEquals("rho: expected a number from 0 to 1, got " + rho, message);
    }

    // The trust region.

    private static double divergence(MultiLayerNetwork student, DataSet taught, INDArray params) {
        student.setParams(params);
        student.score(taught, false);
        return Networks.lastLoss(student).divergence();
    }

    /** Where a step of the student ends, without a region. */
    private static INDArray step(DataType type, DataSet taught, IUpdater updater) {
        MultiLayerNetwork student = Retention.attach(network(type, updater), CONF);
        student.fit(taught);
        return student.params().dup();
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE"})
    void a_step_that_leads_too_far_is_shortened_by_the_rule(DataType type) {
        double limit = 0.02;
        MultiLayerNetwork base = network(type, new Adam(0.1));
        DataSet taught = taught(base, text(type));
        INDArray whole = step(type, taught, new Adam(0.1));
        MultiLayerNetwork student = Retention.attach(base, CONF);
        KlTrustRegion region = KlTrustRegion.of(limit);
        student.addListeners(region.listener());
        student.fit(taught);
        INDArray found = student.params().dup();

        // By hand: from the teacher itself, where the divergence is 0.
        MultiLayerNetwork measured = Retention.attach(base, CONF);
        INDArray way = whole.sub(base.params());
        DoubleUnaryOperator at =
                share -> divergence(measured, taught, base.params().add(way.mul(share)));
        assertTrue(at.applyAsDouble(1) > 2 * limit, "the whole step leads too far");
        double share = 1;
        for (double d = at.applyAsDouble(1); d > limit; d = at.applyAsDouble(share)) {
            share *= Math.max(0.1, Math.min(0.9, Math.sqrt(limit / d)));
        }
        assertTrue(share > 0.05 && share < 0.9, "share " + share);
        assertClose(base.params().add(way.mul(share)), found, type == DataType.DOUBLE ? 1e-9 : 1e-5);
        assertTrue(divergence(measured, taught, found) <= limit + 1e-6);
        assertEquals(1, region.shortened());
        assertEquals(0, region.undone());
    }

    @Test
    void moments_counters_and_the_reported_loss_are_those_of_the_whole_step() {
        MultiLayerNetwork base = network(DataType.FLOAT, new Adam(0.1));
        DataSet taught = taught(base, text(DataType.FLOAT));
        MultiLayerNetwork free = Retention.attach(base, CONF);
        MultiLayerNetwork near = Retention.attach(base, CONF);
        near.addListeners(KlTrustRegion.of(0.001).listener());
        free.fit(taught);
        near.fit(taught);
        assertMoved(free.params(), near.params(), 1e-3);
        assertClose(free.getUpdater().getStateViewArray(), near.getUpdater().getStateViewArray(), 0);
        assertEquals(free.getIterationCount(), near.getIterationCount());
        assertEquals(Networks.lastLoss(free), Networks.lastLoss(near));
        assertEquals(free.score(), near.score());
    }

    @Test
    void steps_within_the_limit_are_left_alone() {
        MultiLayerNetwork base = network(DataType.FLOAT, new Adam(1e-4));
        MultiLayerNetwork free = Retention.attach(base, CONF);
        MultiLayerNetwork near = Retention.attach(base, CONF);
        KlTrustRegion region = KlTrustRegion.of(1);
        near.addListeners(region.listener());
        for (int i = 0; i < 5; i++) {
            free.fit(taught(base, Networks.text(DataType.FLOAT, 4, 5, i)));
            near.fit(taught(base, Networks.text(DataType.FLOAT, 4, 5, i)));
        }
        assertClose(free.params(), near.params(), 0);
        assertEquals(0, region.shortened() + region.undone());
    }

    @Test
    void a_student_that_is_too_far_already_only_comes_nearer() {
        MultiLayerNetwork base = network(DataType.FLOAT, new Adam(0.05));
        DataSet taught = taught(base, text(DataType.FLOAT));
        INDArray far = Networks.moved(base, 0.5, 4).params().dup();
        // The cross-entropy of labels that were drawn evenly leads away from the teacher.
        MultiLayerNetwork away = Retention.attach(
                base, RetentionConfiguration.builder().coefficient(0).build());
        away.setParams(far);
        KlTrustRegion region = KlTrustRegion.of(0.001);
        away.addListeners(region.listener());
        // The divergence leads back.
        MultiLayerNetwork back = Retention.attach(
                base, RetentionConfiguration.builder().coefficient(1000).build());
        back.setParams(far);
        double before = divergence(Retention.attach(base, CONF), taught, far);
        assertTrue(before > 0.001);
        KlTrustRegion other = KlTrustRegion.of(0.001);
        back.addListeners(other.listener());
        back.fit(taught);
        assertTrue(
                divergence(Retention.attach(base, CONF), taught, back.params().dup()) < before);
        assertEquals(0, other.undone() + other.shortened());
        away.fit(taught);
        double after =
                divergence(Retention.attach(base, CONF), taught, away.params().dup());
        assertTrue(after <= before + 1e-6, before + " to " + after);
    }

    @Test
    void masks_are_those_of_the_minibatch() {
        DataSet masked = text(DataType.FLOAT);
        masked.setLabelsMaskArray(Nd4j.createFromArray(
                new float[][] {{1, 1, 1, 0, 0}, {1, 0, 1, 0, 1}, {0, 1, 1, 1, 0}, {1, 1, 1, 1, 1}}));
        masked.setFeaturesMaskArray(Nd4j.createFromArray(
                new float[][] {{1, 1, 1, 0, 0}, {1, 1, 1, 1, 1}, {1, 1, 1, 1, 0}, {1, 1, 1, 1, 1}}));
        MultiLayerNetwork base = network(DataType.FLOAT, new Adam(0.1));
        DataSet taught = taught(base, masked);
        MultiLayerNetwork student = Retention.attach(base, CONF);
        student.addListeners(KlTrustRegion.of(0.01).listener());
        student.fit(taught);
        double found = divergence(
                Retention.attach(base, CONF), taught, student.params().dup());
        assertTrue(found <= 0.01 + 1e-6 && found > 0.001, "divergence " + found);
    }

    @Test
    void graphs_and_sameDiff_models_stay_near_too() {
        ComputationGraph base = Retention.withUpdater(Networks.graph(DataType.FLOAT, 1), new Adam(0.2));
        ComputationGraph student = Retention.attach(base, CONF, "text");
        KlTrustRegion region = KlTrustRegion.of(0.01);
        student.addListeners(region.listener());
        try (Teacher teacher = Teacher.of(base, "text")) {
            student.fit(new TeacherMultiDataSetIterator(
                    new SingletonMultiDataSetIterator(Networks.graphBatch(DataType.FLOAT, 3, 1)), teacher));
            student.score(
                    new TeacherMultiDataSetIterator(
                                    new SingletonMultiDataSetIterator(Networks.graphBatch(DataType.FLOAT, 3, 1)),
                                    teacher)
                            .next(),
                    false);
        }
        double found = ((io.github.dl4jretention.loss.RetentionOutputLayerRuntime) student.getLayer("text"))
                .lastTokenLoss()
                .divergence();
        assertTrue(found <= 0.01 + 1e-6 && found > 0.001, "divergence " + found);
        assertEquals(1, region.shortened());

        SameDiff free = sameDiff(new Adam(0.5));
        SameDiff near = sameDiff(new Adam(0.5));
        INDArray start = values(near);
        KlTrustRegion other = KlTrustRegion.of(0.01);
        near.addListeners(other.sameDiffListener());
        try (Teacher teacher = Teacher.of(Retention.detach(near), "logits", "features")) {
            fit(free, teacher, 1);
            fit(near, teacher, 1);
            INDArray whole = values(free).sub(start);
            INDArray shorter = values(near).sub(start);
            double share =
                    shorter.norm2Number().doubleValue() / whole.norm2Number().doubleValue();
            assertTrue(share > 0.01 && share < 0.9, "share " + share);
            assertClose(whole.mul(share), shorter, 1e-4);
            assertEquals(1, other.shortened());
            INDArray now;
            try (Teacher tuned = Teacher.of(Retention.detach(near), "logits", "features")) {
                now = tuned.logProbabilities(timeFirst().getFeatures(0), null);
            }
            INDArray then = teacher.logProbabilities(timeFirst().getFeatures(0), null);
            double mean =
                    Transforms.exp(then, true).mul(then.sub(now)).sumNumber().doubleValue() / 20;
            assertTrue(mean <= 0.01 + 1e-5 && mean > 0.001, "divergence " + mean);
        }
    }

    @ParameterizedTest
    @ValueSource(doubles = {0, -1, Double.NaN, Double.POSITIVE_INFINITY})
    void a_limit_out_of_range_is_refused(double limit) {
        String message = assertThrows(IllegalArgumentException.class, () -> KlTrustRegion.of(limit))
                .getMessage();
        assertEquals("limit: expected a finite number of nats per token above 0, got " + limit, message);
    }

    // Runs.

    private void resumes(String name, Supplier<TrainingListener> listener) throws IOException {
        MultiLayerNetwork whole = run(name + "Whole", listener.get(), 3).run();
        run(name, listener.get(), 2).run();
        try (Stream<Path> files = Files.list(folder.resolve(name))) {
            List<Path> checkpoints = files.filter(file -> file.toString().endsWith(".zip"))
                    .sorted()
                    .toList();
            assertTrue(checkpoints.size() > 1, checkpoints.toString());
            Files.delete(checkpoints.get(checkpoints.size() - 1));
        }
        MultiLayerNetwork parts = run(name, listener.get(), 3).run();
        assertClose(whole.params(), parts.params(), 0);
        assertClose(whole.getUpdater().getStateViewArray(), parts.getUpdater().getStateViewArray(), 0);
    }

    private FinetuningRun<MultiLayerNetwork> run(String name, TrainingListener listener, int epochs)
            throws IOException {
        MultiLayerNetwork base = network(DataType.FLOAT, new Adam(0.05));
        return FinetuningRun.builder()
                .student(Retention.attach(base, CONF))
                .teacher(Teacher.of(base))
                .iterator(new ExistingDataSetIterator(List.of(
                        Networks.text(DataType.FLOAT, 3, 5, 1),
                        Networks.text(DataType.FLOAT, 3, 5, 2),
                        Networks.text(DataType.FLOAT, 3, 5, 3))))
                .listener(listener)
                .epochs(epochs)
                .every(2)
                .folder(folder.resolve(name))
                .build();
    }

    @Test
    void runs_go_on_with_the_same_bits() throws IOException {
        resumes("pull", () -> PullToStart.of(network(DataType.FLOAT, new Adam(0.05)), 0.1)
                .listener());
        resumes("region", () -> KlTrustRegion.of(0.01).listener());
    }
}
