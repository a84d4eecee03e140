package io.github.dl4jretention.teacher;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import java.util.List;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataBuffer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Teachers with parameters in half precision, and with parameters that are the student's. */
class LowMemoryTeachersTest {

    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().build();

    private static RnnOutputLayer rnnOutput(int inputs) {
        return new RnnOutputLayer.Builder(LossFunction.MCXENT)
                .nIn(inputs)
                .nOut(Networks.VOCABULARY)
                .activation(Activation.SOFTMAX)
                .dataFormat(RNNFormat.NCW)
                .build();
    }

    private static LSTM lstm(int outputs) {
        return new LSTM.Builder().nIn(Networks.INPUTS).nOut(outputs).build();
    }

    static Stream<MultiLayerNetwork> networks() {
        DataType type = DataType.FLOAT;
        return Stream.of(
                Networks.lstm(type, 1),
                Networks.lstm(DataType.DOUBLE, 2),
                Networks.stacked(type, 3, new Bidirectional(Bidirectional.Mode.CONCAT, lstm(3)), rnnOutput(6)),
                Networks.stacked(
                        type,
                        4,
                        new LastTimeStep(lstm(7)),
                        new OutputLayer.Builder(LossFunction.MCXENT)
                                .nIn(7)
                                .nOut(Networks.VOCABULARY)
                                .activation(Activation.SOFTMAX)
                                .build()),
                Networks.stacked(
                        type,
                        5,
                        new FrozenLayer(lstm(4)),
                        new SelfAttentionLayer.Builder()
                                .nIn(4)
                                .nOut(5)
                                .nHeads(1)
                                .projectInput(true)
                                .build(),
                        rnnOutput(5)));
    }

    private static MultiLayerNetwork rounded(MultiLayerNetwork network) {
        MultiLayerNetwork rounded = network.clone();
        INDArray params = network.params();
        rounded.setParams(params.castTo(DataType.FLOAT16).castTo(params.dataType()));
        return rounded;
    }

