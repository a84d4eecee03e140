package io.github.dl4jretention.lm.layers;

import static io.github.dl4jretention.lm.layers.ReferenceBlocks.assertRelative;
import static io.github.dl4jretention.lm.layers.ReferenceBlocks.flat;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.lm.layers.ReferenceBlocks.Case;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.teacher.Teacher;
import java.util.Map;
import java.util.Random;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
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
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;

/** The way of other number types and backends gives the numbers of the fast one. */
class SameDiffLayersTest {

    static <T> T bySameDiff(Supplier<T> made) {
        System.setProperty(TokenLayerRuntime.SAMEDIFF, "true");
        try {
            return made.get();
        } finally {
            System.clearProperty(TokenLayerRuntime.SAMEDIFF);
        }
    }

    static Stream<Arguments> blocks() {
        return ReferenceBlocks.all().stream().flatMap(c -> Stream.of(0.0, 0.3).map(drop -> Arguments.of(c, drop)));
    }

    @ParameterizedTest
    @MethodSource("blocks")
    void valuesAndGradientsAreThoseOfTheFastWay(Case reference, double drop) {
        DecoderBlock block = reference
                .builder()
                .attentionDropout(drop)
                .residualDropout(drop / 2)
                .build();
        assertSame(
                reference.layer(block, DataType.DOUBLE),
                bySameDiff(() -> reference.layer(block, DataType.DOUBLE)),
                reference.input(DataType.DOUBLE),
                reference.mask(DataType.DOUBLE),
                reference.outputGradient(DataType.DOUBLE));
    }

    /** Two sequences of two and three documents, the last with padding between them. */
    @Test
    void documentsThatShareASequenceDontSeeEachOther() {
        Case reference = ReferenceBlocks.all().get(0);
        DecoderBlock block = reference.builder().build();
        INDArray input = reference.input(DataType.DOUBLE);
        double first = DecoderBlock.FIRST_DOCUMENT;
        double[][] documents = {
            {first, first, first + 1, first + 1, first + 1}, {first, first + 1, first + 1, 0, first + 2}
        };
        assertEquals(documents[0].length, input.size(2));
        assertSame(
                reference.layer(block, DataType.DOUBLE),
                bySameDiff(() -> reference.layer(block, DataType.DOUBLE)),
                input,
                Nd4j.createFromArray(documents),
                reference.outputGradient(DataType.DOUBLE));
    }

    static Stream<Arguments> blocksAndTypes() {
        return ReferenceBlocks.all().stream()
                .flatMap(c -> Stream.of(DataType.DOUBLE, DataType.FLOAT).map(type -> Arguments.of(c, type)));
    }

    /** Truncated backpropagation and steps, under a mask: tokens come after others that are kept, or masked. */
    @ParameterizedTest
    @MethodSource("blocksAndTypes")
    void partsOfSequencesAreThoseOfTheFastWay(Case reference, DataType type) {
        DecoderBlock block = reference.builder().build();
        double tolerance = type == DataType.DOUBLE ? 1e-9 : 1e-5;
        DecoderBlockRuntime fast = reference.layer(block, type);
        DecoderBlockRuntime general = bySameDiff(() -> reference.layer(block, type));
        INDArray input = reference.input(type);
        INDArray gradient = reference.outputGradient(type);
        int batch = Math.toIntExact(input.size(0));
        int time = Math.toIntExact(input.size(2));
        INDArray mask = Nd4j.ones(type, batch, time).putScalar(0, 1, 0).putScalar(batch - 1, 0, 0);
        LayerWorkspaceMgr workspaces = LayerWorkspaceMgr.noWorkspaces();
        for (boolean training : new boolean[] {true, false}) {
            fast.rnnClearPreviousState();
            general.rnnClearPreviousState();
            for (int[] part : new int[][] {{0, 2}, {2, 3}, {3, time}}) {
                double[][] outputs = new double[2][];
                double[][] back = new double[2][];
                double[][] gradients = new double[2][];
                for (int i = 0; i < 2; i++) {
                    DecoderBlockRuntime layer = i == 0 ? fast : general;
                    layer.setMaskArray(mask.get(NDArrayIndex.all(), NDArrayIndex.interval(part[0], part[1]))
                            .dup());
                    INDArray now =
                            DecoderNetworkTest.times(input, part[0], part[1]).dup();
                    if (training) {
                        outputs[i] = flat(layer.rnnActivateUsingStoredState(now, true, true, workspaces));
                        INDArray epsilon = DecoderNetworkTest.times(gradient, part[0], part[1])
                                .dup();
                        back[i] = flat(layer.tbpttBackpropGradient(epsilon, time, workspaces)
                                .getSecond());
                        gradients[i] = flat(layer.getGradientsViewArray());
                        layer.rnnSetPreviousState(layer.rnnGetTBPTTState());
                    } else {
                        outputs[i] = flat(layer.rnnTimeStep(now, workspaces));
                    }
                }
                String from = "from " + part[0] + ", ";
                assertRelative(from + "output", outputs[0], outputs[1], tolerance);
                if (training) {
                    assertRelative(from + "input's gradient", back[0], back[1], tolerance);
                    assertRelative(from + "gradients", gradients[0], gradients[1], tolerance);
                }
            }
        }
    }

