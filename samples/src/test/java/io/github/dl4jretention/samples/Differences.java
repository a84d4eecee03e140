package io.github.dl4jretention.samples;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import org.nd4j.linalg.api.ndarray.INDArray;

/** How far arrays are apart. ND4J's own maxima pass over NaN. */
final class Differences {

    private Differences() {}

    /** The largest difference of two elements in the same place; fails on NaN and where shapes differ. */
    static double largest(INDArray one, INDArray two) {
        assertArrayEquals(one.shape(), two.shape());
        double largest = 0;
        double[] ones = one.dup('c').reshape(one.length()).toDoubleVector();
        double[] twos = two.dup('c').reshape(two.length()).toDoubleVector();
        for (int i = 0; i < ones.length; i++) {
            double difference = Math.abs(ones[i] - twos[i]);
            assertFalse(Double.isNaN(difference), "element " + i + ": " + ones[i] + " and " + twos[i]);
            largest = Math.max(largest, difference);
        }
        return largest;
    }
}
