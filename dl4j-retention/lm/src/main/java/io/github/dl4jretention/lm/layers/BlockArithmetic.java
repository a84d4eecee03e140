package io.github.dl4jretention.lm.layers;

import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/** A block's forward and backward pass in one number type; arrays are {@code [tokens, width]} in 'c' order. */
interface BlockArithmetic {

    /** {@return numbers that are kept of each token from forward to backward} */
    long kept();

    /**
     * {@return numbers of working memory that forward needs}
     *
     * @param backward whether a backward pass follows, so that something is kept for it
     */
    long forwardMemory(Sequences sequences, boolean backward);

    /** {@return numbers of working memory that backward needs} */
    long backwardMemory(Sequences sequences);

    /**
     * @param output to be set
     * @param kept   memory of {@link #kept()} numbers for each token, to be set; null if no backward pass follows
     * @param memory to work in
     * @param known  keys and values {@code [batch, capacity, keyValueWidth]} each, to which this minibatch's are added;
     *     null if there is no past
     */
    void forward(
            Sequences sequences,
            INDArray input,
            INDArray output,
            @Nullable INDArray kept,
            INDArray memory,
            INDArray @Nullable [] known);

    /**
     * @param kept          as forward has set it
     * @param known         as forward has left it
     * @param gradient      of the output
     * @param inputGradient to be set
     * @param gradients     of the block's parameters, a flat view, to be set; null if they are frozen
     * @param ofAdapters    gradients of the adapters by name, to be set
     */
    void backward(
            Sequences sequences,
            INDArray input,
            INDArray kept,
            INDArray memory,
            INDArray @Nullable [] known,
            INDArray gradient,
            INDArray inputGradient,
            @Nullable INDArray gradients,
            Map<String, INDArray> ofAdapters);
}