    @Test
    void scoresThatNoArrayHoldsAreRefused() {
        DecoderBlock block = DecoderBlock.builder()
                .width(2)
                .heads(1)
                .hidden(1)
                .weightInit(new WeightInitXavier())
                .build();
        TokenLayerRuntime layer = bySameDiff(() -> ReferenceBlocks.runtime(block, DataType.FLOAT));
        LayerWorkspaceMgr workspaces = LayerWorkspaceMgr.noWorkspaces();
        layer.setInput(Nd4j.zeros(DataType.FLOAT, 8, 2, 16_384), workspaces);
        String message = assertThrows(IllegalArgumentException.class, () -> layer.activate(false, workspaces))
                .getMessage();
        assertTrue(message.contains("got [8, 16384, 16384]"), message);
    }

    @ParameterizedTest
    @EnumSource(Norm.class)
    void normsAreThoseOfTheFastWay(Norm norm) {
        NormLayer layer = NormLayer.builder().width(8).norm(norm, 1e-3).build();
        Nd4j.getRandom().setSeed(3);
        assertSame(
                ReferenceBlocks.runtime(layer, DataType.DOUBLE),
                bySameDiff(() -> ReferenceBlocks.runtime(layer, DataType.DOUBLE)),
                Nd4j.randn(DataType.DOUBLE, 2, 8, 5),
                null,
                Nd4j.randn(DataType.DOUBLE, 2, 8, 5));
    }

