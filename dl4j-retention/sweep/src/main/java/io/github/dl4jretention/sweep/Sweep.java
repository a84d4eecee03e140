package io.github.dl4jretention.sweep;

import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.space.Leaves;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.space.Search;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import io.github.dl4jretention.sweep.task.FinetuneObserver;
import io.github.dl4jretention.sweep.task.FinetuneProblem;
import io.github.dl4jretention.sweep.task.FinetuneSpace;
import io.github.dl4jretention.sweep.task.FinetuneTaskCreator;
import io.github.dl4jretention.sweep.task.GeneratorExhausted;
import io.github.dl4jretention.sweep.task.RetentionScore;
import io.github.dl4jretention.sweep.task.SweepData;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import org.deeplearning4j.arbiter.optimize.api.TaskCreator;
import org.deeplearning4j.arbiter.optimize.config.OptimizationConfiguration;
import org.deeplearning4j.arbiter.optimize.runner.listener.StatusListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Finetunes a pretrained model many times, shows what each candidate learned and forgot, and recommends one.
 *
 * <pre>{@code
 * SweepOutcome outcome = Sweep.builder()
 *         .model(FinetuneModel.of(pretrained))
 *         .data(new SweepData(training, validationTarget, validationSource, testTarget, testSource))
 *         .space(RetentionSpace.builder().coefficient(0.1, 10).build())
 *         .search(Search.grid(12))
 *         .score(RetentionScore.constrained(0.02))
 *         .folder(Path.of("sweep"))
 *         .build()
 *         .run();
 * }</pre>
 *
 * <p>After every candidate the folder holds {@code sweep.json}, {@code candidates.csv}, {@code report.html} and the
 * stock networks on the Pareto front in {@code models}; at the end there are pictures of the plots, too. If a sweep is
 * killed, at any moment, run it again with the same folder: it runs what is missing and ends with the same candidates,
 * front and recommendation. One sweep at a time works in a folder.
 *
 * <p>Candidates are drawn by one of Arbiter's generators and run by Arbiter's runner with {@link FinetuneTaskCreator}.
 */
public final class Sweep {

    private static final Logger LOG = LoggerFactory.getLogger(Sweep.class);

    private final FinetuneProblem problem;
    private final FinetuneSpace space;
    private final Search search;
    private final RetentionScore score;
    private final int candidates;
    private final double minutes;
    private final int parallelism;
    private final long seed;
    private final Path folder;
    private final @Nullable SuccessiveHalving pruning;
    private final List<SweepListener> listeners;
    private final List<StatusListener> statusListeners;
    private final Map<String, String> configuration;

    private Sweep(Builder builder) {
        FinetuneModel model = Objects.requireNonNull(builder.model, "model");
        space = builder.space;
        search = builder.search;
        score = builder.score;
        candidates = builder.candidates;
        minutes = builder.minutes;
        parallelism = builder.parallelism;
        seed = builder.seed;
        folder = Objects.requireNonNull(builder.folder, "folder");
        pruning = builder.pruning;
        listeners = List.copyOf(builder.listeners);
        statusListeners = List.copyOf(builder.statusListeners);
        space.requireValid();
        if (space.numParameters() == 0) {
            throw new IllegalArgumentException("space: expected something to search, got fixed values only: " + space);
        }
        SweepData data = Objects.requireNonNull(builder.data, "data");
        space.requireFits(model, data);
        if (candidates == Integer.MAX_VALUE && minutes == Double.POSITIVE_INFINITY && !search.ends()) {
            throw new IllegalArgumentException(
                    "candidates: expected a number of candidates or minutes, or a grid, or the sweep wouldn't end; got none of them");
        }
        problem = new FinetuneProblem(
                model, builder.teacher == null ? model.teacher() : builder.teacher, data, builder.updater, seed);
        space.requireFits(problem.teacher());
        problem.requireTeacherFits();
        problem.requireResets(space);
        configuration = configuration();
    }

    /** {@return a builder; default: random search, target loss + source loss, one candidate at a time, Adam, seed 0} */
    public static Builder builder() {
        return new Builder();
    }

    /** What makes it another sweep if it changes. The number of candidates, and how many run at once, may change. */
    private Map<String, String> configuration() {
        Map<String, String> map = new LinkedHashMap<>(problem.identity());
        map.putAll(problem.data().identities());
        map.put("space", space.identity());
        map.put("search", search.toString());
        map.put("score", score.toString());
        map.put("pruning", pruning == null ? "none" : pruning.toString());
        if (search.learns() || pruning != null) {
            map.put("parallelism", String.valueOf(parallelism));
        }
        return map;
    }

