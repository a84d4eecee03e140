package io.github.dl4jretention.samples;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.checkpoint.FinetuningRun;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.listener.ReportSink;
import io.github.dl4jretention.listener.RetentionReport;
import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.lm.LowRankAdapters;
import io.github.dl4jretention.lm.MemoryEstimate;
import io.github.dl4jretention.lm.ModelCard;
import io.github.dl4jretention.lm.TextDataset;
import io.github.dl4jretention.lm.Tokenizer;
import io.github.dl4jretention.lm.layers.NativeLayers;
import io.github.dl4jretention.lm.text.TextIterator;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.console.Progress;
import io.github.dl4jretention.samples.text.StepsIterator;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.apache.commons.math3.stat.StatUtils;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Adam;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/**
 * Finetunes the model of a folder with retention, and writes the tuned folder, with what it learned and forgot. If it's
 * killed, the same command goes on from the last checkpoint.
 */
@Command(
        name = "finetune",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false,
        description = "Finetunes a language model in a Hugging Face folder on a target text, with retention.")
public final class Finetune implements Callable<Integer> {

    private static final double HELD_OUT = 0.2;

    @Spec
    private CommandSpec spec;

    @Mixin
    private ModelOption model = new ModelOption();

    @Option(
            names = "--target",
            paramLabel = "FILE",
            required = true,
            description = "Text to learn, .txt or .jsonl; a fifth of its documents is held out.")
    private Path target;

    @Option(
            names = "--source",
            paramLabel = "FILE",
            arity = "1..*",
            required = true,
            description = "Texts that must not be forgotten, .txt or .jsonl, all held out.")
    private List<Path> sources = List.of();

    @Option(
            names = "--out",
            paramLabel = "DIR",
            required = true,
            description =
                    "Where results.csv, tradeoff.png, samples.txt and the folder tuned go. If it's killed, run the same"
                            + " command again: it picks up at the last checkpoint.")
    private Path out;

    @Option(
            names = "--coefficient",
            converter = Errors.AtLeastZero.class,
            description = "Coefficient of the KL term; 0 is plain finetuning.")
    private double coefficient = 1;

    @Mixin
    private TrainingOptions options = new TrainingOptions(100, 4, 1e-4, 1);

    @Option(
            names = "--accumulate",
            converter = Errors.Count.class,
            description = "Minibatches of a step: one of 8 x 1 sequences is that of 1 x 8, in less memory.")
    private int accumulate = 1;

    @Option(
            names = "--recompute",
            description = "Whether decoder blocks compute what the way back needs once more instead of keeping it: less"
                    + " memory, more time.")
    private boolean recompute;

    @Option(
            names = "--half-teacher",
            description =
                    "Whether the teacher keeps its weights in half precision: half the memory, a little more time.")
    private boolean halfTeacher;

    @Option(names = "--sequence-length", converter = Errors.Count.class, description = "Tokens of a sequence.")
    private int sequenceLength = 128;

    @Option(
            names = "--lora",
            paramLabel = "RANK",
            converter = Errors.Count.class,
            description =
                    "Train low-rank adapters of this rank, and nothing else. They go to the folder adapters, as PEFT"
                            + " has it. Weights that are BF16 or F16 in the folder stay so in memory.")
    private @Nullable Integer lora;

    @Option(
            names = "--lora-alpha",
            converter = Errors.AboveZero.class,
            description = "Adapters are multiplied by it over the rank; default: twice the rank.")
    private @Nullable Double alpha;

    @Option(
            names = "--lora-layers",
            split = ",",
            description =
                    "Weights that get adapters: attention, feedforward, output, all (but output), or any of q, k, v,"
                            + " o, gate, up, down.")
    private List<String> adaptedLayers = List.of("all");

    @Option(
            names = "--merge",
            description =
                    "With --lora: write the folder tuned too, with the adapters in its weights, which takes memory"
                            + " for a copy of them at the end.")
    private boolean merge;

    @Option(
            names = "--evaluate",
            converter = Errors.Count.class,
            description = "Minibatches of held-out text that each loss is measured on, at most.")
    private int evaluated = 50;

