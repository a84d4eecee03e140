package io.github.dl4jretention.loss;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Label masks for instruction tuning on marked text, as in
 *
 * <pre>
 * &lt;|user|&gt;What is 2 + 2?&lt;|assistant|&gt;4&lt;|end|&gt;
 * </pre>
 *
 * where what stands between an answer's start marker and its end marker is the answer. Answers have weight 1, with
 * their end marker (the model must learn to stop) and without their start marker; all else has the instruction weight.
 * An answer without an end marker goes to the end of the sequence.
 *
 * <p>Masks are for next-token prediction: features are the tokens from the first to the last but one, labels those from
 * the second to the last, so that a mask's entry t weighs the prediction of token t + 1. Immutable.
 */
public final class AnswerMask {

    private final int[] start;
    private final int[] end;
    private final float instructionWeight;

    private AnswerMask(int[] start, int[] end, double instructionWeight) {
        if (start.length == 0 || end.length == 0) {
            throw new IllegalArgumentException("start, end: expected markers of at least one token, got lengths "
                    + start.length + " and " + end.length);
        }
        this.start = start.clone();
        this.end = end.clone();
        this.instructionWeight = (float) instructionWeight;
    }

    /**
     * {@return masks of answers between two markers of token ids; instructions have weight 0}
     *
     * @param start token ids before an answer, at least one; copied
     * @param end   token ids after it, at least one; copied
     * @throws IllegalArgumentException if a marker is empty
     */
    public static AnswerMask between(int[] start, int[] end) {
        return new AnswerMask(start, end, 0);
    }

    /**
     * {@return the same as {@link #between(int[], int[])}, for models whose tokens are the bytes of UTF-8 text}
     *
     * @param start text before an answer, not empty
     * @param end   text after it, not empty
     * @throws IllegalArgumentException if a marker is empty
     */
    public static AnswerMask between(String start, String end) {
        return between(bytes(start), bytes(end));
    }

    /**
     * {@return the same markers with another weight of instructions}
     *
     * @param weight finite and at least 0: 0 learns answers only (the default), 1 instructions as much as answers
     * @throws IllegalArgumentException if it is another number
     */
    public AnswerMask withInstructionWeight(double weight) {
        if (!(weight >= 0) || Double.isInfinite(weight)) {
            throw new IllegalArgumentException("weight: expected a finite number of at least 0, got " + weight);
        }
        return new AnswerMask(start, end, weight);
    }

    /**
     * {@return the weight of each token of a sequence, as a label: entry t weighs the prediction of token t}
     *
     * @param tokens token ids of the whole sequence
     */
    public float[] weights(int[] tokens) {
        float[] weights = new float[tokens.length];
        boolean answer = false;
        int t = 0;
        while (t < tokens.length) {
            int[] marker = answer ? end : start;
            boolean marked = matches(tokens, t, marker);
            int next = marked ? t + marker.length : t + 1;
            Arrays.fill(weights, t, next, answer ? 1 : instructionWeight);
            answer ^= marked;
            t = next;
        }
        return weights;
    }

    /**
     * {@return the weight of each UTF-8 byte of a sequence, as {@link #weights(int[])} gives it of tokens}
     *
     * @param text the whole sequence
     */
    public float[] weights(String text) {
        return weights(bytes(text));
    }

    /**
     * {@return the label mask of a minibatch, {@code [batch, longest - 1]} in FLOAT; shorter sequences padded with 0}
     *
     * @param sequences token ids, each sequence of at least two
     * @throws IllegalArgumentException if a sequence is shorter
     */
    public INDArray labelsMask(int[]... sequences) {
        INDArray mask = Nd4j.zeros(DataType.FLOAT, sequences.length, longest(sequences) - 1L);
        for (int row = 0; row < sequences.length; row++) {
            float[] weights = weights(sequences[row]);
            for (int t = 1; t < weights.length; t++) {
                mask.putScalar(row, t - 1L, weights[t]);
            }
        }
        return mask;
    }

    /**
     * {@return the features mask of the same minibatch, {@code [batch, longest - 1]} in FLOAT: 1 for tokens, 0 for
     * padding}
     *
     * @param sequences token ids, each sequence of at least two
     * @throws IllegalArgumentException if a sequence is shorter
     */
    public static INDArray featuresMask(int[]... sequences) {
        INDArray mask = Nd4j.zeros(DataType.FLOAT, sequences.length, longest(sequences) - 1L);
        for (int row = 0; row < sequences.length; row++) {
            for (int t = 0; t < sequences[row].length - 1; t++) {
                mask.putScalar(row, t, 1);
            }
        }
        return mask;
    }

    private static int longest(int[][] sequences) {
        int longest = 0;
        for (int[] sequence : sequences) {
            if (sequence.length < 2) {
                throw new IllegalArgumentException(
                        "sequences: expected at least two tokens each, got one of length " + sequence.length);
            }
            longest = Math.max(longest, sequence.length);
        }
        return longest;
    }

    private static boolean matches(int[] tokens, int from, int[] marker) {
        if (from + marker.length > tokens.length) {
            return false;
        }
        for (int i = 0; i < marker.length; i++) {
            if (tokens[from + i] != marker[i]) {
                return false;
            }
        }
        return true;
    }

    private static int[] bytes(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        int[] tokens = new int[bytes.length];
        for (int i = 0; i < bytes.length; i++) {
            tokens[i] = Byte.toUnsignedInt(bytes[i]);
        }
        return tokens;
    }
}
