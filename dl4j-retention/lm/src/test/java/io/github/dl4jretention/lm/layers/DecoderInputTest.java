package io.github.dl4jretention.lm.layers;

import static io.github.dl4jretention.lm.layers.ReferenceBlocks.assertRelative;
import static io.github.dl4jretention.lm.layers.ReferenceBlocks.flat;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.loss.TiedOutputLayer;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** What doesn't fit is refused with its name and the shapes; masks hide whatever lies under them. */
class DecoderInputTest {

    private final MultiLayerNetwork network = DecoderNetworkTest.network(DataType.FLOAT, true);

    private static void refused(String start, Executable call) {
        RuntimeException exception = assertThrows(RuntimeException.class, call);
        String message = String.valueOf(exception.getMessage());
        assertEquals(start, message.substring(0, Math.min(start.length(), message.length())));
    }

    @Test
    void settingsOfABlock() {
        refused(
                "heads: expected a number that divides width = 10, or a headSize of its own, got 4",
                () -> DecoderBlock.builder().width(10).heads(4).build());
        refused(
                "heads: expected a number above 0, got 0",
                () -> DecoderBlock.builder().width(8).build());
        refused(
                "keyValueHeads: expected a number that divides heads = 4, got 3",
                () -> DecoderBlock.builder().width(8).heads(4).keyValueHeads(3).build());
        refused(
                "rotary: expected an even number of dimensions of at most headSize = 3, got 3",
                () -> DecoderBlock.builder()
                        .width(6)
                        .heads(2)
                        .rotary(RotaryPositions.base(10))
                        .build());
        refused(
                "rotary: expected an even number of dimensions of at most headSize = 4, got 6",
                () -> DecoderBlock.builder()
                        .width(8)
                        .heads(2)
                        .rotary(RotaryPositions.base(10).dimensions(6))
                        .build());
        refused(
                "window: expected a number above 0, got 0",
                () -> DecoderBlock.builder().width(8).heads(2).window(0).build());
        refused("residualDropout: expected [0, 1), got 1.0", () -> DecoderBlock.builder()
                .width(8)
                .heads(2)
                .residualDropout(1)
                .build());
        refused("epsilon: expected a number above 0, got 0.0", () -> DecoderBlock.builder()
                .width(8)
                .heads(2)
                .norm(Norm.RMS_NORM, 0)
                .build());
    }

    @Test
    void settingsOfRotaryPositions() {
        refused("base: expected a number above 1, got 1.0", () -> RotaryPositions.base(1));
        refused("dimensions: expected an even number of at least 0, got 3", () -> RotaryPositions.base(10)
                .dimensions(3));
        refused("factor: expected a number of at least 1, got 0.5", () -> RotaryPositions.base(10)
                .linear(0.5));
        refused("llama3: expected 0 < lowFrequencyFactor < highFrequencyFactor", () -> RotaryPositions.base(10)
                .llama3(8, 4, 1, 100));
    }

    @Test
    void settingsOfAnEmbedding() {
        refused(
                "width: expected the numbers of a token",
                () -> TokenEmbedding.builder().vocabulary(5).build());
        refused(
                "vocabulary: expected a number of at least 2, got 1",
                () -> TokenEmbedding.builder().width(8).vocabulary(1).build());
    }

    /** Known only when the network's input type is. */
    @Test
    void headsThatDoNotDivideTheInputsWidth() {
        refused(
                "heads: expected a number that divides width = 8",
                () -> DecoderNetworkTest.network(
                        DecoderNetworkTest.layers(
                                DataType.FLOAT, DecoderBlock.builder().heads(3).build()),
                        new TiedOutputLayer(DecoderNetworkTest.VOCABULARY)));
    }

    /** Whole numbers are no documents either, unless they're those of documents. */
    @Test
    void featuresMasksOfWeights() {
        INDArray ids = Nd4j.zeros(DataType.FLOAT, 1, 1, 3);
        int first = DecoderBlock.FIRST_DOCUMENT;
        for (float[] weights : new float[][] {{1, 1.5f, 1}, {2, 1, 1}, {first, 1, 0}, {first + 0.5f, 0, 0}}) {
            refused(
                    "featuresMask: expected 0 and 1, or 0 and numbers of documents from 1048576 on, got ",
                    () -> network.output(ids, false, Nd4j.createFromArray(new float[][] {weights}), null));
        }
    }

