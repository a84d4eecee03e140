package io.github.dl4jretention.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.FixedTeacher;
import io.github.dl4jretention.Networks;
import io.github.dl4jretention.teacher.Teacher;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Of {@link TokenEvaluation}, with a teacher and without: what is masked, what is refused, classes that are ruled out. */
class CrossEntropyTest {

    private static final int BATCH = 2;

    private final MultiLayerNetwork network = Networks.lstm(DataType.DOUBLE, 1);
    private final DataSet data = Networks.sequences(DataType.DOUBLE, BATCH, 3);
    private final INDArray ids = data.getLabels().argMax(1).reshape(BATCH, 1, Networks.TIME);
    private final INDArray mask =
            Nd4j.ones(DataType.DOUBLE, BATCH, Networks.TIME).putScalar(1, 2, 0);

    private static ExistingDataSetIterator iterator(DataSet data) {
        return new ExistingDataSetIterator(List.of(data));
    }

    private DataSet labelled(INDArray labels, INDArray mask) {
        return new DataSet(data.getFeatures(), labels, null, mask);
    }

    private double crossEntropy(INDArray labels, INDArray mask) {
        double alone = TokenEvaluation.of(
                        Teacher.of(network), new MultiDataSetIteratorAdapter(iterator(labelled(labels, mask))))
                .crossEntropy();
        double both = TokenEvaluation.of(network, Teacher.of(network), iterator(labelled(labels, mask)))
                .crossEntropy();
        assertEquals(alone, both, 1e-12);
        return alone;
    }

    private void refused(INDArray labels, INDArray mask, String begin) {
        DataSet bad = labelled(labels, mask);
        for (String message : List.of(
                assertThrows(
                                IllegalArgumentException.class,
                                () -> TokenEvaluation.of(
                                        Teacher.of(network), new MultiDataSetIteratorAdapter(iterator(bad))))
                        .getMessage(),
                assertThrows(
                                IllegalArgumentException.class,
                                () -> TokenEvaluation.of(network, Teacher.of(network), iterator(bad)))
                        .getMessage())) {
            assertTrue(message.startsWith(begin), message);
        }
    }

    private static INDArray with(INDArray ids, double bad) {
        return ids.castTo(DataType.DOUBLE).putScalar(new int[] {1, 0, 2}, bad);
    }

    @ParameterizedTest
    @ValueSource(ints = {-1, 1})
    void a_teacher_of_another_vocabulary_is_refused(int more) {
        long vocabulary = Networks.VOCABULARY + more;
        Teacher other = new FixedTeacher(() -> Nd4j.zeros(DataType.DOUBLE, BATCH, vocabulary, Networks.TIME));
        String message = assertThrows(
                        IllegalArgumentException.class, () -> TokenEvaluation.of(network, other, iterator(data)))
                .getMessage();
        assertTrue(message.startsWith("teacher: expected values of shape"), message);
        assertTrue(message.contains("[" + BATCH + ", " + vocabulary + ", " + Networks.TIME + "]"), message);
    }

    @Test
    void masks_weigh_tokens() {
        INDArray weights = mask.mul(0.5).putScalar(0, 1, 2);
        INDArray losses = Teacher.of(network)
                .logProbabilities(data.getFeatures(), null)
                .mul(data.getLabels())
                .sum(1)
                .neg();
        double expected = losses.mul(weights).sumNumber().doubleValue()
                / weights.sumNumber().doubleValue();
        assertEquals(expected, crossEntropy(data.getLabels(), weights), 1e-12);
        assertEquals(expected, crossEntropy(ids, weights), 1e-12);
        assertEquals(expected, crossEntropy(ids.reshape(BATCH, Networks.TIME), weights), 1e-12);
    }

    @ParameterizedTest
    @ValueSource(doubles = {-1, 99, 0.5, Double.NaN})
    void a_label_that_is_masked_is_not_looked_at(double padding) {
        assertEquals(crossEntropy(ids, mask), crossEntropy(with(ids, padding), mask), 0);
        INDArray labels = data.getLabels().dup();
        labels.putScalar(new int[] {1, 1, 2}, padding);
        assertEquals(crossEntropy(data.getLabels(), mask), crossEntropy(labels, mask), 0);
    }

    @Test
    void labels_and_masks_that_do_not_fit_are_refused() {
        for (double bad : new double[] {-1, 6, 1.5, Double.NaN}) {
            refused(with(ids, bad), null, "labels: expected class ids from 0 to 5, got ");
        }
        refused(data.getLabels().dup().putScalar(new int[] {1, 2, 2}, Double.NaN), null, "labels: expected finite");
        refused(Nd4j.zeros(DataType.DOUBLE, BATCH, 1, 3), null, "labels: expected shape ");
        refused(Nd4j.zeros(DataType.DOUBLE, Networks.TIME, 1, BATCH), null, "labels: expected shape ");
        for (long[] shape : new long[][] {{Networks.TIME, BATCH}, {BATCH, Networks.TIME - 1}, {10}, {1, 10}, {1}}) {
            refused(ids, Nd4j.ones(DataType.DOUBLE, shape), "mask: expected a weight for every token");
            refused(data.getLabels(), Nd4j.ones(DataType.DOUBLE, shape), "mask: expected a weight for every token");
        }
        for (double bad : new double[] {-0.5, Double.NaN, Double.POSITIVE_INFINITY}) {
            refused(ids, mask.dup().putScalar(0, 0, bad), "mask: expected finite weights of at least 0, got ");
        }
    }

    /** A bias of -inf rules a class out: its log-probability is -inf. */
    @Test
    void classes_that_are_ruled_out_count_nothing_where_the_label_or_the_teacher_is_0() {
        INDArray features = Nd4j.zeros(DataType.DOUBLE, BATCH, Networks.INPUTS, Networks.TIME);
        INDArray labels = Nd4j.zeros(DataType.DOUBLE, BATCH, Networks.VOCABULARY, Networks.TIME);
        labels.get(NDArrayIndex.all(), NDArrayIndex.point(1), NDArrayIndex.all())
                .assign(1);
        network.getParam("1_W").assign(0);
        network.getParam("1_b").assign(0);
        MultiLayerNetwork ruling = network.clone();
        ruling.getParam("1_b").putScalar(0, Double.NEGATIVE_INFINITY);
        DataSet batch = new DataSet(features, labels);
        TokenEvaluation of = TokenEvaluation.of(network, Teacher.of(ruling), iterator(batch));
        assertEquals(Math.log(6 / 5.0), of.divergence(), 1e-12);
        TokenEvaluation ruled = TokenEvaluation.of(ruling, Teacher.of(ruling), iterator(batch));
        assertEquals(Math.log(5), ruled.crossEntropy(), 1e-12);
        assertEquals(0, ruled.divergence(), 1e-12);
        TokenEvaluation wrong = TokenEvaluation.of(ruling, Teacher.of(network), iterator(batch));
        assertEquals(Double.POSITIVE_INFINITY, wrong.divergence());
        assertEquals(
                Math.log(5),
                TokenEvaluation.of(Teacher.of(ruling), new MultiDataSetIteratorAdapter(iterator(batch)))
                        .crossEntropy(),
                1e-12);
    }
}
