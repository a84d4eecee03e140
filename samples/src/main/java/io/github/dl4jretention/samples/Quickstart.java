package io.github.dl4jretention.samples;

import io.github.dl4jretention.cache.CacheCodec;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.experiment.Experiment;
import io.github.dl4jretention.samples.experiment.Report;
import io.github.dl4jretention.samples.experiment.Task;
import io.github.dl4jretention.samples.model.Checkpoint;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import org.deeplearning4j.exception.DL4JException;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Finetunes a language model plainly and with retention, and shows what each learned and forgot. */
@Command(
        name = "quickstart",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false,
        description = "Finetunes a byte-level language model on a target text, plainly and with retention.")
public final class Quickstart implements Callable<Integer> {

    private static final double TRAINING_SHARE = 0.8;
    private static final int SHORT = 10_000;

    @Spec
    private CommandSpec spec;

    @Option(
            names = "--target",
            paramLabel = "FILE",
            description = "Text to learn; its last fifth is held out. Goes with --source. Default: Scala code.")
    private Path target;

    @Option(
            names = "--source",
            paramLabel = "FILE",
            arity = "1..*",
            showDefaultValue = CommandLine.Help.Visibility.NEVER,
            description =
                    "Texts that must not be forgotten, of what the model was pretrained on, all held out. Goes with"
                            + " --target. Default: English prose and Java code.")
    private List<Path> sources = List.of();

    @Option(
            names = "--model",
            paramLabel = "FILE",
            description = "A byte-level MultiLayerNetwork saved by DL4J: features [batch, 1, time] of byte values, 256"
                    + " classes. Default: the sample transformer.")
    private Path model;

    @Option(names = "--coefficients", split = ",", description = "Coefficients of the KL term.")
    private List<Double> coefficients = List.of(0.3, 1.0, 3.0);

    @Option(names = "--steps", description = "Minibatches of each finetuning.")
    private int steps = 100;

    @Option(names = "--batch", description = "Sequences of 64 bytes in a minibatch.")
    private int batch = 16;

    @Option(names = "--learning-rate", description = "Adam's learning rate.")
    private double learningRate = 1e-3;

    @Option(names = "--seed", description = "Seed of the batches and of the text samples.")
    private long seed = 1;

    @Option(names = "--out", paramLabel = "FOLDER", description = "Where the results go.")
    private Path out = Path.of("out", "quickstart");

    @Option(
            names = "--cache",
            paramLabel = "FOLDER",
            description = "Run every retention once more with the teacher's distributions from a cache in this folder.")
    private Path cache;

    @Option(names = "--codec", description = "How the cache is written: half, topK:K, sample:BYTES or draws:DRAWS.")
    private CacheCodec codec = CacheCodec.standard();

    @Option(names = "--save-models", description = "Write the finetuned models to the folder too.")
    private boolean saveModels;

    @Option(names = "--force", description = "Replace results that the folder already holds.")
    private boolean force;

    @Option(names = "--corpus", hidden = true)
    private Path corpusDirectory = Path.of("samples", "target", "corpus");

    @Option(names = "--checkpoint", hidden = true)
    private Path checkpoint = Path.of("samples", "checkpoints", "transformer.zip");

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    /** The command line, with errors as one line: exit code 2 for wrong arguments, 1 for what fails later. */
    static CommandLine commandLine() {
        return new CommandLine(new Quickstart())
                .registerConverter(CacheCodec.class, CacheCodec::of)
                .setParameterExceptionHandler((e, args) -> fail(e, CommandLine.ExitCode.USAGE))
                .setExecutionExceptionHandler((e, line, result) -> fail(e, CommandLine.ExitCode.SOFTWARE));
    }

    private static int fail(Exception e, int code) {
        System.err.println("error: "
                + (e.getMessage() == null
                        ? e
                        : e.getMessage().lines().findFirst().orElse("")));
        return code;
    }

