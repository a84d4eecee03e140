package io.github.dl4jretention.internal;

import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * A layer that computes the next token of each sequence in arrays that its caller has. DL4J's {@code rnnTimeStep} makes arrays
 * in every layer, which takes as long as reading the weights of a small one.
 */
public interface TokenSteps {

    /** {@return numbers of a token, those of its input and its output; 0 if it can't, so that {@code rnnTimeStep} is to be called} */
    int stepWidth();

    /**
     * {@return numbers of working memory for the next token}
     *
     * @param batch sequences
     */
    long stepMemory(int batch);

    /**
     * Does what {@code rnnTimeStep} does with one token of each sequence.
     *
     * @param input  {@code [batch, width, 1]}, its numbers side by side; token ids {@code [batch, 1, 1]} where it reads ids
     * @param output {@code [batch, width, 1]}, likewise, to be set
     * @param memory of at least {@link #stepMemory} numbers, to work in
     */
    void step(INDArray input, INDArray output, INDArray memory);
}
