package io.github.dl4jretention.lm.layers;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * An LSTM's forward and backward pass in one number type. Arrays of tokens are {@code [batch * time, width]} in 'c'
 * order, sequence after sequence.
 *
 * <p>With n inputs and H units, gates in DL4J's order (candidate i, forget gate f, output gate o, input gate g):
 *
 * <pre>
 * [zi, zf, zo, zg](t) = x(t) W + h(t - 1) R + b
 * c(t) = m(t) ( sigmoid(zf) c(t - 1) + sigmoid(zg) tanh(zi) )
 * h(t) = m(t) sigmoid(zo) tanh( sigmoid(zf) c(t - 1) + sigmoid(zg) tanh(zi) )
 * </pre>
 *
 * <p>where the mask m is 1 without a mask. Source: Hochreiter and Schmidhuber, <em>Long short-term memory</em>, Neural
 * Computation 9(8), 1997, with the forget gate of Gers, Schmidhuber and Cummins, <em>Learning to forget</em>, Neural
 * Computation 12(10), 2000.
 */
interface LstmArithmetic {

    /** Gates of a unit. */
    int GATES = 4;

    /** {@return the passes in a number type; null if there are none} */
    static @Nullable LstmArithmetic of(DataType type, int inputs, int units, List<LowRankWeight> adapters) {
        if (type == DataType.FLOAT) {
            return new FloatLstm(inputs, units, adapters);
        }
        return type == DataType.DOUBLE ? new DoubleLstm(inputs, units, adapters) : null;
    }

    /**
     * What a forward pass leaves for the backward pass: {@code 6 H + n} numbers of a token.
     *
     * @param batch    sequences
     * @param time     tokens of each
     * @param mask     weights of the tokens; null if all are 1
     * @param input    x {@code [tokens, n]}
     * @param gates    {@code [tokens, 4 H]}: after their activations; the backward pass puts their gradients there
     * @param cells    {@code [tokens, H]}: c(t) before the mask; null if no backward pass is to come
     * @param previous {@code [tokens, H]}: h(t - 1); null likewise
     * @param cell     {@code [batch, H]}: c before the first token; null for 0
     * @param seed     of the adapters' dropout; null for none
     */
    record Kept(
            int batch,
            int time,
            double @Nullable [] mask,
            INDArray input,
            INDArray gates,
            @Nullable INDArray cells,
            @Nullable INDArray previous,
            @Nullable INDArray cell,
            @Nullable Long seed) {

        int tokens() {
            return batch * time;
        }

        double mask(int token) {
            return mask == null ? 1 : mask[token];
        }
    }

    /**
     * Computes h and c of all tokens.
     *
     * @param kept     its gates, cells and previous are set; without the two the gates hold what they please
     * @param weights  W {@code [n, 4 H]}, 'f' order
     * @param recurrent R {@code [H, 4 H]}, 'f' order
     * @param bias     b of {@code 4 H} numbers
     * @param first    h before the first token, {@code [batch, H]} in 'c' order; null for 0
     * @param memory   {@code 4 H * batch} numbers to work in
     * @param low      {@link #lowRankMemory} numbers to work in; null without adapters
     * @param output   h {@code [tokens, H]}, to be set
     * @param lastCell c after the last token {@code [batch, H]} in 'c' order, to be set
     */
    void forward(
            Kept kept,
            INDArray weights,
            INDArray recurrent,
            INDArray bias,
            @Nullable INDArray first,
            INDArray memory,
            @Nullable INDArray low,
            INDArray output,
            INDArray lastCell);

    /** {@return the numbers that backward works in} */
    long backwardMemory(int batch);

    /**
     * Computes gradients.
     *
     * @param kept              as forward has left it; its gates are overwritten
     * @param weights           as in forward
     * @param recurrent         as in forward
     * @param memory            {@link #backwardMemory} numbers to work in
     * @param low               as in forward
     * @param from              time step to stop at: earlier ones have no gradient
     * @param gradient          of the output
     * @param inputGradient     {@code [tokens, n]}, to be set
     * @param weightsGradient   of the shape and order of W, to be set; null if it's frozen; likewise the next two
     * @param recurrentGradient of R
     * @param biasGradient      of b
     * @param ofAdapters        gradients of the adapters by name, to be set
     */
    void backward(
            Kept kept,
            INDArray weights,
            INDArray recurrent,
            INDArray memory,
            @Nullable INDArray low,
            int from,
            INDArray gradient,
            INDArray inputGradient,
            @Nullable INDArray weightsGradient,
            @Nullable INDArray recurrentGradient,
            @Nullable INDArray biasGradient,
            Map<String, INDArray> ofAdapters);

    /** {@return numbers of working memory that the adapters' products need} */
    long lowRankMemory(int batch, int tokens);
}
