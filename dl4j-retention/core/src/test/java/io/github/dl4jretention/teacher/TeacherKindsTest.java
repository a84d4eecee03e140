package io.github.dl4jretention.teacher;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.FixedTeacher;
import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.ops.transforms.Transforms;

/** Teachers other than the start network: another network, several, a moving average, a corrected one. */
class TeacherKindsTest {

    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().build();

    private static DataSet next(DataSet data, Teacher teacher) {
        return new TeacherIterator(new ExistingDataSetIterator(List.of(data)), teacher).next();
    }

    @Test
    void another_network_of_the_same_vocabulary() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
        Teacher other = Teacher.of(Networks.lstm(DataType.FLOAT, 2));
        DataSet data = Networks.sequences(DataType.FLOAT, 3, 3);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF, other);
        student.fit(next(data, other));
        assertTrue(Networks.lastLoss(student).divergence() > 0);
        assertThrows(IllegalStateException.class, () -> student.fit(next(data, Teacher.of(pretrained))));
    }

    @Test
    void several_teachers_are_the_mixture_of_their_distributions() {
        MultiLayerNetwork a = Networks.lstm(DataType.DOUBLE, 4);
        MultiLayerNetwork b = Networks.lstm(DataType.DOUBLE, 5);
        INDArray features = Networks.sequences(DataType.DOUBLE, 3, 6).getFeatures();
        INDArray expected = a.output(features).mul(0.25).add(b.output(features).mul(0.75));
        Teacher mixture = Teacher.weighted(List.of(Teacher.of(a), Teacher.of(b)), 1, 3);
        assertClose(expected, Transforms.exp(mixture.logProbabilities(features, null)), 1e-12);
        Teacher first = Teacher.weighted(List.of(Teacher.of(a), Teacher.of(b)), 2, 0);
        assertClose(Teacher.of(a).logProbabilities(features, null), first.logProbabilities(features, null), 1e-12);
        assertNotEquals(mixture.sha256(), first.sha256());
    }

    @Test
    void mixtures_of_impossible_classes_stay_impossible() {
        INDArray impossible =
                Nd4j.createFromArray(Double.NEGATIVE_INFINITY, 0.0).reshape(1, 2);
        INDArray mixed =
                LogProbabilities.mixture(new INDArray[] {impossible, impossible.dup()}, new double[] {0.5, 0.5});
        assertEquals(Double.NEGATIVE_INFINITY, mixed.getDouble(0));
        assertEquals(0, mixed.getDouble(1), 1e-12);
    }

    @Test
    void weights_that_do_not_fit_are_refused() {
        Teacher teacher = Teacher.of(Networks.lstm(DataType.FLOAT, 1));
        assertThrows(IllegalArgumentException.class, () -> Teacher.weighted(List.of()));
        assertThrows(IllegalArgumentException.class, () -> Teacher.weighted(List.of(teacher), 1, 2));
        assertThrows(IllegalArgumentException.class, () -> Teacher.weighted(List.of(teacher, teacher), 1, -1));
        assertThrows(IllegalArgumentException.class, () -> Teacher.weighted(List.of(teacher), 0));
        assertThrows(IllegalArgumentException.class, () -> Teacher.weighted(List.of(teacher), Double.NaN));
    }

    @Test
    void a_moving_average_follows_the_student_by_its_formula(@TempDir Path folder) throws Exception {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 7);
        MovingAverageTeacher teacher = Teacher.movingAverage(pretrained, 0.9);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF, teacher);
        student.setListeners(teacher.listener());
        INDArray expected = pretrained.params().dup();
        for (int i = 0; i < 5; i++) {
            student.fit(next(Networks.sequences(DataType.DOUBLE, 3, i), teacher));
            expected.muli(0.9).addi(student.params().mul(0.1));
        }
        assertClose(expected, teacher.params(), 1e-12);

        Path file = folder.resolve("average.bin");
        teacher.save(file);
        MovingAverageTeacher restored = Teacher.movingAverage(pretrained, 0.9);
        restored.restore(file);
        assertClose(teacher.params(), restored.params(), 0);
        assertEquals(teacher.sha256(), restored.sha256());
        for (MovingAverageTeacher otherwise : List.of(
                Teacher.movingAverage(Networks.dense(DataType.DOUBLE, 1, true), 0.9),
                Teacher.movingAverage(Networks.lstm(DataType.DOUBLE, 8), 0.9),
                Teacher.movingAverage(pretrained, 0.8))) {
            String message = assertThrows(IOException.class, () -> otherwise.restore(file))
                    .getMessage();
            assertTrue(message.contains("expected one of the teacher " + otherwise.sha256()), message);
            assertFalse(otherwise.hasMoved());
        }
    }

    @Test
    void a_moving_average_that_cannot_be_saved_leaves_nothing_and_a_damaged_one_is_named(@TempDir Path folder)
            throws Exception {
        MovingAverageTeacher teacher = Teacher.movingAverage(Networks.dense(DataType.FLOAT, 1, true), 0.9);
        Path taken = Files.createDirectories(folder.resolve("taken/inside")).getParent();
        assertThrows(IOException.class, () -> teacher.save(taken));
        assertFalse(Files.exists(folder.resolve("taken.part")));
        Path damaged = Files.writeString(folder.resolve("average.bin"), "no average");
        INDArray before = teacher.params();
        String message =
                assertThrows(IOException.class, () -> teacher.restore(damaged)).getMessage();
        assertTrue(message.startsWith("file: expected a saved average, got " + damaged), message);
        assertClose(before, teacher.params(), 0);
        assertFalse(teacher.hasMoved());
    }

    @Test
    void a_moving_average_that_starts_afresh_is_refused_after_a_restart() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 7);
        MovingAverageTeacher teacher = Teacher.movingAverage(pretrained, 0.9);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF, teacher);
        ExistingDataSetIterator data = new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 3, true));
        Retention.finetune(student, teacher, data, 1);
        Retention.finetune(student, teacher, data, 1);
        assertEquals(1, student.getListeners().size());
        assertTrue(teacher.params().distance2(pretrained.params()) > 1e-4);
        MovingAverageTeacher afresh = Teacher.movingAverage(pretrained, 0.9);
        assertThrows(IllegalStateException.class, () -> Retention.finetune(student, afresh, data, 1));
    }

    @ParameterizedTest
    @ValueSource(doubles = {-0.1, 1, Double.NaN})
    void a_decay_outside_of_its_range_is_refused(double decay) {
        MultiLayerNetwork start = Networks.lstm(DataType.FLOAT, 1);
        assertThrows(IllegalArgumentException.class, () -> Teacher.movingAverage(start, decay));
    }

    @Test
    void a_moving_average_of_a_graph() {
        var pretrained = Networks.graph(DataType.DOUBLE, 8);
        MovingAverageTeacher teacher = Teacher.movingAverage(pretrained, 0.5, "text");
        var student = Retention.attach(pretrained, CONF, teacher, "text");
        student.setListeners(teacher.listener());
        student.fit(Networks.graphBatch(DataType.DOUBLE, 3, 9));
        assertClose(pretrained.params().add(student.params()).muli(0.5), teacher.params(), 1e-12);
    }

    /** Worked by hand for p = (0.5, 0.3, 0.2). */
    @ParameterizedTest
    @CsvSource({
        // Label 1: alpha = (0.2 + 0.2) / 1.2 = 1/3, q = 2/3 p + 1/3 y: label 0.8 / 1.5, leads by 0.2.
        "1, 0.2, 0.333333333333333, 0.533333333333333, 0.133333333333333",
        // Label 0 leads already: 0.5 + 0.2, the rest shrinks by 0.3 / 0.5.
        "0, 0.2, 0.7, 0.18, 0.12",
        // All that is left.
        "0, 0.9, 1, 0, 0",
        "2, 1, 0, 0, 1"
    })
    void a_corrected_teacher_prefers_the_label(int label, double tau, double q0, double q1, double q2) {
        INDArray probabilities = Nd4j.createFromArray(0.5, 0.3, 0.2).reshape(1, 3);
        Teacher corrected = fixed(Transforms.log(probabilities)).corrected(tau);
        DataSet data = new DataSet(
                Nd4j.ones(DataType.DOUBLE, 1, 1), Nd4j.scalar((double) label).reshape(1, 1));
        INDArray q = Transforms.exp(corrected.values(data.toMultiDataSet())[0]);
        assertClose(Nd4j.createFromArray(q0, q1, q2).reshape(1, 3), q, 1e-12);
    }

    /** A teacher of one distribution, for sequences too. */
    private static Teacher fixed(INDArray logProbabilities) {
        return new FixedTeacher(logProbabilities::dup);
    }

    @Test
    void a_corrected_teacher_of_sequences_keeps_masked_tokens_and_sums_to_one() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 9);
        Teacher plain = Teacher.of(pretrained);
        Teacher corrected = plain.corrected(0.25);
        DataSet data = Networks.sequences(DataType.DOUBLE, 3, 10);
        INDArray mask = Nd4j.ones(DataType.DOUBLE, 3, Networks.TIME).putScalar(1, 2, 0);
        data.setLabelsMaskArray(mask);
        INDArray before = plain.logProbabilities(data.getFeatures(), null);
        INDArray after = corrected.values(data.toMultiDataSet())[0];
        assertClose(
                Nd4j.ones(DataType.DOUBLE, 3, Networks.TIME),
                Transforms.exp(after).sum(1),
                1e-12);
        var masked = new org.nd4j.linalg.indexing.INDArrayIndex[] {
            NDArrayIndex.point(1), NDArrayIndex.all(), NDArrayIndex.point(2)
        };
        assertClose(before.get(masked), after.get(masked), 0);
        for (int b = 0; b < 3; b++) {
            for (int t = 0; t < Networks.TIME; t++) {
                INDArray label = data.getLabels().get(NDArrayIndex.point(b), NDArrayIndex.all(), NDArrayIndex.point(t));
                INDArray q =
                        Transforms.exp(after.get(NDArrayIndex.point(b), NDArrayIndex.all(), NDArrayIndex.point(t)));
                if (mask.getDouble(b, t) == 1) {
                    double labelled = q.mul(label).sumNumber().doubleValue();
                    double other = q.sub(q.mul(label)).maxNumber().doubleValue();
                    assertTrue(labelled - other >= 0.25 - 1e-12, labelled + " " + other);
                }
            }
        }
        MultiLayerNetwork student = Retention.attach(pretrained, CONF, corrected);
        student.fit(next(data, corrected));
        assertTrue(Networks.lastLoss(student).divergence() > 0);
    }

    @Test
    void a_corrected_teacher_refuses_labels_without_one_class() {
        Teacher corrected = Teacher.of(Networks.lstm(DataType.FLOAT, 1)).corrected(0.5);
        DataSet data = Networks.sequences(DataType.FLOAT, 2, 1);
        data.getLabels().muli(0.5);
        assertThrows(IllegalArgumentException.class, () -> corrected.values(data.toMultiDataSet()));
        assertThrows(IllegalArgumentException.class, () -> corrected.corrected(0));
        assertThrows(IllegalArgumentException.class, () -> corrected.corrected(1.1));
    }

    @Test
    void weights_of_the_divergence_that_do_not_fit_are_refused() {
        Teacher teacher = Teacher.of(Networks.lstm(DataType.FLOAT, 1));
        DataSet data = Networks.sequences(DataType.FLOAT, 3, 1);
        DivergenceMask wrong = (batch, output, size, time) -> Nd4j.ones(size, time + 1);
        TeacherIterator iterator = new TeacherIterator(new ExistingDataSetIterator(List.of(data)), teacher, wrong);
        String message =
                assertThrows(IllegalArgumentException.class, iterator::next).getMessage();
        assertTrue(message.contains("[3, 5]") && message.contains("[3, 6]"), message);

        DivergenceMask negative =
                (batch, output, size, time) -> Nd4j.ones(size, time).neg();
        DataSet taught = new TeacherIterator(new ExistingDataSetIterator(List.of(data)), teacher, negative).next();
        MultiLayerNetwork student = Retention.attach(Networks.lstm(DataType.FLOAT, 1), CONF);
        assertThrows(IllegalArgumentException.class, () -> student.fit(taught));

        DataSet padded = Networks.sequences(DataType.FLOAT, 3, 1);
        padded.setFeaturesMaskArray(Nd4j.ones(3, Networks.TIME).putScalar(1, 4, 0));
        INDArray weights = DivergenceMask.ALL_TOKENS.of(
                padded.toMultiDataSet(), teacher.outputs().get(0), 3, Networks.TIME);
        assertEquals(14, weights.sumNumber().doubleValue());
        assertThrows(
                IllegalArgumentException.class,
                () -> DivergenceMask.ALL_TOKENS.of(
                        padded.toMultiDataSet(), teacher.outputs().get(0), 3, Networks.TIME + 1));
    }

    @Test
    void the_divergence_may_have_tokens_of_its_own() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 11);
        Teacher teacher = Teacher.of(pretrained);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        student.setParams(Networks.moved(pretrained, 0.2, 12).params());
        DataSet data = Networks.sequences(DataType.DOUBLE, 3, 13);
        INDArray answers =
                Nd4j.zeros(DataType.DOUBLE, 3, Networks.TIME).putScalar(0, 4, 1).putScalar(2, 3, 1);
        data.setLabelsMaskArray(answers);
        DataSet taught = new TeacherIterator(
                        new ExistingDataSetIterator(List.of(data)), teacher, DivergenceMask.ALL_TOKENS)
                .next();
        student.fit(taught);
        assertEquals(2, Networks.lastLoss(student).tokens());
        assertEquals(15, Networks.lastLoss(student).divergenceTokens());

        // The two terms, each from a batch of its own.
        student.setParams(Networks.moved(pretrained, 0.2, 12).params());
        INDArray both = Networks.gradient(student, taught);
        DataSet unmasked = new DataSet(data.getFeatures(), data.getLabels());
        INDArray wholeTaught = Networks.gradient(student, next(unmasked, teacher));
        INDArray wholePlain = Networks.gradient(student, unmasked);
        INDArray answersPlain = Networks.gradient(student, data);
        assertClose(wholeTaught.sub(wholePlain).add(answersPlain), both, 1e-9);
    }
}
