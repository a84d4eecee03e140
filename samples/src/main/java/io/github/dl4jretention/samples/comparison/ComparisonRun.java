package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.lm.layers.NativeLayers;
import io.github.dl4jretention.samples.model.Checkpoint;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.model.TextModel;
import io.github.dl4jretention.samples.text.Corpus;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Runs a {@link Plan}, or one of several parts of it side by side. Every trial's results are in the file once it has
 * ended; started again, it goes on with the trials that are missing.
 */
public final class ComparisonRun {

    private static final double TOLERANCE = 1e-4;
    private static final String PLAN = "plan.json";

    private final Plan plan;
    private final Corpus corpus;
    private final Map<String, Base> bases;
    private final Path folder;
    private final int part;
    private final int parts;
    private final Map<String, TrialRunner> runners = new HashMap<>();
    private TrialExecutor executor = this::runHere;
    private @Nullable Path tasks;

    /** Loads a model. */
    @FunctionalInterface
    public interface Base {

        /** @throws IOException if it can't be read */
        TextModel load() throws IOException;
    }

    /**
     * @param bases       base models by the names that they have in the results
     * @param folder      of the results
     * @param part        which part, from 1
     * @param parts       how many parts there are
     */
    public ComparisonRun(Plan plan, Corpus corpus, Map<String, Base> bases, Path folder, int part, int parts) {
        this.plan = plan;
        this.corpus = corpus;
        this.bases = new LinkedHashMap<>(bases);
        this.folder = folder;
        this.part = part;
        this.parts = parts;
    }

    /**
     * Sets where trials run. Bases are measured here, and the times of steps.
     *
     * @param elsewhere default: one after the other in this process
     * @return this
     */
    public ComparisonRun on(TrialExecutor elsewhere) {
        executor = elsewhere;
        return this;
    }

    /**
     * Asks tasks of the base and, in this process, of every model that was trained to the end or merged afterwards.
     *
     * @param folder with a folder of tasks for each target, such as {@code tasks-kotlin}, as {@code Lessons} writes it
     * @return this
     */
    public ComparisonRun asking(Path folder) {
        tasks = folder;
        return this;
    }

    /**
     * Runs the trials that are missing.
     *
     * @throws IOException if a model or the results cannot be read or written
     * @throws IllegalStateException if the results there were measured otherwise: other steps, batches, sources,
     *     evaluation batches, examples for importance, another base or other text
     */
    public void run() throws IOException {
        Files.createDirectories(folder);
        requireSameMeasurements();
        Path own = folder.resolve(parts == 1 ? "results.csv" : "results-%d-of-%d.csv".formatted(part, parts));
        ResultsFile file = new ResultsFile(own);
        List<ResultsFile> others = new ArrayList<>();
        for (Path other : ResultsFile.all(folder)) {
            if (!other.equals(own)) {
                others.add(new ResultsFile(other));
            }
        }
        for (String model : bases.keySet()) {
            for (Plan.Pair pair : plan.pairs()) {
                Result base = runner(model).base(pair);
                requireSameBase(base, file.results());
                for (ResultsFile other : others) {
                    requireSameBase(base, other.results());
                }
                if (!file.holds(base.key()) || !isAsked(base.key())) {
                    put(file, List.of(runner(model).asked(base, pair)));
                }
            }
        }
        List<Trial> trials = trials();
        List<Trial> missing = new ArrayList<>();
        for (int i = part - 1; i < trials.size(); i += parts) {
            Trial trial = trials.get(i);
            if (!isAsked(trial.key()) || !file.holds(trial) && others.stream().noneMatch(other -> other.holds(trial))) {
                missing.add(trial);
            }
        }
        run(missing, file, "of " + trials.size() + " in all");
        widen(file);
        measureCosts();
    }

    private void run(List<Trial> trials, ResultsFile file, String which) throws IOException {
        Map<String, Trial> byKey = new LinkedHashMap<>();
        trials.forEach(trial -> byKey.put(trial.key(), trial));
        int[] done = new int[1];
        executor.run(byKey, results -> {
            put(file, results);
            done[0]++;
            System.err.printf("%d of %d trials, %s%n", done[0], trials.size(), which);
        });
    }

    private void runHere(Map<String, Trial> trials, TrialExecutor.Results results) throws IOException {
        for (Trial trial : trials.values()) {
            results.put(runner(trial.model()).run(trial));
        }
    }

    /** Until no best training is at an edge: see {@link TriedTrainings}. */
    private void widen(ResultsFile file) throws IOException {
        List<Trial> missing = List.of();
        do {
            List<Trial> own = new ArrayList<>();
            for (int i = part - 1; i < missing.size(); i += parts) {
                own.add(missing.get(i));
            }
            run(own, file, "beyond the plan");
            List<ResultsFile> files = files();
            if (!holdAll(files, trials()) || !holdAll(files, missing)) {
                System.err.println("other parts have trials to run: run this again when they're done");
                return;
            }
            missing = beyond(ResultsFile.readAll(folder), files);
        } while (!missing.isEmpty());
    }

