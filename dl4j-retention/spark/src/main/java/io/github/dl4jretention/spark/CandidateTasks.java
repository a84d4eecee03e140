package io.github.dl4jretention.spark;

import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.task.FinetuneObserver;
import io.github.dl4jretention.sweep.task.FinetuneProblem;
import io.github.dl4jretention.sweep.task.FinetuneResult;
import io.github.dl4jretention.sweep.task.Losses;
import io.github.dl4jretention.sweep.task.RetentionScore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Callable;
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
import org.jspecify.annotations.Nullable;

/** Makes the driver's side of candidates: a task of Arbiter's sends one to the cluster and waits for it. */
@SuppressWarnings("rawtypes")
final class CandidateTasks implements TaskCreator {

    private final Cluster cluster;
    private final FinetuneProblem problem;
    private final SparkSweep.Sent sent;
    private final FinetuneObserver observer;
    private final List<Losses> known = new ArrayList<>();

    CandidateTasks(Cluster cluster, FinetuneProblem problem, SparkSweep.Sent sent, FinetuneObserver observer) {
        this.cluster = cluster;
        this.problem = problem;
        this.sent = sent;
        this.observer = observer;
    }

    @Override
    public Callable<OptimizationResult> create(
            Candidate candidate,
            @Nullable Class<? extends DataSource> dataSource,
            @Nullable Properties dataSourceProperties,
            ScoreFunction scoreFunction,
            List<StatusListener> statusListeners,
            IOptimizationRunner runner) {
        List<StatusListener> listeners = List.copyOf(statusListeners);
        return () -> {
            OptimizationResult ended = run(candidate, (RetentionScore) scoreFunction);
            listeners.forEach(listener -> listener.onCandidateStatusChange(ended.getCandidateInfo(), runner, ended));
            return ended;
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

    private OptimizationResult run(Candidate candidate, RetentionScore score) {
        CandidateInfo info = new CandidateInfo(
                candidate.getIndex(),
                CandidateStatus.Running,
                null,
                System.currentTimeMillis(),
                System.currentTimeMillis(),
                null,
                candidate.getFlatParameters(),
                null);
        FinetuneConfiguration configuration = null;
        CandidateAnswer answer = null;
        try {
            configuration = (FinetuneConfiguration) candidate.getValue();
            answer = answer(candidate.getIndex(), configuration, score);
        } catch (IllegalStateException e) {
            if (configuration == null) {
                observer.onFailure(candidate.getIndex(), null, e);
            } else {
                observer.onError(
                        candidate.getIndex(),
                        new IllegalStateException(
                                "candidate: " + candidate.getIndex() + ", " + configuration + ": " + e.getMessage(),
                                e));
            }
        } catch (IOException | InterruptedException | RuntimeException e) {
            observer.onError(candidate.getIndex(), e);
        }
        FinetuneResult result = answer == null ? null : answer.result();
        boolean shown = answer != null
                && answer.score() != null
                && result != null
                && result.validation() != null
                && score.isFeasible(problem.baseLosses(), result.validation());
        info.setCandidateStatus(result == null ? CandidateStatus.Failed : CandidateStatus.Complete);
        info.setScore(shown && answer != null ? answer.score() : null);
        info.setEndTime(System.currentTimeMillis());
        return new OptimizationResult(candidate, info.getScore(), candidate.getIndex(), result, info, null);
    }

    private CandidateAnswer answer(int index, FinetuneConfiguration configuration, RetentionScore score)
            throws IOException, InterruptedException {
        ArrayList<Losses> others;
        synchronized (known) {
            others = new ArrayList<>(known);
        }
        CandidateCall call =
                new CandidateCall(sent.get(), index, configuration, score, observer.pruning(index), others);
        Arrival arrival = arrival(call);
        try {
            CandidateAnswer answer = arrival.answer();
            FinetuneResult result = answer.result();
            if (result == null) {
                observer.onFailure(index, configuration, new IllegalStateException(answer.failure()));
                return answer;
            }
            observer.onResult(index, configuration, result, answer.score(), arrival.model());
            if (result.validation() != null) {
                synchronized (known) {
                    known.add(result.validation());
                }
            }
            return answer;
        } finally {
            if (arrival.model() != null) {
                Files.delete(arrival.model());
            }
        }
    }

    /**
     * An answer without its model, which waits on the disk until it's written to the sweep's folder: the driver has no use
     * for networks, and those of all executors may come at once.
     */
    private record Arrival(CandidateAnswer answer, @Nullable Path model) {}

    private Arrival arrival(CandidateCall call) throws IOException, InterruptedException {
        CandidateAnswer answer = cluster.run("candidate " + call.index() + ": " + call.configuration(), List.of(call))
                .get(0);
        if (answer.model() == null) {
            return new Arrival(answer, null);
        }
        Path file = Files.createTempFile("candidate", AtomicFile.PART);
        try {
            answer.model().writeTo(file);
        } catch (IOException e) {
            Files.delete(file);
            throw e;
        }
        return new Arrival(new CandidateAnswer(answer.result(), answer.score(), null, null), file);
    }
}
