package io.github.dl4jretention.lm.layers;

import static io.github.dl4jretention.lm.layers.DecoderNetworkTest.TIME;
import static io.github.dl4jretention.lm.layers.DecoderNetworkTest.VOCABULARY;
import static io.github.dl4jretention.lm.layers.ReferenceBlocks.assertRelative;
import static io.github.dl4jretention.lm.layers.ReferenceBlocks.flat;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.loss.TiedOutputLayer;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.File;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;

/** Decoder layers as vertices of a ComputationGraph do what they do in a MultiLayerNetwork. */
class DecoderGraphTest {

    private static final String[] NAMES = {"embedding", "first", "second", "norm", "output"};

    /** A graph of a network's layers, with its parameters. */
    private static ComputationGraph graph(MultiLayerNetwork network) {
        ComputationGraphConfiguration.GraphBuilder builder = new NeuralNetConfiguration.Builder()
                .seed(7)
                .dataType(network.params().dataType())
                .updater(new Adam(1e-2))
                .graphBuilder()
                .addInputs("ids")
                .setInputTypes(InputType.recurrent(VOCABULARY))
                .setOutputs("output");
        MultiLayerConfiguration conf = MultiLayerConfiguration.fromJson(
                network.getLayerWiseConfigurations().toJson());
        for (int i = 0; i < NAMES.length; i++) {
            builder.addLayer(NAMES[i], conf.getConf(i).getLayer(), i == 0 ? "ids" : NAMES[i - 1]);
        }
        ComputationGraph graph = new ComputationGraph(builder.build());
        graph.init(network.params().dup(), false);
        return graph;
    }

    private static MultiDataSet multi(DataSet data) {
        return data.toMultiDataSet();
    }

