package io.github.dl4jretention.loss.fused;

import io.github.dl4jretention.internal.Workers;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * Logits of a few tokens and the gradient on the way back: {@code Z = W^T H^T} in place of {@code H W}, so that a
 * token's logits lie side by side. The vocabulary is cut into parts, each with its own memory, whose products run at
 * the same time. Without weights the input is the logits.
 */
final class FusedProjection {

    private final INDArray weights;
    private final int vocabulary;
    private final int mostTokens;
    private final int parts;
    private final FloatMemory[] logits;
    private final INDArray[] inputGradients;

    /**
     * @param weights {@code [nIn, V]}, 'f' order; null for none
     * @param tokens  most that there are at once
     */
    FusedProjection(INDArray weights, int vocabulary, int tokens, int parts) {
        this.weights = weights;
        this.vocabulary = vocabulary;
        mostTokens = tokens;
        this.parts = weights == null ? 1 : Math.min(parts, vocabulary);
        logits = new FloatMemory[this.parts];
        inputGradients = new INDArray[this.parts];
        for (int part = 0; part < this.parts; part++) {
            logits[part] = new FloatMemory(matrix(width(part), tokens));
        }
    }

    /**
     * As many tokens as the elements allow, for logits and, four times as large at most, for the gradients with respect
     * to the input, one for each part but the first.
     */
    static int tokens(INDArray weights, int vocabulary, int parts, int elements) {
        long gradients = weights == null ? 0 : weights.size(0) * (Math.min(parts, vocabulary) - 1L) / 4;
        return (int) (elements / Math.max(vocabulary, gradients));
    }

    private static INDArray matrix(long rows, long columns) {
        return Nd4j.createUninitialized(DataType.FLOAT, new long[] {rows, columns}, 'f');
    }

    /** Not before they are needed: a teacher never goes backward. */
    private void makeInputGradients() {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            for (int part = 1; part < parts && inputGradients[part] == null; part++) {
                inputGradients[part] = matrix(weights.size(0), mostTokens);
            }
        }
    }

    private int from(int part) {
        return Workers.start(vocabulary, parts, part);
    }

    private int width(int part) {
        return from(part + 1) - from(part);
    }

    private INDArray ofPart(INDArray array, int part) {
        return array.get(NDArrayIndex.all(), NDArrayIndex.interval(from(part), from(part + 1)));
    }

    private static INDArray first(INDArray array, long tokens) {
        return array.size(1) == tokens ? array : array.get(NDArrayIndex.all(), NDArrayIndex.interval(0, tokens));
    }

    /** @param input {@code [nIn, tokens]}, 'f' order */
    void forward(INDArray input) {
        if (weights == null) {
            first(logits[0].array(), input.size(1)).assign(input);
            return;
        }
        Workers.run(parts, part -> {
            INDArray result = first(logits[part].array(), input.size(1));
            Nd4j.gemm(ofPart(weights, part), input, result, true, false, 1, 0);
        });
    }

    /** A token's logits. */
    void get(int token, float[] row) {
        for (int part = 0; part < parts; part++) {
            logits[part].get((long) token * width(part), row, from(part), width(part));
        }
    }

    /** Puts a token's gradient in the place of its logits. */
    void put(int token, float[] row) {
        for (int part = 0; part < parts; part++) {
            logits[part].put((long) token * width(part), row, from(part), width(part));
        }
    }

    /**
     * From the gradients of the logits those of the weights and of the input.
     *
     * @param input           {@code [nIn, tokens]}, 'f' order
     * @param weightGradients {@code [nIn, V]}, 'f' order; null for none
     * @param add             whether to add to them, or to set them
     * @param inputGradient   {@code [nIn, tokens]}, 'f' order, to be set
     */
    void backward(INDArray input, INDArray weightGradients, boolean add, INDArray inputGradient) {
        long tokens = input.size(1);
        makeInputGradients();
        if (weights == null) {
            inputGradient.assign(first(logits[0].array(), tokens));
            return;
        }
        Workers.run(parts, part -> {
            INDArray delta = first(logits[part].array(), tokens);
            if (weightGradients != null) {
                Nd4j.gemm(input, delta, ofPart(weightGradients, part), false, true, 1, add ? 1 : 0);
            }
            INDArray result = part == 0 ? inputGradient : first(inputGradients[part], tokens);
            Nd4j.gemm(ofPart(weights, part), delta, result, false, false, 1, 0);
        });
        for (int part = 1; part < parts; part++) {
            inputGradient.addi(first(inputGradients[part], tokens));
        }
    }
}
