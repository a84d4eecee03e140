package io.github.dl4jretention.internal;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

/** Arrays of other types than a SameDiff's placeholders: cast on every path, and the caller's stay open. */
class PlaceholderArraysTest {

    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().build();
    private static final int V = Networks.VOCABULARY;

    @TempDir
    Path folder;

    /** A table of logits for each id, and labels of ids; both placeholders are INT64. */
    private static SameDiff model() {
        SameDiff sd = SameDiff.create();
        SDVariable ids = sd.placeHolder("ids", DataType.INT64, -1, Networks.TIME);
        SDVariable table = sd.var("table", Networks.normal(DataType.FLOAT, new Random(1), V, V));
        sd.oneHot(ids, V)
                .castTo(DataType.FLOAT)
                .reshape(-1, V)
                .mmul(table)
                .reshape(-1, Networks.TIME, V)
                .rename("logits");
        sd.placeHolder("labels", DataType.INT64, -1, Networks.TIME);
        return sd;
    }

    private static MultiDataSet batch(DataType type) {
        Random random = new Random(2);
        INDArray[] arrays = new INDArray[2];
        for (int i = 0; i < arrays.length; i++) {
            arrays[i] = Nd4j.createFromArray(
                            random.ints(3L * Networks.TIME, 0, V).toArray())
                    .reshape(3, Networks.TIME)
                    .castTo(type);
        }
        return new MultiDataSet(arrays[0], arrays[1]);
    }

    private static void assertOpen(MultiDataSet batch, DataType type) {
        for (INDArray array : List.of(batch.getFeatures(0), batch.getLabels(0))) {
            assertFalse(array.wasClosed());
            assertEquals(type, array.dataType());
            assertTrue(array.sumNumber().doubleValue() > 0);
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"INT", "LONG", "FLOAT", "DOUBLE"})
    void training_teaching_evaluating_and_caching_leave_arrays_of_other_types_open(DataType type) throws IOException {
        SameDiff pretrained = model();
        MultiDataSet expectedBatch = batch(DataType.INT64);
        SameDiff expected = Retention.attach(pretrained, CONF, "logits", "ids");
        Teacher teacher = Teacher.of(pretrained, "logits", "ids");
        Retention.finetune(expected, teacher, new SingletonMultiDataSetIterator(expectedBatch), 3);

        MultiDataSet batch = batch(type);
        SameDiff student = Retention.attach(pretrained, CONF, "logits", "ids");
        Retention.finetune(student, teacher, new SingletonMultiDataSetIterator(batch), 2);
        assertOpen(batch, type);
        student.fit(new TeacherMultiDataSetIterator(new SingletonMultiDataSetIterator(batch), teacher), 1);
        assertOpen(batch, type);
        assertClose(
                expected.getVariable("table").getArr(),
                student.getVariable("table").getArr(),
                0);

        assertClose(
                teacher.logProbabilities(expectedBatch.getFeatures(0), null),
                teacher.logProbabilities(batch.getFeatures(0), null),
                0);
        assertOpen(batch, type);

        TokenEvaluation evaluation = TokenEvaluation.of(
                Teacher.of(student, "logits", "ids"), teacher, new SingletonMultiDataSetIterator(batch));
        assertEquals(
                TokenEvaluation.of(
                                Teacher.of(student, "logits", "ids"),
                                teacher,
                                new SingletonMultiDataSetIterator(expectedBatch))
                        .crossEntropy(),
                evaluation.crossEntropy());
        assertOpen(batch, type);

        TeacherCache cache = TeacherCache.builder()
                .teacher(teacher)
                .folder(folder)
                .data("ids")
                .build(new SingletonMultiDataSetIterator(batch));
        assertOpen(batch, type);
        student.fit(new TeacherMultiDataSetIterator(new SingletonMultiDataSetIterator(batch), cache), 1);
        assertOpen(batch, type);
    }

    @Test
    void numbers_that_the_type_does_not_hold_are_refused() {
        SameDiff sd = model();
        try (PlaceholderArrays arrays = new PlaceholderArrays(sd)) {
            INDArray half = Nd4j.createFromArray(new float[][] {{0.5f, 1}});
            String message = assertThrows(IllegalArgumentException.class, () -> arrays.put("ids", half))
                    .getMessage();
            assertTrue(message.contains("ids") && message.contains("LONG") && message.contains("FLOAT"), message);
            assertThrows(
                    IllegalArgumentException.class,
                    () -> arrays.put("ids", Nd4j.createFromArray(new float[][] {{Float.NaN, 1}})));
        }
    }
}
