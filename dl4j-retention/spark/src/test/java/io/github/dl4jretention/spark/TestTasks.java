package io.github.dl4jretention.spark;

import java.util.List;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import org.deeplearning4j.arbiter.optimize.api.Candidate;
import org.deeplearning4j.arbiter.optimize.api.OptimizationResult;
import org.deeplearning4j.arbiter.optimize.api.TaskCreator;
import org.deeplearning4j.arbiter.optimize.api.data.DataProvider;
import org.deeplearning4j.arbiter.optimize.api.data.DataSource;
import org.deeplearning4j.arbiter.optimize.api.score.ScoreFunction;
import org.deeplearning4j.arbiter.optimize.runner.CandidateInfo;
import org.deeplearning4j.arbiter.optimize.runner.CandidateStatus;
import org.deeplearning4j.arbiter.optimize.runner.IOptimizationRunner;
import org.deeplearning4j.arbiter.optimize.runner.listener.StatusListener;

/** Tasks that train nothing. */
@SuppressWarnings("rawtypes")
record TestTasks(Consumer<Candidate> work) implements TaskCreator {

    static TaskCreator of(Consumer<Candidate> work) {
        return new TestTasks(work);
    }

    @Override
    public Callable<OptimizationResult> create(
            Candidate candidate,
            Class<? extends DataSource> dataSource,
            Properties dataSourceProperties,
            ScoreFunction scoreFunction,
            List<StatusListener> statusListeners,
            IOptimizationRunner runner) {
        return () -> {
            work.accept(candidate);
            CandidateInfo info =
                    new CandidateInfo(candidate.getIndex(), CandidateStatus.Complete, 3.0, 0L, 0L, 0L, null, null);
            return new OptimizationResult(candidate, 3.0, candidate.getIndex(), null, info, null);
        };
    }

    @Override
    @SuppressWarnings("deprecation")
    public Callable<OptimizationResult> create(
            Candidate candidate,
            DataProvider dataProvider,
            ScoreFunction scoreFunction,
            List<StatusListener> statusListeners,
            IOptimizationRunner runner) {
        return create(candidate, null, null, scoreFunction, statusListeners, runner);
    }
}
