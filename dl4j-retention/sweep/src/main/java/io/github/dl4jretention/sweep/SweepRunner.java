package io.github.dl4jretention.sweep;

import java.io.InterruptedIOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
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
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Arbiter's runner without its faults: by itself it waits a second before the first candidate, ignores interrupts, and
 * leaves threads behind.
 */
final class SweepRunner extends LocalOptimizationRunner implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(SweepRunner.class);

    private final SweepJournal journal;

    /** @param journal once it has failed, the runner ends with a CancellationException */
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
     * Runs all candidates. Afterwards none is in work; the journal has whatever was thrown.
     *
     * @param listeners whose exceptions are logged
     */
    void execute(List<StatusListener> listeners) {
        boolean interrupted = false;
        try (SweepRunner closed = this) {
            try {
                addListeners(listeners.stream().map(SweepRunner::logged).toArray(StatusListener[]::new));
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

    /** Ends the threads that tell of results, too, which the base class leaves. */
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

    /** A listener of Arbiter's. What it throws is logged, for it would end the runner. */
    private static StatusListener logged(StatusListener listener) {
        return (StatusListener) Proxy.newProxyInstance(
                StatusListener.class.getClassLoader(), new Class<?>[] {StatusListener.class}, (proxy, event, told) -> {
                    try {
                        return event.invoke(listener, told);
                    } catch (InvocationTargetException e) {
                        if (e.getCause() instanceof RuntimeException) {
                            LOG.warn("{} has failed", listener, e.getCause());
                            return null;
                        }
                        throw e.getCause();
                    }
                });
    }
}
