package io.github.dl4jretention.lm.layers;

import org.nd4j.linalg.api.ndarray.INDArray;

/** A norm layer's forward and backward pass in one number type; arrays are {@code [tokens, width]} in 'c' order. */
interface NormArithmetic {

    /** @param output to be set */
    void forward(INDArray input, INDArray output);

    /**
     * @param gradient      of the output
     * @param inputGradient to be set
     * @param gradients     of the parameters, the layer's flat view, to be set
     */
    void backward(INDArray input, INDArray gradient, INDArray inputGradient, INDArray gradients);
}
