package io.github.dl4jretention.samples;

import java.util.List;
import org.apache.commons.math3.stat.descriptive.DescriptiveStatistics;
import picocli.CommandLine.Option;

/** What programs share that print a table of steps' times: the shapes of the minibatches, and the columns of a median. */
final class StepTableOptions {

    private static final String COLUMNS = "%9s %9s %9s %6s";

    /** Above the columns of all sides. */
    static final String HEADER = COLUMNS.formatted("median ms", "quarter", "3/4", "ratio");

    @Option(names = "--batch", split = ",", description = "Sequences of a minibatch.")
    List<Integer> batches = List.of(16);

    @Option(names = "--time", split = ",", description = "Tokens of a sequence.")
    List<Integer> times = List.of(64);

    /**
     * The columns of one side: median, quartiles, and the median's ratio to that of the first side.
     *
     * @param milliseconds of its steps
     * @param first        the median of the side that the others are compared with
     */
    static String columns(DescriptiveStatistics milliseconds, double first) {
        double median = milliseconds.getPercentile(50);
        return COLUMNS.formatted(
                "%.1f".formatted(median),
                "%.1f".formatted(milliseconds.getPercentile(25)),
                "%.1f".formatted(milliseconds.getPercentile(75)),
                "%.2f".formatted(median / first));
    }
}
