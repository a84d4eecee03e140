package io.github.dl4jretention.samples;

import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.console.Progress;
import io.github.dl4jretention.samples.model.Checkpoint;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.model.PretrainingRecord;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.schedule.PolySchedule;
import org.nd4j.linalg.schedule.ScheduleType;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/**
 * Pretrains a byte-level sample model on equal shares of prose, Java and Scala and saves it with its provenance; or, with {@code
 * --decoder}, a model folder that also knows facts and small skills.
 */
@Command(
        name = "pretrain",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        description = {
            "Pretrains a byte-level language model on prose, Java and Scala; the learning rate falls linearly to 0.",
            "With --decoder it pretrains a model folder with a tokenizer of its own, which also learns facts and small skills."
        })
public final class Pretrain implements Callable<Integer> {

    @Spec
    private CommandSpec spec;

    @Option(names = "--kind", description = "One of: ${COMPLETION-CANDIDATES}.")
    private ModelKind kind = ModelKind.TRANSFORMER;

    @Mixin
    private TrainingOptions options = new TrainingOptions(3600, 33, 2e-3, 20240601);

    @Option(
            names = "--decoder",
            description = {
                "Pretrain a decoder, whose folder is base in --out, with losses.csv and losses.png. If it's killed, run the",
                "same command again: it picks up at the last checkpoint. Its defaults are --steps 6000, --batch 20 and",
                "--learning-rate 0.0015."
            })
    private boolean folder;

    @Mixin
    private DecoderOptions decoder = new DecoderOptions();

    @Option(names = "--corpus", description = "Folder of the source jars.")
    private Path corpusDirectory = Path.of("samples", "target", "corpus");

    @Option(names = "--out", description = "Folder for the checkpoint.")
    private Path out = Path.of("samples", "target", "checkpoints");

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.asLines(new CommandLine(new Pretrain()));
    }

    @Override
    public Integer call() throws Exception {
        if (folder) {
            pretrainDecoder();
            return CommandLine.ExitCode.OK;
        }
        Corpus corpus = Corpus.read(corpusDirectory);
        byte[][] texts = Domain.PRETRAINED.stream()
                .map(domain -> corpus.text(domain, Corpus.Part.PRETRAIN))
                .toArray(byte[][]::new);
        Adam updater = new Adam(new PolySchedule(ScheduleType.ITERATION, options.learningRate, 1.0, options.steps + 1));
        MultiLayerNetwork network = kind.create(updater, options.seed);
        ByteWindowIterator batches =
                ByteWindowIterator.training(options.batch, ModelKind.CONTEXT, options.steps, options.seed, texts);
        try (Progress progress = new Progress("pretrain " + kind.label(), options.steps)) {
            while (batches.hasNext()) {
                network.fit(batches.next());
                progress.step(() -> "%.3f nats per byte".formatted(network.score() / ModelKind.CONTEXT));
            }
        }
        List<String> jars = Domain.PRETRAINED.stream()
                .flatMap(domain -> domain.jars().stream())
                .toList();
        String command = "pretrain --kind %s --steps %d --batch %d --learning-rate %s --seed %d"
                .formatted(kind, options.steps, options.batch, options.learningRate, options.seed);
        Path file = out.resolve(kind.label() + ".zip");
        Checkpoint.save(
                network,
                new PretrainingRecord(
                        kind,
                        command,
                        options.seed,
                        options.steps,
                        options.batch,
                        ModelKind.CONTEXT,
                        options.learningRate,
                        jars,
                        corpus.sha256Hex(),
                        null,
                        "1.0.0-M2.1",
                        System.getProperty("java.version")),
                file);
        System.out.println("wrote " + file);
        return CommandLine.ExitCode.OK;
    }

    private void pretrainDecoder() throws IOException {
        options.unlessGiven(spec.commandLine().getParseResult(), 6000, 20, 1.5e-3);
        decoder.require(spec, options);
        DecoderPretraining pretraining = new DecoderPretraining(decoder, options, Corpus.read(corpusDirectory), out);
        PretrainingFolder opened = pretraining.open(spec);
        if (opened.isDone()) {
            System.out.println(
                    "the pretraining in " + out.toAbsolutePath() + " is done: its model is " + opened.base());
            return;
        }
        pretraining.run();
        System.out.println("wrote " + opened.base());
    }
}
