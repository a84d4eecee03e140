package io.github.dl4jretention.sweep.task;

import java.util.List;
import java.util.Properties;
import java.util.concurrent.Callable;
import org.deeplearning4j.arbiter.optimize.api.Candidate;
import org.deeplearning4j.arbiter.optimize.api.OptimizationResult;
import org.deeplearning4j.arbiter.optimize.api.TaskCreator;
import org.deeplearning4j.arbiter.optimize.api.data.DataProvider;
import org.deeplearning4j.arbiter.optimize.api.data.DataSource;
import org.deeplearning4j.arbiter.optimize.api.score.ScoreFunction;
import org.deeplearning4j.arbiter.optimize.runner.IOptimizationRunner;
import org.deeplearning4j.arbiter.optimize.runner.listener.StatusListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Makes Arbiter's tasks: every candidate starts from the same pretrained weights, stays near the same teacher, and sees
 * the same batches. Arbiter's own task creators start from random weights, and sleep two seconds after every candidate.
 *
 * <p>It's registered for {@link FinetuneSpace}: {@code new LocalOptimizationRunner(configuration)} finds it, and it finds
 * its {@link FinetuneProblem} in the configuration's {@link FinetuneDataSource}. It works with any score function of
 * Arbiter's that scores a stock network by a DataSource; {@link RetentionScore} weighs learning and forgetting.
 *
 * <p>A candidate fails, and has no score, if a loss isn't finite or if it diverges: if a minibatch's cross-entropy is
 * above twice the largest of {@code ln V}, the base's validation loss and the first minibatch's.
 *
 * <p>A task destroys the workspaces of its thread at its end.
 */
@SuppressWarnings("rawtypes")
public final class FinetuneTaskCreator implements TaskCreator {

    private final @Nullable FinetuneProblem problem;
    private final FinetuneObserver observer;

    /** For Arbiter, which finds task creators by the class of the space. */
    public FinetuneTaskCreator() {
        this(null, new FinetuneObserver() {});
    }

    /**
     * @param problem  what all candidates share; null to take it from the data source
     * @param observer is told of every candidate
     */
    public FinetuneTaskCreator(@Nullable FinetuneProblem problem, FinetuneObserver observer) {
        this.problem = problem;
        this.observer = observer;
    }

    @Override
    public Callable<OptimizationResult> create(
            Candidate candidate,
            @Nullable Class<? extends DataSource> dataSource,
            @Nullable Properties dataSourceProperties,
            ScoreFunction scoreFunction,
            List<StatusListener> statusListeners,
            @Nullable IOptimizationRunner runner) {
        FinetuneProblem shared =
                problem == null ? FinetuneDataSource.problem(dataSource, dataSourceProperties) : problem;
        CandidateScore score = new CandidateScore() {
            @Override
            public double of(Losses validation, Object plain) {
                return scoreFunction instanceof RetentionScore retention
                        ? retention.score(shared.baseLosses(), validation)
                        : scoreFunction.score(plain, dataSource, dataSourceProperties);
            }

            @Override
            public boolean isShown(Losses validation) {
                // Arbiter's generators alone learn from it: then it must have one.
                return problem == null
                        || !(scoreFunction instanceof RetentionScore retention)
                        || retention.isFeasible(shared.baseLosses(), validation);
            }
        };
        FinetuneTask task = new FinetuneTask(candidate, shared, score, observer, List.copyOf(statusListeners), runner);
        return () -> {
            try {
                return task.call();
            } finally {
                // The runner's threads are many; each would keep the workspaces of its last network.
                Nd4j.getWorkspaceManager().destroyAllWorkspacesForCurrentThread();
            }
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

    /** A score function with what it needs. */
    interface CandidateScore {

        double of(Losses validation, Object plain);

        /** Whether Arbiter and its listeners get it; else they would log 1e6 as the best score. */
        default boolean isShown(Losses validation) {
            return true;
        }
    }
}
