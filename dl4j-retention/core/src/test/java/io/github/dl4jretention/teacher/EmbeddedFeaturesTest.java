package io.github.dl4jretention.teacher;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.baseline.ImportanceEstimator;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.internal.EmbeddedIds;
import io.github.dl4jretention.loss.RetentionConfiguration;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.weights.WeightInit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
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

/** Ids that the features' type rounds: DL4J's embeddings look up another token, without a word. */
class EmbeddedFeaturesTest {

    private static final int IDS = 3000;
    private static final int V = 5;

    @TempDir
    private Path folder;

    private static EmbeddingSequenceLayer sequences() {
        return new EmbeddingSequenceLayer.Builder()
                .nIn(IDS)
                .nOut(3)
                .weightInit(WeightInit.NORMAL)
                .build();
    }

    private static RnnOutputLayer output(int inputs) {
        return new RnnOutputLayer.Builder(LossFunction.MCXENT)
                .nIn(inputs)
                .nOut(V)
                .activation(Activation.SOFTMAX)
                .dataFormat(RNNFormat.NCW)
                .build();
    }

    private static MultiLayerNetwork network(DataType type) {
        return Networks.stacked(
                type, 1, sequences(), new LSTM.Builder().nIn(3).nOut(4).build(), output(4));
    }

    private static MultiLayerNetwork ofRows(DataType type) {
        return Networks.stacked(
                type,
                1,
                new EmbeddingLayer.Builder()
                        .nIn(IDS)
                        .nOut(3)
                        .weightInit(WeightInit.NORMAL)
                        .build(),
                new OutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(3)
                        .nOut(V)
                        .activation(Activation.SOFTMAX)
                        .build());
    }

    /** Numbers on the left, ids on the right. */
    private static ComputationGraph graph() {
        ComputationGraph graph = new ComputationGraph(new NeuralNetConfiguration.Builder()
                .seed(1)
                .updater(new Sgd(0.1))
                .graphBuilder()
                .addInputs("left", "right")
                .addLayer("lstm", new LSTM.Builder().nIn(2).nOut(2).build(), "left")
                .addLayer("ids", new FrozenLayer(sequences()), "right")
                .addVertex("merged", new MergeVertex(), "lstm", "ids")
                .addLayer("one", output(5), "merged")
                .addLayer("two", output(5), "merged")
                .setOutputs("one", "two")
                .build());
        graph.init();
        return graph;
    }

    private static INDArray ids(DataType type, double id) {
        return Nd4j.createFromArray(7, id, 11, 13).castTo(type).reshape(2, 2);
    }

    private static DataSetIterator text(INDArray features) {
        return new ExistingDataSetIterator(List.of(new DataSet(features, Nd4j.zeros(DataType.FLOAT, 2, 1, 2))));
    }

    private static MultiDataSet batch(INDArray ids) {
        INDArray labels = Nd4j.zeros(DataType.FLOAT, 2, 1, 2);
        return new MultiDataSet(
                new INDArray[] {Nd4j.rand(DataType.FLOAT, 2, 2, 2).muli(0.3), ids}, new INDArray[] {labels, labels});
    }

    private static void assertRefused(String expected, Executable call, String what) {
        RuntimeException refused = assertThrows(RuntimeException.class, call, what);
        assertTrue(refused instanceof IllegalArgumentException, what + ": " + refused);
        assertTrue(refused.getMessage().startsWith("features: expected"), what + ": " + refused.getMessage());
        assertTrue(refused.getMessage().contains(expected), what + ": " + refused.getMessage());
    }

