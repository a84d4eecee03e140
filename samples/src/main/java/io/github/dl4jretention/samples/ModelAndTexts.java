package io.github.dl4jretention.samples;

import io.github.dl4jretention.samples.model.Checkpoint;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.deeplearning4j.exception.DL4JException;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The options of a program that name its model and its texts, and their checks. */
final class ModelAndTexts {

    private static final int SHORT = 10_000;

    @Spec(Spec.Target.MIXEE)
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
                    "Texts like those that the model was pretrained on, which it must not forget. They are only used"
                            + " to measure. Goes with --target. Default: English prose and Java code.")
    private List<Path> sources = List.of();

    @Option(
            names = "--model",
            paramLabel = "FILE",
            description =
                    "A byte-level MultiLayerNetwork saved by DL4J, or the Hugging Face folder of a byte-level model:"
                            + " features [batch, 1, time] of byte values, 256 classes. Default: the sample transformer. Finetune"
                            + " takes models of any tokens.")
    private Path model;

    @Option(names = "--corpus", hidden = true)
    private Path corpusDirectory = Path.of("samples", "target", "corpus");

    @Option(names = "--checkpoint", hidden = true)
    private Path checkpoint = Path.of("samples", "checkpoints", "transformer.zip");

    void validate() {
        Errors.require(
                spec,
                (target == null) == sources.isEmpty(),
                "--target and --source: expected both or none of them, " + (target == null ? "--target" : "--source")
                        + " is missing");
        Errors.require(
                spec,
                model == null || Files.isReadable(model),
                "--model: expected a readable file or a model folder, got " + model);
        sources.forEach(this::requireOther);
    }

    /** Whether the texts are those of the samples. */
    boolean isSample() {
        return target == null;
    }

    Corpus corpus() throws IOException {
        return Corpus.read(corpusDirectory);
    }

    /** @param parts that the text is to be split into, each of at least one sequence */
    byte[] target(int parts) {
        return read("--target", target, parts);
    }

    /** @param parts that each text is to be split into, each of at least one sequence */
    List<byte[]> sources(int parts) {
        List<byte[]> texts = new ArrayList<>();
        for (Path source : sources) {
            texts.add(read("--source", source, parts));
        }
        return texts;
    }

    private void requireOther(Path source) {
        boolean same = Arrays.equals(bytes("--target", target), bytes("--source", source));
        Errors.require(spec, !same, "--source: expected another text than --target, got the same in " + source);
    }

    /** The model, which is byte-level. */
    MultiLayerNetwork base() throws IOException {
        MultiLayerNetwork base = model == null ? Checkpoint.load(checkpoint).network() : given();
        requireByteLevel(base);
        return base;
    }

    private MultiLayerNetwork given() {
        if (Files.isDirectory(model)) {
            return Finetune.load(spec, model).network();
        }
        try {
            return Checkpoint.loadNetwork(model);
        } catch (IOException e) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--model: expected a MultiLayerNetwork saved by DL4J's ModelSerializer, got " + model,
                    e);
        }
    }

    private void requireByteLevel(MultiLayerNetwork base) {
        INDArray bytes = Nd4j.zeros(1, 1, ModelKind.CONTEXT);
        long[] expected = {1, ByteWindowIterator.VOCABULARY, ModelKind.CONTEXT};
        String found;
        try (Teacher teacher = Teacher.of(base)) {
            long[] shape = teacher.logProbabilities(bytes, null).shape();
            found = Arrays.equals(shape, expected) ? null : "output of shape " + Arrays.toString(shape);
        } catch (DL4JException | IllegalStateException e) {
            found = String.valueOf(e.getMessage()).lines().findFirst().orElse("");
        }
        Errors.require(
                spec,
                found == null,
                "--model: expected a model that gives " + Arrays.toString(expected) + " for byte values of shape "
                        + Arrays.toString(bytes.shape()) + ", got " + found);
    }

    private byte[] read(String option, Path file, int parts) {
        byte[] text = bytes(option, file);
        int shortest = parts * (ModelKind.CONTEXT + 1);
        Errors.require(
                spec,
                text.length >= shortest,
                option + ": expected at least " + shortest + " bytes of text, got " + text.length + " in " + file);
        if (text.length < SHORT) {
            System.err.println("warning: " + option + ": " + file + " has only " + text.length
                    + " bytes; numbers from so little text mean little");
        }
        return text;
    }

    private byte[] bytes(String option, Path file) {
        try {
            return Files.readAllBytes(file);
        } catch (IOException e) {
            throw new ParameterException(spec.commandLine(), option + ": expected a readable file, got " + file, e);
        }
    }
}
