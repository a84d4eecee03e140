package io.github.dl4jretention.samples;

import io.github.dl4jretention.lm.text.DocumentReader;
import io.github.dl4jretention.lm.text.TextFile;
import io.github.dl4jretention.samples.model.Checkpoint;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.model.TextModel;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
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
            description =
                    "Text to learn, plain or .jsonl; its last fifth is held out. Goes with --source. Default: code of the samples.")
    private Path target;

    @Option(
            names = "--source",
            paramLabel = "FILE",
            arity = "1..*",
            showDefaultValue = CommandLine.Help.Visibility.NEVER,
            description =
                    "Texts like those that the model was pretrained on, which it must not forget. They are only used"
                            + " to measure. Goes with --target. Default: English prose and code.")
    private List<Path> sources = List.of();

    @Option(
            names = "--model",
            paramLabel = "DIR|FILE",
            description =
                    "A model folder: config.json, model.safetensors or its shards, and tokenizer.json. Or a byte-level"
                            + " MultiLayerNetwork saved by DL4J: features [batch, 1, time] of byte values, 256 classes."
                            + " Default: a model of the samples.")
    private Path model;

    @Option(names = "--corpus", hidden = true)
    private Path corpusDirectory = Path.of("samples", "target", "corpus");

    @Option(names = "--checkpoint", hidden = true)
    private Path checkpoint;

    /** @param checkpoint the sample model that is taken if none is given: a folder, or a byte-level network */
    ModelAndTexts(Path checkpoint) {
        this.checkpoint = checkpoint;
    }

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

    /** Whether the model is that of a folder. */
    boolean isFolder() {
        return Files.isDirectory(model == null ? checkpoint : model);
    }

    /** Whether the model is one of the samples. */
    boolean isSampleModel() {
        return model == null;
    }

    /** Whether the texts are those of the samples. */
    boolean isSample() {
        return target == null;
    }

    Corpus corpus() throws IOException {
        return Corpus.read(corpusDirectory);
    }

    /**
     * The target text's tokens.
     *
     * @param parts that they are to be split into, each of at least one sequence
     */
    int[] target(TextModel base, int parts) {
        return read("--target", target, base, parts);
    }

    /**
     * The source texts' tokens.
     *
     * @param parts that each are to be split into, each of at least one sequence
     */
    List<int[]> sources(TextModel base, int parts) {
        List<int[]> texts = new ArrayList<>();
        for (Path source : sources) {
            texts.add(read("--source", source, base, parts));
        }
        return texts;
    }

    private void requireOther(Path source) {
        boolean same = Arrays.equals(bytes("--target", target), bytes("--source", source));
        Errors.require(spec, !same, "--source: expected another text than --target, got the same in " + source);
    }

    /** The model, which is byte-level if it's no folder. */
    TextModel base() throws IOException {
        if (isFolder()) {
            return TextModel.of(ModelOption.load(spec, model == null ? checkpoint : model));
        }
        MultiLayerNetwork base =
                model == null ? Checkpoint.load(checkpoint).network() : ModelOption.network(spec, model);
        requireByteLevel(base);
        return TextModel.of(base);
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

    private int[] read(String option, Path file, TextModel base, int parts) {
        byte[] text = text(option, file, base);
        int[] tokens = tokens(option, file, base, text);
        int shortest = parts * (base.window() + 1);
        Errors.require(
                spec,
                tokens.length >= shortest,
                option + ": expected at least " + shortest + " " + base.unit() + "s of text, got " + tokens.length
                        + " in " + file);
        if (text.length < SHORT) {
            System.err.println("warning: " + option + ": " + file + " has only " + text.length
                    + " bytes; numbers from so little text mean little");
        }
        return tokens;
    }

    private int[] tokens(String option, Path file, TextModel base, byte[] text) {
        try {
            return base.tokens(text);
        } catch (IOException e) {
            throw new ParameterException(
                    spec.commandLine(), option + ": expected UTF-8, got other bytes in " + file, e);
        }
    }

    /** A .jsonl file's documents one behind the other, each on a line of its own; any other file as it is. */
    private byte[] text(String option, Path file, TextModel base) {
        if (!String.valueOf(file.getFileName()).toLowerCase(Locale.ROOT).endsWith(".jsonl")) {
            return bytes(option, file);
        }
        DocumentReader reader = new DocumentReader(base.tokenizer(), false, false, Integer.MAX_VALUE);
        StringBuilder text = new StringBuilder();
        try {
            for (TextFile.Place place : new TextFile(file).places()) {
                text.append(reader.text(place)).append('\n');
            }
        } catch (IOException e) {
            throw new ParameterException(spec.commandLine(), option + ": " + e.getMessage(), e);
        }
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    private byte[] bytes(String option, Path file) {
        try {
            return Files.readAllBytes(file);
        } catch (IOException e) {
            throw new ParameterException(spec.commandLine(), option + ": expected a readable file, got " + file, e);
        }
    }
}
