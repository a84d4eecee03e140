package io.github.dl4jretention.samples;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.console.Progress;
import io.github.dl4jretention.samples.model.ModelSize;
import io.github.dl4jretention.samples.model.SameDiffLanguageModel;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.learning.config.Adam;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Pretrains a small SameDiff language model on Java code, then finetunes it on Scala code, plainly and with retention. */
@Command(
        name = "samediff-model",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false,
        description = "Trains a small language model written in SameDiff on Java code, then finetunes it on Scala code,"
                + " plainly and with retention, and prints what each learned and forgot.")
public final class SameDiffModel implements Callable<Integer> {

    private static final ModelSize SIZE = new ModelSize(ByteWindowIterator.VOCABULARY, 64, 64, 2, 64);
    private static final int HEADS = 4;
    private static final int EVALUATED = 16;

    @Spec
    private CommandSpec spec;

    @Option(
            names = "--pretraining-steps",
            converter = Errors.Count.class,
            description = "Minibatches of Java code to pretrain on.")
    private int pretrainingSteps = 400;

    @Option(
            names = "--steps",
            converter = Errors.Count.class,
            description = "Minibatches of Scala code in each finetuning.")
    private int steps = 100;

    @Option(names = "--coefficient", converter = Errors.AtLeastZero.class, description = "Coefficient of the KL term.")
    private double coefficient = 1;

    @Option(
            names = "--learning-rate",
            converter = Errors.AboveZero.class,
            description = "Adam's learning rate in finetuning.")
    private double learningRate = 1e-3;

    @Option(names = "--seed", description = "Seed of the weights and of the batches; not 0.")
    private long seed = 1;

    @Option(names = "--out", paramLabel = "FOLDER", description = "Where the finetuned model, tuned.fb, goes.")
    private Path out = Path.of("out", "samediff");

    @Option(names = "--corpus", hidden = true)
    private Path corpus = Path.of("samples", "target", "corpus");

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new SameDiffModel()));
    }

    @Override
    public Integer call() throws IOException {
        Errors.require(spec, seed != 0, "--seed: expected a number other than 0, which ND4J takes for any, got 0");
        Corpus texts = Corpus.read(corpus);
        SameDiff base = SameDiffLanguageModel.create(DataType.FLOAT, SIZE, HEADS, seed);
        base.setTrainingConfig(SameDiffLanguageModel.training(new Adam(3e-3)));
        train(base, texts);

        SameDiff tuned = finetune(base, texts);
        Files.createDirectories(out);
        Path file = out.resolve("tuned.fb");
        tuned.save(file.toFile(), false);
        System.out.println("wrote the last model to " + file.toAbsolutePath());
        return CommandLine.ExitCode.OK;
    }

    /** Plainly, then with retention; the model that retention gave. */
    private SameDiff finetune(SameDiff base, Corpus texts) {
        SameDiff start = Retention.withUpdater(base, new Adam(learningRate));
        SameDiff tuned = start;
        try (Teacher teacher = Teacher.of(base, "logits", "tokens")) {
            TokenEvaluation targetBefore = measure(teacher, teacher, texts, Domain.SCALA);
            TokenEvaluation sourceBefore = measure(teacher, teacher, texts, Domain.JAVA);
            System.out.printf(
                    "base: Scala %.4f, Java %.4f nats per byte%n",
                    targetBefore.crossEntropy(), sourceBefore.crossEntropy());
            for (double lambda : new double[] {0, coefficient}) {
                SameDiff student = Retention.attach(
                        start,
                        RetentionConfiguration.builder().coefficient(lambda).build(),
                        "logits",
                        "tokens");
                Retention.finetune(
                        student, teacher, training(steps, texts.text(Domain.SCALA, Corpus.Part.FINETUNE)), 1);
                tuned = Retention.detach(student);
                try (Teacher result = Teacher.of(tuned, "logits", "tokens")) {
                    TokenEvaluation target = measure(result, teacher, texts, Domain.SCALA);
                    TokenEvaluation source = measure(result, teacher, texts, Domain.JAVA);
                    System.out.printf(
                            "coefficient %s: gain on Scala %.4f, forgetting of Java %.4f, KL on Scala %.4f%n",
                            lambda,
                            targetBefore.crossEntropy() - target.crossEntropy(),
                            source.crossEntropy() - sourceBefore.crossEntropy(),
                            target.divergence());
                }
            }
        }
        return tuned;
    }

    private void train(SameDiff base, Corpus texts) {
        MultiDataSetIterator batches = training(pretrainingSteps, texts.text(Domain.JAVA, Corpus.Part.PRETRAIN));
        try (Progress progress = new Progress("pretraining", pretrainingSteps)) {
            while (batches.hasNext()) {
                base.fit(batches.next());
                progress.step(() -> "Java code");
            }
        }
    }

    private MultiDataSetIterator training(int batches, byte[] text) {
        return SameDiffLanguageModel.batches(ByteWindowIterator.training(16, SIZE.context(), batches, seed, text));
    }

    private static TokenEvaluation measure(Teacher model, Teacher teacher, Corpus texts, Domain domain) {
        byte[] text = texts.text(domain, Corpus.Part.TEST);
        return TokenEvaluation.of(
                model,
                teacher,
                SameDiffLanguageModel.batches(ByteWindowIterator.evaluation(16, SIZE.context(), EVALUATED, text)));
    }
}
