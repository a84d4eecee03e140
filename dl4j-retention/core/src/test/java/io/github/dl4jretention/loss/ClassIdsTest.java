package io.github.dl4jretention.loss;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.eval.RetentionEvaluation;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Ids that FLOAT and HALF round: 2049 in HALF is 2048, another class, which nobody could tell afterwards. */
class ClassIdsTest {

    private static final int V = 2051;
    private static final INDArray FEATURES = Networks.normal(DataType.FLOAT, new Random(1), 3, Networks.INPUTS);

    private static MultiLayerNetwork network() {
        return Networks.stacked(
                DataType.FLOAT,
                1,
                new OutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(Networks.INPUTS)
                        .nOut(V)
                        .activation(Activation.SOFTMAX)
                        .build());
    }

    private static INDArray ids(DataType type, int id) {
        return Nd4j.createFromArray(5, id, 2047).castTo(type).reshape(3, 1);
    }

    private static DataSetIterator text(INDArray labels) {
        return new ExistingDataSetIterator(List.of(new DataSet(FEATURES, labels)));
    }

    private static SameDiff sameDiff(DataType labels) {
        SameDiff sd = SameDiff.create();
        sd.placeHolder("features", DataType.FLOAT, -1, Networks.INPUTS)
                .mmul(sd.var("w", Networks.normal(DataType.FLOAT, new Random(2), Networks.INPUTS, V)))
                .rename("logits");
        sd.placeHolder("labels", labels, -1, 1);
        return sd;
    }

    private static TokenLoss fitSameDiff(DataType placeholder, INDArray labels) {
        SameDiff student = sameDiff(placeholder);
        RetentionLoss.add(
                student, "logits", "labels", RetentionConfiguration.builder().build());
        student.setTrainingConfig(TrainingConfig.builder()
                .updater(new Sgd(0.01))
                .dataSetFeatureMapping("features")
                .dataSetLabelMapping("labels", RetentionLoss.TEACHER_LOGITS)
                .build());
        RetentionListener listener = new RetentionListener();
        student.setListeners(listener);
        Teacher teacher = Teacher.of(sameDiff(DataType.FLOAT), "logits", "features");
        student.fit(
                new TeacherMultiDataSetIterator(
                        new SingletonMultiDataSetIterator(new MultiDataSet(FEATURES, labels)), teacher),
                1);
        return listener.lastTokenLoss();
    }

    @Test
    void an_id_that_may_be_another_is_refused_on_every_path() {
        Teacher teacher = Teacher.of(network());
        INDArray rounded = ids(DataType.FLOAT16, 2049);
        assertEquals(2048, rounded.getInt(1));
        Map<String, Executable> paths = Map.of(
                "network, no teacher",
                () -> Retention.attach(
                                network(), RetentionConfiguration.builder().build())
                        .fit(text(rounded)),
                "network, teacher",
                () -> new TeacherIterator(text(rounded), teacher).next(),
                "score",
                () -> Retention.attach(
                                network(), RetentionConfiguration.builder().build())
                        .score(new DataSet(FEATURES, rounded)),
                "token evaluation",
                () -> TokenEvaluation.of(network(), teacher, text(rounded)),
                "retention evaluation",
                () -> network().doEvaluation(text(rounded), new RetentionEvaluation()),
                "SameDiff",
                () -> fitSameDiff(DataType.FLOAT, rounded),
                "SameDiff of integers",
                () -> fitSameDiff(DataType.INT32, rounded));
        paths.forEach((path, call) -> {
            RuntimeException refused = assertThrows(RuntimeException.class, call, path);
            String message = refused.getMessage();
            assertTrue(refused instanceof IllegalArgumentException, path + ": " + refused);
            assertTrue(message.startsWith("labels: expected"), path + ": " + message);
            assertTrue(message.contains("below 2048, which HALF holds exactly, got 2048"), path + ": " + message);
            assertTrue(message.contains("INT32"), path + ": " + message);
        });
    }

    @Test
    void integers_give_every_id_exactly() {
        MultiLayerNetwork network = network();
        INDArray logP = Teacher.of(network).logProbabilities(FEATURES, null);
        double expected = -(logP.getDouble(0, 5) + logP.getDouble(1, 2049) + logP.getDouble(2, 2047)) / 3;
        for (DataType type : List.of(DataType.INT32, DataType.INT64, DataType.FLOAT, DataType.DOUBLE)) {
            Teacher teacher = Teacher.of(network);
            INDArray labels = ids(type, 2049);
            assertEquals(
                    expected, TokenEvaluation.of(network, teacher, text(labels)).crossEntropy(), 1e-5);
            MultiLayerNetwork student =
                    Retention.attach(network, RetentionConfiguration.builder().build());
            student.fit(new TeacherIterator(text(labels), teacher));
            assertEquals(expected, Networks.lastLoss(student).crossEntropy(), 1e-5);
            MultiLayerNetwork untaught =
                    Retention.attach(network, RetentionConfiguration.builder().build());
            untaught.fit(text(labels));
            assertEquals(expected, Networks.lastLoss(untaught).crossEntropy(), 1e-5);
            assertTrue(fitSameDiff(type, labels).crossEntropy() > 0);
        }
    }

    /** In HALF 2048 can only be 2048 where there are no more than 2049 classes. */
    @Test
    void the_last_id_is_unambiguous() {
        INDArray input = Nd4j.zeros(3, Networks.INPUTS);
        INDArray labels = ids(DataType.FLOAT16, 2048);
        assertEquals(
                2048,
                new TokenBatch(input, labels, null, 2049, 1, 0, false).rows().classId(1));
        TokenBatch more = new TokenBatch(input, labels, null, 2050, 1, 0, false);
        assertThrows(IllegalArgumentException.class, () -> more.rows().classId(1));
        assertEquals(2047, more.rows().classId(2));
    }

    @Test
    void ids_from_two_to_the_24_on() {
        int first = 1 << 24;
        INDArray input = Nd4j.zeros(1, Networks.INPUTS);
        INDArray integers = Nd4j.createFromArray(first + 1).reshape(1, 1);
        assertEquals(
                first + 1,
                new TokenBatch(input, integers, null, first + 5, 1, 0, false)
                        .rows()
                        .classId(0));
        TokenBatch rounded = new TokenBatch(input, integers.castTo(DataType.FLOAT), null, first + 5, 1, 0, false);
        String message = assertThrows(
                        IllegalArgumentException.class, () -> rounded.rows().classId(0))
                .getMessage();
        assertTrue(message.contains("below 16777216, which FLOAT holds exactly"), message);
        TokenBatch exact = new TokenBatch(input, integers, null, first + 5, 1, 0, false);
        assertThrows(IllegalArgumentException.class, () -> exact.rows().labels(DataType.FLOAT));
        assertEquals(first + 1, exact.rows().labels(DataType.DOUBLE).getLong(0));
    }
}
