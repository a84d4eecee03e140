package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.teacher.TeacherException;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import org.deeplearning4j.arbiter.optimize.api.Candidate;
import org.deeplearning4j.arbiter.optimize.api.OptimizationResult;
import org.deeplearning4j.arbiter.optimize.api.saving.ResultReference;
import org.deeplearning4j.arbiter.optimize.api.saving.ResultSaver;
import org.deeplearning4j.arbiter.optimize.runner.CandidateInfo;
import org.deeplearning4j.arbiter.optimize.runner.CandidateStatus;
import org.deeplearning4j.arbiter.optimize.runner.IOptimizationRunner;
import org.deeplearning4j.arbiter.optimize.runner.listener.StatusListener;
import org.deeplearning4j.exception.DL4JException;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.exception.ND4JException;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.guava.base.Throwables;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Trains and scores one candidate. It fails if a loss isn't finite or if it diverges: if a minibatch's cross-entropy
 * rises above twice the largest of {@code ln V} (a uniform guess), the base's validation loss, and the first
 * minibatch's. An ArithmeticException, IllegalArgumentException, IllegalStateException, ND4JException or DL4JException
 * is the candidate's failure; a TeacherException and everything else ends the sweep.
 */
@SuppressWarnings({"rawtypes", "unchecked"})
final class FinetuneTask implements Callable<OptimizationResult> {

    private static final Logger LOG = LoggerFactory.getLogger(FinetuneTask.class);
    private static final long SEED_STEP = 0x9E3779B97F4A7C15L;

    private final Candidate candidate;
    private final FinetuneProblem problem;
    private final FinetuneTaskCreator.CandidateScore scoreFunction;
    private final FinetuneObserver observer;
    private final List<StatusListener> listeners;
    private final @Nullable IOptimizationRunner runner;
    private final CandidateInfo info;
    private final LossCurve curve = new LossCurve();
    private final List<RungScore> rungs = new ArrayList<>();
    private double trainingSeconds;
    private double evaluationSeconds;

    FinetuneTask(
            Candidate candidate,
            FinetuneProblem problem,
            FinetuneTaskCreator.CandidateScore scoreFunction,
            FinetuneObserver observer,
            List<StatusListener> listeners,
            @Nullable IOptimizationRunner runner) {
        this.candidate = candidate;
        this.problem = problem;
        this.scoreFunction = scoreFunction;
        this.observer = observer;
        this.listeners = listeners;
        this.runner = runner;
        this.info = new CandidateInfo(
                candidate.getIndex(),
                CandidateStatus.Running,
                null,
                System.currentTimeMillis(),
                null,
                null,
                candidate.getFlatParameters(),
                null);
    }

    @Override
    public OptimizationResult call() {
        info.setStartTime(System.currentTimeMillis());
        FinetuneConfiguration configuration = null;
        try {
            configuration = (FinetuneConfiguration) candidate.getValue();
            return run(configuration);
        } catch (TeacherException e) {
            return error(new TeacherException(naming(configuration, e), e));
        } catch (ArithmeticException
                | IllegalArgumentException
                | IllegalStateException
                | ND4JException
                | DL4JException e) {
            LOG.debug("candidate {} failed", candidate.getIndex(), e);
            observer.onFailure(candidate.getIndex(), configuration, e);
            return failed(e);
        } catch (RuntimeException e) {
            return error(new IllegalStateException(naming(configuration, e), e));
        } catch (Throwable e) {
            return error(e);
        }
    }

    private String naming(@Nullable FinetuneConfiguration configuration, RuntimeException e) {
        return "candidate: " + candidate.getIndex() + ", " + configuration + ": " + e;
    }

    /** No memory, no disk, an interrupt: another try may work. */
    private OptimizationResult error(Throwable e) {
        LOG.debug("candidate {} could not be trained", candidate.getIndex(), e);
        observer.onError(candidate.getIndex(), e);
        return failed(e);
    }

    private OptimizationResult failed(Throwable reason) {
        info.setExceptionStackTrace(Throwables.getStackTraceAsString(reason));
        return end(CandidateStatus.Failed, null, null, null);
    }

    private OptimizationResult run(FinetuneConfiguration configuration) throws IOException, InterruptedException {
        FinetuneModel.CandidateTraining student = problem.start(configuration);
        int planned =
                configuration.steps() > 0 ? configuration.steps() : configuration.epochs() * problem.trainingBatches();
        int trained = train(student, configuration, planned);
        if (trained < planned) {
            FinetuneResult pruned = new FinetuneResult(
                    null, trained, planned, trainingSeconds, evaluationSeconds, curve.points(), rungs);
            observer.onResult(candidate.getIndex(), configuration, pruned, null, null);
            return end(CandidateStatus.Complete, null, pruned, null);
        }
        Object plain = student.plain();
        Losses validation = validation(plain);
        double score = scoreFunction.of(validation, plain);
        requireFinite(score, "score");
        FinetuneResult result = new FinetuneResult(
                validation, trained, planned, trainingSeconds, evaluationSeconds, curve.points(), rungs);
        ResultReference saved = save(score, result, plain);
        observer.onResult(candidate.getIndex(), configuration, result, score, plain);
        return end(CandidateStatus.Complete, scoreFunction.isShown(validation) ? score : null, result, saved);
    }

