package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.baseline.Importance;
import io.github.dl4jretention.baseline.ImportanceEstimator;
import io.github.dl4jretention.baseline.SelfReplay;
import io.github.dl4jretention.eval.LabelLosses;
import io.github.dl4jretention.samples.console.Progress;
import io.github.dl4jretention.samples.model.TextModel;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.tasks.TaskModel;
import io.github.dl4jretention.tasks.TaskResult;
import io.github.dl4jretention.tasks.TaskSuite;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.apache.commons.math3.stat.StatUtils;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

/** Runs trials of one base model: trains, measures the tuned model, its earlier stops and its merges. */
final class TrialRunner {

    private static final double MEGABYTE = 1 << 20;
    private static final long IMPORTANCE_SEED = 20240601;
    private static final long WRITTEN_SEED = 20240602;
    private static final long LOSSES_SEED = 20240603;

    /** Of a model that gives no finite numbers. */
    private static final Map<Corpus.Part, Scores> NO_SCORES =
            Map.of(Corpus.Part.VALIDATION, Scores.NONE, Corpus.Part.TEST, Scores.NONE);

    private final Plan plan;
    private final TokenCorpus corpus;
    private final String model;
    private final MultiLayerNetwork base;
    private final Teacher remembered;
    private final @Nullable Path tasks;
    private final Map<Plan.Pair, Importance> importances = new HashMap<>();
    private final Map<WrittenFor, SelfReplay> written = new HashMap<>();
    private final Map<Plan.Pair, LabelLosses> losses = new HashMap<>();

    private final Map<RejectedFor, SelfReplay> rejected = new HashMap<>();

    private record WrittenFor(Plan.Pair pair, WrittenPlan how) {}

    private record RejectedFor(Plan.Pair pair, long seed) {}

    /** @param tasks folder with a folder of tasks for each target, as {@code Lessons} writes it; null to ask none */
    TrialRunner(Plan plan, Corpus corpus, String model, TextModel base, @Nullable Path tasks) {
        this.tasks = tasks;
        this.plan = plan;
        this.corpus = new TokenCorpus(corpus, base);
        this.model = model;
        this.base = base.network();
        Teacher teacher = Teacher.of(base.network());
        // Of a large vocabulary the answers would take gigabytes.
        this.remembered = base.folder() == null ? new MemorisedTeacher(teacher) : teacher;
    }

    /** The base itself. */
    Result base(Plan.Pair pair) {
        return result(
                pair,
                Result.BASE,
                "",
                Double.NaN,
                "",
                Double.NaN,
                Double.NaN,
                0,
                0,
                scores(base, pair),
                Double.NaN,
                Double.NaN);
    }

    /** The base with its answers. */
    Result asked(Result measured, Plan.Pair pair) {
        return asked(measured, base, pair);
    }

    /** The same result with the model's answers, if tasks are asked. */
    private Result asked(Result measured, MultiLayerNetwork network, Plan.Pair pair) {
        if (tasks == null) {
            return measured;
        }
        TextModel text = corpus.model();
        int context = text.folder() == null ? text.window() : text.folder().contextLength();
        Map<String, Scores.TaskScore> scores = new TreeMap<>();
        try (TaskModel asked = TaskModel.of(network, text.tokenizer(), context)) {
            TaskSuite suite =
                    TaskSuite.of(tasks.resolve("tasks-" + pair.target().name().toLowerCase(Locale.ROOT)));
            for (TaskResult task : suite.run(asked, model).tasks()) {
                List<Double> marks = task.questions().stream()
                        .map(TaskResult.MarkedAnswer::marks)
                        .filter(marked -> task.isShare() && marked.containsKey(task.metric()))
                        .map(marked -> Objects.requireNonNull(marked.get(task.metric())))
                        .toList();
                scores.put(
                        task.task(),
                        new Scores.TaskScore(task.source(), task.estimate().value(), marks));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e.getMessage(), e);
        }
        return measured.withTasks(scores);
    }

    /**
     * Trains and measures. A training whose loss does not stay finite gives a row without scores, and its earlier
     * stops; a model that gives no finite numbers a row without scores, and no merges.
     */
    List<Result> run(Trial trial) {
        Map<Integer, MultiLayerNetwork> stopped = new HashMap<>();
        try (Method.Training training = prepare(trial)) {
            return run(trial, training, stopped);
        } finally {
            stopped.values().forEach(Method.Training::free);
        }
    }