    @Option(names = "--every", converter = Errors.Count.class, description = "Steps from one checkpoint to the next.")
    private int every = 20;

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new Finetune()));
    }

    @Override
    public Integer call() throws IOException {
        FinetuneFolder folder = new FinetuneFolder(out);
        if (folder.isDone()) {
            folder.deleteRun();
            System.out.println(
                    "the run in " + out.toAbsolutePath() + " is done; what it had left of its checkpoints is deleted");
            return CommandLine.ExitCode.OK;
        }
        Errors.require(
                spec,
                folder.isKilled() || folder.isFree(),
                "--out: expected a new or an empty folder, or one of a run that was killed, got " + out);
        Errors.require(
                spec,
                lora == null || !halfTeacher,
                "--half-teacher: not with --lora, whose teacher is the model without its adapters and takes no memory");
        LanguageModel base = lora == null ? model.load() : model.loadFrozen();
        Errors.require(
                spec,
                sequenceLength <= base.contextLength(),
                "--sequence-length: expected at most the model's context of " + base.contextLength() + ", got "
                        + sequenceLength);
        TextDataset learned = dataset("--target", base.tokenizer(), HELD_OUT, target);
        TextDataset kept = dataset("--source", base.tokenizer(), 0, sources.toArray(Path[]::new));
        List<DataSet> targetTexts = some(learned.validation());
        List<DataSet> sourceTexts = some(kept.iterator());
        System.out.printf(
                "%d parameters; %d documents to learn, %d held out, %d that must not be forgotten%n",
                base.parameters(), learned.documents(), learned.validationDocuments(), kept.documents());

        MultiLayerNetwork start = lora == null ? base.network() : adapted(base.network(), lora);
        MemoryEstimate.Builder memory = MemoryEstimate.builder(base)
                .batch(options.batch)
                .sequenceLength(sequenceLength)
                .accumulate(accumulate)
                .recompute(recompute)
                .halfTeacher(halfTeacher);
        MemoryEstimate estimate =
                (lora == null ? memory : memory.trained(start.numParams()).sharedTeacher(true)).build();
        System.out.println("memory, an estimate: " + estimate);
        estimate.requireFits();

        try (Teacher teacher = teacher(base, start)) {
            finetune(folder, base, start, learned, teacher, targetTexts, sourceTexts);
        }
        return CommandLine.ExitCode.OK;
    }

    private MultiLayerNetwork adapted(MultiLayerNetwork network, int rank) {
        try {
            return LowRankAdapters.attach(
                    network,
                    LowRankAdapters.rank(rank)
                            .alpha(alpha == null ? 2.0 * rank : alpha)
                            .layers(adaptedLayers.toArray(String[]::new))
                            .seed(options.seed));
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), "--lora-" + e.getMessage(), e);
        }
    }

    private Teacher teacher(LanguageModel base, MultiLayerNetwork start) {
        if (lora != null) {
            return LowRankAdapters.teacher(start);
        }
        return halfTeacher ? Teacher.ofHalf(base.network()) : Teacher.of(base.network());
    }

    private void finetune(
            FinetuneFolder folder,
            LanguageModel base,
            MultiLayerNetwork start,
            TextDataset learned,
            Teacher teacher,
            List<DataSet> targetTexts,
            List<DataSet> sourceTexts)
            throws IOException {
        FinetuneReport.Measured before = measure("base", base.network(), teacher, targetTexts, sourceTexts);
        WrittenSamples ofBase = WrittenSamples.of(base, targetTexts, sourceTexts, options.seed);
        StepTimes times = new StepTimes();
        MultiLayerNetwork student = train(folder, base, start, learned, teacher, times);
        LanguageModel tuned = base.withNetwork(student);
        FinetuneReport.Measured after = measure("tuned", tuned.network(), teacher, targetTexts, sourceTexts);

        LanguageModel result = tuned.withCard(new ModelCard(
                String.valueOf(target.getFileName()),
                before.target() - after.target(),
                after.source() - before.source()));
        if (lora != null && !Files.exists(folder.adapters())) {
            base.saveAdapters(student, folder.adapters());
        }
        if ((lora == null || merge) && !Files.exists(folder.tuned())) {
            result.save(folder.tuned());
        }
        FinetuneReport report = new FinetuneReport(
                out,
                coefficient,
                List.of(coefficient, options.learningRate, options.steps, options.batch, sequenceLength, options.seed),
                before,
                after);
        report.write(ofBase.beside(result, options.seed), times.median());
        folder.deleteRun();
        System.out.print(report.table());
        String folders = lora == null ? "tuned" : merge ? "adapters, tuned" : "adapters";
        System.out.println(
                "wrote " + folders + ", results.csv, tradeoff.png and samples.txt to " + out.toAbsolutePath());
    }

    private TextDataset dataset(String option, Tokenizer tokenizer, double heldOut, Path... files) {
        try {
            return TextDataset.builder(tokenizer)
                    .file(files)
                    .sequenceLength(sequenceLength)
                    .batch(options.batch)
                    .validation(heldOut)
                    .shuffled(heldOut > 0)
                    .seed(options.seed)
                    .build();
        } catch (IOException | IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), option + ": " + e.getMessage(), e);
        }
    }

    private List<DataSet> some(TextIterator iterator) {
        List<DataSet> some = new ArrayList<>();
        while (iterator.hasNext() && some.size() < evaluated) {
            some.add(iterator.next());
        }
        return some;
    }

    private static FinetuneReport.Measured measure(
            String name, MultiLayerNetwork network, Teacher teacher, List<DataSet> target, List<DataSet> source) {
        try (Progress progress = new Progress("losses of " + name, 2)) {
            TokenEvaluation ofTarget = TokenEvaluation.of(network, teacher, new ExistingDataSetIterator(target));
            progress.step(() -> "target %.4f".formatted(ofTarget.crossEntropy()));
            TokenEvaluation ofSource = TokenEvaluation.of(network, teacher, new ExistingDataSetIterator(source));
            progress.step(() -> "source %.4f".formatted(ofSource.crossEntropy()));
            return new FinetuneReport.Measured(
                    ofTarget.crossEntropy(), ofSource.crossEntropy(), ofTarget.divergence(), ofSource.divergence());
        }
    }

    /** The student. Without adapters the base's own weights, which nobody needs any more, are freed. */
    private MultiLayerNetwork student(LanguageModel base, MultiLayerNetwork start, Teacher teacher) {
        MultiLayerNetwork ready = Retention.withUpdater(start, new Adam(options.learningRate));
        if (lora == null) {
            base.network().params().close();
        }
        NativeLayers.recompute(ready, recompute);
        MultiLayerNetwork student = Retention.attach(
                ready, RetentionConfiguration.builder().coefficient(coefficient).build(), teacher);
        if (lora == null) {
            ready.params().close();
        }
        return student;
    }

    /** Trains to the end, from the start or from the last checkpoint. */
    private MultiLayerNetwork train(
            FinetuneFolder folder,
            LanguageModel base,
            MultiLayerNetwork start,
            TextDataset learned,
            Teacher teacher,
            StepTimes times)
            throws IOException {
        boolean picksUp = folder.isKilled();
        folder.open();
        FinetuningRun<MultiLayerNetwork> run = FinetuningRun.builder()
                .student(student(base, start, teacher))
                .keepStudent(lora != null)
                .teacher(teacher)
                .iterator(new StepsIterator(learned.iterator(), Math.multiplyExact(options.steps, accumulate)))
                .accumulate(accumulate)
                .divergenceMask(DivergenceMask.ALL_TOKENS)
                .iterationsPerEpoch(options.steps)
                .every(every)
                .keep(1)
                .seed(options.seed)
                .data("%s, %d steps of %d x %d tokens"
                        .formatted(target.getFileName(), options.steps, options.batch, sequenceLength))
                .folder(folder.run())
                .report(1, times)
                .build();
        try (times) {
            return run.run();
        } catch (IllegalStateException e) {
            if (!picksUp) {
                throw e;
            }
            throw new ParameterException(
                    spec.commandLine(),
                    "--out: can't go on with the run in " + out + ": " + e.getMessage()
                            + "; give the same options and files again, or name another folder",
                    e);
        }
    }

    /** Shows progress and the time left, and notes how long steps take. */
    private final class StepTimes implements ReportSink {

        private final List<Double> seconds = new ArrayList<>();
        private final Progress progress = new Progress("finetuning", options.steps);
        private long last = System.nanoTime();

        @Override
        public void accept(RetentionReport report) {
            if (seconds.isEmpty() && report.iteration() > 0) {
                System.err.printf(
                        "picking up where the run stopped: %d of %d steps are done%n",
                        report.iteration(), options.steps);
                progress.drop(report.iteration());
            }
            long now = System.nanoTime();
            seconds.add((now - last) / 1e9);
            last = now;
            progress.step(
                    () -> "loss %.3f, KL %.4f nats per token".formatted(report.crossEntropy(), report.divergence()));
        }

        /** NaN if another process has trained all. */
        double median() {
            return seconds.isEmpty()
                    ? Double.NaN
                    : StatUtils.percentile(seconds.stream().mapToDouble(s -> s).toArray(), 50);
        }

        @Override
        public void close() {
            progress.close();
        }
    }
}
