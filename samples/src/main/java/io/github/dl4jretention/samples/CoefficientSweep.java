package io.github.dl4jretention.samples;

import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.console.Progress;
import io.github.dl4jretention.samples.model.TextModel;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import io.github.dl4jretention.sweep.SuccessiveHalving;
import io.github.dl4jretention.sweep.Sweep;
import io.github.dl4jretention.sweep.SweepListener;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.space.Search;
import io.github.dl4jretention.sweep.task.Batches;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import io.github.dl4jretention.sweep.task.FinetuneSpace;
import io.github.dl4jretention.sweep.task.RetentionScore;
import io.github.dl4jretention.sweep.task.SweepData;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.DataSet;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Sweeps the coefficient and recommends an operating point. */
@Command(
        name = "sweep",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false,
        description = "Finetunes a language model at several coefficients and recommends one.")
public final class CoefficientSweep implements Callable<Integer> {

    @Spec
    private CommandSpec spec;

    @Mixin
    private ModelAndTexts given = new ModelAndTexts(Path.of("samples", "checkpoints", "transformer.zip"));

    @Option(names = "--candidates", description = "Coefficients, at least 2, evenly spaced in their logarithm.")
    private int candidates = 12;

    @Option(names = "--lowest", converter = Errors.AboveZero.class, description = "Least coefficient.")
    private double lowest = 0.03;

    @Option(names = "--highest", converter = Errors.AboveZero.class, description = "Largest coefficient.")
    private double highest = 30;

    @Option(
            names = "--forgetting",
            description = "Largest rise of the source loss, in nats per token; a token of the sample model is a byte.")
    private double forgetting = 0.02;

    @Mixin
    private TrainingOptions options = new TrainingOptions(100, 16, 1e-3, 1);

    @Option(names = "--held-out", converter = Errors.Count.class, description = "Minibatches of each held-out text.")
    private int heldOut = 8;

    @Option(
            names = "--parallelism",
            converter = Errors.Count.class,
            description = "Candidates at once, each on one thread.")
    private int parallelism = 1;

    @Option(names = "--prune", description = "End hopeless candidates after a quarter or a half of the steps.")
    private boolean prune;

