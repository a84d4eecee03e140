package io.github.dl4jretention.sweep;

import java.io.InterruptedIOException;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.deeplearning4j.arbiter.optimize.api.OptimizationResult;
import org.deeplearning4j.arbiter.optimize.api.TaskCreator;
import org.deeplearning4j.arbiter.optimize.config.OptimizationConfiguration;
import org.deeplearning4j.arbiter.optimize.runner.LocalOptimizationRunner;
import org.deeplearning4j.arbiter.optimize.runner.listener.StatusListener;

/**
 * Arbiter's runner, which otherwise waits a second for results before it starts the first candidate, goes on when it is
 * interrupted, and leaves threads behind.
 */
final class SweepRunner extends LocalOptimizationRunner implements AutoCloseable {

    private final SweepJournal journal;

    /** @param journal it ends with a CancellationException instead of going on once that has failed */
    SweepRunner(
            int parallelism, OptimizationConfiguration configuration, TaskCreator taskCreator, SweepJournal journal) {
        super(parallelism, configuration, taskCreator);
        this.journal = journal;
        completedFutures = new LinkedBlockingQueue<>() {
            private static final long serialVersionUID = 1L;

            @Override
            public Future<OptimizationResult> poll(long timeout, TimeUnit unit) {
                if (Thread.interrupted()) {
                    throw interrupted();
                }
                if (journal.hasFailed()) {
                    throw new CancellationException();
                }
                try {
                    return queuedFutures.isEmpty() ? poll() : super.poll(timeout, unit);
                } catch (InterruptedException e) {
                    throw interrupted();
                }
            }
        };
    }

    /**
     * No candidate is in work afterwards, whatever was thrown: the journal has it.
     *
     * @param listeners whose exceptions are logged
     */
    void execute(List<StatusListener> listeners) {
        boolean interrupted = false;
        try (SweepRunner closed = this) {
            try {
                addListeners(listeners.stream().map(LoggedStatusListener::new).toArray(StatusListener[]::new));
                execute();
            } catch (RuntimeException | Error e) {
                interrupted = isInterrupt(e);
                journal.stop(
                        interrupted
                                ? new InterruptedIOException("candidates: interrupted before the last had ended")
                                : e);
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** The base class would pass over it. */
    private static CancellationException interrupted() {
        CancellationException cancelled = new CancellationException();
        cancelled.initCause(new InterruptedException());
        return cancelled;
    }

    /** Whether something was thrown because the thread that executes was interrupted. */
    private static boolean isInterrupt(Throwable thrown) {
        return thrown.getCause() instanceof InterruptedException;
    }

    /** Also ends the threads of the base class that tell of results, which it leaves. */
    @Override
    public void shutdown(boolean awaitTermination) {
        super.shutdown(awaitTermination);
        futureListenerExecutor.shutdown();
    }

    /** Ends all threads: candidates in work are interrupted, and waited for. */
    @Override
    public void close() {
        super.shutdown(false);
        boolean interrupted = false;
        for (boolean ended = false; !ended; ) {
            try {
                shutdown(true);
                ended = true;
            } catch (RuntimeException e) {
                interrupted = isInterrupt(e);
                ended = !interrupted;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