    /**
     * Runs what is missing.
     *
     * @return the sweep at its end, with losses on test text
     * @throws IOException if the folder can't be written to or read; an InterruptedIOException if the thread is
     *     interrupted
     * @throws IllegalArgumentException if the pretrained model can't take a text, or its loss there is not finite; the
     *     message names the text
     * @throws IllegalStateException if another sweep works in the folder, or the folder holds another sweep; the
     *     message says what differs. Or if something failed that says nothing about the candidate, such as an iterator;
     *     the message names the candidate
     * @throws io.github.dl4jretention.teacher.TeacherException if the teacher has no values for a batch, such as a
     *     cache that lacks it
     */
    public SweepOutcome run() throws IOException {
        return run(observer -> new FinetuneTaskCreator(problem, observer));
    }

    /**
     * Runs what is missing, as {@link #run()} does, with candidates that are trained in another way, such as on other
     * machines.
     *
     * @param tasks makes the tasks of candidates, which tell the observer how each ends, once, before they return; as
     *     many as the sweep's parallelism run at once, each on a thread of its own
     * @return the sweep at its end, with losses on test text
     * @throws IOException as {@link #run()}
     */
    public SweepOutcome run(Function<FinetuneObserver, TaskCreator> tasks) throws IOException {
        try (SweepFolder files = new SweepFolder(folder)) {
            SweepOutcome start = start(files);
            int window = CandidateQueue.window(search, pruning, parallelism);
            SweepJournal journal =
                    new SweepJournal(files, problem.model(), start, files.lost(start), pruning, window, listeners);
            journal.open();
            CandidateQueue queue = new CandidateQueue(
                    space,
                    Leaves.exclusively(() -> search.over(space, score, seed)),
                    journal,
                    candidates,
                    window,
                    search.ends(),
                    () -> journal.hasFailed() || journal.seconds() >= 60 * minutes);
            OptimizationConfiguration arbiter = new OptimizationConfiguration.Builder()
                    .candidateGenerator(queue)
                    .scoreFunction(score)
                    .terminationConditions(new GeneratorExhausted())
                    .build();
            new SweepRunner(parallelism, arbiter, tasks.apply(journal), journal).execute(statusListeners);
            return journal.finish(problem);
        }
    }

    /** {@return what all its candidates share} */
    public FinetuneProblem problem() {
        return problem;
    }

    /**
     * Trains one candidate as the sweep does, with the same texts, teacher, updater and seed. It seeds the calling
     * thread's random generator of ND4J.
     *
     * @param candidate how to finetune; from a sweep's outcome or your own
     * @return a network of the model's class without any part of this library
     * @throws IllegalStateException if it fails, or the thread is interrupted, which it stays then; the message says
     *     why
     */
    public Object finetune(FinetuneConfiguration candidate) {
        return problem.finetune(candidate);
    }

    private SweepOutcome start(SweepFolder files) throws IOException {
        Integer budget = Leaves.exclusively(
                () -> CandidateQueue.total(search.over(space, score, seed), candidates, search.ends()));
        SweepOutcome found = files.read(configuration).orElse(null);
        if (found == null) {
            return new SweepOutcome(
                    configuration, score, problem.baseLosses(), problem.baseTestLosses(), budget, 0, false, List.of());
        }
        LOG.info(
                "picking up in {}: {} candidates are there",
                folder,
                found.candidates().size());
        return new SweepOutcome(
                configuration,
                score,
                found.base(),
                found.baseTest(),
                budget,
                found.seconds(),
                false,
                found.candidates());
    }

    /** Builds a {@link Sweep}. */
    public static final class Builder {

        private final List<SweepListener> listeners = new ArrayList<>();
        private final List<StatusListener> statusListeners = new ArrayList<>();
        private @Nullable FinetuneModel model;
        private @Nullable Teacher teacher;
        private @Nullable SweepData data;
        private FinetuneSpace space = FinetuneSpace.builder().build();
        private Search search = Search.random();
        private RetentionScore score = RetentionScore.weighted(1);
        private IUpdater updater = new Adam();
        private @Nullable SuccessiveHalving pruning;
        private @Nullable Path folder;
        private int candidates = Integer.MAX_VALUE;
        private double minutes = Double.POSITIVE_INFINITY;
        private int parallelism = 1;
        private long seed;

