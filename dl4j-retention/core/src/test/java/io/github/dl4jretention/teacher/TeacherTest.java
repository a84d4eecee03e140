package io.github.dl4jretention.teacher;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.LabelLayout;
import io.github.dl4jretention.loss.RetentionConfiguration;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.zip.ZipFile;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.ops.transforms.Transforms;

class TeacherTest {

    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().build();

    private static DataSetIterator iterator(DataType type) {
        return new ListDataSetIterator<>(Networks.batches(type, 4, true), 3);
    }

    @Test
    void log_probabilities_are_those_of_the_network() {
        MultiLayerNetwork network = Networks.lstm(DataType.DOUBLE, 1);
        DataSet data = Networks.sequences(DataType.DOUBLE, 3, 2);
        INDArray logProbabilities = Teacher.of(network).logProbabilities(data.getFeatures(), null);
        assertClose(Transforms.log(network.output(data.getFeatures())), logProbabilities, 1e-12);
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE"})
    void logits_that_are_infinite_are_refused(DataType type) {
        DataSet rows = Networks.rows(type, 3, 2);
        INDArray features = rows.getFeatures();
        MultiLayerNetwork network = Networks.dense(type, 1, true);
        network.getParam("1_b").putScalar(2, Double.NEGATIVE_INFINITY);
        assertEquals(
                0, Math.exp(Teacher.of(network).logProbabilities(features, null).getDouble(1, 2)));
        network.getParam("1_b").putScalar(2, Double.POSITIVE_INFINITY);
        Teacher certain = Teacher.of(network);
        assertRefused(certain, rows);
        network.getParam("1_b").assign(Double.NEGATIVE_INFINITY);
        Teacher impossible = Teacher.of(network);
        assertRefused(impossible, rows);
    }

    /** A teacher alone doesn't know which tokens count. */
    private static void assertRefused(Teacher teacher, DataSet data) {
        assertTrue(teacher.logProbabilities(data.getFeatures(), null).isNaN().all());
        assertThrows(
                IllegalArgumentException.class,
                () -> new TeacherIterator(new ListDataSetIterator<>(List.of(data), 3), teacher).next());
    }

    @Test
    void a_label_mask_does_not_touch_the_teacher() {
        MultiLayerNetwork network = Networks.lstm(DataType.FLOAT, 1);
        DataSet data = Networks.sequences(DataType.FLOAT, 3, 2);
        data.setLabelsMaskArray(Nd4j.zeros(DataType.FLOAT, 3, Networks.TIME));
        DataSet taught = new TeacherIterator(new ListDataSetIterator<>(List.of(data), 3), Teacher.of(network)).next();
        assertTrue(Double.isFinite(taught.getLabels().sumNumber().doubleValue()));
        assertClassIds(taught);
    }

    @Test
    void padding_of_zeros_leaves_one_hot_labels_class_ids() {
        MultiLayerNetwork network = Networks.lstm(DataType.DOUBLE, 1);
        DataSet padded = Networks.sequences(DataType.DOUBLE, 3, 2);
        padded.setLabelsMaskArray(Nd4j.ones(DataType.DOUBLE, 3, Networks.TIME).putScalar(1, 4, 0));
        INDArray whole = gradient(network, padded);
        padded.getLabels()
                .get(NDArrayIndex.point(1), NDArrayIndex.all(), NDArrayIndex.point(4))
                .assign(0);
        assertClose(whole, gradient(network, padded), 0);
        padded.setLabelsMaskArray(null);
        assertClose(whole, gradient(network, padded), 0);
        padded.getLabels().putScalar(new int[] {1, 2, 4}, 0.5);
        assertFalse(LabelLayout.ofPacked(taught(network, padded).getLabels(), 1)
                .orElseThrow()
                .isClassId());
    }

    private static DataSet taught(MultiLayerNetwork network, DataSet data) {
        return new TeacherIterator(new ListDataSetIterator<>(List.of(data), 3), Teacher.of(network)).next();
    }

    private static void assertClassIds(DataSet taught) {
        assertTrue(LabelLayout.ofPacked(taught.getLabels(), 1).orElseThrow().isClassId());
    }

    private static INDArray gradient(MultiLayerNetwork network, DataSet data) {
        DataSet taught = taught(network, data);
        assertClassIds(taught);
        return Networks.gradient(Retention.attach(network, CONF), taught);
    }

    @Test
    void a_mask_is_of_its_own_batch_alone() {
        ComputationGraph graph = new ComputationGraph(new NeuralNetConfiguration.Builder()
                .dataType(DataType.DOUBLE)
                .seed(1)
                .graphBuilder()
                .addInputs("in")
                .addVertex("attention", Networks.attention(4, 4), "in", "in", "in")
                .addLayer("out", new RnnOutputLayer.Builder().nIn(4).nOut(5).build(), "attention")
                .setOutputs("out")
                .build());
        graph.init();
        INDArray features = Networks.normal(DataType.DOUBLE, new Random(3), 3, 4, 5);
        INDArray mask = Nd4j.ones(DataType.DOUBLE, 3, 5).putScalar(1, 4, 0);
        INDArray expected = Teacher.of(graph).logProbabilities(features, null);
        Teacher teacher = Teacher.of(graph);
        assertTrue(expected.distance2(teacher.logProbabilities(features, mask)) > 1e-6);
        assertClose(expected, teacher.logProbabilities(features, null), 0);
    }

    @Test
    void a_frozen_graph_keeps_no_arrays_of_the_threads_that_asked() throws InterruptedException {
        SameDiff model = SameDiff.create();
        model.placeHolder("features", DataType.DOUBLE, -1, 4)
                .mmul(model.var("w", Networks.normal(DataType.DOUBLE, new Random(1), 4, 5)))
                .rename("logits");
        NetworkTeacher frozen = FrozenSameDiff.of(model, "logits", List.of("features"));
        INDArray[] features = {Networks.normal(DataType.DOUBLE, new Random(2), 3, 4)};
        INDArray[] expected = frozen.logProbabilities(features, null);
        Thread other = new Thread(() -> frozen.logProbabilities(features, null));
        other.start();
        other.join();
        assertClose(expected[0], frozen.logProbabilities(features, null)[0], 0);
        assertTrue(((SameDiff) frozen.model()).getSessions().isEmpty());
    }

    @Test
    void the_teacher_never_changes_while_the_student_trains() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 3, LossFunction.MCXENT, 0.5);
        INDArray start = pretrained.params().dup();
        Teacher teacher = Teacher.of(pretrained);
        INDArray features = Networks.sequences(DataType.FLOAT, 3, 4).getFeatures();
        INDArray before = teacher.logProbabilities(features, null);
        // Equal twice: dropout is off.
        assertClose(before, teacher.logProbabilities(features, null), 0);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        student.fit(new TeacherIterator(iterator(DataType.FLOAT), teacher), 3);
        assertClose(before, teacher.logProbabilities(features, null), 0);
        assertClose(start, pretrained.params(), 0);
        assertTrue(student.params().distance2(start) > 1e-3);
        pretrained.params().addi(1);
        assertClose(before, teacher.logProbabilities(features, null), 0);
    }

    @Test
    void identity_follows_parameters_and_architecture_only() {
        MultiLayerNetwork network = Networks.lstm(DataType.FLOAT, 5);
        String identity = NetworkIdentity.sha256(network);
        assertEquals(identity, NetworkIdentity.sha256(network.clone()));
        assertEquals(identity, NetworkIdentity.sha256(Retention.withUpdater(network, new Sgd(0.5))));
        MultiLayerNetwork moved = network.clone();
        moved.params().putScalar(7, moved.params().getFloat(7) + 1e-3f);
        assertNotEquals(identity, NetworkIdentity.sha256(moved));
        assertNotEquals(identity, NetworkIdentity.sha256(Networks.dense(DataType.FLOAT, 5, true)));
    }

    @Test
    void a_resumed_student_accepts_its_teacher_and_refuses_another(@TempDir Path folder) throws Exception {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 6);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        Teacher teacher = Teacher.of(pretrained);
        student.fit(new TeacherIterator(iterator(DataType.FLOAT), teacher), 1);
        File file = folder.resolve("student.zip").toFile();
        student.save(file, true);

        MultiLayerNetwork resumed = MultiLayerNetwork.load(file, true);
        assertClose(student.params(), resumed.params(), 0);
        resumed.fit(new TeacherIterator(iterator(DataType.FLOAT), teacher), 1);
        student.fit(new TeacherIterator(iterator(DataType.FLOAT), teacher), 1);
        assertClose(student.params(), resumed.params(), 0);

        Teacher tuned = Teacher.of(Retention.detach(resumed));
        INDArray start = resumed.params().dup();
        DataSetIterator wrong = new TeacherIterator(iterator(DataType.FLOAT), tuned);
        IllegalStateException refused = assertThrows(IllegalStateException.class, () -> resumed.fit(wrong, 1));
        assertTrue(refused.getMessage().contains(teacher.sha256()), refused.getMessage());
        assertTrue(refused.getMessage().contains(tuned.sha256()), refused.getMessage());
        assertClose(start, resumed.params(), 0);
        assertThrows(
                IllegalStateException.class, () -> Retention.finetune(resumed, tuned, iterator(DataType.FLOAT), 1));
    }

    @Test
    void another_teacher_is_refused_under_truncated_backpropagation_too() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 6);
        pretrained.getLayerWiseConfigurations().setBackpropType(BackpropType.TruncatedBPTT);
        pretrained.getLayerWiseConfigurations().setTbpttFwdLength(2);
        pretrained.getLayerWiseConfigurations().setTbpttBackLength(2);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        student.fit(new TeacherIterator(iterator(DataType.FLOAT), Teacher.of(pretrained)), 1);
        Teacher other = Teacher.of(Networks.lstm(DataType.FLOAT, 7));
        DataSetIterator wrong = new TeacherIterator(iterator(DataType.FLOAT), other);
        assertThrows(IllegalStateException.class, () -> student.fit(wrong, 1));
    }

    @Test
    void the_teacher_is_not_in_the_checkpoint(@TempDir Path folder) throws Exception {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 8);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        student.fit(new TeacherIterator(iterator(DataType.FLOAT), Teacher.of(pretrained)), 1);
        File with = folder.resolve("student.zip").toFile();
        student.save(with, true);
        File plain = folder.resolve("plain.zip").toFile();
        Retention.detach(student).save(plain, true);
        assertEquals(entries(plain), entries(with));
        assertTrue(Files.size(with.toPath()) < Files.size(plain.toPath()) + 2000);
    }

    private static List<String> entries(File file) throws Exception {
        try (ZipFile zip = new ZipFile(file)) {
            return zip.stream()
                    .map(e -> e.getName() + (e.getName().endsWith(".bin") ? e.getSize() : ""))
                    .sorted()
                    .toList();
        }
    }

    @Test
    void a_detached_student_computes_what_the_student_does(@TempDir Path folder) throws Exception {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 9);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        student.fit(new TeacherIterator(iterator(DataType.FLOAT), Teacher.of(pretrained)), 2);
        MultiLayerNetwork plain = Retention.detach(student);
        DataSet data = Networks.sequences(DataType.FLOAT, 3, 10);
        assertClose(student.output(data.getFeatures()), plain.output(data.getFeatures()), 1e-6);
        assertEquals(student.score(data), plain.score(data), 1e-5);
        assertTrue(!plain.getLayerWiseConfigurations().toJson().contains("dl4jretention"));
        assertEquals(
                pretrained.getLayerWiseConfigurations().getConf(1).getLayer(),
                plain.getLayerWiseConfigurations().getConf(1).getLayer());
    }

    @Test
    void a_teacher_has_neither_updater_nor_gradients() {
        Teacher teacher = Teacher.of(Networks.lstm(DataType.FLOAT, 11));
        teacher.logProbabilities(Networks.sequences(DataType.FLOAT, 3, 12).getFeatures(), null);
        MultiLayerNetwork inner = (MultiLayerNetwork) ((NetworkTeacher) teacher).model();
        assertNull(inner.getUpdater(false));
        assertNull(inner.getFlattenedGradients());
    }
}