    /** @param stopped filled with models of their own by the steps after which they were stopped */
    private List<Result> run(Trial trial, Method.Training training, Map<Integer, MultiLayerNetwork> stopped) {
        List<Result> results = new ArrayList<>();
        double[] millis = new double[plan.steps()];
        DataSetIterator batches = training.batches();
        MultiLayerNetwork network = training.network();
        try (Progress progress = new Progress(trial.key(), plan.steps())) {
            for (int step = 1; step <= plan.steps(); step++) {
                long started = System.nanoTime();
                network.fit(batches.next());
                millis[step - 1] = (System.nanoTime() - started) / 1e6;
                if (!Double.isFinite(network.score())) {
                    results.add(result(trial, NO_SCORES, "", Double.NaN, Double.NaN, Double.NaN));
                    stopped.forEach((end, early) ->
                            results.add(result(trial, early, Result.STOP, end, Double.NaN, Double.NaN)));
                    return results;
                }
                if (trial.method().stops().contains(step)) {
                    MultiLayerNetwork early = training.finish().apply(network);
                    stopped.put(step, early == network ? network.clone() : early);
                }
                // Of a window some tokens may be predicted, or all.
                progress.step(() -> "loss %.3f nats per window".formatted(network.score()));
            }
        }
        double held = training.bytes() / MEGABYTE;
        double median = StatUtils.percentile(millis, 50);
        MultiLayerNetwork tuned = training.finish().apply(network);
        Result last = result(trial, tuned, "", Double.NaN, median, held);
        results.add(last);
        for (int step : trial.method().stops()) {
            if (stopped.containsKey(step)) {
                results.add(result(trial, stopped.get(step), Result.STOP, step, median, held));
            }
        }
        if (!last.isDiverged()) {
            for (Plan.MergePlan merge : trial.method().merges()) {
                for (double strength : merge.strengths()) {
                    String label = merge.merge().label();
                    MultiLayerNetwork merged = merge.merge().merge(base, tuned, strength, trial.seed());
                    results.add(result(trial, merged, label, strength, median, held));
                    Method.Training.free(merged);
                    for (int step : trial.method().mergedStops()) {
                        MultiLayerNetwork early = merge.merge()
                                .merge(base, Objects.requireNonNull(stopped.get(step)), strength, trial.seed());
                        results.add(result(trial, early, Result.stopped(step, merge.merge()), strength, median, held));
                        Method.Training.free(early);
                    }
                }
            }
        }
        if (tuned != network) {
            Method.Training.free(tuned);
        }
        return results;
    }

    Method.Training prepare(Trial trial) {
        return trial.method()
                .method()
                .prepare(new TrialSetup(
                        base,
                        trial,
                        plan,
                        corpus,
                        () -> importances.computeIfAbsent(trial.pair(), this::importance),
                        () -> written.computeIfAbsent(
                                new WrittenFor(trial.pair(), trial.method().written()), this::written),
                        () -> rejected.computeIfAbsent(new RejectedFor(trial.pair(), trial.seed()), this::rejected),
                        () -> losses.computeIfAbsent(trial.pair(), this::losses)));
    }

    private Importance importance(Plan.Pair pair) {
        int examples = plan.importanceExamples();
        DataSetIterator source = TrialSetup.sourceWindows(corpus, pair, examples, IMPORTANCE_SEED);
        return ImportanceEstimator.of(base).examples(examples).fisher(source, IMPORTANCE_SEED);
    }

    private LabelLosses losses(Plan.Pair pair) {
        return LabelLosses.of(
                remembered, TrialSetup.targetWindows(corpus, pair, plan.importanceExamples(), 1, LOSSES_SEED));
    }

    /** Each sequence begins as a window of target text does, or with the prompt. */
    private SelfReplay written(WrittenFor what) {
        int count = what.how.count() == 0 ? plan.importanceExamples() : what.how.count();
        try {
            return what.how
                    .apply(SelfReplay.of(base, TrialSetup.targetWindows(corpus, what.pair, count, 1, WRITTEN_SEED)))
                    .count(count)
                    .seed(WRITTEN_SEED)
                    .build();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** One for each window that a seed trains on. */
    private SelfReplay rejected(RejectedFor what) {
        int pairs = plan.batch() / 2;
        try {
            return SelfReplay.of(base, TrialSetup.targetWindows(corpus, what.pair, pairs, plan.steps(), what.seed))
                    .prefix(TrialSetup.prompt(corpus))
                    .count(pairs * plan.steps())
                    .seed(what.seed)
                    .build();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private Result result(
            Trial trial,
            MultiLayerNetwork network,
            String merge,
            double mergeStrength,
            double stepMillis,
            double heldMegabytes) {
        Result measured = result(trial, scores(network, trial.pair()), merge, mergeStrength, stepMillis, heldMegabytes);
        // Of models on the way there are too many to ask.
        return measured.trainedSteps() < plan.steps() || !measured.test().areNumbers()
                ? measured
                : asked(measured, network, trial.pair());
    }

    private Result result(
            Trial trial,
            Map<Corpus.Part, Scores> scores,
            String merge,
            double mergeStrength,
            double stepMillis,
            double heldMegabytes) {
        return result(
                trial.pair(),
                trial.method().method().label(),
                trial.method().variant(),
                trial.strength(),
                merge,
                mergeStrength,
                trial.learningRate(),
                trial.warmUp(),
                trial.seed(),
                scores,
                stepMillis,
                heldMegabytes);
    }

    private Result result(
            Plan.Pair pair,
            String method,
            String variant,
            double strength,
            String merge,
            double mergeStrength,
            double learningRate,
            int warmUp,
            long seed,
            Map<Corpus.Part, Scores> scores,
            double stepMillis,
            double heldMegabytes) {
        return new Result(
                model,
                pair.target().name(),
                method,
                variant,
                strength,
                merge,
                mergeStrength,
                learningRate,
                warmUp,
                seed,
                plan.steps(),
                plan.batch(),
                Objects.requireNonNull(scores.get(Corpus.Part.VALIDATION)),
                Objects.requireNonNull(scores.get(Corpus.Part.TEST)),
                stepMillis,
                heldMegabytes);
    }

    /** On both parts or, where a model gives what is no number on one, on neither. */
    private Map<Corpus.Part, Scores> scores(MultiLayerNetwork network, Plan.Pair pair) {
        Map<Corpus.Part, Scores> scores = new EnumMap<>(Corpus.Part.class);
        int batches = plan.evaluationBatches();
        for (Corpus.Part part : List.of(Corpus.Part.VALIDATION, Corpus.Part.TEST)) {
            try {
                scores.put(part, Scores.of(network, remembered, pair, corpus, part, batches));
            } catch (IllegalArgumentException e) {
                if (network == base || Scores.areFinite(network, pair, corpus, part, batches)) {
                    throw e;
                }
                return NO_SCORES;
            }
        }
        return scores;
    }
}
