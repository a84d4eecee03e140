package io.github.dl4jretention.sweep;

import org.deeplearning4j.arbiter.optimize.api.OptimizationResult;
import org.deeplearning4j.arbiter.optimize.runner.CandidateInfo;
import org.deeplearning4j.arbiter.optimize.runner.IOptimizationRunner;
import org.deeplearning4j.arbiter.optimize.runner.listener.StatusListener;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Logs what another of Arbiter's listeners throws, which otherwise ends the runner. */
final class LoggedStatusListener implements StatusListener {

    private static final Logger LOG = LoggerFactory.getLogger(LoggedStatusListener.class);

    private final StatusListener listener;

    LoggedStatusListener(StatusListener listener) {
        this.listener = listener;
    }

    @Override
    public void onInitialization(IOptimizationRunner runner) {
        tell(() -> listener.onInitialization(runner));
    }

    @Override
    public void onShutdown(IOptimizationRunner runner) {
        tell(() -> listener.onShutdown(runner));
    }

    @Override
    public void onRunnerStatusChange(IOptimizationRunner runner) {
        tell(() -> listener.onRunnerStatusChange(runner));
    }

    @Override
    public void onCandidateStatusChange(CandidateInfo info, IOptimizationRunner runner, OptimizationResult result) {
        tell(() -> listener.onCandidateStatusChange(info, runner, result));
    }

    @Override
    public void onCandidateIteration(CandidateInfo info, Object candidate, int iteration) {
        tell(() -> listener.onCandidateIteration(info, candidate, iteration));
    }

    private void tell(Runnable event) {
        try {
            event.run();
        } catch (RuntimeException e) {
            LOG.warn("{} has failed", listener, e);
        }
    }
}
