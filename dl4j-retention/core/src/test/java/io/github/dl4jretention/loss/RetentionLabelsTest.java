package io.github.dl4jretention.loss;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Packed labels are known by what packed them, wherever they have been since. */
class RetentionLabelsTest {

    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().build();

    private static MultiLayerNetwork moved(DataType type) {
        return Networks.moved(Networks.lstm(type, 1), 0.3, 5);
    }

    private static DataSet taught(DataType type, Teacher teacher, DivergenceMask mask, int examples) {
        return new TeacherIterator(
                        new ExistingDataSetIterator(List.of(Networks.sequences(type, examples, 7))), teacher, mask)
                .next();
    }

    private static DataSet read(DataSet data) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        data.save(bytes);
        DataSet read = new DataSet();
        read.load(new ByteArrayInputStream(bytes.toByteArray()));
        return read;
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE", "HALF"})
    void copies_carry_their_teacher(DataType type) {
        for (DivergenceMask mask : List.of(DivergenceMask.LABEL_MASK, DivergenceMask.ALL_TOKENS)) {
            Teacher teacher = Teacher.of(Networks.lstm(type, 1));
            MultiLayerNetwork student = Retention.attach(moved(type), CONF, teacher);
            DataSet data = taught(type, teacher, mask, 3);
            INDArray expected = Networks.gradient(student, data);
            assertTrue(Networks.lastLoss(student).divergence() > 0);
            Map<String, DataSet> copies = Map.of(
                    "dup",
                    new DataSet(data.getFeatures(), data.getLabels().dup()),
                    "dup f",
                    new DataSet(data.getFeatures(), data.getLabels().dup('f')),
                    "copy",
                    data.copy(),
                    "merge",
                    DataSet.merge(List.of(
                            data.getRange(0, 2).copy(), data.getRange(2, 3).copy())),
                    "as list",
                    DataSet.merge(data.asList()),
                    "saved",
                    read(data));
            copies.forEach((how, copy) -> {
                assertEquals(
                        Optional.of(new LabelArrays.Source(teacher.sha256(), 0, true)),
                        LabelArrays.sourceOf(copy.getLabels(), 1),
                        how);
                assertClose(expected, Networks.gradient(student, copy), 0, type + " " + how);
                assertEquals(15, Networks.lastLoss(student).tokens(), how);
            });
        }
    }

    /** What is merged is padded with zeros, which have no header, and masked. */
    @Test
    void merged_sequences_of_two_lengths_carry_their_teacher() {
        Teacher teacher = Teacher.of(Networks.lstm(DataType.DOUBLE, 1));
        DataSet data = taught(DataType.DOUBLE, teacher, DivergenceMask.LABEL_MASK, 2);
        DataSet shorter = new DataSet(
                data.getFeatures()
                        .get(NDArrayIndex.interval(0, 1), NDArrayIndex.all(), NDArrayIndex.interval(0, 3))
                        .dup(),
                data.getLabels()
                        .get(NDArrayIndex.interval(0, 1), NDArrayIndex.all(), NDArrayIndex.interval(0, 3))
                        .dup());
        DataSet longer = data.getRange(1, 2).copy();
        MultiLayerNetwork student = Retention.attach(moved(DataType.DOUBLE), CONF, teacher);
        DataSet merged = DataSet.merge(List.of(shorter, longer));
        INDArray both = Networks.gradient(student, merged);
        assertEquals(8, Networks.lastLoss(student).tokens());
        INDArray sum = Networks.gradient(student, shorter).addi(Networks.gradient(student, longer));
        assertClose(sum, both, 1e-9);
    }

    @Test
    void labels_of_another_teacher_are_refused_and_so_are_their_copies() {
        Teacher teacher = Teacher.of(Networks.lstm(DataType.FLOAT, 1));
        Teacher other = Teacher.of(Networks.lstm(DataType.FLOAT, 2));
        MultiLayerNetwork student = Retention.attach(Networks.lstm(DataType.FLOAT, 1), CONF, teacher);
        DataSet own = taught(DataType.FLOAT, teacher, DivergenceMask.LABEL_MASK, 3);
        DataSet foreign = taught(DataType.FLOAT, other, DivergenceMask.LABEL_MASK, 3);
        INDArray before = student.params().dup();
        for (DataSet data : List.of(foreign, foreign.copy(), read(foreign), DataSet.merge(foreign.asList()))) {
            String message = assertThrows(IllegalStateException.class, () -> student.fit(data))
                    .getMessage();
            assertTrue(message.contains(teacher.sha256()) && message.contains(other.sha256()), message);
        }
        List<DataSet> mixed = new ArrayList<>(own.asList());
        mixed.addAll(foreign.asList());
        DataSet both = DataSet.merge(mixed);
        String message = assertThrows(IllegalArgumentException.class, () -> student.fit(both))
                .getMessage();
        assertTrue(message.contains("same teacher") && message.contains("[6, "), message);
        assertClose(before, student.params(), 0);
        student.fit(own);
        assertEquals(1, student.getIterationCount());
    }

    /** What lost its digits, or a part, isn't taken for something else. */
    @Test
    void damaged_labels_are_refused() {
        Teacher teacher = Teacher.of(Networks.lstm(DataType.FLOAT, 1));
        MultiLayerNetwork student = Retention.attach(Networks.lstm(DataType.FLOAT, 1), CONF, teacher);
        DataSet data = taught(DataType.FLOAT, teacher, DivergenceMask.ALL_TOKENS, 3);
        INDArray labels = data.getLabels();
        long size = labels.size(1);
        INDArray before = student.params().dup();
        for (INDArray damaged : List.of(
                labels.castTo(DataType.FLOAT16),
                labels.get(NDArrayIndex.all(), NDArrayIndex.interval(0, size - 1), NDArrayIndex.all()),
                labels.get(NDArrayIndex.all(), NDArrayIndex.interval(1, size), NDArrayIndex.all()),
                Nd4j.concat(1, Nd4j.zeros(3, 1, Networks.TIME), labels))) {
            String message = assertThrows(
                            IllegalArgumentException.class, () -> student.fit(new DataSet(data.getFeatures(), damaged)))
                    .getMessage();
            assertTrue(message.contains(Arrays.toString(damaged.shape())), message);
            assertTrue(message.contains("[3, 7, 5]"), message);
        }
        assertClose(before, student.params(), 0);
    }
}