    @Test
    void an_id_that_may_be_another_is_refused_wherever_the_library_sees_features() {
        MultiLayerNetwork network = network(DataType.FLOAT);
        MultiLayerNetwork student =
                Retention.attach(network, RetentionConfiguration.builder().build());
        Teacher teacher = Teacher.of(network);
        INDArray before = student.params().dup();
        INDArray rounded = ids(DataType.FLOAT16, 2049);
        assertEquals(2048, rounded.getInt(0, 1));
        ComputationGraph graph = graph();
        ComputationGraph graphStudent =
                Retention.attach(graph, RetentionConfiguration.builder().build());
        Map<String, Executable> calls = Map.of(
                "finetune",
                () -> Retention.finetune(student, teacher, text(rounded), 1),
                "fit",
                () -> student.fit(new TeacherIterator(text(rounded), teacher)),
                "evaluation",
                () -> TokenEvaluation.of(network, teacher, text(rounded)),
                "cache",
                () -> TeacherCache.builder().pretrained(network).folder(folder).build(text(rounded)),
                "importance",
                () -> ImportanceEstimator.of(network).fisher(text(rounded), 1),
                "weighted",
                () -> Teacher.weighted(List.of(teacher, teacher), 1, 1).logProbabilities(rounded, null),
                "moving average",
                () -> Teacher.movingAverage(network, 0.5).logProbabilities(rounded, null),
                "graph",
                () -> Retention.finetune(
                        graphStudent,
                        Teacher.of(graph),
                        new SingletonMultiDataSetIterator(batch(ids(DataType.FLOAT16, 2049))),
                        1),
                "rows",
                () -> Teacher.of(ofRows(DataType.FLOAT)).logProbabilities(rounded.reshape(4, 1), null));
        calls.forEach((what, call) -> assertRefused("below 2048, which HALF holds exactly, got 2048", call, what));
        assertRefused(
                "below 256, which BFLOAT16 holds exactly, got 256",
                () -> teacher.logProbabilities(ids(DataType.BFLOAT16, 257), null),
                "BFLOAT16");
        assertClose(before, student.params(), 0);
    }

    @Test
    void what_is_no_id_is_refused_unless_it_is_masked() {
        Teacher teacher = Teacher.of(network(DataType.FLOAT));
        for (double id : new double[] {Double.NaN, 2.5, -1, IDS, Double.POSITIVE_INFINITY}) {
            assertRefused(
                    "whole ids from 0 to 2999, got " + id + " in FLOAT of shape [2, 2]",
                    () -> teacher.logProbabilities(ids(DataType.FLOAT, id), null),
                    "id " + id);
        }
        INDArray mask = Nd4j.createFromArray(1f, 0, 1, 1).reshape(2, 2);
        INDArray[] expected = teacher.logProbabilities(new INDArray[] {ids(DataType.FLOAT, 3)}, new INDArray[] {mask});
        INDArray[] found =
                teacher.logProbabilities(new INDArray[] {ids(DataType.FLOAT16, 2049)}, new INDArray[] {mask});
        assertClose(expected[0], found[0], 0);
    }

    /** The logits of two tokens differ by their rows of the table alone. */
    @Test
    void integers_look_up_every_row_in_networks_of_every_type() {
        for (DataType type : List.of(DataType.FLOAT, DataType.DOUBLE, DataType.FLOAT16)) {
            MultiLayerNetwork network = ofRows(type);
            INDArray table = network.getParam("0_W");
            INDArray weights = network.getParam("1_W");
            INDArray logits = table.getRow(2049, true).castTo(DataType.DOUBLE).mmul(weights.castTo(DataType.DOUBLE));
            INDArray other = table.getRow(2048, true).castTo(DataType.DOUBLE).mmul(weights.castTo(DataType.DOUBLE));
            for (DataType features : List.of(DataType.INT32, DataType.INT64, DataType.FLOAT, DataType.DOUBLE)) {
                INDArray ids = Nd4j.createFromArray(2049, 2048).castTo(features).reshape(2, 1);
                INDArray found = Teacher.of(network).logProbabilities(ids, null).castTo(DataType.DOUBLE);
                INDArray difference = found.getRow(0, true).sub(found.getRow(1, true));
                INDArray expected = logits.sub(other);
                double tolerance = type == DataType.FLOAT16 ? 5e-3 : 1e-5;
                assertClose(
                        expected.sub(expected.getDouble(0)),
                        difference.sub(difference.getDouble(0)),
                        tolerance,
                        type + " " + features);
            }
        }
    }

    @Test
    void the_largest_ids_of_FLOAT() {
        int first = 1 << 24;
        EmbeddedIds ids = EmbeddedIds.of(new NeuralNetConfiguration.Builder()
                .list()
                .layer(new EmbeddingSequenceLayer.Builder()
                        .nIn(first + 5)
                        .nOut(1)
                        .build())
                .layer(output(1))
                .build());
        INDArray exact = Nd4j.createFromArray(first + 1).reshape(1, 1);
        ids.require(new INDArray[] {exact}, null);
        assertRefused(
                "below 16777216, which FLOAT holds exactly, got 16777216",
                () -> ids.require(new INDArray[] {exact.castTo(DataType.FLOAT)}, null),
                "FLOAT");
        ids.require(new INDArray[] {exact.castTo(DataType.DOUBLE)}, null);
    }
}
