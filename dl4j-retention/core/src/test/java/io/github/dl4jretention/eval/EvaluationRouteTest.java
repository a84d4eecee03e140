package io.github.dl4jretention.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.WrappingTeacher;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Whatever iterator and layout a text comes in, both evaluations say the same of it; padding isn't text. */
class EvaluationRouteTest {

    private static final int BATCH = 3;

    /** Features and labels {@code [batch, classes, time]} or, for NWC, {@code [batch, time, classes]}. */
    private static MultiLayerNetwork network(DataType type, RNNFormat format, long seed) {
        return Networks.stacked(
                type,
                seed,
                new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(Networks.INPUTS)
                        .nOut(Networks.VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(format)
                        .build());
    }

    private static DataSet text(DataType type, RNNFormat format) {
        DataSet text = Networks.sequences(type, BATCH, 3);
        boolean last = format == RNNFormat.NWC;
        INDArray mask = Nd4j.ones(type, BATCH, Networks.TIME).putScalar(1, 2, 0).putScalar(2, 0, 0.5);
        return new DataSet(
                last ? text.getFeatures().permute(0, 2, 1).dup('c') : text.getFeatures(),
                last ? text.getLabels().permute(0, 2, 1).dup('c') : text.getLabels(),
                null,
                mask);
    }

    private static DataSetIterator plain(DataSet text) {
        return new ExistingDataSetIterator(List.of(text));
    }

    private static void assertSame(TokenEvaluation expected, RetentionEvaluation found, double tolerance) {
        assertEquals(expected.crossEntropy(), found.crossEntropy(), tolerance);
        assertEquals(expected.divergence(), found.divergence(), tolerance);
        assertEquals(expected.tokens(), found.tokens(), tolerance);
    }

    @ParameterizedTest
    @CsvSource({"FLOAT,NCW", "DOUBLE,NCW", "FLOAT,NWC", "DOUBLE,NWC"})
    void a_network_is_evaluated_alike_on_every_iterator(DataType type, RNNFormat format) {
        double tolerance = type == DataType.DOUBLE ? 1e-12 : 1e-6;
        MultiLayerNetwork network = network(type, format, 1);
        Teacher teacher = Teacher.of(network(type, format, 2));
        DataSet text = text(type, format);
        TokenEvaluation expected = TokenEvaluation.of(network, teacher, plain(text));
        assertEquals(13.5, expected.tokens(), tolerance);
        assertTrue(expected.divergence() > 0.01);
        assertEquals(expected, TokenEvaluation.of(network, teacher, new MultiDataSetIteratorAdapter(plain(text))));
        for (DivergenceMask mask : List.of(DivergenceMask.LABEL_MASK, DivergenceMask.ALL_TOKENS)) {
            assertEquals(
                    expected, TokenEvaluation.of(network, teacher, new TeacherIterator(plain(text), teacher, mask)));
            assertEquals(
                    expected,
                    TokenEvaluation.of(
                            network,
                            teacher,
                            new TeacherMultiDataSetIterator(
                                    new MultiDataSetIteratorAdapter(plain(text)), teacher, mask)));
        }
        RetentionEvaluation taught = new RetentionEvaluation();
        network.doEvaluation(new TeacherIterator(plain(text), teacher), taught);
        assertSame(expected, taught, tolerance);
        RetentionEvaluation untaught = new RetentionEvaluation();
        network.doEvaluation(plain(text), untaught);
        assertEquals(expected.crossEntropy(), untaught.crossEntropy(), tolerance);
        assertEquals(
                expected.crossEntropy(),
                TokenEvaluation.of(Teacher.of(network), new MultiDataSetIteratorAdapter(plain(text)))
                        .crossEntropy());
        RetentionEvaluation told = new RetentionEvaluation(format == RNNFormat.NWC ? 2 : 1, 1);
        network.doEvaluation(plain(text), told);
        assertEquals(told.crossEntropy(), untaught.crossEntropy());
    }

    @Test
    void a_graph_is_evaluated_alike_on_every_iterator() {
        ComputationGraph graph = Networks.graph(DataType.DOUBLE, 1);
        Teacher teacher = Teacher.of(Networks.graph(DataType.DOUBLE, 2), "text");
        MultiDataSet batch = Networks.graphBatch(DataType.DOUBLE, BATCH, 3);
        TokenEvaluation expected = TokenEvaluation.of(graph, teacher, new SingletonMultiDataSetIterator(batch));
        assertEquals(
                expected,
                TokenEvaluation.of(
                        graph,
                        teacher,
                        new TeacherMultiDataSetIterator(new SingletonMultiDataSetIterator(batch), teacher)));
        assertEquals(
                expected,
                TokenEvaluation.of(Teacher.of(graph, "text"), teacher, new SingletonMultiDataSetIterator(batch)));
    }

    /**
     * As many time steps as classes, so that shapes don't tell the class axis: on the right one sums are 1, or 0 where
     * DL4J has zeroed what is masked.
     */
    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE"})
    void the_class_axis_is_found_where_shapes_do_not_tell(DataType type) {
        int size = Networks.VOCABULARY;
        INDArray labels = Networks.oneHot(type, BATCH, size, new Random(1));
        INDArray logits = Networks.normal(type, new Random(2), BATCH, size, size);
        INDArray mask = Nd4j.ones(type, BATCH, size);
        for (int t = 1; t < size; t++) {
            mask.putScalar(0, t, 0);
        }
        INDArray probabilities = Nd4j.nn.softmax(logits, 1).mul(mask.reshape(BATCH, 1, size));
        RetentionEvaluation told = new RetentionEvaluation(1, 1);
        told.eval(labels, probabilities, mask);
        RetentionEvaluation found = new RetentionEvaluation();
        found.eval(labels, probabilities, mask);
        assertEquals(told.crossEntropy(), found.crossEntropy());
        RetentionEvaluation last = new RetentionEvaluation();
        last.eval(
                labels.permute(0, 2, 1).dup('c'), probabilities.permute(0, 2, 1).dup('c'), mask);
        assertEquals(told.crossEntropy(), last.crossEntropy());
        assertEquals(told.tokens(), last.tokens());
    }

    /** The second half of each sequence has labels of zeros and no mask says so: its tokens must not count. */
    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE"})
    void columns_of_zeros_are_padding(DataType type) {
        double tolerance = type == DataType.DOUBLE ? 1e-9 : 1e-5;
        INDArray features = Networks.normal(type, new Random(1), 2, Networks.INPUTS, 4);
        INDArray labels = Networks.oneHot(type, 2, 4, new Random(2));
        labels.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.interval(2, 4))
                .assign(0);
        INDArray mask = Nd4j.ones(type, 2, 4);
        mask.get(NDArrayIndex.all(), NDArrayIndex.interval(2, 4)).assign(0);
        MultiLayerNetwork network = network(type, RNNFormat.NCW, 3);
        Teacher teacher = Teacher.of(network(type, RNNFormat.NCW, 4));
        double sum = 0;
        INDArray logP = Teacher.of(network).logProbabilities(features, null);
        for (int i = 0; i < 2; i++) {
            for (int t = 0; t < 2; t++) {
                for (int v = 0; v < Networks.VOCABULARY; v++) {
                    sum -= labels.getDouble(i, v, t) * logP.getDouble(i, v, t);
                }
            }
        }
        for (INDArray given : new INDArray[] {mask, Nd4j.ones(type, 2, 4), null}) {
            DataSet text = new DataSet(features, labels, null, given);
            TokenEvaluation evaluation = TokenEvaluation.of(network, teacher, plain(text));
            assertEquals(sum / 4, evaluation.crossEntropy(), tolerance);
            assertEquals(4, evaluation.tokens());
            RetentionEvaluation probabilities = new RetentionEvaluation();
            network.doEvaluation(new TeacherIterator(plain(text), teacher), probabilities);
            assertSame(evaluation, probabilities, tolerance);
            assertEquals(Math.exp(sum / 4), probabilities.perplexity(), 10 * tolerance);
        }
    }

