package io.github.dl4jretention.lm.layers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Random;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.weights.WeightInitXavier;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.memory.conf.WorkspaceConfiguration;
import org.nd4j.linalg.api.memory.enums.LearningPolicy;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** What a training step takes from the heap, counted in bytes and not timed, and what blocks keep for the backward pass. */
class SteadyMemoryTest {

    private static final int VOCABULARY = 16;
    private static final int WIDTH = 32;

    private static MultiLayerNetwork decoder() {
        NeuralNetConfiguration.ListBuilder layers = new NeuralNetConfiguration.Builder()
                .updater(new NativeAdam(1e-3))
                .list()
                .layer(TokenEmbedding.builder()
                        .vocabulary(VOCABULARY)
                        .width(WIDTH)
                        .build());
        for (int i = 0; i < 2; i++) {
            layers.layer(DecoderBlock.builder().heads(4).build());
        }
        return network(layers.layer(NormLayer.builder().build()));
    }

    private static MultiLayerNetwork lstm() {
        MultiLayerNetwork stock = network(new NeuralNetConfiguration.Builder()
                .list()
                .layer(TokenEmbedding.builder()
                        .vocabulary(VOCABULARY)
                        .width(WIDTH)
                        .build())
                .layer(new LSTM.Builder()
                        .nOut(WIDTH)
                        .activation(Activation.TANH)
                        .build()));
        return NativeLayers.of(stock);
    }

    private static MultiLayerNetwork network(NeuralNetConfiguration.ListBuilder layers) {
        MultiLayerNetwork network = new MultiLayerNetwork(layers.layer(new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nOut(VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .build())
                .setInputType(InputType.recurrent(VOCABULARY))
                .build());
        network.init();
        return network;
    }

    private static DataSet batch(int batch, int time) {
        Random random = new Random(1);
        INDArray ids = Nd4j.create(DataType.FLOAT, batch, 1, time);
        INDArray labels = Nd4j.zeros(DataType.FLOAT, batch, VOCABULARY, time);
        for (int i = 0; i < batch; i++) {
            for (int t = 0; t < time; t++) {
                ids.putScalar(new int[] {i, 0, t}, random.nextInt(VOCABULARY));
                labels.putScalar(new int[] {i, random.nextInt(VOCABULARY), t}, 1);
            }
        }
        return new DataSet(ids, labels);
    }

    /** Bytes that this thread allocates in a step, once workspaces have their size; the least of some steps. */
    private static long bytes(MultiLayerNetwork network, DataSet batch) {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long least = Long.MAX_VALUE;
        for (int step = 0; step < 12; step++) {
            long before = threads.getThreadAllocatedBytes(Thread.currentThread().getId());
            network.fit(batch);
            least = Math.min(
                    least,
                    threads.getThreadAllocatedBytes(Thread.currentThread().getId()) - before);
        }
        return least;
    }

    /**
     * Four times as many tokens have 6144 more. An activation's row of a token is 128 bytes, so a copy of any on the heap
     * would be seen; a token has an id (12 bytes as it's read) and views of its own in the LSTM's and attention's loops.
     */
    @Test
    void heapOfAStepHardlyGrowsWithItsTokens() {
        for (MultiLayerNetwork network : new MultiLayerNetwork[] {decoder(), lstm()}) {
            long few = bytes(network, batch(16, 128));
            long many = bytes(network, batch(64, 128));
            assertTrue(many - few < 6144 * WIDTH * Float.BYTES, few + " bytes, then " + many);
            assertTrue(few < 4_000_000, few + " bytes");
        }
    }

    /** What lies in the workspace of activations after a forward pass in training, in bytes of a token. */
    private static double kept(boolean recompute) {
        DecoderBlock block = DecoderBlock.builder()
                .width(WIDTH)
                .heads(4)
                .hidden(48)
                .recompute(recompute)
                .weightInit(new WeightInitXavier())
                .build();
        TokenLayerRuntime layer = ReferenceBlocks.runtime(block, DataType.FLOAT);
        LayerWorkspaceMgr.Builder builder = LayerWorkspaceMgr.builder();
        for (ArrayType type : ArrayType.values()) {
            builder.noWorkspaceFor(type);
        }
        LayerWorkspaceMgr workspaces = builder.build();
        workspaces.setWorkspace(
                ArrayType.ACTIVATIONS,
                "KEPT",
                WorkspaceConfiguration.builder()
                        .initialSize(1 << 22)
                        .policyLearning(LearningPolicy.NONE)
                        .build());
        int tokens = 8 * 64;
        INDArray input = Nd4j.rand(DataType.FLOAT, 8, 64, WIDTH).permute(0, 2, 1);
        try (MemoryWorkspace workspace = workspaces.notifyScopeEntered(ArrayType.ACTIVATIONS)) {
            layer.setInput(input, workspaces);
            layer.activate(true, workspaces);
            return (double) workspace.getPrimaryOffset() / tokens;
        }
    }

    @Test
    void recomputingKeepsNothingButTheInput() {
        int output = WIDTH * Float.BYTES;
        int kept = (2 * (4 + 4) * 8 + 4 + WIDTH + 48) * Float.BYTES;
        assertEquals(output, kept(true), 1, "the next block's input");
        assertEquals(output + kept, kept(false), 1);
    }

    /** The formula of the block's documentation. */
    @Test
    void keepsAsManyNumbersAsItSays() {
        DecoderBlock gated = DecoderBlock.builder()
                .width(WIDTH)
                .heads(4)
                .keyValueHeads(2)
                .headSize(8)
                .hidden(48)
                .feedForward(FeedForward.SWIGLU)
                .queryKeyNorm(true)
                .build();
        assertEquals(
                2 * (4 + 2) * 8 + 4 + WIDTH + 2 * 48 + (4 + 2) * 8,
                new FloatDecoder(gated, Nd4j.create(DataType.FLOAT, parameters(gated)), List.of()).kept());
        DecoderBlock plain =
                DecoderBlock.builder().width(WIDTH).heads(4).hidden(48).build();
        assertEquals(
                2 * (4 + 4) * 8 + 4 + WIDTH + 48,
                new FloatDecoder(plain, Nd4j.create(DataType.FLOAT, parameters(plain)), List.of()).kept());
    }

    private static long parameters(DecoderBlock block) {
        return block.getLayerParams().getParamShapes().values().stream()
                .mapToLong(shape -> {
                    long count = 1;
                    for (long size : shape) {
                        count *= size;
                    }
                    return count;
                })
                .sum();
    }
}