    @Option(
            names = "--out",
            paramLabel = "FOLDER",
            description = "Where the results go. If a sweep was interrupted, name its folder again to finish it.")
    private Path out = Path.of("out", "sweep");

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    /** The command line, with errors as one line. */
    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new CoefficientSweep()));
    }

    @Override
    public Integer call() throws IOException {
        validate();
        TextModel base = given.base();
        FinetuneModel model = FinetuneModel.of(base.network());
        Sweep.Builder builder = Sweep.builder()
                .model(model)
                .data(data(base))
                .space(FinetuneSpace.builder()
                        .retention(RetentionSpace.builder()
                                .coefficient(lowest, highest)
                                .build())
                        .learningRates(options.learningRate)
                        .steps(options.steps)
                        .build())
                .search(Search.grid(candidates))
                .score(RetentionScore.constrained(forgetting))
                .parallelism(parallelism)
                .seed(options.seed)
                .folder(out);
        if (prune) {
            // Rounded up, so that there is no third score right before the end.
            builder.pruning(new SuccessiveHalving((options.steps + 3) / 4, 2));
        }
        requireFolder();
        SweepOutcome sweep = run(builder);
        show(sweep, base);
        return sweep.complete().isEmpty() ? CommandLine.ExitCode.SOFTWARE : CommandLine.ExitCode.OK;
    }

    private void validate() {
        Errors.require(spec, candidates >= 2, "--candidates: expected at least 2, got " + candidates);
        Errors.require(
                spec,
                highest > lowest,
                "--lowest and --highest: expected lowest < highest, got " + lowest + " and " + highest);
        Errors.require(spec, Double.isFinite(forgetting), "--forgetting: expected a finite number, got " + forgetting);
        given.validate();
    }

    private void requireFolder() {
        boolean made;
        try {
            made = Files.isWritable(Files.createDirectories(out));
        } catch (IOException e) {
            made = false;
        }
        Errors.require(spec, made, "--out: expected a folder that can be written to, got " + out);
    }

    /** Errors of the folder name the option. */
    private SweepOutcome run(Sweep.Builder builder) throws IOException {
        try (Bar bar = new Bar()) {
            return builder.listener(bar).build().run();
        } catch (IOException | IllegalStateException e) {
            String folder = "folder: ";
            if (e.getMessage() != null && e.getMessage().startsWith(folder)) {
                throw new ParameterException(
                        spec.commandLine(), "--out: " + e.getMessage().substring(folder.length()), e);
            }
            throw e;
        }
    }

    private SweepData data(TextModel base) throws IOException {
        if (given.isSample()) {
            Corpus corpus = given.corpus();
            return data(
                    base,
                    base.tokens(corpus.text(Domain.SCALA, Corpus.Part.FINETUNE)),
                    held(base, List.of(base.tokens(corpus.text(Domain.SCALA, Corpus.Part.VALIDATION)))),
                    held(base, List.of(base.tokens(corpus.text(Domain.SCALA, Corpus.Part.TEST)))),
                    held(base, sources(base, corpus, Corpus.Part.VALIDATION)),
                    held(base, sources(base, corpus, Corpus.Part.TEST)));
        }
        int[] text = given.target(base, 10);
        List<int[]> sources = given.sources(base, 2);
        int tenth = text.length / 10;
        return data(
                base,
                Arrays.copyOf(text, 8 * tenth),
                held(base, List.of(Arrays.copyOfRange(text, 8 * tenth, 9 * tenth))),
                held(base, List.of(Arrays.copyOfRange(text, 9 * tenth, text.length))),
                held(
                        base,
                        sources.stream()
                                .map(s -> Arrays.copyOf(s, s.length / 2))
                                .toList()),
                held(
                        base,
                        sources.stream()
                                .map(s -> Arrays.copyOfRange(s, s.length / 2, s.length))
                                .toList()));
    }

    private static List<int[]> sources(TextModel base, Corpus corpus, Corpus.Part part) throws IOException {
        return List.of(base.tokens(corpus.text(Domain.PROSE, part)), base.tokens(corpus.text(Domain.JAVA, part)));
    }

    private SweepData data(
            TextModel base,
            int[] training,
            Batches validationTarget,
            Batches testTarget,
            Batches validationSources,
            Batches testSources) {
        return new SweepData(
                Batches.of(() -> base.training(options.batch, options.steps, options.seed, training)),
                validationTarget,
                validationSources,
                testTarget,
                testSources);
    }

    private Batches held(TextModel base, List<int[]> texts) {
        List<DataSet> batches = new ArrayList<>();
        for (int[] text : texts) {
            base.evaluation(16, heldOut, text).forEachRemaining(batches::add);
        }
        return Batches.of(new ExistingDataSetIterator(batches));
    }

    private void show(SweepOutcome sweep, TextModel base) {
        System.out.printf("%-4s %12s %10s %10s%n", "#", "coefficient", "gain", "forgetting");
        for (CandidateOutcome candidate : sweep.candidates()) {
            System.out.println(line(sweep, candidate));
        }
        System.out.println(
                "gain is how far the target loss fell, forgetting how far the source loss rose (below 0 if it fell too),");
        System.out.println("in nats per token" + (base.folder() == null ? " (a token is a byte here)" : "")
                + ", on validation text; * on the Pareto front");
        System.out.println("rule: " + sweep.score().description());
        Optional<CandidateOutcome> recommended = sweep.recommended();
        if (sweep.complete().isEmpty()) {
            System.out.printf(
                    "no candidate was trained to its end: %d of %d have failed; the reasons are above%n",
                    sweep.failed().size(), sweep.candidates().size());
        } else if (recommended.isEmpty()) {
            System.out.println("no coefficient makes the model better and keeps forgetting below " + forgetting
                    + ": keep the model as it is");
        } else {
            CandidateOutcome best = recommended.get();
            System.out.printf(
                    Locale.ROOT,
                    "recommended: #%d; %s%n  %s%n",
                    best.index(),
                    onTestText(sweep, best),
                    sweep.javaLine(best));
        }
        if (prune) {
            System.out.printf(Locale.ROOT, "pruning saved %.1f s%n", sweep.secondsSaved());
        }
        System.out.println("report: " + out.resolve("report.html").toAbsolutePath());
    }

    /** A sweep whose time was over before a lost model could be made again has not measured all of its front. */
    private static String onTestText(SweepOutcome sweep, CandidateOutcome candidate) {
        return candidate.test() == null || sweep.baseTest() == null
                ? "not measured on test text"
                : String.format(
                        Locale.ROOT,
                        "on test text gain %.4f, forgetting %.4f",
                        candidate.test().gain(sweep.baseTest()),
                        candidate.test().forgetting(sweep.baseTest()));
    }

    private static String line(SweepOutcome sweep, CandidateOutcome candidate) {
        if (!candidate.isComplete()) {
            return "%-4d %12.4f  %s %s"
                    .formatted(
                            candidate.index(),
                            candidate.coefficient(),
                            candidate.status().name().toLowerCase(Locale.ROOT),
                            candidate.reason() == null ? "" : candidate.reason());
        }
        return "%-4d %12.4f %10.4f %10.4f  %s"
                .formatted(
                        candidate.index(),
                        candidate.coefficient(),
                        sweep.gain(candidate),
                        sweep.forgetting(candidate),
                        sweep.front().contains(candidate) ? "*" : "");
    }

    /** Progress over all steps that are left. */
    private final class Bar implements SweepListener, AutoCloseable {

        private final Map<Integer, Integer> trained = new HashMap<>();
        private @Nullable Progress progress;

        @Override
        public void onStart(SweepOutcome sweep) {
            int there = sweep.candidates().size();
            int left = candidates - there;
            if (there > 0) {
                System.err.printf(
                        "picking up where the sweep stopped: %d of %d candidates are done%n", there, candidates);
            }
            progress = new Progress("sweep", Math.max(1, (long) left * options.steps));
        }

        @Override
        public void onStep(int candidate, int step, int of, TokenLoss loss) {
            trained.put(candidate, step);
            Objects.requireNonNull(progress)
                    .step(() -> "candidate %d, loss %.3f nats per token".formatted(candidate, loss.crossEntropy()));
        }

        @Override
        public void onCandidate(SweepOutcome sweep, CandidateOutcome candidate) {
            Objects.requireNonNull(progress).drop(options.steps - trained.getOrDefault(candidate.index(), 0));
        }

        @Override
        public void close() {
            if (progress != null) {
                progress.close();
            }
        }
    }
}
