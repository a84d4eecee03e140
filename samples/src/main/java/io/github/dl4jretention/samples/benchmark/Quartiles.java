package io.github.dl4jretention.samples.benchmark;

import java.util.Arrays;

/** Median and quartiles of measured values, each one of them. */
public record Quartiles(double lower, double median, double upper) {

    /** @param values at least one; they stay as they are */
    public static Quartiles of(double... values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return new Quartiles(sorted[sorted.length / 4], sorted[sorted.length / 2], sorted[3 * sorted.length / 4]);
    }
}