    /**
     * Each token costs 1.808 nats, and four of eight are padding: over all eight the mean would be half of it, 0.904, and
     * the perplexity 2.47 instead of 6.10.
     */
    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE"})
    void padding_does_not_halve_the_mean(DataType type) {
        double nats = 1.808;
        MultiLayerNetwork network = network(type, RNNFormat.NCW, 3);
        network.getLayer(network.getnLayers() - 1).getParam("W").assign(0);
        INDArray bias = network.getLayer(network.getnLayers() - 1).getParam("b");
        bias.assign(0);
        // softmax = 1 / (1 + 5 exp(-b)) for class 0
        bias.putScalar(0, -Math.log(Math.expm1(nats) / (Networks.VOCABULARY - 1)));
        INDArray labels = Nd4j.zeros(type, 2, Networks.VOCABULARY, 4);
        for (int t = 0; t < 2; t++) {
            labels.putScalar(0, 0, t, 1);
            labels.putScalar(1, 0, t + 2, 1);
        }
        DataSet text = new DataSet(Networks.normal(type, new Random(1), 2, Networks.INPUTS, 4), labels);
        Teacher teacher = Teacher.of(network(type, RNNFormat.NCW, 4));
        TokenEvaluation evaluation = TokenEvaluation.of(network, teacher, plain(text));
        assertEquals(nats, evaluation.crossEntropy(), 1e-6);
        assertEquals(6.10, evaluation.perplexity(), 0.005);
        assertEquals(4, evaluation.tokens());
        RetentionEvaluation probabilities = new RetentionEvaluation();
        network.doEvaluation(new TeacherIterator(plain(text), teacher), probabilities);
        assertEquals(nats, probabilities.crossEntropy(), 1e-6);
        assertEquals(6.10, probabilities.perplexity(), 0.005);
        assertEquals(4, probabilities.tokens());
        MultiLayerNetwork student =
                Retention.attach(network, RetentionConfiguration.builder().build());
        student.fit(new TeacherIterator(plain(text), Teacher.of(network)));
        assertEquals(nats, Networks.lastLoss(student).crossEntropy(), 1e-6);
        assertEquals(4, Networks.lastLoss(student).tokens());
    }

