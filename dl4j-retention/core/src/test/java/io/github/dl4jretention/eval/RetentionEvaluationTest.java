package io.github.dl4jretention.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.PackedLabels;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.evaluation.classification.Evaluation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

class RetentionEvaluationTest {

    private final MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 1);
    private final Teacher teacher = Teacher.of(pretrained);
    private final MultiLayerNetwork student =
            Retention.attach(pretrained, RetentionConfiguration.builder().build());

    private DataSet taught() {
        DataSet data = Networks.sequences(DataType.DOUBLE, 4, 2);
        data.setLabelsMaskArray(
                Nd4j.ones(DataType.DOUBLE, 4, Networks.TIME).putScalar(1, 3, 0).putScalar(2, 0, 0));
        return new TeacherIterator(new ExistingDataSetIterator(List.of(data)), teacher).next();
    }

    @Test
    void agrees_with_the_loss_of_training() {
        student.setParams(Networks.moved(pretrained, 0.4, 3).params());
        DataSet data = taught();
        student.score(data, false);
        TokenLoss loss = Networks.lastLoss(student);
        RetentionEvaluation evaluation = new RetentionEvaluation();
        student.doEvaluation(new ExistingDataSetIterator(List.of(data)), evaluation);
        assertEquals(loss.crossEntropy(), evaluation.crossEntropy(), 1e-9);
        assertEquals(loss.divergence(), evaluation.divergence(), 1e-9);
        assertEquals(18, evaluation.tokens());
        assertEquals(Math.exp(loss.crossEntropy()), evaluation.perplexity(), 1e-9);
    }

    @ParameterizedTest
    @ValueSource(doubles = {0.25, 1, 3})
    void weights_of_a_mask_are_no_part_of_the_predictions(double weight) {
        MultiLayerNetwork network = Networks.lstm(DataType.DOUBLE, 1);
        Teacher teacher = Teacher.of(Networks.lstm(DataType.DOUBLE, 2));
        DataSet data = Networks.sequences(DataType.DOUBLE, 3, 4);
        data.setLabelsMaskArray(Nd4j.ones(DataType.DOUBLE, 3, Networks.TIME)
                .putScalar(1, 2, weight)
                .putScalar(2, 4, 0));
        RetentionEvaluation evaluation = new RetentionEvaluation();
        network.doEvaluation(new TeacherIterator(new ExistingDataSetIterator(List.of(data)), teacher), evaluation);
        TokenEvaluation expected = TokenEvaluation.of(network, teacher, new ExistingDataSetIterator(List.of(data)));
        assertEquals(13 + weight, evaluation.tokens(), 1e-9);
        assertEquals(expected.crossEntropy(), evaluation.crossEntropy(), 1e-9);
        assertEquals(expected.divergence(), evaluation.divergence(), 1e-9);
    }

    @Test
    void sums_of_half_precision_are_taken_back() {
        INDArray labels = Nd4j.createFromArray(new double[][] {{1, 0}});
        RetentionEvaluation evaluation = new RetentionEvaluation();
        evaluation.eval(
                labels, Nd4j.createFromArray(new double[][] {{0.25, 0.625}}).castTo(DataType.FLOAT16));
        assertEquals(-Math.log(0.25 / 0.875), evaluation.crossEntropy(), 1e-9);
    }

    @Test
    void what_is_no_distribution_is_refused_and_nothing_is_counted() {
        INDArray labels = Nd4j.createFromArray(new double[][] {{1, 0}, {0, 1}});
        for (double[] wrong : new double[][] {{2, 3}, {-0.5, 1.5}, {0, 0}, {0.6, 0.6}}) {
            RetentionEvaluation evaluation = new RetentionEvaluation();
            INDArray predictions = Nd4j.createFromArray(new double[][] {{0.25, 0.75}, wrong});
            String message = assertThrows(IllegalArgumentException.class, () -> evaluation.eval(labels, predictions))
                    .getMessage();
            assertTrue(message.startsWith("predictions: expected probabilities on axis 1"), message);
            assertEquals(0, evaluation.tokens());
            evaluation.eval(labels, predictions, Nd4j.createFromArray(new double[] {1, 0}), null);
            assertEquals(-Math.log(0.25), evaluation.crossEntropy(), 1e-9);
        }
        RetentionEvaluation weighted = new RetentionEvaluation();
        weighted.eval(
                labels,
                Nd4j.createFromArray(new double[][] {{0.25, 0.75}, {0.25, 0.25}}),
                Nd4j.createFromArray(new double[] {1, 0.5}),
                null);
        assertEquals((Math.log(4) + 0.5 * Math.log(2)) / 1.5, weighted.crossEntropy(), 1e-9);
        RetentionEvaluation diverged = new RetentionEvaluation();
        diverged.eval(labels, Nd4j.valueArrayOf(new long[] {2, 2}, Double.NaN));
        assertTrue(Double.isNaN(diverged.crossEntropy()));
    }

    @Test
    void a_student_equal_to_its_teacher_agrees_with_it() {
        RetentionEvaluation evaluation = new RetentionEvaluation();
        student.doEvaluation(new ExistingDataSetIterator(List.of(taught())), evaluation);
        assertEquals(1, evaluation.agreement());
        assertEquals(0, evaluation.divergence(), 1e-9);
    }

    /** Two classes: p = (1/4, 3/4), label 0, teacher (1/2, 1/2). */
    @Test
    void worked_by_hand() {
        INDArray labels = PackedLabels.of(
                Nd4j.zeros(DataType.DOUBLE, 1, 1),
                Nd4j.valueArrayOf(new long[] {1, 2}, Math.log(0.5), DataType.DOUBLE));
        INDArray predictions = Nd4j.createFromArray(new double[][] {{0.25, 0.75}});
        RetentionEvaluation evaluation = new RetentionEvaluation(1, 2);
        evaluation.eval(labels, predictions);
        assertEquals(Math.log(4), evaluation.getValue(RetentionMetric.CROSS_ENTROPY), 1e-12);
        assertEquals(4, evaluation.getValue(RetentionMetric.PERPLEXITY), 1e-12);
        assertEquals(1, evaluation.getValue(RetentionMetric.BITS_PER_BYTE), 1e-12);
        assertEquals(
                0.5 * Math.log(2) + 0.5 * Math.log(2.0 / 3), evaluation.getValue(RetentionMetric.DIVERGENCE), 1e-12);
        assertEquals(0, evaluation.getValue(RetentionMetric.AGREEMENT));
        assertTrue(evaluation.stats().contains("perplexity 4.000"), evaluation.stats());
    }

    @Test
    void parts_are_merged_to_the_whole() {
        student.setParams(Networks.moved(pretrained, 0.4, 4).params());
        DataSet data = taught();
        RetentionEvaluation whole = new RetentionEvaluation();
        student.doEvaluation(new ExistingDataSetIterator(List.of(data)), whole);
        RetentionEvaluation merged = whole.newInstance();
        for (int i = 0; i < 4; i++) {
            RetentionEvaluation part = whole.newInstance();
            DataSet one = (DataSet) data.getRange(i, i + 1);
            student.doEvaluation(new ExistingDataSetIterator(List.of(one)), part);
            merged.merge(part);
        }
        for (RetentionMetric metric : RetentionMetric.values()) {
            assertEquals(whole.getValue(metric), merged.getValue(metric), 1e-9, metric.name());
        }
        merged.reset();
        assertTrue(Double.isNaN(merged.crossEntropy()));
    }

    @Test
    void ordinary_labels_have_no_divergence() {
        RetentionEvaluation evaluation = new RetentionEvaluation();
        DataSet data = Networks.sequences(DataType.DOUBLE, 3, 5);
        pretrained.doEvaluation(new ExistingDataSetIterator(List.of(data)), evaluation);
        TokenEvaluation fromLogits =
                TokenEvaluation.of(pretrained, teacher, new ExistingDataSetIterator(List.of(data)));
        assertEquals(fromLogits.crossEntropy(), evaluation.crossEntropy(), 1e-9);
        assertTrue(Double.isNaN(evaluation.divergence()));
        assertTrue(Double.isNaN(evaluation.agreement()));
    }

    @Test
    void survives_JSON() {
        RetentionEvaluation evaluation = new RetentionEvaluation(1, 3);
        student.doEvaluation(new ExistingDataSetIterator(List.of(taught())), evaluation);
        RetentionEvaluation read = RetentionEvaluation.fromJson(evaluation.toJson(), RetentionEvaluation.class);
        assertEquals(evaluation.stats(), read.stats());
    }

    @Test
    void what_does_not_fit_is_refused() {
        RetentionEvaluation evaluation = new RetentionEvaluation();
        INDArray predictions = Nd4j.ones(DataType.DOUBLE, 2, 6, 5).div(6);
        for (INDArray labels : List.of(Nd4j.zeros(2, 1, 4), Nd4j.zeros(2, 4, 5))) {
            assertThrows(IllegalArgumentException.class, () -> evaluation.eval(labels, predictions));
        }
        INDArray labels = Nd4j.zeros(2, 1, 5);
        assertThrows(IllegalArgumentException.class, () -> evaluation.eval(labels, predictions, Nd4j.ones(2, 4)));
        assertThrows(IllegalArgumentException.class, () -> evaluation.getValue(Evaluation.Metric.ACCURACY));
        assertThrows(IllegalArgumentException.class, () -> new RetentionEvaluation(-1, 1));
        assertThrows(IllegalArgumentException.class, () -> new RetentionEvaluation(3, 1));
        assertThrows(IllegalArgumentException.class, () -> new RetentionEvaluation(1, 0));
    }

    private static void refused(INDArray labels, INDArray predictions, INDArray mask, String message) {
        RetentionEvaluation evaluation = new RetentionEvaluation();
        String found = assertThrows(IllegalArgumentException.class, () -> evaluation.eval(labels, predictions, mask))
                .getMessage();
        assertTrue(found.startsWith(message), found);
        assertEquals(new RetentionEvaluation(), evaluation);
    }

    @Test
    void malformed_input_is_refused_and_changes_nothing() {
        INDArray predictions = Nd4j.valueArrayOf(new long[] {2, 4, 3}, 0.25, DataType.DOUBLE);
        INDArray ids = Nd4j.zeros(DataType.DOUBLE, 2, 1, 3);
        INDArray ones = Nd4j.ones(DataType.DOUBLE, 2, 3);
        INDArray taught = PackedLabels.of(ids, Nd4j.zeros(DataType.DOUBLE, 2, 4, 3));
        INDArray weighted =
                PackedLabels.of(ids, Nd4j.ones(DataType.DOUBLE, 2, 4, 3), Nd4j.ones(DataType.DOUBLE, 2, 1, 3));
        for (long[] shape : new long[][] {{3, 2}, {6, 1}, {1, 6}, {6}}) {
            refused(ids, predictions, Nd4j.ones(DataType.DOUBLE, shape), "mask: expected a weight for every token");
        }
        refused(Nd4j.zeros(DataType.DOUBLE, 3, 1, 2), predictions, null, "labels: expected a label for every");
        refused(Nd4j.zeros(DataType.DOUBLE, 6, 1), predictions, null, "labels: expected a label for every");
        for (double bad : new double[] {Double.NaN, -5, Double.POSITIVE_INFINITY}) {
            refused(ids, predictions, ones.dup().putScalar(1, 2, bad), "mask: expected finite weights");
            refused(
                    weighted.dup().putScalar(new int[] {1, 5, 2}, bad),
                    predictions,
                    null,
                    "labels: divergence mask: expected finite weights");
            refused(
                    Nd4j.zeros(DataType.DOUBLE, 2, 4, 3).putScalar(new int[] {1, 2, 2}, bad),
                    predictions,
                    null,
                    "labels: expected finite probabilities");
        }
        for (double bad : new double[] {1.7, -1, 4, Double.NaN}) {
            refused(ids.dup().putScalar(new int[] {1, 0, 2}, bad), predictions, null, "labels: expected class ids");
        }
        for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
            refused(
                    taught.dup().putScalar(new int[] {1, 2, 2}, bad),
                    predictions,
                    null,
                    "labels: expected teacher values");
        }
    }

    /** Teacher (1/3, 0, 1/3, 1/3), student 1/4 each: log(4/3). */
    @Test
    void a_teacher_may_rule_classes_out_and_what_is_masked_is_not_looked_at() {
        INDArray labels = PackedLabels.of(Nd4j.zeros(DataType.DOUBLE, 2, 1), Nd4j.zeros(DataType.DOUBLE, 2, 4));
        labels.putScalar(0, 2, Double.NEGATIVE_INFINITY);
        labels.putScalar(1, 0, -1);
        labels.putScalar(1, 2, Double.NaN);
        INDArray predictions = Nd4j.valueArrayOf(new long[] {2, 4}, 0.25, DataType.DOUBLE);
        for (long[] shape : new long[][] {{2}, {2, 1}}) {
            RetentionEvaluation evaluation = new RetentionEvaluation();
            evaluation.eval(labels, predictions, Nd4j.createFromArray(1.0, 0.0).reshape(shape));
            assertEquals(Math.log(4.0 / 3), evaluation.divergence(), 1e-12);
            assertEquals(1, evaluation.tokens());
        }
    }

    @Test
    void evaluations_of_other_tokens_are_neither_equal_nor_merged() {
        RetentionEvaluation letters = new RetentionEvaluation(1, 1);
        RetentionEvaluation words = new RetentionEvaluation(1, 4);
        assertNotEquals(letters, words);
        assertThrows(IllegalArgumentException.class, () -> letters.merge(words));
        RetentionEvaluation more = new RetentionEvaluation(1, 4);
        assertEquals(words, more);
        assertEquals(words.hashCode(), more.hashCode());
        more.eval(Nd4j.zeros(DataType.DOUBLE, 1, 1), Nd4j.valueArrayOf(new long[] {1, 4}, 0.25, DataType.DOUBLE));
        assertNotEquals(words, more);
    }
}
