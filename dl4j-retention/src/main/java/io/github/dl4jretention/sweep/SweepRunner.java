package io.github.dl4jretention.sweep;

import java.util.concurrent.CancellationException;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.deeplearning4j.arbiter.optimize.api.OptimizationResult;
import org.deeplearning4j.arbiter.optimize.api.TaskCreator;
import org.deeplearning4j.arbiter.optimize.config.OptimizationConfiguration;
import org.deeplearning4j.arbiter.optimize.runner.LocalOptimizationRunner;

/**
 * Arbiter's runner, which otherwise waits a second for results before it starts the first candidate, goes on when it is
 * interrupted, and leaves threads behind.
 */
final class SweepRunner extends LocalOptimizationRunner implements AutoCloseable {

    /** @param hasFailed whether to end with a CancellationException instead of going on */
    SweepRunner(
            int parallelism,
            OptimizationConfiguration configuration,
            TaskCreator taskCreator,
            BooleanSupplier hasFailed) {
        super(parallelism, configuration, taskCreator);
        completedFutures = new LinkedBlockingQueue<>() {
            private static final long serialVersionUID = 1L;

            @Override
            public Future<OptimizationResult> poll(long timeout, TimeUnit unit) {
                if (Thread.interrupted()) {
                    throw interrupted();
                }
                if (hasFailed.getAsBoolean()) {
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

    /** The base class would pass over it. */
    private static CancellationException interrupted() {
        CancellationException cancelled = new CancellationException();
        cancelled.initCause(new InterruptedException());
        return cancelled;
    }

    /** Whether something was thrown because the thread that executes was interrupted. */
    static boolean isInterrupt(Throwable thrown) {
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
