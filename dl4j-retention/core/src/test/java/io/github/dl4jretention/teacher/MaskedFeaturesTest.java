package io.github.dl4jretention.teacher;

import static io.github.dl4jretention.Networks.assertClose;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.CacheCodec;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.loss.RetentionConfiguration;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * Features masks mean what they mean in stock networks, for teachers and students, and what they leave out may be no
 * number. With attention, for DL4J's LSTMs read what's masked.
 */
class MaskedFeaturesTest {

    private static final int LEFT_OUT = 2;
    private static final int BATCH = 3;

    private static MultiLayerNetwork network(DataType type, long seed) {
        return Networks.stacked(
                type,
                seed,
                new SelfAttentionLayer.Builder()
                        .nIn(Networks.INPUTS)
                        .nOut(10)
                        .nHeads(2)
                        .projectInput(true)
                        .build(),
                new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(10)
                        .nOut(Networks.VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(RNNFormat.NCW)
                        .build());
    }

    private static DataSet masked(DataType type, double junk) {
        DataSet whole = Networks.sequences(type, BATCH, 5);
        INDArray mask = Nd4j.ones(type, BATCH, Networks.TIME);
        for (int t = 0; t < LEFT_OUT; t++) {
            whole.getFeatures()
                    .get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.point(t))
                    .assign(junk);
            mask.getColumn(t).assign(0);
        }
        return new DataSet(whole.getFeatures(), whole.getLabels(), mask, mask.dup());
    }

    private static DataSetIterator one(DataSet data) {
        return new ExistingDataSetIterator(List.of(data));
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE"})
    void a_teacher_uses_the_mask_as_a_stock_network_does(DataType type, @TempDir Path folder) throws IOException {
        MultiLayerNetwork network = network(type, 1);
        DataSet data = masked(type, 3);
        INDArray features = data.getFeatures();
        INDArray mask = data.getFeaturesMaskArray();
        INDArray expected = unmasked(network.output(features, false, mask, null));
        Networks.assertMoved(unmasked(network.output(features)), expected, 1e-3);
        Map<String, Teacher> teachers = new LinkedHashMap<>();
        teachers.put("network", Teacher.of(network));
        teachers.put("graph", Teacher.of(network.toComputationGraph()));
        teachers.put("average", Teacher.movingAverage(network, 0.5));
        teachers.put("mixture", Teacher.weighted(List.of(Teacher.of(network), Teacher.of(network)), 1, 1));
        teachers.put(
                "cache",
                TeacherCache.builder()
                        .pretrained(network)
                        .codec(CacheCodec.half())
                        .folder(folder)
                        .build(one(data)));
        teachers.forEach((what, teacher) -> {
            INDArray found = unmasked(teacher.logProbabilities(features, mask)).castTo(type);
            assertClose(expected, Transforms.exp(found), what.equals("cache") ? 1e-3 : 1e-5, what);
        });
    }

    private static INDArray unmasked(INDArray array) {
        return array.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.interval(LEFT_OUT, Networks.TIME))
                .dup();
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE"})
    void what_is_no_number_under_the_mask_is_0(DataType type) {
        MultiLayerNetwork network = Retention.withUpdater(network(type, 1), new Sgd(0.5));
        Teacher other = Teacher.of(network(type, 2));
        Teacher otherGraph = Teacher.of(network(type, 2).toComputationGraph());
        RetentionConfiguration conf =
                RetentionConfiguration.builder().coefficient(2).build();
        MultiLayerNetwork expected = Retention.attach(network, conf, other);
        Retention.finetune(expected, other, one(masked(type, 0)), 2);
        Networks.assertMoved(network.params(), expected.params(), 1e-2);
        for (double junk : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
            MultiLayerNetwork student = Retention.attach(network, conf, other);
            Retention.finetune(student, other, one(masked(type, junk)), 2);
            assertClose(expected.params(), student.params(), 0, "network " + junk);
            ComputationGraph graph = Retention.attach(network.toComputationGraph(), conf, otherGraph);
            Retention.finetune(graph, otherGraph, new MultiDataSetIteratorAdapter(one(masked(type, junk))), 2);
            assertClose(expected.params(), graph.params(), 1e-5, "graph " + junk);
        }
    }
}