    @Override
    public Integer call() throws IOException {
        validate();
        MultiLayerNetwork base = model == null ? Checkpoint.load(checkpoint).network() : Checkpoint.loadNetwork(model);
        requireByteLevel(base);
        Task task = task();
        System.out.printf(
                "%d runs of %d steps of %d x %d bytes; %d bytes to learn, %d held out%n",
                1 + (cache == null ? 1 : 2) * coefficients.size(),
                steps,
                batch,
                ModelKind.CONTEXT,
                task.training().length,
                task.target().length);
        Experiment experiment = new Experiment(base, task, steps, batch, learningRate, seed, cache());
        Report report = new Report(experiment, experiment.run(coefficients));
        if (saveModels) {
            report.writeModels(out);
        }
        report.write(out);
        System.out.println(report.table());
        System.out.println("wrote results.csv, tradeoff.png and samples.txt to " + out.toAbsolutePath());
        return CommandLine.ExitCode.OK;
    }

    private TeacherCache.Builder cache() {
        return cache == null ? null : TeacherCache.builder().folder(cache).codec(codec);
    }

    private void requireByteLevel(MultiLayerNetwork base) {
        INDArray bytes = Nd4j.zeros(1, 1, ModelKind.CONTEXT);
        long[] expected = {1, ByteWindowIterator.VOCABULARY, ModelKind.CONTEXT};
        String found;
        try {
            long[] shape = Teacher.of(base).logProbabilities(bytes, null).shape();
            found = Arrays.equals(shape, expected) ? null : "output of shape " + Arrays.toString(shape);
        } catch (DL4JException | IllegalStateException e) {
            found = e.getMessage().lines().findFirst().orElse("");
        }
        require(
                found == null,
                "--model: expected a model that gives " + Arrays.toString(expected) + " for byte values of shape "
                        + Arrays.toString(bytes.shape()) + ", got " + found);
    }

    private void validate() {
        require(steps > 0, "--steps: expected at least 1, got " + steps);
        require(batch > 0, "--batch: expected at least 1, got " + batch);
        require(
                learningRate > 0 && Double.isFinite(learningRate),
                "--learning-rate: expected a number above 0, got " + learningRate);
        require(!coefficients.isEmpty(), "--coefficients: expected at least one");
        for (double coefficient : coefficients) {
            require(
                    coefficient >= 0 && Double.isFinite(coefficient),
                    "--coefficients: expected finite numbers of at least 0, got " + coefficient);
        }
        require(
                (target == null) == sources.isEmpty(),
                "--target and --source: expected both or none of them, " + (target == null ? "--target" : "--source")
                        + " is missing");
        require(
                force || !Files.exists(out.resolve(Report.RESULTS)),
                "--out: " + out + " already holds results; --force replaces them");
        require(
                !Files.exists(out) || Files.isDirectory(out) && Files.isWritable(out),
                "--out: expected a folder that can be written to, got " + out);
    }

    private Task task() throws IOException {
        if (target == null) {
            Corpus corpus = Corpus.read(corpusDirectory);
            return new Task(
                    corpus.text(Domain.SCALA, Corpus.Part.FINETUNE),
                    corpus.text(Domain.SCALA, Corpus.Part.TEST),
                    List.of(corpus.text(Domain.PROSE, Corpus.Part.TEST), corpus.text(Domain.JAVA, Corpus.Part.TEST)));
        }
        byte[] text = read("--target", target, 2);
        int split = Math.min((int) (text.length * TRAINING_SHARE), text.length - ModelKind.CONTEXT - 1);
        List<byte[]> held = new ArrayList<>();
        for (Path source : sources) {
            held.add(read("--source", source, 1));
        }
        return new Task(Arrays.copyOf(text, split), Arrays.copyOfRange(text, split, text.length), held);
    }

    private byte[] read(String option, Path file, int parts) {
        byte[] text;
        try {
            text = Files.readAllBytes(file);
        } catch (IOException e) {
            throw new ParameterException(
                    spec.commandLine(), option + ": expected a readable file, got " + file + " (" + e + ")");
        }
        int shortest = parts * (ModelKind.CONTEXT + 1);
        if (text.length < SHORT) {
            System.err.println("warning: " + option + ": " + file + " has only " + text.length
                    + " bytes; figures on so little text mean little");
        }
        require(
                text.length >= shortest,
                option + ": expected at least " + shortest + " bytes of text, got " + text.length + " in " + file);
        return text;
    }

    private void require(boolean condition, String message) {
        if (!condition) {
            throw new ParameterException(spec.commandLine(), message);
        }
    }
}
