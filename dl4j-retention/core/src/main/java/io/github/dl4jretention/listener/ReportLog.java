package io.github.dl4jretention.listener;

import java.util.Locale;
import org.bytedeco.javacpp.Pointer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes reports as lines of an SLF4J log. From the second iteration on, each line has the tokens per second and, if
 * the number of iterations is known, the time left; both are measured from the first report.
 */
public final class ReportLog implements ReportSink {

    private static final Logger LOG = LoggerFactory.getLogger(ReportLog.class);

    private final boolean memory;
    private int iterations;
    private boolean counted;
    private int first = -1;
    private long started;
    private int last = -1;
    private int reported;
    private double tokens;

    /** Shows the time left as soon as whoever trains says how many iterations there will be. */
    public ReportLog() {
        this(0);
    }

    /** @param iterations of the whole run, see {@link #ReportLog(int, boolean)}; 0 if you don't know */
    public ReportLog(int iterations) {
        this(iterations, false);
    }

    /**
     * @param iterations of the whole run; 0 if you don't know. A FinetuningRun says where it began, also when it picks
     *     up after a stop; elsewhere they're counted from the first report
     * @param memory whether lines end with the heap in use and the whole process's resident memory: JavaCPP itself
     *     counts none of ND4J's arrays
     */
    public ReportLog(int iterations, boolean memory) {
        this.iterations = iterations;
        this.memory = memory;
    }

    @Override
    public void start(int iteration) {
        if (!counted) {
            iterations += iterations > 0 ? iteration : 0;
            counted = true;
        }
    }

    @Override
    public void expect(int iterations) {
        this.iterations = iterations;
        counted = true;
    }

    @Override
    public void accept(RetentionReport report) {
        if (first < 0) {
            started = System.nanoTime();
        }
        String line = line(report, (System.nanoTime() - started) / 1e9);
        LOG.info(memory ? line + memory() : line);
    }

    static String memory() {
        Runtime runtime = Runtime.getRuntime();
        return String.format(
                Locale.ROOT,
                ", heap %d MB, resident %d MB",
                (runtime.totalMemory() - runtime.freeMemory()) >> 20,
                Pointer.physicalBytes() >> 20);
    }

    /** @param seconds since the first report */
    String line(RetentionReport report, double seconds) {
        first = first < 0 ? report.iteration() : first;
        start(first);
        tokens += report.tokens();
        reported += report.iteration() == last ? 0 : 1;
        last = report.iteration();
        String line = String.format(
                Locale.ROOT,
                "iteration %d%s, epoch %d, %s: CE %.4f, divergence %.4f, lambda %.4g, total %.4f, agreement %.1f %%, gradient %.3g",
                report.iteration(),
                iterations > 0 ? " of " + iterations : "",
                report.epoch(),
                report.output(),
                report.crossEntropy(),
                report.divergence(),
                report.coefficient(),
                report.total(),
                100 * report.agreement(),
                report.gradientNorm());
        int done = report.iteration() - first;
        return done > 0 ? line + speed(done, seconds, report.iteration()) : line;
    }

    private String speed(int done, double seconds, int iteration) {
        String speed = String.format(
                Locale.ROOT, ", %.0f tokens per second, %.0f s", tokens / reported * done / seconds, seconds);
        double left = seconds / done * Math.max(0, iterations - iteration - 1);
        return iterations > 0 ? speed + String.format(Locale.ROOT, ", %.0f s left", left) : speed;
    }
}
