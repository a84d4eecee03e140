package io.github.dl4jretention.lm;

import io.github.dl4jretention.internal.TiedWeights;
import io.github.dl4jretention.lm.layers.TokenEmbedding;
import java.util.Map;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * A network that reads tokens step by step. All layers but the last are a network of their own that shares the
 * parameters, so its {@code rnnTimeStep} leaves the network's stored state alone; the last layer computes only the
 * distributions that somebody asks for.
 */
final class NetworkSteps {

    private final MultiLayerNetwork network;
    private final MultiLayerNetwork body;
    private final boolean asIds;

    /** A distribution of the next token, {@code p}, and {@code log sum exp(logits)}; NaN if nobody needs it. */
    record Distribution(float[] probabilities, double normaliser) {}

    NetworkSteps(MultiLayerNetwork network) {
        this.network = network;
        MultiLayerConfiguration conf = network.getLayerWiseConfigurations().clone();
        int last = conf.getConfs().size() - 1;
        org.deeplearning4j.nn.conf.layers.Layer first = conf.getConf(0).getLayer();
        asIds = first instanceof TokenEmbedding || first instanceof EmbeddingSequenceLayer;
        if (last == 0) {
            throw new IllegalArgumentException("network: expected layers before the output layer, got none");
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
     * {@return after reading one token of each sequence, the distribution of the next}
     *
     * @param ids            of each sequence one
     * @param withNormaliser whether it's needed
     */
    Distribution[] next(int[][] ids, boolean withNormaliser) {
        LayerWorkspaceMgr none = LayerWorkspaceMgr.noWorkspaces();
        int last = network.getnLayers() - 1;
        InputPreProcessor before = network.getLayerWiseConfigurations().getInputPreProcess(last);
        Layer output = network.getLayer(last);
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            INDArray hidden = hidden(ids);
            INDArray processed = before == null ? hidden : before.preProcess(hidden, ids.length, none);
            output.setInput(processed, none);
            INDArray probabilities = output.activate(false, none);
            output.clear();
            Distribution[] next = new Distribution[ids.length];
            for (int row = 0; row < next.length; row++) {
                float[] p = row(probabilities, row).toFloatVector();
                double normaliser = withNormaliser ? normaliser(row(processed, row), p) : Double.NaN;
                next[row] = new Distribution(p, normaliser);
            }
            free(probabilities);
            free(hidden);
            return next;
        }
    }

    /** Of one token, whatever axis of time there is. */
    private static INDArray row(INDArray array, int row) {
        INDArray one = array.get(NDArrayIndex.interval(row, row + 1));
        return one.dup('c').reshape(one.length());
    }

    /** Of the likeliest token: its logit, a product of two vectors, and its log-probability tell all others' logits. */
    private double normaliser(INDArray hidden, float[] p) {
        int likeliest = 0;
        for (int i = 1; i < p.length; i++) {
            likeliest = p[i] > p[likeliest] ? i : likeliest;
        }
        return logit(hidden, likeliest) - Math.log(p[likeliest]);
    }

    private double logit(INDArray hidden, int token) {
        Map<String, INDArray> parameters =
                network.getLayer(network.getnLayers() - 1).paramTable();
        INDArray weights = parameters == null ? null : parameters.get(DefaultParamInitializer.WEIGHT_KEY);
        if (weights == null) {
            weights = tied();
        }
        if (weights == null) {
            return hidden.getDouble(token);
        }
        INDArray column = weights.get(NDArrayIndex.all(), NDArrayIndex.point(token));
        double product = 0;
        for (int i = 0; i < hidden.length(); i++) {
            product += hidden.getDouble(i) * column.getDouble(i);
        }
        INDArray bias = parameters == null ? null : parameters.get(DefaultParamInitializer.BIAS_KEY);
        return bias == null ? product : product + bias.getDouble(token);
    }

    /** {@return the weights of an embedding that the last layer may share; null for none} */
    private @Nullable INDArray tied() {
        return network.getLayer(0) instanceof TiedWeights.Owner owner ? owner.weights() : null;
    }

    private INDArray input(int[][] ids) {
        DataType type = network.getLayerWiseConfigurations().getDataType();
        int count = ids[0].length;
        INDArray input = asIds
                ? Nd4j.create(type, ids.length, 1, count)
                : Nd4j.create(type, ids.length, network.layerInputSize(0), count);
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
