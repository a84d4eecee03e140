package io.github.dl4jretention.loss;

import java.util.Map;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * A way to compute an output layer's activations, losses and gradients from its input's rows {@code [tokens, nIn]}.
 */
public interface LossPath {

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