        private Builder() {}

        /** @param model where every candidate starts
         * @return this builder */
        public Builder model(FinetuneModel model) {
            this.model = model;
            return this;
        }

        /** @param teacher the teacher of all candidates, or a cache of it; default: the model as it is
         * @return this builder */
        public Builder teacher(Teacher teacher) {
            this.teacher = teacher;
            return this;
        }

        /** @param data the texts to train on, to choose by, and to report on
         * @return this builder */
        public Builder data(SweepData data) {
            this.data = data;
            return this;
        }

        /** @param space what varies between candidates; default: {@link FinetuneSpace} with its defaults
         * @return this builder */
        public Builder space(FinetuneSpace space) {
            this.space = Objects.requireNonNull(space, "space");
            return this;
        }

        /** @param space what varies in the loss; everything else is as {@link FinetuneSpace} has it by default
         * @return this builder */
        public Builder space(RetentionSpace space) {
            return space(FinetuneSpace.builder().retention(space).build());
        }

        /** @param search how candidates are drawn; default: at random
         * @return this builder */
        public Builder search(Search search) {
            this.search = Objects.requireNonNull(search, "search");
            return this;
        }

        /** @param score what candidates are chosen by; default: {@code RetentionScore.weighted(1)}, the least sum of
         *     target loss and source loss, which has no limit of forgetting
         * @return this builder */
        public Builder score(RetentionScore score) {
            this.score = Objects.requireNonNull(score, "score");
            return this;
        }

        /** @param updater of all candidates; its learning rate is the candidate's. Default: Adam
         * @return this builder */
        public Builder updater(IUpdater updater) {
            this.updater = Objects.requireNonNull(updater, "updater");
            return this;
        }

        /** @param pruning how hopeless candidates are ended early; default: not at all
         * @return this builder */
        public Builder pruning(SuccessiveHalving pruning) {
            this.pruning = Objects.requireNonNull(pruning, "pruning");
            return this;
        }

        /** @param folder where results go; made if it isn't there
         * @return this builder */
        public Builder folder(Path folder) {
            this.folder = folder;
            return this;
        }

        /**
         * @param candidates the most that are run, over all starts, at least 1; default: as many as the search gives. A
         *     search that doesn't end by itself needs this or minutes
         * @return this builder
         */
        public Builder candidates(int candidates) {
            if (candidates < 1) {
                throw new IllegalArgumentException("candidates: expected at least 1, got " + candidates);
            }
            this.candidates = candidates;
            return this;
        }

        /** @param minutes after which no candidate is started, over all starts, above 0; default: no limit
         * @return this builder */
        public Builder minutes(double minutes) {
            if (!(minutes > 0)) {
                throw new IllegalArgumentException("minutes: expected a number above 0, got " + minutes);
            }
            this.minutes = minutes;
            return this;
        }

        /** @param parallelism how many candidates run at once, each on a thread, at least 1; default 1
         * @return this builder */
        public Builder parallelism(int parallelism) {
            if (parallelism < 1) {
                throw new IllegalArgumentException("parallelism: expected at least 1, got " + parallelism);
            }
            this.parallelism = parallelism;
            return this;
        }

        /** @param seed of the search and of training; default 0
         * @return this builder */
        public Builder seed(long seed) {
            this.seed = seed;
            return this;
        }

        /** @param listener follows the sweep; each call adds one
         * @return this builder */
        public Builder listener(SweepListener listener) {
            listeners.add(Objects.requireNonNull(listener, "listener"));
            return this;
        }

        /** @param listener one of Arbiter's, such as that of its user interface; each call adds one
         * @return this builder */
        public Builder statusListener(StatusListener listener) {
            statusListeners.add(Objects.requireNonNull(listener, "listener"));
            return this;
        }

        /**
         * Checks all that can be checked before anything is trained.
         *
         * @return a sweep, ready to run
         * @throws IllegalArgumentException if something does not fit; the message names it
         * @throws NullPointerException if the model, the data or the folder is missing
         * @throws IOException if the folder cannot be written to
         */
        public Sweep build() throws IOException {
            Sweep sweep = new Sweep(this);
            SweepFolder.requireWritable(sweep.folder);
            return sweep;
        }
    }
}
