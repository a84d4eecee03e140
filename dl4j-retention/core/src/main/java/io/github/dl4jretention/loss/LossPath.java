package io.github.dl4jretention.loss;

import io.github.dl4jretention.internal.LowRank;
import io.github.dl4jretention.loss.fused.FusedLoss;
import io.github.dl4jretention.loss.samediff.SameDiffLossPath;
import java.util.Map;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * A way to compute an output layer's activations, losses and gradients from its input's rows {@code [tokens, nIn]}.
 */
public interface LossPath {

    /** Name of D {@code [nIn, rank]}, of an adapter beside W. */
    String DOWN = DefaultParamInitializer.WEIGHT_KEY + LowRank.DOWN;

    /** Name of U {@code [rank, V]}. */
    String UP = DefaultParamInitializer.WEIGHT_KEY + LowRank.UP;

    /**
     * {@return the fastest way that serves a network's data type on this backend}
     *
     * @param configuration the loss
     * @param dataType      of the network
     * @param parameters    W and b, and D and U of an adapter, arrays whose every change is seen; or none: the input is
     *     the logits
     * @param vocabulary    V
     * @param lowRankScale  of the adapter
     */
    static LossPath of(
            RetentionConfiguration configuration,
            DataType dataType,
            Map<String, INDArray> parameters,
            long vocabulary,
            double lowRankScale) {
        return FusedLoss.obstacle(dataType) == null
                ? new FusedLoss(configuration, parameters, vocabulary, lowRankScale)
                : new SameDiffLossPath(configuration, dataType, parameters, vocabulary, lowRankScale);
    }

    /**
     * {@return the type that a loss is computed in: FLOAT for HALF, which has too few bits for a sum over a vocabulary}
     *
     * @param dataType of the network
     */
    static DataType lossType(DataType dataType) {
        return dataType == DataType.FLOAT16 ? DataType.FLOAT : dataType;
    }

    /**
     * Computes the layer's activations.
     *
     * @param input     {@code [tokens, nIn]}
     * @param logarithm whether to write log-probabilities rather than probabilities
     * @param output    {@code [time, batch, V]}, to be filled; the values of a token lie side by side
     */
    void activate(INDArray input, boolean logarithm, INDArray output);

    /**
     * Computes the losses of the tokens that count.
     *
     * @param input {@code [tokens, nIn]}
     * @param batch whose losses are filled
     * @throws IllegalArgumentException if a label or a teacher's value that counts is none
     */
    void forward(INDArray input, TokenBatch batch);

    /**
     * Computes the losses, and the gradients of
     *
     * <pre>
     * sum over tokens of [ weight CE + divergence weight * factor * D ]
     * </pre>
     *
     * @param input        {@code [tokens, nIn]}
     * @param batch        whose losses are filled
     * @param gradients    views to fill, by the names of the parameters
     * @param workspaceMgr gives the memory
     * @return the gradient with respect to the input, {@code [tokens, nIn]}, in the workspace of activation gradients
     * @throws IllegalArgumentException if a label or a teacher's value that counts is none
     */
    INDArray backprop(
            INDArray input, TokenBatch batch, Map<String, INDArray> gradients, LayerWorkspaceMgr workspaceMgr);
}