    /** Text that a model wrote may be mixed into packed text. */
    @Test
    void sequencesThatAreNotPackedBesidePackedOnes() {
        INDArray ids = Nd4j.createFromArray(new float[][][] {{{1, 2, 3}}, {{2, 1, 4}}});
        int first = DecoderBlock.FIRST_DOCUMENT;
        INDArray mixed = Nd4j.createFromArray(new float[][] {{first, first, first + 1}, {1, 1, 0}});
        INDArray together = network.output(ids, false, mixed, null);
        for (int row = 0; row < 2; row++) {
            INDArray alone = network.output(
                    ids.get(NDArrayIndex.interval(row, row + 1)).dup(),
                    false,
                    mixed.get(NDArrayIndex.interval(row, row + 1)).dup(),
                    null);
            assertRelative("row " + row, flat(alone), flat(together.get(NDArrayIndex.interval(row, row + 1))), 1e-6);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE"})
    void parametersThatWereClosed(DataType type) {
        MultiLayerNetwork closed = DecoderNetworkTest.network(type, true);
        INDArray ids = Nd4j.zeros(type, 1, 1, 3);
        INDArray embedded = closed.feedForwardToLayer(0, ids).get(1).dup();
        Layer block = closed.getLayer(1);
        closed.params().close();
        IllegalStateException exception = assertThrows(
                IllegalStateException.class,
                () -> block.activate(embedded, false, LayerWorkspaceMgr.noWorkspacesImmutable()));
        assertTrue(exception.getMessage().contains("closed"), exception.getMessage());
    }

    @ParameterizedTest
    @ValueSource(doubles = {-1, 11, 2.5, Double.NaN, Double.POSITIVE_INFINITY})
    void idsOutsideTheVocabulary(double id) {
        INDArray ids = Nd4j.zeros(DataType.FLOAT, 2, 1, 4).putScalar(new int[] {1, 0, 2}, id);
        refused(
                "features: expected ids from 0 to 10, got " + id + " in example 1 at time step 2 of [2, 1, 4]",
                () -> network.output(ids));
    }

    /** 2049 in HALF is 2048, another token. */
    @Test
    void idsThatTheirTypeRounds() {
        MultiLayerNetwork large = DecoderNetworkTest.network(
                new NeuralNetConfiguration.Builder()
                        .list()
                        .layer(TokenEmbedding.builder()
                                .vocabulary(3000)
                                .width(2)
                                .build()),
                DecoderNetworkTest.output());
        INDArray ids = Nd4j.createFromArray(7, 2049).reshape(1, 2);
        refused(
                "features: expected class ids below 2048, which HALF holds exactly, got 2048 in [1, 2]",
                () -> large.output(ids.castTo(DataType.FLOAT16)));
        assertArrayEquals(flat(large.output(ids)), flat(large.output(ids.castTo(DataType.FLOAT))));
    }

    @Test
    void sequencesBeyondThePositions() {
        refused(
                "features: expected at most 12 positions, as many as the embedding has, got 0 before and [1, 1, 13] now",
                () -> network.output(Nd4j.zeros(DataType.FLOAT, 1, 1, 13)));
        network.rnnTimeStep(Nd4j.zeros(DataType.FLOAT, 1, 1, 12));
        refused(
                "features: expected at most 12 positions, as many as the embedding has, got 12 before",
                () -> network.rnnTimeStep(Nd4j.zeros(DataType.FLOAT, 1, 1, 1)));
    }

    @Test
    void featuresOfOtherShapes() {
        refused(
                "features: expected ids [batch, time] or [batch, 1, time], got [2, 3, 4]",
                () -> network.output(Nd4j.zeros(DataType.FLOAT, 2, 3, 4)));
    }

    @Test
    void inputOfAnotherWidth() {
        DecoderBlock block = DecoderBlock.builder().width(8).heads(2).build();
        block.applyGlobalConfigToLayer(new NeuralNetConfiguration.Builder());
        TokenLayerRuntime layer = ReferenceBlocks.runtime(block, DataType.FLOAT);
        refused(
                "input: expected [batch, 8, time], got [2, 6, 4]",
                () -> layer.activate(Nd4j.zeros(DataType.FLOAT, 2, 6, 4), false, LayerWorkspaceMgr.noWorkspaces()));
        layer.setMaskArray(Nd4j.ones(2, 5));
        refused(
                "featuresMask: expected [2, 4], got [2, 5]",
                () -> layer.activate(Nd4j.zeros(DataType.FLOAT, 2, 8, 4), false, LayerWorkspaceMgr.noWorkspaces()));
    }

    @ParameterizedTest
    @ValueSource(strings = {"INT", "LONG", "FLOAT", "DOUBLE"})
    void idsOfAnyTypeAndBothShapes(DataType type) {
        INDArray ids = Nd4j.createFromArray(new int[][] {{3, 1, 4, 1}, {5, 9, 2, 6}});
        double[] expected = flat(network.output(ids.castTo(DataType.FLOAT).reshape(2, 1, 4)));
        assertArrayEquals(expected, flat(network.output(ids.castTo(type))));
        assertArrayEquals(expected, flat(network.output(ids.castTo(type).reshape(2, 1, 4))));
    }

    /** Holes, a suffix and a whole row, with ids under the mask that don't exist. */
    @Test
    void whatIsMaskedCountsNowhere() {
        INDArray mask =
                Nd4j.createFromArray(new float[][] {{1, 0, 1, 1, 0, 1}, {1, 1, 1, 0, 0, 0}, {0, 0, 0, 0, 0, 0}});
        DataSet data = DecoderNetworkTest.batch(DataType.FLOAT, 3, 3, false);
        INDArray junk = data.getFeatures().dup();
        for (int i = 0; i < 3; i++) {
            for (int t = 0; t < DecoderNetworkTest.TIME; t++) {
                if (mask.getFloat(i, t) == 0) {
                    junk.putScalar(new int[] {i, 0, t}, t % 2 == 0 ? -100 : Float.NaN);
                }
            }
        }
        DataSet masked = new DataSet(data.getFeatures(), data.getLabels(), mask, mask);
        DataSet withJunk = new DataSet(junk, data.getLabels(), mask, mask);
        MultiLayerNetwork other = network.clone();
        assertEquals(network.score(masked, true), network.score(withJunk, true));
        for (int i = 0; i < 3; i++) {
            network.fit(masked);
            other.fit(withJunk);
        }
        assertArrayEquals(flat(network.params()), flat(other.params()));
    }

    /** Nothing after a token changes it: a padded sequence gives what the short one gives. */
    @Test
    void aSuffixMayBeMaskedOrCutOff() {
        INDArray ids = DecoderNetworkTest.batch(DataType.FLOAT, 3, 2, false).getFeatures();
        INDArray mask = Nd4j.createFromArray(new float[][] {{1, 1, 1, 1, 0, 0}, {1, 1, 1, 1, 0, 0}});
        INDArray padded = DecoderNetworkTest.times(network.output(ids, false, mask, null), 0, 4);
        INDArray cut = network.output(DecoderNetworkTest.times(ids, 0, 4).dup());
        assertRelative("probabilities", flat(cut), flat(padded), 1e-5);
    }

    @Test
    void anEmbeddingOfAnotherWidthThanTheTiedOutput() {
        refused("layer \"layer1\": expected nIn = 8 and nOut = 7 to be width and vocabulary of the embedding", () -> {
            new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                            .list()
                            .layer(TokenEmbedding.builder()
                                    .vocabulary(5)
                                    .width(8)
                                    .build())
                            .layer(new TiedOutputLayer(7))
                            .setInputType(InputType.recurrent(5))
                            .build())
                    .init();
        });
    }
}
