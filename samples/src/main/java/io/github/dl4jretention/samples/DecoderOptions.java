package io.github.dl4jretention.samples;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;

/** The options of a model folder that is pretrained: its sizes, and how it's trained and measured. */
final class DecoderOptions {

    /** Sequences of a minibatch are shared out among the kinds of text in tenths. */
    static final int SHARES = 10;

    @Option(
            names = "--vocabulary",
            converter = Errors.Count.class,
            description = "Tokens of the tokenizer, which is learned from the texts; at least 257.")
    int vocabulary = 2048;

    @Option(names = "--width", converter = Errors.Count.class, description = "Numbers of a token.")
    int width = 256;

    @Option(names = "--layers", converter = Errors.Count.class, description = "Decoder blocks.")
    int layers = 4;

    @Option(names = "--heads", converter = Errors.Count.class, description = "Heads of attention.")
    int heads = 8;

    @Option(
            names = "--key-value-heads",
            converter = Errors.Count.class,
            description = "Heads of keys and values, a divisor of --heads.")
    int keyValueHeads = 4;

    @Option(names = "--hidden", converter = Errors.Count.class, description = "Numbers inside of a feed-forward layer.")
    int hidden = 704;

    @Option(names = "--context", converter = Errors.Count.class, description = "Tokens of a sequence, at most.")
    int context = 256;

    @Option(
            names = "--warm-up",
            converter = Errors.Count.class,
            description = "Steps in which the learning rate rises, before it falls linearly to 0.")
    int warmUp = 200;

    @Option(
            names = "--every",
            converter = Errors.Count.class,
            description = "Steps from one measurement and checkpoint to the next, a divisor of --steps.")
    int every = 250;

    @Option(
            names = "--documents",
            converter = Errors.Count.class,
            description = "Documents of facts, and of skills, that are made.")
    int documents = 20_000;

    @Option(
            names = "--more",
            paramLabel = "DIR",
            description =
                    "Further source jars, for more prose and Java: mvn -q -Ppretraining generate-resources puts some into"
                            + " samples/target/corpus/pretraining.")
    @Nullable
    Path more;

    @Option(
            names = "--tasks",
            paramLabel = "DIR",
            description = "Tasks that are asked at each measurement, as Lessons writes them.")
    @Nullable
    Path tasks;

    /** Refuses sizes that don't fit each other, with a message that names the option. */
    void require(CommandSpec spec, TrainingOptions training) {
        Errors.require(
                spec,
                vocabulary >= 257,
                "--vocabulary: expected at least 257, the bytes and one more, got " + vocabulary);
        Errors.require(
                spec,
                width % (2 * heads) == 0,
                "--width: expected a multiple of twice --heads, " + 2 * heads + ", got " + width);
        Errors.require(
                spec,
                heads % keyValueHeads == 0,
                "--key-value-heads: expected a divisor of --heads, " + heads + ", got " + keyValueHeads);
        Errors.require(
                spec,
                training.batch % SHARES == 0,
                "--batch: expected a multiple of " + SHARES + ", so that each text has its share, got "
                        + training.batch);
        Errors.require(
                spec,
                training.steps % every == 0,
                "--every: expected a divisor of --steps, " + training.steps + ", got " + every);
        Errors.require(
                spec,
                warmUp < training.steps,
                "--warm-up: expected fewer than --steps, " + training.steps + ", got " + warmUp);
        Errors.require(
                spec,
                more == null || Files.isDirectory(more),
                "--more: expected a folder, got " + more
                        + "; mvn -q -Ppretraining generate-resources makes samples/target/corpus/pretraining");
        Errors.require(
                spec,
                tasks == null || Files.isDirectory(tasks),
                "--tasks: expected a folder, got " + tasks + "; Lessons writes it");
    }

    /** What the weights depend on beside the texts, by the names of the options. */
    Map<String, Object> settings(TrainingOptions training) {
        Map<String, Object> settings = new LinkedHashMap<>();
        settings.put("--vocabulary", vocabulary);
        settings.put("--width", width);
        settings.put("--layers", layers);
        settings.put("--heads", heads);
        settings.put("--key-value-heads", keyValueHeads);
        settings.put("--hidden", hidden);
        settings.put("--context", context);
        settings.put("--documents", documents);
        settings.put("--steps", training.steps);
        settings.put("--batch", training.batch);
        settings.put("--learning-rate", training.learningRate);
        settings.put("--warm-up", warmUp);
        settings.put("--every", every);
        settings.put("--seed", training.seed);
        return settings;
    }
}