    /** A teacher that remembers what it gave. */
    private static final class Remembering extends WrappingTeacher {

        private final List<INDArray> given = new ArrayList<>();

        Remembering(Teacher teacher) {
            super(teacher);
        }

        @Override
        public INDArray[] logProbabilities(INDArray[] features, INDArray[] featuresMasks) {
            INDArray[] values = super.logProbabilities(features, featuresMasks);
            given.addAll(List.of(values));
            return values;
        }
    }

    @Test
    void what_model_and_teacher_gave_is_freed_and_the_text_is_not() {
        Remembering model = new Remembering(Teacher.of(network(DataType.FLOAT, RNNFormat.NCW, 1)));
        Remembering teacher = new Remembering(Teacher.of(network(DataType.FLOAT, RNNFormat.NCW, 2)));
        DataSet text = text(DataType.FLOAT, RNNFormat.NCW);
        DataSetIterator batches = new ExistingDataSetIterator(List.of(text, text));
        TokenEvaluation.of(model, teacher, batches);
        assertEquals(2, model.given.size());
        assertEquals(2, teacher.given.size());
        model.given.forEach(values -> assertTrue(values.wasClosed()));
        teacher.given.forEach(values -> assertTrue(values.wasClosed()));
        for (INDArray array : List.of(text.getFeatures(), text.getLabels(), text.getLabelsMaskArray())) {
            assertFalse(array.wasClosed());
            assertTrue(Double.isFinite(array.sumNumber().doubleValue()));
        }
    }
}