    /** Which is widened a part at a time. */
    @Test
    void halves_of_a_large_vocabulary_are_rounded_parameters_too() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .seed(3)
                .list()
                .layer(lstm(7))
                .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(7)
                        .nOut(10_001)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(RNNFormat.NCW)
                        .build())
                .build());
        network.init();
        network.getLayer(1).getParam("b").assign(Nd4j.linspace(DataType.FLOAT, -1, 0.0002, 10_001));
        INDArray features = Networks.sequences(DataType.FLOAT, 3, 1).getFeatures();
        try (Teacher half = Teacher.ofHalf(network);
                Teacher expected = Teacher.of(rounded(network))) {
            assertClose(expected.logProbabilities(features, null), half.logProbabilities(features, null), 1e-5);
            INDArray one = features.get(NDArrayIndex.interval(0, 1), NDArrayIndex.all(), NDArrayIndex.interval(0, 1));
            assertClose(expected.logProbabilities(one, null), half.logProbabilities(one, null), 1e-5);
        }
    }

    @ParameterizedTest
    @MethodSource("networks")
    void a_teacher_of_halves_is_one_of_rounded_parameters(MultiLayerNetwork network) {
        INDArray start = network.params().dup();
        Teacher half = Teacher.ofHalf(network);
        Teacher full = Teacher.of(network);
        INDArray mask = Nd4j.ones(3, Networks.TIME)
                .putScalar(1, 4, 0)
                .putScalar(2, 3, 0)
                .putScalar(2, 4, 0);
        for (long seed = 0; seed < 2; seed++) {
            INDArray features = Networks.sequences(start.dataType(), 3, seed).getFeatures();
            for (INDArray given : new INDArray[] {null, mask}) {
                INDArray found = half.logProbabilities(features, given);
                assertClose(Teacher.of(rounded(network)).logProbabilities(features, given), found, 0);
                assertClose(full.logProbabilities(features, given), found, 5e-3);
            }
        }
        assertClose(start, network.params(), 0);
        assertNotEquals(full.sha256(), half.sha256());
        assertEquals(half.sha256(), Teacher.ofHalf(network).sha256());
        assertEquals(full.outputs(), half.outputs());
    }

    private static MultiLayerNetwork inner(Teacher teacher) {
        return (MultiLayerNetwork) ((NetworkTeacher) teacher).model();
    }

    private static DataBuffer buffer(INDArray view) {
        return view.data().originalDataBuffer() == null
                ? view.data()
                : view.data().originalDataBuffer();
    }

    @Test
    void one_layer_at_a_time_is_widened() {
        MultiLayerNetwork network = Networks.dense(DataType.DOUBLE, 6, true);
        MultiLayerNetwork inner = inner(Teacher.ofHalf(network));
        assertEquals(0, inner.params().length());
        DataBuffer widened = buffer(inner.getLayer(0).params());
        assertSame(widened, buffer(inner.getLayer(1).params()));
        long longest = Math.max(
                network.getLayer(0).params().length(),
                network.getLayer(1).params().length());
        assertEquals(longest, widened.length());
    }

    @Test
    void an_output_layer_of_floats_reads_halves() {
        MultiLayerNetwork network = Networks.dense(DataType.FLOAT, 6, true);
        MultiLayerNetwork inner = inner(Teacher.ofHalf(network));
        assertEquals(DataType.FLOAT16, inner.getLayer(1).params().dataType());
        assertEquals(
                network.getLayer(0).params().length(),
                buffer(inner.getLayer(0).params()).length());
    }

    @Test
    void batch_normalisation_and_shapes_of_images_of_rows() {
        MultiLayerNetwork network = Networks.stacked(
                DataType.FLOAT,
                7,
                new DenseLayer.Builder().nIn(Networks.INPUTS).nOut(6).build(),
                new BatchNormalization.Builder().nIn(6).nOut(6).build(),
                new OutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(6)
                        .nOut(Networks.VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .build());
        network.fit(Networks.rows(DataType.FLOAT, 8, 1));
        INDArray features = Networks.rows(DataType.FLOAT, 4, 2).getFeatures();
        assertClose(
                Teacher.of(rounded(network)).logProbabilities(features, null),
                Teacher.ofHalf(network).logProbabilities(features, null),
                0);
    }

    private static ComputationGraph attention(long seed) {
        ComputationGraph graph = new ComputationGraph(new NeuralNetConfiguration.Builder()
                .seed(seed)
                .updater(new Sgd(0.1))
                .graphBuilder()
                .addInputs("left", "right")
                .addLayer("lstm", lstm(5), "left")
                .addVertex(
                        "attention",
                        new AttentionVertex.Builder()
                                .nInQueries(5)
                                .nInKeys(Networks.INPUTS)
                                .nInValues(Networks.INPUTS)
                                .nOut(6)
                                .nHeads(1)
                                .projectInput(true)
                                .build(),
                        "lstm",
                        "right",
                        "right")
                .addLayer("text", rnnOutput(6), "attention")
                .setOutputs("text")
                .build());
        graph.init();
        return graph;
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE"})
    void a_graph_of_halves(DataType type) {
        ComputationGraph graph = Networks.graph(type, 8);
        ComputationGraph rounded = graph.clone();
        rounded.setParams(graph.params().castTo(DataType.FLOAT16).castTo(type));
        INDArray[] features = Networks.graphBatch(type, 3, 9).getFeatures();
        assertClose(
                Teacher.of(rounded, "text").logProbabilities(features, null)[0],
                Teacher.ofHalf(graph, "text").logProbabilities(features, null)[0],
                0);
    }

    @Test
    void attention_vertices_of_a_graph_keep_full_precision() {
        ComputationGraph graph = attention(10);
        ComputationGraph rounded = graph.clone();
        for (String name : List.of("lstm", "text")) {
            INDArray view = rounded.getLayer(name).params();
            view.assign(view.castTo(DataType.FLOAT16).castTo(DataType.FLOAT));
        }
        INDArray[] features = Networks.graphBatch(DataType.FLOAT, 3, 11).getFeatures();
        assertClose(
                Teacher.of(rounded).logProbabilities(features, null)[0],
                Teacher.ofHalf(graph).logProbabilities(features, null)[0],
                0);
    }

    @Test
    void a_student_of_a_teacher_of_halves() {
        MultiLayerNetwork network = Networks.lstm(DataType.FLOAT, 12);
        Teacher half = Teacher.ofHalf(network);
        MultiLayerNetwork student = Retention.attach(network, CONF, half);
        Retention.finetune(student, half, new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 3, true)), 3);
        assertTrue(Networks.lastLoss(student).divergence() > 0);
        MultiLayerNetwork other = Retention.attach(network, CONF);
        assertThrows(
                IllegalStateException.class,
                () -> Retention.finetune(
                        other, half, new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 3, true)), 1));
    }

    @Test
    void networks_that_halves_do_not_hold_are_refused() {
        MultiLayerNetwork half = Networks.lstm(DataType.FLOAT16, 13);
        assertThrows(IllegalArgumentException.class, () -> Teacher.ofHalf(half));
        MultiLayerNetwork large = Networks.lstm(DataType.FLOAT, 13);
        large.params().putScalar(3, 70000);
        String message = assertThrows(IllegalArgumentException.class, () -> Teacher.ofHalf(large))
                .getMessage();
        assertTrue(message.contains("65504") && message.contains("70000"), message);
    }

    private static MultiLayerNetwork frozen(MultiLayerNetwork pretrained) {
        return Retention.attach(
                new TransferLearning.Builder(pretrained).setFeatureExtractor(0).build(), CONF);
    }

    private static MultiLayerNetwork threeLayers(long seed) {
        return Networks.stacked(
                DataType.FLOAT, seed, lstm(5), new LSTM.Builder().nIn(5).nOut(6).build(), rnnOutput(6));
    }

    @Test
    void frozen_layers_share_the_students_parameters_and_never_change() {
        MultiLayerNetwork pretrained = threeLayers(14);
        MultiLayerNetwork student = frozen(pretrained);
        Teacher teacher = Teacher.sharing(pretrained, student);
        assertEquals(Teacher.of(pretrained).sha256(), teacher.sha256());
        MultiLayerNetwork inner = inner(teacher);
        assertSame(buffer(student.params()), buffer(inner.getLayer(0).params()));
        assertEquals(
                pretrained.numParams() - pretrained.getLayer(0).numParams(),
                inner.params().length());
        assertTrue(buffer(student.params()) != buffer(inner.getLayer(1).params()));

        INDArray features = Networks.sequences(DataType.FLOAT, 3, 15).getFeatures();
        INDArray expected = Teacher.of(pretrained).logProbabilities(features, null);
        assertClose(expected, teacher.logProbabilities(features, null), 0);
        INDArray start = student.params().dup();
        Retention.finetune(student, teacher, new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 4, true)), 5);
        assertTrue(student.params().distance2(start) > 0.1);
        assertClose(expected, teacher.logProbabilities(features, null), 0);

        student.params().putScalar(2, student.params().getFloat(2) + 1e-6f);
        String message = assertThrows(IllegalStateException.class, () -> teacher.logProbabilities(features, null))
                .getMessage();
        assertTrue(message.contains("\"0\"") && message.contains("changed"), message);
    }

    @Test
    void a_graph_shares_its_frozen_layers() {
        ComputationGraph pretrained = Networks.graph(DataType.FLOAT, 16);
        ComputationGraph student = Retention.attach(
                new TransferLearning.GraphBuilder(pretrained)
                        .setFeatureExtractor("second")
                        .build(),
                CONF,
                "text");
        Teacher teacher = Teacher.sharing(pretrained, student, "text");
        MultiDataSet batch = Networks.graphBatch(DataType.FLOAT, 3, 17);
        INDArray expected = Teacher.of(pretrained, "text").logProbabilities(batch.getFeatures(), null)[0];
        assertClose(expected, teacher.logProbabilities(batch.getFeatures(), null)[0], 0);
        ComputationGraph inner = (ComputationGraph) ((NetworkTeacher) teacher).model();
        assertSame(buffer(student.params()), buffer(inner.getLayer("second").params()));
        long frozen = pretrained.getLayer("second").numParams();
        assertEquals(pretrained.numParams() - frozen, inner.params().length());
        student.fit(new TeacherMultiDataSetIterator(
                        new org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator(batch), teacher)
                .next());
        assertClose(expected, teacher.logProbabilities(batch.getFeatures(), null)[0], 0);
    }

    @Test
    void layers_frozen_with_backprop_are_shared_too() {
        MultiLayerNetwork pretrained =
                Networks.stacked(DataType.FLOAT, 18, new FrozenLayerWithBackprop(lstm(5)), rnnOutput(5));
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        Teacher teacher = Teacher.sharing(pretrained, student);
        assertSame(buffer(student.params()), buffer(inner(teacher).getLayer(0).params()));
        DataSet data = Networks.sequences(DataType.FLOAT, 3, 19);
        assertClose(
                Teacher.of(pretrained).logProbabilities(data.getFeatures(), null),
                teacher.logProbabilities(data.getFeatures(), null),
                0);
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE"})
    void layers_that_a_learning_rate_of_0_freezes_are_shared_until_they_are_thawed(DataType type) {
        LSTM still = lstm(5);
        still.setIUpdater(new Sgd(0));
        MultiLayerNetwork pretrained = Networks.stacked(type, 22, still, rnnOutput(5));
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        Teacher teacher = Teacher.sharing(pretrained, student);
        assertSame(buffer(student.params()), buffer(inner(teacher).getLayer(0).params()));
        INDArray features = Networks.sequences(type, 3, 23).getFeatures();
        INDArray expected = Teacher.of(pretrained).logProbabilities(features, null);
        Retention.finetune(student, teacher, new ExistingDataSetIterator(Networks.batches(type, 3, true)), 1);
        assertClose(expected, teacher.logProbabilities(features, null), 0);
        student.setLearningRate(0.1);
        String message = assertThrows(
                        TeacherException.class,
                        () -> Retention.finetune(
                                student, teacher, new ExistingDataSetIterator(Networks.batches(type, 3, true)), 2))
                .getMessage();
        assertTrue(message.contains("\"0\"") && message.contains("changed"), message);
        assertThrows(TeacherException.class, () -> teacher.logProbabilities(features, null));
    }

    @Test
    void students_that_cannot_share_are_refused() {
        MultiLayerNetwork pretrained = threeLayers(20);
        MultiLayerNetwork free = Retention.attach(pretrained, CONF);
        String none = assertThrows(IllegalArgumentException.class, () -> Teacher.sharing(pretrained, free))
                .getMessage();
        assertTrue(none.contains("frozen"), none);
        MultiLayerNetwork other = frozen(threeLayers(21));
        String different = assertThrows(IllegalArgumentException.class, () -> Teacher.sharing(pretrained, other))
                .getMessage();
        assertTrue(different.contains("\"0\""), different);
    }

    @Test
    void a_layer_that_is_copied_alone_is_a_copy_too() {
        MultiLayerNetwork pretrained = Networks.stacked(DataType.FLOAT, 24, lstm(5), rnnOutput(5));
        INDArray params = pretrained.params();
        Teacher teacher = Teacher.sharing(pretrained, frozen(pretrained));
        assertTrue(buffer(params) != buffer(inner(teacher).params()));
        INDArray features = Networks.sequences(DataType.FLOAT, 3, 25).getFeatures();
        INDArray expected = teacher.logProbabilities(features, null);
        params.addi(1);
        assertClose(expected, teacher.logProbabilities(features, null), 0);
        teacher.close();
        assertFalse(params.wasClosed());
    }
}
