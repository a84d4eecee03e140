package io.github.dl4jretention.teacher;

import java.util.Objects;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * Arithmetic on arrays of log-probabilities. Log-sum-exp is taken about the maximum: M2.1's own operations overflow.
 */
final class LogProbabilities {

    private LogProbabilities() {}

    /** {@code log softmax}, a new array. */
    static INDArray ofLogits(INDArray logits, int classAxis) {
        INDArray last = classesLast(logits, classAxis).dup('c');
        int axis = last.rank() - 1;
        try (INDArray largest = last.max(true, axis)) {
            last.subi(largest);
        }
        try (INDArray powers = Transforms.exp(last);
                INDArray sums = powers.sum(true, axis)) {
            last.subi(Transforms.log(sums, false));
        }
        return classesBack(last, classAxis);
    }

    /** {@code log sum_i w_i exp(a_i)}, element by element, a new array; weights of 0 are left out. */
    static INDArray mixture(INDArray[] arrays, double[] weights) {
        INDArray result = null;
        for (int i = 0; i < arrays.length; i++) {
            if (weights[i] > 0) {
                INDArray term = arrays[i].add(Math.log(weights[i]));
                if (result == null) {
                    result = term;
                } else {
                    logSumExp(result, term);
                    term.close();
                }
            }
        }
        return Objects.requireNonNull(result, "weights, not all 0");
    }

    /** The array with its class axis moved to the end, a view. */
    static INDArray classesLast(INDArray array, int classAxis) {
        return array.rank() == 2 || classAxis == array.rank() - 1 ? array : array.permute(0, 2, 1);
    }

    /** The inverse of {@link #classesLast}. */
    static INDArray classesBack(INDArray array, int classAxis) {
        return classesLast(array, classAxis);
    }

    /** Into the first; the second is used up. */
    private static void logSumExp(INDArray a, INDArray b) {
        try (INDArray reference = Transforms.max(a, b, true)) {
            // Where both are -inf their difference is NaN: a finite stand-in gives back -inf.
            Transforms.max(reference, -Float.MAX_VALUE, false);
            Transforms.exp(a.subi(reference), false);
            Transforms.exp(b.subi(reference), false);
            Transforms.log(a.addi(b), false);
            a.addi(reference);
        }
    }
}
