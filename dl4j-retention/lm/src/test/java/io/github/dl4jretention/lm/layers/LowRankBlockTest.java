package io.github.dl4jretention.lm.layers;

import static io.github.dl4jretention.lm.layers.ReferenceBlocks.assertRelative;
import static io.github.dl4jretention.lm.layers.ReferenceBlocks.flat;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.deeplearning4j.nn.conf.GradientNormalization;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.dropout.Dropout;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.weights.WeightInitXavier;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.regularization.L2Regularization;

/** A block with adapters computes what a plain block of the merged weights does. */
class LowRankBlockTest {

    private static final LayerWorkspaceMgr WORKSPACES = LayerWorkspaceMgr.noWorkspaces();
    private static final String[] ALL = {"query", "key", "value", "projection", "gate", "up", "down"};
    private static final int WIDTH = 6;
    private static final int TIME = 5;

    private static DecoderBlock.Builder settings(boolean biases) {
        return DecoderBlock.builder()
                .width(WIDTH)
                .heads(2)
                .keyValueHeads(1)
                .headSize(4)
                .hidden(7)
                .norm(Norm.RMS_NORM, 1e-5)
                .feedForward(FeedForward.SWIGLU)
                .rotary(RotaryPositions.base(100))
                .biases(biases)
                .weightInit(new WeightInitXavier());
    }

    /** Parameters are made up, Up too, so that every adapter adds something. */
    private static LowRankBlockRuntime layer(DecoderBlock block, DataType type) {
        return (LowRankBlockRuntime) ReferenceBlocks.runtime(new LowRankBlock(block, 2, 3, ALL), type);
    }

    /** A block of weights {@code W + 3 / 2 D U}, multiplied here in plain loops. */
    private static DecoderBlockRuntime merged(LowRankBlockRuntime adapted, DataType type) {
        DecoderBlockRuntime plain = (DecoderBlockRuntime) ReferenceBlocks.runtime(adapted.block(), type);
        Map<String, INDArray> from = adapted.paramTable();
        plain.paramTable().forEach((name, array) -> {
            array.assign(from.get(name));
            INDArray down = from.get(name + "Down");
            for (int i = 0; down != null && i < array.size(0); i++) {
                for (int j = 0; j < array.size(1); j++) {
                    double added = 0;
                    for (int r = 0; r < 2; r++) {
                        added += down.getDouble(i, r) * from.get(name + "Up").getDouble(r, j);
                    }
                    array.putScalar(i, j, array.getDouble(i, j) + 1.5 * added);
                }
            }
        });
        return plain;
    }

    private static INDArray input(DataType type) {
        Nd4j.getRandom().setSeed(5);
        return Nd4j.randn(DataType.DOUBLE, 3, WIDTH, TIME).castTo(type);
    }

    private static INDArray mask(DataType type) {
        return Nd4j.createFromArray(new double[][] {{1, 1, 1, 1, 1}, {1, 1, 1, 0, 0}, {0, 1, 1, 0, 1}})
                .castTo(type);
    }

    private static double[] output(DecoderBlockRuntime layer, INDArray input, boolean training) {
        layer.setInput(input.dup(), WORKSPACES);
        return flat(layer.activate(training, WORKSPACES));
    }

    static Stream<Arguments> ways() {
        return Stream.of(true, false).flatMap(biases -> Stream.of(true, false)
                .flatMap(recompute -> Stream.of(true, false).map(general -> Arguments.of(biases, recompute, general))));
    }

