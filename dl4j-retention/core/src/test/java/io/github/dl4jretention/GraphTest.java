package io.github.dl4jretention;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.File;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.ScaleVertex;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Retention on chosen outputs of ComputationGraphs. */
class GraphTest {

    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().build();

    private static MultiDataSet taught(MultiDataSet batch, Teacher teacher) {
        return (MultiDataSet) new TeacherMultiDataSetIterator(plain(batch), teacher).next();
    }

    private static MultiDataSetIterator plain(MultiDataSet batch) {
        return new SingletonMultiDataSetIterator(batch);
    }

    private static TokenLoss lastLoss(ComputationGraph student) {
        return ((RetentionOutputLayerRuntime) student.getLayer("text")).lastTokenLoss();
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE", "HALF"})
    void a_student_of_several_inputs_and_outputs_trains(DataType type) {
        // Adam's epsilon of 1e-8 is 0 in HALF.
        ComputationGraph pretrained = Retention.withUpdater(Networks.graph(type, 1), new Sgd(0.05));
        Teacher teacher = Teacher.of(pretrained, "text");
        ComputationGraph student = Retention.attach(pretrained, CONF, "text");
        INDArray start = pretrained.params().dup();
        MultiDataSet batch = taught(Networks.graphBatch(type, 4, 2), teacher);
        student.fit(batch);
        assertEquals(0, lastLoss(student).divergence(), 1e-6);
        double first = student.score();
        for (int i = 0; i < 40; i++) {
            student.fit(batch);
        }
        assertTrue(student.score() < first, first + " " + student.score());
        assertTrue(lastLoss(student).divergence() > 1e-4);
        assertClose(start, pretrained.params(), 0);
        INDArray[] features = batch.getFeatures();
        ComputationGraph plain = Retention.detach(student);
        assertClose(student.output(features)[1], plain.output(features)[1], type == DataType.FLOAT16 ? 1e-3 : 1e-6);
        assertFalse(plain.getConfiguration().toJson().contains("dl4jretention"));
    }

    @Test
    void coefficient_zero_is_the_stock_graph() {
        ComputationGraph stock = Networks.graph(DataType.FLOAT, 3);
        Teacher teacher = Teacher.of(stock, "text");
        ComputationGraph student = Retention.attach(
                stock, RetentionConfiguration.builder().coefficient(0).build(), "text");
        for (int i = 0; i < 20; i++) {
            MultiDataSet batch = Networks.graphBatch(DataType.FLOAT, 3, i);
            INDArray mask = Nd4j.ones(3, Networks.TIME).putScalar(1, 3, 0);
            batch.setLabelsMaskArray(new INDArray[] {null, mask});
            stock.fit(batch);
            student.fit(taught(batch, teacher));
            assertEquals(stock.score(), student.score(), 1e-4);
        }
        assertClose(stock.params(), student.params(), 1e-5);
    }

    @Test
    void other_outputs_keep_their_layers() {
        ComputationGraph pretrained = Networks.graph(DataType.FLOAT, 4);
        ComputationGraph student = Retention.attach(pretrained, CONF, "text");
        assertEquals(
                pretrained.getLayer("other").conf().getLayer(),
                student.getLayer("other").conf().getLayer());
    }

    @Test
    void outputs_that_do_not_fit_are_refused_by_name() {
        ComputationGraph pretrained = Networks.graph(DataType.FLOAT, 5);
        for (String[] outputs : new String[][] {{}, {"other"}, {"merged"}, {"missing"}}) {
            String message = assertThrows(
                            IllegalArgumentException.class, () -> Retention.attach(pretrained, CONF, outputs))
                    .getMessage();
            assertTrue(message.contains(outputs.length == 0 ? "other" : outputs[0]), message);
            assertThrows(IllegalArgumentException.class, () -> Teacher.of(pretrained, outputs));
        }
        assertThrows(IllegalArgumentException.class, () -> Retention.detach(pretrained));
    }

    @Test
    void a_vertex_that_hides_the_logits_is_refused_by_name() {
        ComputationGraph graph = new ComputationGraph(new NeuralNetConfiguration.Builder()
                .graphBuilder()
                .addInputs("in")
                .addLayer(
                        "lstm", new LSTM.Builder().nIn(Networks.INPUTS).nOut(5).build(), "in")
                .addVertex("scaled", new ScaleVertex(2), "lstm")
                .setOutputs("scaled")
                .build());
        graph.init();
        String message = assertThrows(IllegalArgumentException.class, () -> Retention.attach(graph, CONF))
                .getMessage();
        assertTrue(message.contains("scaled") && message.contains("ScaleVertex"), message);
    }

    @Test
    void a_student_survives_JSON_and_YAML() {
        ComputationGraphConfiguration conf = Retention.attach(Networks.graph(DataType.FLOAT, 5), CONF, "text")
                .getConfiguration();
        assertEquals(conf, ComputationGraphConfiguration.fromJson(conf.toJson()));
        assertEquals(conf, ComputationGraphConfiguration.fromYaml(conf.toYaml()));
    }

    @Test
    void a_resumed_student_accepts_its_teacher_and_refuses_another(@TempDir Path folder) throws Exception {
        ComputationGraph pretrained = Networks.graph(DataType.FLOAT, 6);
        Teacher teacher = Teacher.of(pretrained, "text");
        ComputationGraph student = Retention.attach(pretrained, CONF, "text");
        MultiDataSet batch = Networks.graphBatch(DataType.FLOAT, 3, 7);
        Retention.finetune(student, teacher, plain(batch), 1);
        File file = folder.resolve("student.zip").toFile();
        student.save(file, true);
        ComputationGraph resumed = ComputationGraph.load(file, true);
        student.fit(taught(batch, teacher));
        resumed.fit(taught(batch, teacher));
        assertClose(student.params(), resumed.params(), 0);
        Teacher other = Teacher.of(Networks.graph(DataType.FLOAT, 8), "text");
        assertThrows(IllegalStateException.class, () -> resumed.fit(taught(batch, other)));
        assertThrows(IllegalStateException.class, () -> Retention.finetune(resumed, other, plain(batch), 1));
    }

    @Test
    void truncated_backpropagation() {
        ComputationGraph pretrained = Networks.graph(DataType.FLOAT, 11);
        pretrained.getConfiguration().setBackpropType(BackpropType.TruncatedBPTT);
        pretrained.getConfiguration().setTbpttFwdLength(2);
        pretrained.getConfiguration().setTbpttBackLength(2);
        Teacher teacher = Teacher.of(pretrained, "text");
        ComputationGraph student = Retention.attach(pretrained, CONF, "text");
        for (int i = 0; i < 5; i++) {
            student.fit(taught(Networks.graphBatch(DataType.FLOAT, 3, i), teacher));
        }
        assertEquals(5 * 3, student.getIterationCount());
        assertTrue(lastLoss(student).divergence() > 0);
        Teacher other = Teacher.of(Networks.graph(DataType.FLOAT, 12), "text");
        assertThrows(
                IllegalStateException.class,
                () -> student.fit(taught(Networks.graphBatch(DataType.FLOAT, 3, 1), other)));
    }

    @Test
    void frozen_layers_stay_frozen() {
        ComputationGraph pretrained = Networks.graph(DataType.FLOAT, 9);
        ComputationGraph frozen = new TransferLearning.GraphBuilder(pretrained)
                .setFeatureExtractor("merged")
                .build();
        Teacher teacher = Teacher.of(pretrained, "text");
        ComputationGraph student = Retention.attach(frozen, CONF, "text");
        INDArray before = student.getLayer("lstm").params().dup();
        INDArray head = student.getLayer("text").params().dup();
        for (int i = 0; i < 5; i++) {
            student.fit(taught(Networks.graphBatch(DataType.FLOAT, 3, i), teacher));
        }
        assertClose(before, student.getLayer("lstm").params(), 0);
        assertTrue(head.distance2(student.getLayer("text").params()) > 1e-4);
    }

    @Test
    void two_outputs_have_heads_of_their_own() {
        ComputationGraph pretrained = twoTexts(1);
        Teacher teacher = Teacher.of(pretrained);
        ComputationGraph student = Retention.attach(pretrained, CONF);
        Random random = new Random(2);
        MultiDataSet batch = new MultiDataSet(
                new INDArray[] {Networks.normal(DataType.FLOAT, random, 3, Networks.INPUTS, Networks.TIME)},
                new INDArray[] {
                    Networks.oneHot(DataType.FLOAT, 3, Networks.TIME, random),
                    Networks.oneHot(DataType.FLOAT, 3, Networks.TIME, random)
                });
        Retention.finetune(student, teacher, plain(batch), 10);
        for (String head : List.of("a", "b")) {
            assertTrue(((RetentionOutputLayerRuntime) student.getLayer(head))
                            .lastTokenLoss()
                            .divergence()
                    > 1e-4);
        }
        Teacher half = Teacher.of(pretrained, "a");
        String message = assertThrows(
                        IllegalArgumentException.class, () -> Retention.finetune(student, half, plain(batch), 1))
                .getMessage();
        assertTrue(message.contains("[a, b]") && message.contains("[a]"), message);
    }

    private static ComputationGraph twoTexts(long seed) {
        RnnOutputLayer.Builder head = new RnnOutputLayer.Builder(LossFunction.MCXENT)
                .nIn(5)
                .nOut(Networks.VOCABULARY)
                .activation(Activation.SOFTMAX)
                .dataFormat(RNNFormat.NCW);
        ComputationGraph graph = new ComputationGraph(new NeuralNetConfiguration.Builder()
                .seed(seed)
                .updater(new Adam(0.01))
                .graphBuilder()
                .addInputs("in")
                .addLayer(
                        "lstm", new LSTM.Builder().nIn(Networks.INPUTS).nOut(5).build(), "in")
                .addLayer("a", head.build(), "lstm")
                .addLayer("b", head.build(), "lstm")
                .setOutputs("a", "b")
                .build());
        graph.init();
        return graph;
    }

    @Test
    void attention_vertices_train_and_take_a_fresh_updater() {
        ComputationGraph pretrained = new ComputationGraph(new NeuralNetConfiguration.Builder()
                .seed(4)
                .updater(new Adam(0.01))
                .graphBuilder()
                .addInputs("in")
                .addLayer(
                        "lstm", new LSTM.Builder().nIn(Networks.INPUTS).nOut(4).build(), "in")
                .addVertex("attention", Networks.attention(4, 4), "lstm", "lstm", "lstm")
                .addLayer(
                        "text",
                        new RnnOutputLayer.Builder(LossFunction.MCXENT)
                                .nIn(4)
                                .nOut(Networks.VOCABULARY)
                                .activation(Activation.SOFTMAX)
                                .dataFormat(RNNFormat.NCW)
                                .build(),
                        "attention")
                .setOutputs("text")
                .build());
        pretrained.init();
        DataSet data = Networks.sequences(DataType.FLOAT, 3, 5);
        ComputationGraph student = Retention.attach(pretrained, CONF);
        Retention.finetune(student, Teacher.of(pretrained), new ExistingDataSetIterator(List.of(data)), 3);
        assertTrue(pretrained.params().distance2(student.params()) > 1e-3);
        ComputationGraph still = Retention.withUpdater(Retention.detach(student), new Sgd(0));
        INDArray before = still.params().dup();
        still.fit(data);
        assertClose(before, still.params(), 0);
    }

    @Test
    void settings_of_the_copy_are_its_own() {
        ComputationGraph pretrained = Networks.graph(DataType.FLOAT, 6);
        ComputationGraph student = Retention.attach(pretrained, CONF, "text");
        student.setLearningRate(0.7);
        assertEquals(0.01, pretrained.getLearningRate("lstm"), 1e-12);
        assertEquals(0.01, pretrained.getLearningRate("text"), 1e-12);
    }

    @Test
    void a_fresh_updater_leaves_weights_and_identity() {
        ComputationGraph pretrained = Networks.graph(DataType.FLOAT, 10);
        pretrained.fit(Networks.graphBatch(DataType.FLOAT, 3, 1));
        ComputationGraph fresh = Retention.withUpdater(pretrained, new Sgd(0.1));
        assertEquals(0, fresh.getIterationCount());
        assertClose(pretrained.params(), fresh.params(), 0);
        assertEquals(
                Teacher.of(pretrained, "text").sha256(),
                Teacher.of(fresh, "text").sha256());
    }
}
