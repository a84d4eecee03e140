package io.github.dl4jretention.listener;

/** Takes the reports of a training, for instance to a file. */
@FunctionalInterface
public interface ReportSink extends AutoCloseable {

    /**
     * Takes a report; called by the training thread.
     *
     * @param report of one retention layer; a graph of several gives one for each in an iteration
     */
    void accept(RetentionReport report);

    /**
     * Says where the whole run began, before the first report and again when the run picks up after a stop; default:
     * nothing.
     *
     * @param iteration the student's iteration count before its first step
     */
    default void start(int iteration) {}

    /**
     * Says how many iterations the run will have, once that is known; default: nothing.
     *
     * @param iterations of the whole run, counted from iteration 0
     */
    default void expect(int iterations) {}

    /** Ends the sink; default: nothing. */
    @Override
    default void close() {}
}
