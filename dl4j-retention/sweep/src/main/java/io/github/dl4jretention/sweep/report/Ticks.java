package io.github.dl4jretention.sweep.report;

import java.util.Locale;
import java.util.stream.IntStream;

/**
 * Marks of an axis.
 *
 * @param step   1, 2 or 5 times a power of ten
 * @param values multiples of it
 */
record Ticks(double step, double[] values) {

    /** About so many between two ends, and few in any case: a step may be less than what is between two numbers. */
    static Ticks of(double first, double last, int count) {
        double step = step((last - first) / count);
        double start = Math.ceil(first / step) * step;
        double[] values = IntStream.rangeClosed(0, 2 * count)
                .mapToDouble(i -> start + i * step)
                .filter(tick -> tick <= last)
                .distinct()
                .toArray();
        return new Ticks(step, values);
    }

    private static double step(double least) {
        double power = Math.pow(10, Math.floor(Math.log10(least)));
        double rest = least / power;
        return power * (rest > 5 ? 10 : rest > 2 ? 5 : rest > 1 ? 2 : 1);
    }

    /** A value with as many places as the step needs. */
    String label(double value) {
        int places = Math.max(0, (int) -Math.floor(Math.log10(step) + 1e-9));
        double rounded = Math.abs(value) < step / 1e6 ? 0 : value;
        return places > 6
                ? String.format(Locale.ROOT, "%.1e", rounded)
                : String.format(Locale.ROOT, "%." + places + "f", rounded);
    }
}