    /** The steps trained, fewer than planned if the candidate is hopeless. */
    private int train(FinetuneModel.CandidateTraining student, FinetuneConfiguration configuration, int planned)
            throws InterruptedException {
        MultiDataSetIterator batches = problem.training(configuration);
        try {
            return train(student, batches, planned);
        } finally {
            if (batches instanceof TeacherMultiDataSetIterator taught) {
                taught.close();
            }
        }
    }

    private int train(FinetuneModel.CandidateTraining student, MultiDataSetIterator batches, int planned)
            throws InterruptedException {
        double limit = problem.largestLoss();
        Pruning pruning = observer.pruning(candidate.getIndex());
        int epoch = 0;
        for (int step = 1; step <= planned; step++) {
            if (Thread.interrupted()) {
                throw new InterruptedException();
            }
            long started = System.nanoTime();
            if (!batches.hasNext()) {
                batches.reset();
                epoch++;
            }
            Nd4j.getRandom().setSeed(problem.seed() + SEED_STEP * step);
            TokenLoss loss = student.fit(batches.next(), epoch);
            trainingSeconds += (System.nanoTime() - started) / 1e9;
            if (step == 1) {
                // Smoothed labels or replayed text may begin above the base's limit.
                limit = Math.max(limit, FinetuneProblem.DIVERGED * loss.crossEntropy());
            }
            requireSound(loss, step, limit);
            curve.add(loss.crossEntropy(), loss.divergence());
            observer.onStep(candidate.getIndex(), step, planned, loss);
            int iteration = step;
            tell(listener -> listener.onCandidateIteration(info, student.network(), iteration));
            if (step < planned && pruning.isRung(step)) {
                RungScore rung = rung(student, step);
                rungs.add(rung);
                if (pruning.isHopeless(rung)) {
                    return step;
                }
            }
        }
        return planned;
    }

    private static void requireSound(TokenLoss loss, int step, double limit) {
        requireFinite(loss.sum(), "loss at step " + step);
        if (loss.crossEntropy() > limit) {
            throw new ArithmeticException("loss at step " + step + ": diverged, expected a cross-entropy of at most "
                    + limit + " nats per token, got " + loss.crossEntropy());
        }
    }

    private static void requireFinite(double value, String name) {
        if (!Double.isFinite(value)) {
            throw new ArithmeticException(name + ": expected a finite number, got " + value);
        }
    }

    private RungScore rung(FinetuneModel.CandidateTraining student, int step) {
        Object plain = student.plain();
        return new RungScore(step, scoreFunction.of(validation(plain), plain));
    }

    private Losses validation(Object plain) {
        requireFinite(problem.model().parameterSum(plain), "sum of the parameters");
        long started = System.nanoTime();
        Losses losses = problem.validation(plain);
        evaluationSeconds += (System.nanoTime() - started) / 1e9;
        requireFinite(losses.target(), "validation loss on target text");
        requireFinite(losses.source(), "validation loss on source text");
        return losses;
    }

    private @Nullable ResultReference save(double score, FinetuneResult result, Object plain) throws IOException {
        ResultSaver saver = runner == null ? null : runner.getConfiguration().getResultSaver();
        return saver == null
                ? null
                : saver.saveModel(
                        new OptimizationResult(candidate, score, candidate.getIndex(), result, info, null), plain);
    }

    private OptimizationResult end(
            CandidateStatus status,
            @Nullable Double score,
            @Nullable FinetuneResult result,
            @Nullable ResultReference saved) {
        info.setCandidateStatus(status);
        info.setScore(score);
        info.setEndTime(System.currentTimeMillis());
        OptimizationResult ended = new OptimizationResult(candidate, score, candidate.getIndex(), result, info, saved);
        tell(listener -> listener.onCandidateStatusChange(info, runner, ended));
        return ended;
    }

    /** What a listener throws doesn't harm the candidate. */
    private void tell(Consumer<StatusListener> event) {
        for (StatusListener listener : listeners) {
            try {
                event.accept(listener);
            } catch (RuntimeException e) {
                LOG.warn("candidate {}: {} has failed", candidate.getIndex(), listener, e);
            }
        }
    }

    /** Collects a training curve of at most {@value #POINTS} points: when they are reached, neighbours are averaged. */
    private static final class LossCurve {

        private static final int POINTS = 128;

        private final List<CurvePoint> points = new ArrayList<>();
        private int stride = 1;
        private int steps;
        private double crossEntropy;
        private double divergence;

        void add(double stepCrossEntropy, double stepDivergence) {
            steps++;
            crossEntropy += stepCrossEntropy;
            divergence += stepDivergence;
            if (steps % stride == 0) {
                points.add(new CurvePoint(steps, crossEntropy / stride, divergence / stride));
                crossEntropy = 0;
                divergence = 0;
            }
            if (points.size() == POINTS) {
                halve();
            }
        }

        private void halve() {
            List<CurvePoint> kept = new ArrayList<>();
            for (int i = 0; i < points.size(); i += 2) {
                CurvePoint one = points.get(i);
                CurvePoint other = points.get(i + 1);
                kept.add(new CurvePoint(
                        other.step(),
                        (one.crossEntropy() + other.crossEntropy()) / 2,
                        (one.divergence() + other.divergence()) / 2));
            }
            points.clear();
            points.addAll(kept);
            stride *= 2;
        }

        /** Points so far; steps since the last one are left out. */
        List<CurvePoint> points() {
            return new ArrayList<>(points);
        }
    }
}
