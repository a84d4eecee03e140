package io.github.dl4jretention.sweep;

import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.deeplearning4j.arbiter.optimize.api.OptimizationResult;
import org.deeplearning4j.arbiter.optimize.api.TaskCreator;
import org.deeplearning4j.arbiter.optimize.config.OptimizationConfiguration;
import org.deeplearning4j.arbiter.optimize.runner.LocalOptimizationRunner;

/** Arbiter's runner, which otherwise waits a second for results before it starts the first candidate. */
final class SweepRunner extends LocalOptimizationRunner {

    SweepRunner(int parallelism, OptimizationConfiguration configuration, TaskCreator taskCreator) {
        super(parallelism, configuration, taskCreator);
        completedFutures = new LinkedBlockingQueue<>() {
            private static final long serialVersionUID = 1L;

            @Override
            public Future<OptimizationResult> poll(long timeout, TimeUnit unit) throws InterruptedException {
                return queuedFutures.isEmpty() ? poll() : super.poll(timeout, unit);
            }
        };
    }
}
