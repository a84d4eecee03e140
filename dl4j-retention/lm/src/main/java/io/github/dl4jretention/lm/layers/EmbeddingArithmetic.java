package io.github.dl4jretention.lm.layers;

import org.nd4j.linalg.api.ndarray.INDArray;

/** An embedding's forward and backward pass in one number type; arrays are {@code [tokens, width]} in 'c' order. */
interface EmbeddingArithmetic {

    /**
     * @param ids    of the tokens; negative for masked ones
     * @param time   tokens of a sequence
     * @param past   position of a sequence's first token
     * @param output to be set
     */
    void forward(int[] ids, int time, int past, INDArray output);

    /**
     * Adds to the gradients of the parameters.
     *
     * @param gradient  of the output
     * @param gradients the layer's flat view
     */
    void backward(int[] ids, int time, int past, INDArray gradient, INDArray gradients);
}