    private static TeacherMultiDataSetIterator taught(DataSet data, Teacher teacher) {
        return new TeacherMultiDataSetIterator(new SingletonMultiDataSetIterator(multi(data)), teacher);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void valuesAndGradientsAreThoseOfAMultiLayerNetwork(boolean tied) {
        MultiLayerNetwork network = DecoderNetworkTest.network(DataType.DOUBLE, tied);
        ComputationGraph graph = graph(network);
        DataSet data = DecoderNetworkTest.batch(DataType.DOUBLE, 1, 3, true);
        INDArray mask = data.getFeaturesMaskArray();
        assertArrayEquals(
                flat(network.output(data.getFeatures(), false, mask, null)),
                flat(graph.output(false, new INDArray[] {data.getFeatures()}, new INDArray[] {mask}, null)[0]));
        network.setInput(data.getFeatures());
        network.setLabels(data.getLabels());
        network.setLayerMaskArrays(mask, data.getLabelsMaskArray());
        network.computeGradientAndScore();
        graph.setInputs(data.getFeatures());
        graph.setLabels(data.getLabels());
        graph.setLayerMaskArrays(new INDArray[] {mask}, new INDArray[] {data.getLabelsMaskArray()});
        graph.computeGradientAndScore();
        assertEquals(network.score(), graph.score(), 1e-12);
        assertArrayEquals(flat(network.getGradientsViewArray()), flat(graph.getGradientsViewArray()));
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void retentionAttachesTrainsAndDetaches(boolean tied, @TempDir Path folder) throws Exception {
        MultiLayerNetwork network = DecoderNetworkTest.network(DataType.FLOAT, tied);
        ComputationGraph pretrained = graph(network);
        RetentionConfiguration conf =
                RetentionConfiguration.builder().coefficient(2).build();
        ComputationGraph student = Retention.attach(pretrained, conf);
        MultiLayerNetwork other = Retention.attach(network, conf);
        Teacher teacher = Teacher.of(pretrained);
        Teacher otherTeacher = Teacher.of(network);
        for (int step = 0; step < 5; step++) {
            DataSet data = DecoderNetworkTest.batch(DataType.FLOAT, step, 3, true);
            student.fit(taught(data, teacher), 1);
            other.fit(DecoderNetworkTest.taught(data, otherTeacher), 1);
            RetentionOutputLayerRuntime head = (RetentionOutputLayerRuntime) student.getOutputLayer(0);
            double divergence = head.lastTokenLoss().divergence();
            assertTrue(step == 0 ? Math.abs(divergence) < 1e-6 : divergence > 1e-5, "step " + step + ": " + divergence);
        }
        assertRelative("parameters", flat(other.params()), flat(student.params()), 1e-6);

        ComputationGraph plain = Retention.detach(student);
        File file = folder.resolve("graph.zip").toFile();
        student.save(file, true);
        ComputationGraph loaded = ComputationGraph.load(file, true);
        assertEquals(student.getConfiguration(), loaded.getConfiguration());
        INDArray ids = DecoderNetworkTest.batch(DataType.FLOAT, 9, 2, false).getFeatures();
        assertArrayEquals(flat(student.outputSingle(ids)), flat(loaded.outputSingle(ids)));
        assertRelative("detached", flat(student.outputSingle(ids)), flat(plain.outputSingle(ids)), 1e-6);
        DataSet next = DecoderNetworkTest.batch(DataType.FLOAT, 10, 3, true);
        student.fit(taught(next, teacher), 1);
        loaded.fit(taught(next, teacher), 1);
        assertArrayEquals(flat(student.params()), flat(loaded.params()));
    }

    @Test
    void generatingByStepsGivesTheWholeWindow() {
        ComputationGraph graph = graph(DecoderNetworkTest.network(DataType.DOUBLE, true));
        INDArray ids = DecoderNetworkTest.batch(DataType.DOUBLE, 3, 2, false).getFeatures();
        INDArray whole = graph.outputSingle(ids).dup();
        int from = 0;
        for (int length : new int[] {3, 1, 2}) {
            INDArray part = DecoderNetworkTest.times(ids, from, from + length).dup();
            double[] expected = flat(DecoderNetworkTest.times(whole, from, from + length));
            assertRelative("from " + from, expected, flat(graph.rnnTimeStep(part)[0]), 1e-12);
            from += length;
        }
        assertEquals(TIME, from);
    }

    @Test
    void truncatedBackpropagationIsThatOfAMultiLayerNetwork() {
        MultiLayerNetwork network = DecoderNetworkTest.network(DataType.DOUBLE, true);
        ComputationGraph graph = graph(network);
        network.getLayerWiseConfigurations().setBackpropType(BackpropType.TruncatedBPTT);
        network.getLayerWiseConfigurations().setTbpttFwdLength(4);
        network.getLayerWiseConfigurations().setTbpttBackLength(4);
        graph.getConfiguration().setBackpropType(BackpropType.TruncatedBPTT);
        graph.getConfiguration().setTbpttFwdLength(4);
        graph.getConfiguration().setTbpttBackLength(4);
        for (int step = 0; step < 3; step++) {
            DataSet data = DecoderNetworkTest.batch(DataType.DOUBLE, step, 3, true);
            network.fit(data);
            graph.fit(multi(data));
        }
        assertRelative("parameters", flat(network.params()), flat(graph.params()), 1e-12);
    }

    @Test
    void aFrozenPartStays() {
        ComputationGraph graph = graph(DecoderNetworkTest.network(DataType.FLOAT, false));
        ComputationGraph frozen = new TransferLearning.GraphBuilder(graph)
                .fineTuneConfiguration(new FineTuneConfiguration.Builder()
                        .updater(new Sgd(0.1))
                        .build())
                .setFeatureExtractor("first")
                .build();
        frozen.fit(multi(DecoderNetworkTest.batch(DataType.FLOAT, 1, 4, true)));
        for (String name : List.of("embedding", "first")) {
            assertArrayEquals(
                    flat(graph.getLayer(name).params()),
                    flat(frozen.getLayer(name).params()),
                    name);
        }
        assertTrue(!Arrays.equals(
                flat(graph.getLayer("second").params()),
                flat(frozen.getLayer("second").params())));
    }

    @Test
    void theTiedWeightIsOneParameter() {
        ComputationGraph graph = graph(DecoderNetworkTest.network(DataType.FLOAT, true));
        assertTrue(graph.getConfiguration().toJson().contains(TiedOutputLayer.class.getName()));
        graph.fit(multi(DecoderNetworkTest.batch(DataType.FLOAT, 1, 2, false)));
        assertEquals(0, graph.getLayer("output").numParams());
        assertEquals(
                2 * graph.numParams(), graph.getUpdater().getStateViewArray().length());
    }
}