    private static void assertSame(
            TokenLayerRuntime fast, TokenLayerRuntime general, INDArray input, INDArray mask, INDArray gradient) {
        assertTrue(fast.isNative());
        assertEquals(false, general.isNative());
        LayerWorkspaceMgr workspaces = LayerWorkspaceMgr.noWorkspaces();
        double[][] outputs = new double[2][];
        double[][] back = new double[2][];
        double[][] gradients = new double[2][];
        TokenLayerRuntime[] layers = {fast, general};
        // Once more with other numbers: what is known of the first pass must not stay.
        for (INDArray given : new INDArray[] {input, input.mul(-0.7)}) {
            for (int i = 0; i < 2; i++) {
                layers[i].setMaskArray(mask);
                layers[i].setInput(given.dup(), workspaces);
                Nd4j.getRandom().setSeed(11);
                outputs[i] = flat(layers[i].activate(true, workspaces));
                Pair<Gradient, INDArray> found = layers[i].backpropGradient(gradient, workspaces);
                back[i] = flat(found.getSecond());
                gradients[i] = flat(layers[i].getGradientsViewArray());
            }
            assertRelative("output", outputs[0], outputs[1], 1e-9);
            assertRelative("input's gradient", back[0], back[1], 1e-9);
            assertRelative("gradients", gradients[0], gradients[1], 1e-9);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void generationByStepsAndTrainingAreThoseOfTheFastWay(boolean tied) {
        MultiLayerNetwork fast = DecoderNetworkTest.network(DataType.DOUBLE, tied);
        MultiLayerNetwork general = bySameDiff(() -> copy(fast, DataType.DOUBLE));
        INDArray ids = DecoderNetworkTest.batch(DataType.DOUBLE, 3, 2, false).getFeatures();
        int from = 0;
        for (int length : new int[] {3, 1, 2}) {
            INDArray part = DecoderNetworkTest.times(ids, from, from + length).dup();
            assertRelative("from " + from, flat(fast.rnnTimeStep(part)), flat(general.rnnTimeStep(part.dup())), 1e-9);
            from += length;
        }
        for (int step = 0; step < 3; step++) {
            fast.fit(DecoderNetworkTest.batch(DataType.DOUBLE, step, 3, true));
            general.fit(DecoderNetworkTest.batch(DataType.DOUBLE, step, 3, true));
        }
        assertRelative("parameters", flat(fast.params()), flat(general.params()), 1e-9);
    }

    private static MultiLayerNetwork copy(MultiLayerNetwork network, DataType type) {
        MultiLayerConfiguration conf = MultiLayerConfiguration.fromJson(
                network.getLayerWiseConfigurations().toJson());
        conf.setDataType(type);
        conf.getConfs().forEach(layer -> layer.setDataType(type));
        MultiLayerNetwork copy = new MultiLayerNetwork(conf);
        copy.init(network.params().castTo(type).dup(), false);
        return copy;
    }

    /**
     * A rounding is half a unit in the last of 11 or 8 bits, and there's one after each layer. Tied, because a stock output
     * layer computes in HALF itself.
     */
    static Stream<Arguments> shortTypes() {
        return Stream.of(Arguments.of(DataType.FLOAT16, 0x1p-11 * 8), Arguments.of(DataType.BFLOAT16, 0x1p-8 * 8));
    }

    @ParameterizedTest
    @MethodSource("shortTypes")
    void shortTypesGiveFloatsNumbersToTheirRounding(DataType type, double tolerance) {
        MultiLayerNetwork full = DecoderNetworkTest.network(DataType.FLOAT, true);
        full.params().assign(full.params().castTo(type).castTo(DataType.FLOAT));
        MultiLayerNetwork half = copy(full, type);
        DataSet data = DecoderNetworkTest.batch(DataType.FLOAT, 5, 3, true);
        DataSet halfData = new DataSet(
                data.getFeatures().castTo(type),
                data.getLabels().castTo(type),
                data.getFeaturesMaskArray().castTo(type),
                data.getLabelsMaskArray().castTo(type));
        assertRelative(
                "probabilities",
                flat(full.output(data.getFeatures(), false, data.getFeaturesMaskArray(), null)),
                flat(half.output(halfData.getFeatures(), false, halfData.getFeaturesMaskArray(), null)),
                tolerance);
        Map<String, INDArray> expected = gradients(full, data);
        Map<String, INDArray> found = gradients(half, halfData);
        assertEquals(expected.keySet(), found.keySet());
        expected.forEach((name, gradient) -> assertRelative(name, flat(gradient), flat(found.get(name)), tolerance));
    }

    private static Map<String, INDArray> gradients(MultiLayerNetwork network, DataSet data) {
        network.setInput(data.getFeatures());
        network.setLabels(data.getLabels());
        network.setLayerMaskArrays(data.getFeaturesMaskArray(), data.getLabelsMaskArray());
        network.computeGradientAndScore();
        return network.gradient().gradientForVariable();
    }

    @Test
    void aStudentInHalfLearnsAndItsDivergenceIsZeroAtFirst() {
        MultiLayerNetwork pretrained = copy(DecoderNetworkTest.network(DataType.FLOAT, true), DataType.FLOAT16);
        // Adam's epsilon is 0 in HALF.
        MultiLayerNetwork student = Retention.attach(
                Retention.withUpdater(pretrained, new Sgd(0.05)),
                RetentionConfiguration.builder().coefficient(1).build());
        Teacher teacher = Teacher.of(pretrained);
        RetentionOutputLayerRuntime head = (RetentionOutputLayerRuntime) student.getOutputLayer();
        double first = Double.NaN;
        for (int step = 0; step < 20; step++) {
            DataSet data = DecoderNetworkTest.batch(DataType.FLOAT16, 7, 3, true);
            student.fit(DecoderNetworkTest.taught(data, teacher), 1);
            if (step == 0) {
                assertEquals(0, head.lastTokenLoss().divergence(), 1e-6);
                first = head.lastTokenLoss().crossEntropy();
            }
        }
        assertTrue(head.lastTokenLoss().crossEntropy() < first - 0.1, first + " to " + head.lastTokenLoss());
    }

    /** Any of the settings together. */
    @Test
    void settingsInAnyCombinationAreThoseOfTheFastWay() {
        Random random = new Random(1);
        for (int i = 0; i < 40; i++) {
            int keyValueHeads = 1 + random.nextInt(2);
            int heads = keyValueHeads * (1 + random.nextInt(3));
            int headSize = 2 * (1 + random.nextInt(3));
            RotaryPositions rotary = RotaryPositions.base(50).dimensions(random.nextBoolean() ? 2 : 0);
            DecoderBlock block = DecoderBlock.builder()
                    .width(6)
                    .heads(heads)
                    .keyValueHeads(keyValueHeads)
                    .headSize(headSize)
                    .hidden(1 + random.nextInt(9))
                    .norm(Norm.values()[random.nextInt(2)], 1e-4)
                    .feedForward(FeedForward.values()[random.nextInt(4)])
                    .rotary(random.nextInt(3) == 0 ? null : random.nextBoolean() ? rotary : rotary.interleaved())
                    .queryKeyValueBias(random.nextBoolean())
                    .projectionBias(random.nextBoolean())
                    .feedForwardBias(random.nextBoolean())
                    .queryKeyNorm(random.nextBoolean())
                    .parallelResidual(random.nextBoolean())
                    .window(random.nextBoolean() ? 2 : Integer.MAX_VALUE)
                    .attentionDropout(random.nextBoolean() ? 0.2 : 0)
                    .residualDropout(random.nextBoolean() ? 0.2 : 0)
                    .recompute(random.nextBoolean())
                    .weightInit(new WeightInitXavier())
                    .build();
            Nd4j.getRandom().setSeed(i);
            int time = 1 + random.nextInt(6);
            INDArray mask = random.nextBoolean()
                    ? null
                    : Nd4j.rand(DataType.DOUBLE, 3, time).gt(0.3).castTo(DataType.DOUBLE);
            assertSame(
                    ReferenceBlocks.runtime(block, DataType.DOUBLE),
                    bySameDiff(() -> ReferenceBlocks.runtime(block, DataType.DOUBLE)),
                    Nd4j.randn(DataType.DOUBLE, 3, 6, time),
                    mask,
                    Nd4j.randn(DataType.DOUBLE, 3, 6, time));
        }
    }
}
