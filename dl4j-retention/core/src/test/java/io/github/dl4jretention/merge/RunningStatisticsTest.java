package io.github.dl4jretention.merge;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/**
 * Batch normalisation with a variance, as Keras has it. By hand: mean and variance are 0 and 4 of the base, 3 and 1 of
 * the first model, 1 and 2 of the second.
 */
class RunningStatisticsTest {

    private static MultiLayerNetwork network(double mean, double variance, boolean frozen) {
        Layer normalisation =
                new BatchNormalization.Builder().nIn(3).nOut(3).useLogStd(false).build();
        MultiLayerNetwork network = Networks.stacked(
                DataType.DOUBLE,
                1,
                new DenseLayer.Builder()
                        .nIn(Networks.INPUTS)
                        .nOut(3)
                        .activation(Activation.TANH)
                        .build(),
                frozen ? new FrozenLayer(normalisation) : normalisation,
                new OutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(3)
                        .nOut(Networks.VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .build());
        network.params().addi(0.1 * mean);
        network.getParam("1_mean").assign(mean);
        network.getParam("1_var").assign(variance);
        return network;
    }

    private static final MultiLayerNetwork BASE = network(0, 4, false);
    private static final MultiLayerNetwork ONE = network(3, 1, false);
    private static final MultiLayerNetwork TWO = network(1, 2, false);

    private static Arguments of(MergeMethod method, double mean, double variance, double... weights) {
        return Arguments.of(method, weights, mean, variance);
    }

    static Stream<Arguments> methods() {
        return Stream.of(
                of(MergeMethod.wiseFt(0.25), 0.75, 3.25, 1),
                of(MergeMethod.slerp(0.25), 0.75, 3.25, 1),
                of(MergeMethod.expo(0), 3, 1, 1),
                of(MergeMethod.expo(1), 3, 1, 1),
                of(MergeMethod.taskArithmetic(), 3, 1, 1),
                of(MergeMethod.taskArithmetic(), 0, 4, 0),
                of(MergeMethod.taskArithmetic().withLambda(3), 3, 1, 1),
                of(MergeMethod.taskArithmetic().withLambda(0.25), 0.75, 3.25, 1),
                // A task that is taken away leaves the base's.
                of(MergeMethod.taskArithmetic(), 0, 4, -2),
                of(MergeMethod.taskArithmetic(), 0.25 * 3 + 0.25, 2 + 0.25 + 0.5, 0.25, 0.25),
                of(MergeMethod.taskArithmetic(), 2, 1.5, 1, 1),
                of(MergeMethod.ties(), 2, 1.5, 1, 1),
                of(MergeMethod.ties(), 2.5, 1.25, 3, 1),
                of(MergeMethod.ties(), 2, 1.5, 0.25, 0.25),
                of(MergeMethod.ties().withNormalize(false), 0.25 * 3 + 0.25, 2 + 0.25 + 0.5, 0.25, 0.25),
                of(MergeMethod.dareLinear(1), 3, 1, 1),
                of(MergeMethod.dareTies(1), 2, 1.5, 1, 1),
                of(MergeMethod.linear(), 2.5, 1.25, 3, 1),
                of(MergeMethod.linear(), 3, 1, 3, -1),
                of(MergeMethod.linear().withNormalize(false), 2, 1.5, 4, 4),
                of(MergeMethod.linear().withNormalize(false), 2, 1.5, -1, -1));
    }

    private static <N> Merge<N> ingredients(
            Merge<N> merge, MergeMethod method, double[] weights, N base, List<N> models) {
        boolean sparse = method instanceof TaskVectorMerge vectors
                && vectors.sparsification() != TaskVectorMerge.Sparsification.NONE;
        if (method.hasBase()) {
            merge.base(base);
        }
        for (int i = 0; i < weights.length; i++) {
            merge.model(models.get(i), weights[i], sparse ? 0.1 : 1);
        }
        return merge;
    }

    @ParameterizedTest
    @MethodSource("methods")
    void statistics_are_the_mean_of_the_models(
            MergeMethod method, double[] weights, double mean, double variance, @TempDir Path folder)
            throws IOException {
        MultiLayerNetwork merged = ingredients(Merge.networks(method), method, weights, BASE, List.of(ONE, TWO))
                .merge();
        for (int i = 0; i < 3; i++) {
            assertEquals(mean, merged.getParam("1_mean").getDouble(i), 1e-14);
            assertEquals(variance, merged.getParam("1_var").getDouble(i), 1e-14);
        }
        INDArray output = merged.output(Networks.rows(DataType.DOUBLE, 4, 1).getFeatures());
        assertFalse(output.isNaN().any());
        List<Path> files = Stream.of("base", "one", "two").map(folder::resolve).toList();
        BASE.save(files.get(0).toFile(), false);
        ONE.save(files.get(1).toFile(), false);
        TWO.save(files.get(2).toFile(), false);
        Path out = ingredients(
                        Merge.files(method, folder.resolve("out")), method, weights, files.get(0), files.subList(1, 3))
                .merge();
        assertClose(merged.params(), MultiLayerNetwork.load(out.toFile(), false).params(), 0);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void other_parameters_are_merged_by_the_method(boolean frozen) {
        MultiLayerNetwork base = network(0, 4, frozen);
        MultiLayerNetwork model = network(3, 1, frozen);
        MultiLayerNetwork merged =
                Merge.networks(MergeMethod.expo(1)).base(base).model(model).merge();
        assertEquals(1, merged.getParam("1_var").getDouble(0));
        for (String name : List.of("0_W", "0_b", "1_gamma", "1_beta", "2_W")) {
            INDArray way = model.getParam(name).sub(base.getParam(name));
            assertTrue(way.amaxNumber().doubleValue() > 0.2);
            assertClose(model.getParam(name).add(way), merged.getParam(name), 1e-14);
        }
    }

    @Test
    void deviations_are_averaged_as_the_logarithms_that_they_are() {
        MultiLayerNetwork[] models = new MultiLayerNetwork[2];
        for (int i = 0; i < 2; i++) {
            models[i] = Networks.stacked(
                    DataType.DOUBLE,
                    1,
                    new BatchNormalization.Builder().nIn(4).nOut(4).build(),
                    new OutputLayer.Builder(LossFunction.MCXENT).nIn(4).nOut(2).build());
            models[i].getParam("0_log10stdev").assign(-1 - i);
        }
        MultiLayerNetwork beyond = Merge.networks(MergeMethod.expo(2))
                .base(models[0])
                .model(models[1])
                .merge();
        assertEquals(-2, beyond.getParam("0_log10stdev").getDouble(0));
        MultiLayerNetwork between = Merge.networks(MergeMethod.wiseFt(0.25))
                .base(models[0])
                .model(models[1])
                .merge();
        assertEquals(-1.25, between.getParam("0_log10stdev").getDouble(0), 1e-15);
    }
}
