package io.github.dl4jretention.loss;

import java.util.Map;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.ndarray.INDArray;

/** A way to compute a layer's loss from its input's rows {@code [tokens, nIn]}. */
public interface LossPath {

    /**
     * The tokens' losses, and with them, where they are asked for, the gradients of their weighted sum
     *
     * <pre>
     * sum over tokens of [ weight CE + divergence weight * factor * D ]
     * </pre>
     *
     * @param values    of every token
     * @param inputRows the gradient with respect to the input, {@code [tokens, nIn]}, in the workspace of activation
     *     gradients
     */
    record Backprop(TokenLosses values, INDArray inputRows) {}

    /**
     * @param factor    {@code lambda T^2}
     * @param agreement whether it is measured
     */
    TokenLosses forward(INDArray input, TokenRows rows, double factor, boolean agreement);

    /**
     * Computes the layer's activations.
     *
     * @param input     {@code [tokens, nIn]}
     * @param logarithm whether to write log-probabilities rather than probabilities
     * @param output    {@code [tokens, V]}, to be filled
     */
    void activate(INDArray input, boolean logarithm, INDArray output);

    /** @param gradients views to fill, by the names of the parameters */
    Backprop backprop(
            INDArray input,
            TokenRows rows,
            double factor,
            boolean agreement,
            Map<String, INDArray> gradients,
            LayerWorkspaceMgr workspaceMgr);
}
