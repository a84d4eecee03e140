package io.github.dl4jretention.samples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.samples.model.LowRankAdapters;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.teacher.NetworkIdentity;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherException;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Random;
import org.deeplearning4j.nn.conf.layers.samediff.AbstractSameDiffLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;

class LowRankAdaptersTest {

    private static final int RANK = 4;

    private MultiLayerNetwork base;
    private byte[] text;

    @BeforeEach
    void model() {
        base = ModelKind.TRANSFORMER.create(new Adam(1e-3), 3);
        Nd4j.getRandom().setSeed(4);
        base.params().addi(Nd4j.randn(base.params().shape()).muli(0.02));
        text = new byte[2000];
        new Random(5).nextBytes(text);
    }

    private ByteWindowIterator batches(int count) {
        return ByteWindowIterator.training(2, ModelKind.CONTEXT, count, 1, text);
    }

    private static double farthest(INDArray one, INDArray two) {
        return Differences.largest(one.reshape(-1), two.reshape(-1));
    }

    @Test
    void adapters_change_nothing_until_they_are_trained_and_come_off_again() {
        MultiLayerNetwork adapted = LowRankAdapters.attach(base, RANK, 8, new Adam(1e-2), 1);
        INDArray features = batches(1).next().getFeatures();
        assertEquals(0, farthest(base.output(features), adapted.output(features)), 1e-7);
        // Three blocks, query and value, two factors of 128 x 4 each.
        assertEquals(base.numParams() + 3 * 2 * 2 * 128 * RANK, adapted.numParams());
        assertEquals(0, farthest(base.params(), LowRankAdapters.base(adapted).params()));
        assertEquals(0, farthest(base.params(), LowRankAdapters.merge(adapted).params()));
        assertEquals(NetworkIdentity.sha256(base), NetworkIdentity.sha256(LowRankAdapters.base(adapted)));
    }

    @Test
    void only_adapters_train_and_the_merged_model_computes_the_same(@TempDir Path folder) throws IOException {
        MultiLayerNetwork adapted = LowRankAdapters.attach(base, RANK, 8, new Adam(1e-2), 1);
        adapted.fit(batches(4));
        assertEquals(0, farthest(base.params(), LowRankAdapters.base(adapted).params()));
        INDArray features = batches(1).next().getFeatures();
        assertTrue(farthest(base.output(features), adapted.output(features)) > 1e-3);
        MultiLayerNetwork merged = LowRankAdapters.merge(adapted);
        assertEquals(base.numParams(), merged.numParams());
        assertEquals(0, farthest(adapted.output(features), merged.output(features)), 1e-5);
        Path file = folder.resolve("adapted.zip");
        adapted.save(file.toFile(), true);
        MultiLayerNetwork loaded = MultiLayerNetwork.load(file.toFile(), true);
        assertEquals(0, farthest(adapted.output(features), loaded.output(features)));
        merged.fit(batches(1));
        assertTrue(farthest(base.getLayer(0).params(), merged.getLayer(0).params()) > 0, "all of it trains again");
    }

    @Test
    void the_teacher_is_the_base_with_the_adapters_off() {
        MultiLayerNetwork adapted = LowRankAdapters.attach(base, RANK, 8, new Adam(1e-2), 1);
        Teacher copy = Teacher.of(base);
        Teacher inside = LowRankAdapters.teacher(adapted);
        assertEquals(copy.sha256(), inside.sha256());
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        MultiLayerNetwork student = Retention.attach(adapted, conf, inside);
        MultiLayerNetwork other = Retention.attach(adapted, conf, copy);
        Teacher own = LowRankAdapters.teacher(student);
        student.fit(new TeacherIterator(batches(4), own));
        other.fit(new TeacherIterator(batches(4), copy));
        DataSet batch = batches(1).next();
        INDArray params = student.params().dup();
        INDArray expected = copy.logProbabilities(batch.getFeatures(), null);
        assertEquals(0, farthest(expected, own.logProbabilities(batch.getFeatures(), null)), 1e-5);
        assertEquals(0, farthest(params, student.params()), "asking the teacher leaves the adapters as they are");
        assertEquals(0, farthest(other.params(), student.params()), 2e-4);
        assertNotEquals(0, farthest(adapted.params(), student.params()));
        assertEquals(copy.sha256(), LowRankAdapters.teacher(student).sha256());
        MultiLayerNetwork merged = LowRankAdapters.merge(student);
        assertEquals(
                0,
                farthest(Retention.detach(student).output(batch.getFeatures()), merged.output(batch.getFeatures())),
                1e-5);
    }

    /** Lets the embedding train. */
    private static void thaw(MultiLayerNetwork network) {
        ((AbstractSameDiffLayer) network.getLayerWiseConfigurations().getConf(0).getLayer()).setUpdater(new Sgd(0.1));
    }

    @Test
    void the_teacher_notices_that_layers_were_thawed() {
        Teacher copy = Teacher.of(base);
        INDArray features = batches(1).next().getFeatures();
        INDArray expected = copy.logProbabilities(features, null);
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        MultiLayerNetwork adapted = LowRankAdapters.attach(base, RANK, 8, new Adam(1e-2), 1);
        MultiLayerNetwork student = Retention.attach(adapted, conf, copy);

        MultiLayerNetwork faster = Retention.attach(adapted, conf, copy);
        Teacher ofFaster = LowRankAdapters.teacher(faster);
        thaw(faster);
        String message = assertThrows(
                        TeacherException.class, () -> faster.fit(new TeacherIterator(batches(4), ofFaster)))
                .getMessage();
        assertTrue(message.contains("shares") && message.contains("changed"), message);
        assertThrows(TeacherException.class, () -> ofFaster.logProbabilities(features, null));

        MultiLayerNetwork thawed = Retention.withUpdater(student, new Adam(1e-2));
        Teacher ofThawed = LowRankAdapters.teacher(thawed);
        assertEquals(copy.sha256(), ofThawed.sha256());
        thawed.fit(new TeacherIterator(batches(4), ofThawed));
        assertTrue(farthest(student.getLayer(0).params(), thawed.getLayer(0).params()) > 1e-3);
        assertEquals(0, farthest(expected, ofThawed.logProbabilities(features, null)), 1e-5);
        assertNotEquals(copy.sha256(), LowRankAdapters.teacher(thawed).sha256());

        MultiLayerNetwork biased = Retention.attach(adapted, conf, copy);
        thaw(biased);
        MultiLayerNetwork rebuilt = new MultiLayerNetwork(biased.getLayerWiseConfigurations());
        rebuilt.init(biased.params(), false);
        Teacher ofBiased = LowRankAdapters.teacher(rebuilt);
        rebuilt.fit(new TeacherIterator(batches(4), ofBiased));
        assertEquals(0, farthest(expected, ofBiased.logProbabilities(features, null)), 1e-5);

        Teacher last = LowRankAdapters.teacher(student);
        student.getLayer(2).getParam("key").putScalar(3, 1.5f);
        assertThrows(TeacherException.class, () -> last.logProbabilities(features, null));
    }

    @Test
    void other_models_are_refused() {
        assertThrows(IllegalArgumentException.class, () -> LowRankAdapters.attach(base, 0, 8, new Adam(1e-2), 1));
        MultiLayerNetwork lstm = ModelKind.LSTM.create(new Adam(1e-3), 3);
        assertThrows(IllegalArgumentException.class, () -> LowRankAdapters.attach(lstm, 4, 8, new Adam(1e-2), 1));
        assertThrows(IllegalArgumentException.class, () -> LowRankAdapters.merge(base));
    }
}
