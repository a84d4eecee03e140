package io.github.dl4jretention.listener;

/** Where reports go. */
@FunctionalInterface
public interface ReportSink extends AutoCloseable {

    /** Takes a report; called by the training thread. */
    void accept(RetentionReport report);

    /** Says how many iterations the run will have, once that is known; default: nothing. */
    default void expect(int iterations) {}

    /** Ends the sink; default: nothing. */
    @Override
    default void close() {}
}