    @ParameterizedTest
    @MethodSource("ways")
    void gradientsAreCentralDifferences(boolean biases, boolean recompute, boolean general) {
        DecoderBlock block = settings(biases).recompute(recompute).build();
        LowRankBlockRuntime layer = general
                ? SameDiffLayersTest.bySameDiff(() -> layer(block, DataType.DOUBLE))
                : layer(block, DataType.DOUBLE);
        assertEquals(!general, layer.isNative());
        INDArray input = input(DataType.DOUBLE);
        layer.setMaskArray(mask(DataType.DOUBLE));
        INDArray weights = Nd4j.randn(DataType.DOUBLE, input.shape());
        output(layer, input, true);
        Pair<Gradient, INDArray> found = layer.backpropGradient(weights, WORKSPACES);
        double[] back = flat(found.getSecond());
        for (int i = 0; i < input.length(); i += 7) {
            double value = input.getDouble(i);
            double above = sum(layer, input.putScalar(i, value + 1e-5), weights);
            double below = sum(layer, input.putScalar(i, value - 1e-5), weights);
            input.putScalar(i, value);
            assertEquals((above - below) / 2e-5, back[i], 1e-6, "input " + i);
        }
        LowRankBlock conf = (LowRankBlock) layer.layerConf();
        for (Map.Entry<String, INDArray> gradient :
                found.getFirst().gradientForVariable().entrySet()) {
            if (!conf.isAdapter(gradient.getKey())) {
                assertEquals(0, gradient.getValue().norm1Number().doubleValue(), gradient.getKey());
                continue;
            }
            INDArray parameter = layer.getParam(gradient.getKey());
            for (int i = 0; i < parameter.size(0); i++) {
                for (int j = 0; j < parameter.size(1); j++) {
                    double value = parameter.getDouble(i, j);
                    parameter.putScalar(i, j, value + 1e-5);
                    double above = sum(layer, input, weights);
                    parameter.putScalar(i, j, value - 1e-5);
                    double below = sum(layer, input, weights);
                    parameter.putScalar(i, j, value);
                    assertEquals(
                            (above - below) / 2e-5,
                            gradient.getValue().getDouble(i, j),
                            1e-6,
                            gradient.getKey() + " " + i + ", " + j);
                }
            }
        }
        assertEquals(
                2 * ALL.length,
                found.getFirst().gradientForVariable().keySet().stream()
                        .filter(conf::isAdapter)
                        .count());
    }