    /** Trials at which the best of what there is would be inside, of all seeds. */
    private List<Trial> beyond(List<Result> results, List<ResultsFile> files) {
        List<Trial> beyond = new ArrayList<>();
        for (String model : bases.keySet()) {
            for (Plan.Pair pair : plan.pairs()) {
                Result base = results.stream()
                        .filter(result -> result.isBase()
                                && result.model().equals(model)
                                && result.target().equals(pair.target().name()))
                        .findFirst()
                        .orElseThrow();
                Map<String, TriedTrainings> searches = TriedTrainings.of(base, results);
                for (MethodPlan method : methods()) {
                    TriedTrainings search = Objects.requireNonNull(searches.get(method.name()), method.name());
                    long planned = trials().stream()
                            .filter(trial -> trial.model().equals(model)
                                    && trial.pair().equals(pair)
                                    && trial.method().name().equals(method.name()))
                            .map(trial ->
                                    new TriedTrainings.Setting(trial.strength(), trial.learningRate(), trial.warmUp()))
                            .distinct()
                            .count();
                    long left = plan.widen() - (search.settings().size() - planned);
                    search.missing().stream().limit(Math.max(0, left)).forEach(missing -> plan.seeds()
                            .forEach(seed -> beyond.add(new Trial(
                                    model,
                                    pair,
                                    method,
                                    missing.setting().strength(),
                                    missing.setting().learningRate(),
                                    missing.setting().warmUp(),
                                    seed))));
                }
            }
        }
        beyond.removeIf(trial -> holdAll(files, List.of(trial)));
        return beyond;
    }

    /** Each name once, for a method may be in the plan several times, at other rates say: the one that measures most. */
    private List<MethodPlan> methods() {
        Map<String, MethodPlan> methods = new LinkedHashMap<>();
        plan.methods()
                .forEach(method -> methods.merge(
                        method.name(),
                        method,
                        (one, other) ->
                                Trial.points(other).size() > Trial.points(one).size() ? other : one));
        return List.copyOf(methods.values());
    }

    private List<ResultsFile> files() throws IOException {
        List<ResultsFile> files = new ArrayList<>();
        for (Path path : ResultsFile.all(folder)) {
            files.add(new ResultsFile(path));
        }
        return files;
    }

    private boolean holdAll(List<ResultsFile> files, List<Trial> trials) {
        return trials.stream()
                .allMatch(trial -> isAsked(trial.key()) && files.stream().anyMatch(file -> file.holds(trial)));
    }

    /** Whether a trial's models were asked all that's asked. */
    private boolean isAsked(String key) {
        return tasks == null || new TasksFile(folder, key).exists();
    }

    /** What is in the results has its documents and answers. */
    private void put(ResultsFile file, List<Result> trial) throws IOException {
        new DocumentsFile(folder, trial.get(0).key()).put(trial);
        if (tasks != null) {
            new TasksFile(folder, trial.get(0).key()).put(trial);
        }
        file.put(trial);
    }

    /** Once all trials of all parts are there: not beside another part, whose work would be measured too. */
    private void measureCosts() throws IOException {
        if (holdAll(files(), trials())) {
            for (String model : bases.keySet()) {
                StepTimes.measure(plan, model, runner(model), folder);
            }
        }
    }

    /**
     * The plan is kept beside the results, with the pairs of those before it: what they were measured with cannot
     * change.
     */
    private void requireSameMeasurements() throws IOException {
        Path file = folder.resolve(PLAN);
        Plan measured = plan;
        if (Files.exists(file)) {
            Plan kept = Plan.read(file);
            kept.requireMeasuresAs(plan);
            measured = plan.withPairsOf(kept);
        }
        new WholeFile(file).write(measured::write);
    }

    /** Another base, corpus, pair or number of evaluation batches measures something else. */
    private static void requireSameBase(Result base, List<Result> results) {
        for (Result result : results) {
            if (result.key().equals(base.key())
                    && (Math.abs(result.test().target() - base.test().target()) > TOLERANCE
                            || Math.abs(result.test().source() - base.test().source()) > TOLERANCE)) {
                throw new IllegalStateException(
                        "plan: expected the base to be worth " + result.test().target() + " on target text and "
                                + result.test().source() + " on source text, as in the results there, got "
                                + base.test().target() + " and " + base.test().source());
            }
        }
    }

    private List<Trial> trials() {
        return plan.trials(bases.keySet().toArray(String[]::new));
    }

    private TrialRunner runner(String model) throws IOException {
        TrialRunner runner = runners.get(model);
        if (runner == null) {
            runner = new TrialRunner(
                    plan,
                    corpus,
                    model,
                    Objects.requireNonNull(bases.get(model), model).load(),
                    tasks);
            runners.put(model, runner);
        }
        return runner;
    }

    /**
     * The sample models of a plan, from a folder of checkpoints.
     *
     * @throws IllegalArgumentException if the plan is one for a model folder
     */
    public static Map<String, Base> samples(Plan plan, Path checkpoints) {
        if (plan.models().isEmpty() || plan.window() > 0) {
            throw new IllegalArgumentException("--model: expected a model folder, as the plan has "
                    + (plan.models().isEmpty() ? "no models of the samples" : "a window") + ", got none");
        }
        Map<String, Base> bases = new LinkedHashMap<>();
        for (ModelKind model : plan.models()) {
            bases.put(
                    model.label(),
                    () -> TextModel.of(NativeLayers.of(Checkpoint.load(checkpoints.resolve(model.label() + ".zip"))
                            .network())));
        }
        return bases;
    }
}
