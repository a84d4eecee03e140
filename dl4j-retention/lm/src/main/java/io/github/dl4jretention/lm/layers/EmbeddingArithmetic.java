package io.github.dl4jretention.lm.layers;

import org.nd4j.linalg.api.ndarray.INDArray;

/** An embedding's forward and backward pass in one number type; arrays are {@code [tokens, width]} in 'c' order. */
interface EmbeddingArithmetic {

    /**
     * @param ids    of the tokens; negative for masked ones
     * @param places position of each token
     * @param output to be set
     */
    void forward(int[] ids, int[] places, INDArray output);

    /**
     * Adds to the gradients of the parameters.
     *
     * @param gradient  of the output
     * @param gradients the layer's flat view
     */
    void backward(int[] ids, int[] places, INDArray gradient, INDArray gradients);
}