    private static double sum(DecoderBlockRuntime layer, INDArray input, INDArray weights) {
        layer.setInput(input.dup(), WORKSPACES);
        return layer.activate(false, WORKSPACES).mul(weights).sumNumber().doubleValue();
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"DOUBLE", "FLOAT", "HALF", "BFLOAT16"})
    void itIsThePlainBlockOfTheMergedWeights(DataType type) {
        // Weights, inputs and outputs are rounded to 11 and 8 bits in the short types, sums several times.
        double tolerance =
                switch (type) {
                    case DOUBLE -> 1e-12;
                    case FLOAT -> 1e-5;
                    case HALF -> 0x1p-11 * 16;
                    default -> 0x1p-8 * 16;
                };
        LowRankBlockRuntime adapted = layer(settings(true).build(), type);
        DecoderBlockRuntime plain = merged(adapted, type);
        INDArray mask = mask(type);
        adapted.setMaskArray(mask);
        plain.setMaskArray(mask);
        INDArray input = input(type);
        assertRelative("whole", output(plain, input, false), output(adapted, input, false), tolerance);
        adapted.setMaskArray(null);
        plain.setMaskArray(null);
        // Steps, then a part of a longer sequence with the state of the part before.
        for (int[] part : new int[][] {{0, 2}, {2, 3}, {3, 5}}) {
            INDArray now = part(input, part[0], part[1]);
            assertRelative(
                    "step from " + part[0],
                    flat(plain.rnnTimeStep(now.dup(), WORKSPACES)),
                    flat(adapted.rnnTimeStep(now.dup(), WORKSPACES)),
                    tolerance);
        }
        for (DecoderBlockRuntime layer : List.of(adapted, plain)) {
            layer.rnnClearPreviousState();
            layer.rnnActivateUsingStoredState(part(input, 0, 2), true, true, WORKSPACES);
            layer.rnnSetPreviousState(layer.rnnGetTBPTTState());
        }
        INDArray rest = part(input, 2, 5);
        assertRelative(
                "rest",
                flat(plain.rnnActivateUsingStoredState(rest.dup(), true, false, WORKSPACES)),
                flat(adapted.rnnActivateUsingStoredState(rest.dup(), true, false, WORKSPACES)),
                tolerance);
        assertRelative(
                "gradient of the rest",
                flat(plain.tbpttBackpropGradient(rest, 3, WORKSPACES).getSecond()),
                flat(adapted.tbpttBackpropGradient(rest, 3, WORKSPACES).getSecond()),
                tolerance);
    }

    private static INDArray part(INDArray sequences, int from, int to) {
        return sequences
                .get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.interval(from, to))
                .dup();
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void withoutAdaptersItIsTheBlock(boolean biases) {
        DecoderBlock block = settings(biases).build();
        LowRankBlock adapted = new LowRankBlock(block, 2, 3, ALL);
        DecoderBlockRuntime plain = (DecoderBlockRuntime) ReferenceBlocks.runtime(block, DataType.FLOAT);
        DecoderBlockRuntime off =
                (DecoderBlockRuntime) ReferenceBlocks.runtime(adapted.withoutAdapters(), DataType.FLOAT);
        INDArray input = input(DataType.FLOAT);
        assertArrayEquals(output(plain, input, false), output(off, input, false), 0);
    }

    @Test
    void jsonKeepsEverything() {
        LowRankBlock block = new LowRankBlock(settings(true).build(), 2, 3, "query", "down");
        NeuralNetConfiguration conf =
                new NeuralNetConfiguration.Builder().layer(block).build();
        LowRankBlock read =
                (LowRankBlock) NeuralNetConfiguration.fromJson(conf.toJson()).getLayer();
        assertEquals(block, read);
        assertEquals(List.of("query", "down"), read.getAdapted());
        assertEquals(block.getBlock(), read.getBlock());
    }

    /** What a layer does to its input, its gradients and its weights is the block's; its own weights don't decay. */
    @Test
    void settingsOfTheBlockStay() {
        DecoderBlock block = settings(false).build();
        block.setIDropout(new Dropout(0.5));
        block.setGradientNormalization(GradientNormalization.ClipL2PerLayer);
        block.setGradientNormalizationThreshold(0.7);
        block.setUpdater(new Adam(0.3));
        block.setRegularization(List.of(new L2Regularization(0.1)));
        LowRankBlock adapted = new LowRankBlock(block, 2, 3, "query");
        assertEquals(new Dropout(0.5), adapted.getIDropout());
        assertEquals(GradientNormalization.ClipL2PerLayer, adapted.getGradientNormalization());
        assertEquals(0.7, adapted.getGradientNormalizationThreshold());
        assertEquals(new Adam(0.3), adapted.getUpdaterByParam("queryUp"));
        assertEquals(LowRankBlock.frozen(), adapted.getUpdaterByParam("query"));
        assertEquals(List.of(new L2Regularization(0.1)), adapted.getRegularizationByParam("queryDown"));
        assertTrue(adapted.getRegularizationByParam("query").isEmpty());
    }

    @Test
    void whatDoesNotFitIsRefused() {
        DecoderBlock block = settings(false).build();
        assertMessage("rank: expected a number of at least 1, got 0", () -> new LowRankBlock(block, 0, 3, "query"));
        for (double alpha : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
            assertMessage(
                    "alpha: expected a finite number, got " + alpha, () -> new LowRankBlock(block, 1, alpha, "query"));
        }
        for (String[] names : new String[][] {{}, {"query", "querys"}, {"query", "query"}, {"attentionNorm"}}) {
            assertMessage("weights: expected ", () -> new LowRankBlock(block, 1, 3, names));
        }
        DecoderBlock without = settings(false).feedForward(FeedForward.RELU).build();
        assertMessage("weights: expected ", () -> new LowRankBlock(without, 1, 3, "gate"));
        assertFalse(new LowRankBlock(without, 1, 3, "up").isAdapter("up"));
    }

    private static void assertMessage(String begins, Runnable made) {
        String message = assertThrows(IllegalArgumentException.class, made::run).getMessage();
        assertTrue(message.startsWith(begins), message);
    }
}
