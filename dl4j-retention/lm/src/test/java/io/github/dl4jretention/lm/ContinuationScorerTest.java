package io.github.dl4jretention.lm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.lm.huggingface.ReferenceModels;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Random;
import java.util.stream.Stream;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Continuations after prompts that are read once, beside the network's output for whole sequences. */
class ContinuationScorerTest {

    private static final int[][] PROMPTS = {{5, 2, 9}, {1, 1, 3}, {7, 4, 4}};

    private static final int[][][] CONTINUATIONS = {
        {{3}, {4, 8}, {6, 2, 2, 1, 5}}, {{1, 2}}, {{9, 9, 9}, {0}, {5, 3}, {2}}
    };

    @TempDir
    Path temporary;

    static Stream<String> models() {
        return ReferenceModels.names().stream();
    }

    @ParameterizedTest
    @MethodSource("models")
    void gives_what_whole_sequences_give(String name) throws IOException {
        for (DataType type : new DataType[] {DataType.FLOAT, DataType.DOUBLE}) {
            MultiLayerNetwork network = LanguageModel.load(
                            SmallModels.folder(name, temporary.resolve(name + type)), type)
                    .network();
            assertScores(network, true, type == DataType.FLOAT ? 2e-4 : 1e-9);
        }
    }

    @Test
    void gives_what_whole_sequences_give_with_an_lstm_of_one_hot_tokens() {
        for (DataType type : new DataType[] {DataType.FLOAT, DataType.DOUBLE}) {
            MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                    .seed(3)
                    .dataType(type)
                    .list()
                    .layer(new LSTM.Builder().nOut(6).build())
                    .layer(new LSTM.Builder().nOut(5).build())
                    .layer(new RnnOutputLayer.Builder()
                            .nOut(10)
                            .activation(Activation.SOFTMAX)
                            .build())
                    .setInputType(InputType.recurrent(10))
                    .build());
            network.init();
            network.params().muli(6);
            assertScores(network, false, type == DataType.FLOAT ? 1e-5 : 1e-9);
        }
    }

    private static void assertScores(MultiLayerNetwork network, boolean asIds, double tolerance) {
        int[] longHead = new Random(4).ints(300, 0, 10).toArray();
        int[] fits = asIds ? new int[] {8, 0, 6} : longHead;
        try (ContinuationScorer scorer = ContinuationScorer.of(network)) {
            for (int[] head : new int[][] {{}, {2, 7}, fits, {2, 7}}) {
                scorer.begin(head);
                for (int round = 0; round < 2; round++) {
                    double[][][] scores = scorer.score(PROMPTS, CONTINUATIONS);
                    for (int i = 0; i < PROMPTS.length; i++) {
                        for (int j = 0; j < CONTINUATIONS[i].length; j++) {
                            assertScores(network, asIds, head, i, j, scores[i][j], tolerance);
                        }
                    }
                }
            }
        }
    }

    private static void assertScores(
            MultiLayerNetwork network, boolean asIds, int[] head, int i, int j, double[] got, double tolerance) {
        int[] continuation = CONTINUATIONS[i][j];
        int[] whole = new int[head.length + PROMPTS[i].length + continuation.length];
        System.arraycopy(head, 0, whole, 0, head.length);
        System.arraycopy(PROMPTS[i], 0, whole, head.length, PROMPTS[i].length);
        System.arraycopy(continuation, 0, whole, head.length + PROMPTS[i].length, continuation.length);
        INDArray input = asIds
                ? Nd4j.zeros(DataType.INT32, 1, whole.length)
                : Nd4j.zeros(network.getLayerWiseConfigurations().getDataType(), 1, 10, whole.length);
        for (int t = 0; t < whole.length; t++) {
            if (asIds) {
                input.putScalar(0, t, whole[t]);
            } else {
                input.putScalar(0, whole[t], t, 1);
            }
        }
        INDArray probabilities = network.output(input);
        assertEquals(continuation.length, got.length);
        for (int t = 0; t < continuation.length; t++) {
            int time = head.length + PROMPTS[i].length + t - 1;
            double expected = Math.log(probabilities.getDouble(0, continuation[t], time));
            assertEquals(
                    expected, got[t], tolerance * Math.max(1, Math.abs(expected)), "prompt " + i + ", choice " + j);
        }
    }

    @Test
    void says_what_it_expects() throws IOException {
        MultiLayerNetwork network = LanguageModel.load(SmallModels.folder("llama", temporary.resolve("llama")))
                .network();
        try (ContinuationScorer scorer = ContinuationScorer.of(network)) {
            assertMessage(
                    "of the same length", () -> scorer.score(new int[][] {{1}, {1, 2}}, new int[][][] {{{1}}, {{1}}}));
            assertMessage("of the same length", () -> scorer.score(new int[][] {{}}, new int[][][] {{{1}}}));
            assertMessage("as many as continuations", () -> scorer.score(new int[][] {{1}}, new int[0][][]));
            assertMessage("an empty one", () -> scorer.score(new int[][] {{1}}, new int[][][] {{{}}}));
            assertMessage("got 99", () -> scorer.score(new int[][] {{1}}, new int[][][] {{{99}}}));
        }
    }

    private static void assertMessage(String part, Runnable call) {
        String message = assertThrows(IllegalArgumentException.class, call::run).getMessage();
        assertTrue(message.contains(part), message);
    }
}
