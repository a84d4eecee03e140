package io.github.dl4jretention.eval;

import java.util.Arrays;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * The values of tokens one after another, converted some at a time: one by one is slow, all at once takes much memory.
 */
final class TokenValues {

    private static final int VALUES = 1 << 18;

    private final INDArray rows;
    private final int classes;
    private final int tokens;
    private double[] values;
    private int first = -1;

    /** @param rows a token each */
    TokenValues(INDArray rows) {
        this.rows = rows;
        classes = (int) rows.size(1);
        tokens = Math.max(1, VALUES / classes);
    }

    double[] of(int token) {
        int from = token - token % tokens;
        if (from != first) {
            INDArray part = rows.get(NDArrayIndex.interval(from, Math.min(from + tokens, rows.size(0))));
            values = part.dup('c').reshape(part.length()).toDoubleVector();
            first = from;
        }
        int begin = (token - from) * classes;
        return Arrays.copyOfRange(values, begin, begin + classes);
    }
}
