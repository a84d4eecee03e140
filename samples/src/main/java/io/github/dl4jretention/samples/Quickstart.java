package io.github.dl4jretention.samples;

import io.github.dl4jretention.cache.CacheCodec;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.experiment.Experiment;
import io.github.dl4jretention.samples.experiment.Questions;
import io.github.dl4jretention.samples.experiment.Report;
import io.github.dl4jretention.samples.experiment.Task;
import io.github.dl4jretention.samples.lesson.Asked;
import io.github.dl4jretention.samples.lesson.Facts;
import io.github.dl4jretention.samples.lesson.Problems;
import io.github.dl4jretention.samples.lesson.TaskFiles;
import io.github.dl4jretention.samples.model.TextModel;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import io.github.dl4jretention.tasks.TaskSuite;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Finetunes a language model plainly and with retention, and shows what each learned and forgot. */
@Command(
        name = "quickstart",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false,
        description = "Finetunes a language model on a target text, plainly and with retention.")
public final class Quickstart implements Callable<Integer> {

    private static final double TRAINING_SHARE = 0.8;

    /** Facts that the sample model is asked. */
    private static final int QUESTIONS = 100;

    @Spec
    private CommandSpec spec;

    @Mixin
    private ModelAndTexts given = new ModelAndTexts(Path.of("samples", "checkpoints", "base"));

    @Option(
            names = "--tasks",
            paramLabel = "DIR",
            description =
                    "Tasks that every model is asked, as Evaluate takes them; the answers that changed go to"
                            + " comparison.html. Default: if neither a model nor texts are given, facts that the sample model knows.")
    private @Nullable Path tasks;

    @Option(
            names = "--coefficients",
            converter = Errors.AtLeastZero.class,
            split = ",",
            description = "Coefficients of the KL term.")
    private List<Double> coefficients = List.of(0.3, 1.0, 3.0);

    @Mixin
    private TrainingOptions options = new TrainingOptions(100, 16, 3e-4, 1);

    @Option(
            names = "--out",
            paramLabel = "FOLDER",
            description =
                    "Where the results go. Default: out/quickstart, or out/quickstart-2 and so on where that has some.")
    private Path out;

    @Option(
            names = "--cache",
            paramLabel = "FOLDER",
            description = "Run every retention once more with the teacher's distributions from a cache in this folder.")
    private Path cache;

    @Option(names = "--codec", description = "How the cache is written: half, topK:K or sample:BYTES.")
    private CacheCodec codec = CacheCodec.standard();

    @Option(names = "--save-models", description = "Write the finetuned models to the folder too.")
    private boolean saveModels;

    @Option(names = "--force", description = "Replace results that the folder already holds.")
    private boolean force;

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    /** The command line, with errors as one line. */
    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new Quickstart()).registerConverter(CacheCodec.class, CacheCodec::of));
    }

    @Override
    public Integer call() throws IOException {
        out = out == null ? defaultFolder() : out;
        validate();
        TextModel base = given.base();
        Task task = task(base);
        System.out.printf(
                "%d runs of %d steps of %d x %d %ss; %d %ss to learn, %d held out%n",
                1 + (cache == null ? 1 : 2) * coefficients.size(),
                options.steps,
                options.batch,
                base.window(),
                base.unit(),
                task.training().length,
                base.unit(),
                task.target().length);
        Experiment experiment =
                new Experiment(base, task, options.steps, options.batch, options.learningRate, options.seed, cache());
        TaskSuite suite = suite();
        Experiment.Outcome outcome = experiment.run(coefficients);
        Questions questions = suite == null ? null : Questions.ask(suite, base, outcome);
        Report report = new Report(experiment, outcome);
        if (saveModels) {
            report.writeModels(out);
        }
        if (questions != null) {
            questions.write(out);
        }
        report.write(out);
        System.out.println(report.table());
        if (questions != null) {
            System.out.println(questions.table());
        }
        System.out.println("wrote results.csv, tradeoff.png, samples.txt"
                + (questions == null ? "" : ", comparison.csv and comparison.html") + " to " + out.toAbsolutePath());
        return CommandLine.ExitCode.OK;
    }

    /** What the models are asked; null for nothing. Read before hours of training. */
    private @Nullable TaskSuite suite() throws IOException {
        Path folder = tasks;
        if (folder == null) {
            if (!given.isSample() || !given.isSampleModel()) {
                return null;
            }
            folder = Files.createDirectories(out.resolve("questions"));
            List<Asked> facts = Facts.read().held(Problems.QUESTIONS_SEED);
            new TaskFiles(folder).answers("facts", facts.subList(0, QUESTIONS), "source", "maxTokens: 16\n");
        }
        return TaskSuite.of(folder);
    }

    private Path defaultFolder() {
        Path folder = Path.of("out", "quickstart");
        return force ? folder : freeFolder(folder);
    }

    /** The folder, or the first of those with a number after its name, that has no results. */
    static Path freeFolder(Path folder) {
        Path free = folder;
        for (int number = 2; Files.exists(free.resolve(Report.RESULTS)); number++) {
            free = folder.resolveSibling(folder.getFileName() + "-" + number);
        }
        return free;
    }

    private TeacherCache.@Nullable Builder cache() {
        return cache == null ? null : TeacherCache.builder().folder(cache).codec(codec);
    }

    private void validate() {
        given.validate();
        Errors.require(spec, tasks == null || Files.isDirectory(tasks), "--tasks: expected a folder, got " + tasks);
        Errors.require(
                spec,
                force || !Files.exists(out.resolve(Report.RESULTS)),
                "--out: " + out + " already holds results; --force replaces them");
        Errors.require(
                spec,
                !Files.exists(out) || Files.isDirectory(out) && Files.isWritable(out),
                "--out: expected a folder that can be written to, got " + out);
        if (saveModels) {
            for (String name : Report.fileNames(coefficients, cache != null, given.isFolder())) {
                Path model = out.resolve(name);
                boolean ours = force && (!given.isFolder() || Files.exists(model.resolve("config.json")));
                Errors.require(
                        spec,
                        ours || !Files.exists(model),
                        "--out: " + model + " is there already; --force replaces a model, anything else must go first");
            }
        }
    }

    private Task task(TextModel base) throws IOException {
        if (given.isSample()) {
            Corpus corpus = given.corpus();
            return new Task(
                    base.tokens(corpus.text(Domain.KOTLIN, Corpus.Part.FINETUNE)),
                    base.tokens(corpus.text(Domain.KOTLIN, Corpus.Part.TEST)),
                    List.of(
                            base.tokens(corpus.text(Domain.PROSE, Corpus.Part.TEST)),
                            base.tokens(corpus.text(Domain.JAVA, Corpus.Part.TEST)),
                            base.tokens(corpus.text(Domain.SCALA, Corpus.Part.TEST))));
        }
        int[] text = given.target(base, 2);
        int split = Math.min((int) (text.length * TRAINING_SHARE), text.length - base.window() - 1);
        return new Task(
                Arrays.copyOf(text, split), Arrays.copyOfRange(text, split, text.length), given.sources(base, 1));
    }
}
