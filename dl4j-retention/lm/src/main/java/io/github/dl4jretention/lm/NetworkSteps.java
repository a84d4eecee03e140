package io.github.dl4jretention.lm;

import io.github.dl4jretention.internal.TiedWeights;
import io.github.dl4jretention.internal.Workers;
import io.github.dl4jretention.lm.layers.TokenEmbedding;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import java.lang.ref.Reference;
import java.util.Map;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.openblas.global.openblas_nolapack;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.activations.impl.ActivationSoftmax;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * A network that reads tokens step by step. All layers but the last are a network of their own that shares the
 * parameters, so its {@code rnnTimeStep} leaves the network's stored state alone. The last one is a softmax layer, whose
 * logits {@code h W + b} are computed here, and only those that somebody asks for.
 */
final class NetworkSteps {

    private static final int ROW_MAJOR = 101;
    private static final int NOT_TRANSPOSED = 111;

    private final MultiLayerNetwork network;
    private final MultiLayerNetwork body;
    private final boolean asIds;

    NetworkSteps(MultiLayerNetwork network) {
        this.network = network;
        MultiLayerConfiguration conf = network.getLayerWiseConfigurations().clone();
        int last = conf.getConfs().size() - 1;
        Layer first = conf.getConf(0).getLayer();
        asIds = first instanceof TokenEmbedding || first instanceof EmbeddingSequenceLayer;
        if (last == 0) {
            throw new IllegalArgumentException("network: expected layers before the output layer, got none");
        }
        Layer output = conf.getConf(last).getLayer();
        boolean softmax = output instanceof RetentionOutputLayer
                || output instanceof BaseLayer stock && stock.getActivationFn() instanceof ActivationSoftmax;
        if (!softmax) {
            throw new IllegalArgumentException("network: expected a softmax output layer, got "
                    + output.getClass().getSimpleName());
        }
        conf.getConfs().remove(last);
        body = new MultiLayerNetwork(conf);
        long numbers = network.numParams() - network.getLayer(last).numParams();
        INDArray shared = network.params().reshape(network.numParams()).get(NDArrayIndex.interval(0, numbers));
        body.init(shared.reshape(1, numbers), false);
    }

    /**
     * Reads tokens, without the last layer.
     *
     * @param ids of each sequence, as many of each
     */
    void read(int[][] ids) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            free(hidden(ids));
        }
    }

    private INDArray hidden(int[][] ids) {
        try (INDArray input = input(ids)) {
            return body.rnnTimeStep(input);
        }
    }

    private static void free(INDArray array) {
        if (array.closeable()) {
            array.close();
        }
    }

    /**
     * {@return after reading one token of each sequence, the logits of the next}
     *
     * @param ids of each sequence one
     */
    float[][] next(int[][] ids) {
        int last = network.getnLayers() - 1;
        InputPreProcessor before = network.getLayerWiseConfigurations().getInputPreProcess(last);
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            INDArray hidden = hidden(ids);
            INDArray processed =
                    before == null ? hidden : before.preProcess(hidden, ids.length, LayerWorkspaceMgr.noWorkspaces());
            float[][] next = new float[ids.length][];
            for (int row = 0; row < next.length; row++) {
                try (INDArray numbers =
                        processed.get(NDArrayIndex.interval(row, row + 1)).dup('c')) {
                    next[row] = logits(numbers.reshape(1, numbers.length()));
                }
            }
            free(hidden);
            return next;
        }
    }

    private float[] logits(INDArray hidden) {
        Map<String, INDArray> parameters =
                network.getLayer(network.getnLayers() - 1).paramTable();
        INDArray weights = parameters == null ? null : parameters.get(DefaultParamInitializer.WEIGHT_KEY);
        weights = weights == null ? tied(hidden.length()) : weights;
        float[] logits = weights == null ? hidden.toFloatVector() : product(hidden, weights);
        INDArray bias = parameters == null ? null : parameters.get(DefaultParamInitializer.BIAS_KEY);
        float[] biases = bias == null ? new float[0] : bias.toFloatVector();
        for (int i = 0; i < biases.length; i++) {
            logits[i] += biases[i];
        }
        return logits;
    }

    /** {@return the embedding's weights, if the last layer has none and takes numbers of a token; else null} */
    private @Nullable INDArray tied(long width) {
        return network.getLayer(0) instanceof TiedWeights.Owner owner
                        && owner.weights().size(0) == width
                ? owner.weights()
                : null;
    }

    /**
     * {@return {@code h W}} A part of the vocabulary on each processor, by OpenBLAS, which takes half the time of ND4J's own
     * product of a vector.
     */
    private static float[] product(INDArray hidden, INDArray weights) {
        int width = Math.toIntExact(weights.size(0));
        int vocabulary = Math.toIntExact(weights.size(1));
        boolean rows = weights.dataType() == DataType.FLOAT && weights.stride(0) == 1 && weights.stride(1) == width;
        if (!rows || !Nd4j.getEnvironment().isCPU()) {
            try (INDArray product = hidden.mmul(weights)) {
                return product.toFloatVector();
            }
        }
        float[] result = new float[vocabulary];
        int parts = Math.min(Workers.ofMachine().products(), vocabulary);
        Workers.run(parts, part -> {
            int from = Workers.start(vocabulary, parts, part);
            int count = Workers.start(vocabulary, parts, part + 1) - from;
            FloatPointer matrix = new FloatPointer(weights.data().addressPointer());
            FloatPointer vector = new FloatPointer(hidden.data().addressPointer());
            try (FloatPointer product = new FloatPointer(count)) {
                openblas_nolapack.cblas_sgemv(
                        ROW_MAJOR,
                        NOT_TRANSPOSED,
                        count,
                        width,
                        1,
                        matrix.position(matrix.position() + (long) from * width),
                        width,
                        vector,
                        1,
                        0,
                        product,
                        1);
                product.get(result, from, count);
            }
        });
        Reference.reachabilityFence(weights);
        Reference.reachabilityFence(hidden);
        return result;
    }

    private INDArray input(int[][] ids) {
        int count = ids[0].length;
        INDArray input = asIds
                ? Nd4j.create(DataType.INT32, ids.length, 1, count)
                : Nd4j.create(
                        network.getLayerWiseConfigurations().getDataType(),
                        ids.length,
                        network.layerInputSize(0),
                        count);
        for (int row = 0; row < ids.length; row++) {
            for (int t = 0; t < count; t++) {
                if (asIds) {
                    input.putScalar(new int[] {row, 0, t}, ids[row][t]);
                } else {
                    input.putScalar(new int[] {row, ids[row][t], t}, 1);
                }
            }
        }
        return input;
    }
}
