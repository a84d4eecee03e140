package io.github.dl4jretention.samples;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.checkpoint.FinetuningRun;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.lm.ModelCard;
import io.github.dl4jretention.lm.layers.NativeAdam;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.samples.lesson.Facts;
import io.github.dl4jretention.samples.lesson.Skills;
import io.github.dl4jretention.samples.model.RandomFolder;
import io.github.dl4jretention.samples.model.TextModel;
import io.github.dl4jretention.samples.model.UniformTeacher;
import io.github.dl4jretention.samples.text.BytePairs;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import io.github.dl4jretention.samples.text.TokenWindowIterator;
import io.github.dl4jretention.tasks.TaskModel;
import io.github.dl4jretention.tasks.TaskResult;
import io.github.dl4jretention.tasks.TaskSuite;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.schedule.MapSchedule;
import org.nd4j.linalg.schedule.ScheduleType;
import picocli.CommandLine.Model.CommandSpec;

/**
 * Pretrains a decoder with a tokenizer of its own on facts, skills, prose, Java and Scala, and writes it as a model folder.
 * Started again after a kill, it goes on from the last checkpoint and ends with the same weights.
 */
final class DecoderPretraining {

    private static final int HELD_DOCUMENTS = 400;
    private static final int HELD_BATCHES = 4;
    /** Of each kind of text, about, from which the tokenizer is learned. */
    private static final int TOKENIZER_CHARACTERS = 1_000_000;

    private static final int LEVELS = 200;

    /** At 0 the layer computes as DL4J's own does, to the bit, which takes longer than the fused loss. */
    private static final double NEXT_TO_NOTHING = 1e-9;

    private final DecoderOptions decoder;
    private final TrainingOptions training;
    private final PretrainingFolder folder;
    private final List<Text> texts;

    /**
     * One kind of text.
     *
     * @param share   of {@link DecoderOptions#SHARES} sequences of a minibatch
     * @param learned documents to learn from
     * @param held    documents to measure with
     */
    private record Text(String name, int share, List<String> learned, List<String> held) {}

    DecoderPretraining(DecoderOptions decoder, TrainingOptions training, Corpus corpus, Path out) throws IOException {
        this.decoder = decoder;
        this.training = training;
        folder = new PretrainingFolder(out);
        Facts facts = Facts.read();
        texts = List.of(
                new Text("facts", 3, facts.documents(decoder.documents, 1), facts.documents(HELD_DOCUMENTS, 2)),
                new Text("skills", 2, Skills.documents(decoder.documents, 1), Skills.documents(HELD_DOCUMENTS, 2)),
                text(corpus, Domain.PROSE, 2),
                text(corpus, Domain.JAVA, 2),
                text(corpus, Domain.SCALA, 1));
    }

    /** What's held out is of the corpus alone: that's what models are compared on. */
    private Text text(Corpus corpus, Domain domain, int share) throws IOException {
        List<String> learned = new ArrayList<>(strings(corpus.documents(domain, Corpus.Part.PRETRAIN)));
        if (decoder.more != null && domain != Domain.SCALA) {
            learned.addAll(Corpus.more(decoder.more, domain));
        }
        return new Text(
                domain.name().toLowerCase(Locale.ROOT),
                share,
                learned,
                strings(corpus.documents(domain, Corpus.Part.VALIDATION)));
    }

    private static List<String> strings(List<byte[]> documents) {
        return documents.stream()
                .map(document -> new String(document, StandardCharsets.UTF_8))
                .toList();
    }

    /** Makes the folder, or refuses one that was begun with other settings or texts, with a message that names the option. */
    PretrainingFolder open(CommandSpec spec) throws IOException {
        Map<String, Object> settings = decoder.settings(training);
        settings.put(
                "--corpus, --more",
                "texts %08x"
                        .formatted(texts.stream()
                                .map(text -> List.of(text.learned, text.held))
                                .toList()
                                .hashCode()));
        folder.open(spec, settings);
        return folder;
    }

    /** Trains to the end in a folder that's open, from the start or from the last checkpoint. */
    void run() throws IOException {
        LanguageModel start = start();
        Tokens tokens = new Tokens(TextModel.of(start));
        int[][] rows = texts.stream()
                .flatMap(text -> IntStream.range(0, text.share).mapToObj(i -> text))
                .map(text -> tokens.of(text.name, text.learned))
                .toArray(int[][]::new);
        try (Teacher nothing = new UniformTeacher(start.vocabulary())) {
            MultiLayerNetwork student = Retention.attach(
                    Retention.withUpdater(start.network(), new NativeAdam(rates())),
                    RetentionConfiguration.builder()
                            .coefficient(NEXT_TO_NOTHING)
                            .build(),
                    nothing);
            try (PretrainingLog log = new PretrainingLog(folder.path(), training.steps)) {
                MultiLayerNetwork trained = FinetuningRun.builder()
                        .student(student)
                        .keepStudent(false)
                        .teacher(nothing)
                        .iterator(TokenWindowIterator.epochs(
                                start.vocabulary(),
                                training.batch,
                                decoder.context,
                                decoder.every,
                                training.seed,
                                rows))
                        .epochs(training.steps / decoder.every)
                        .iterationsPerEpoch(decoder.every)
                        .every(decoder.every)
                        .keep(2)
                        .seed(training.seed)
                        .data(tokens.description())
                        .folder(folder.run())
                        .report(1, log)
                        .listener(new BaseTrainingListener() {
                            @Override
                            public void onEpochEnd(Model model) {
                                try {
                                    log.measured(measure(start, (MultiLayerNetwork) model, tokens));
                                } catch (IOException e) {
                                    throw new UncheckedIOException(e);
                                }
                            }
                        })
                        .build()
                        .run();
                start.withNetwork(trained)
                        .withCard(new ModelCard("facts, skills, prose, Java and Scala", Double.NaN, Double.NaN))
                        .save(folder.base(), DataType.BFLOAT16);
            }
        }
    }

    /** The folder of the network with random weights; made once. */
    private LanguageModel start() throws IOException {
        if (!Files.exists(folder.start())) {
            Path part = Files.createDirectories(folder.startPart());
            StringBuilder text = new StringBuilder();
            for (Text each : texts) {
                long characters =
                        each.learned.stream().mapToLong(String::length).sum();
                int step = (int) Math.max(1, characters / TOKENIZER_CHARACTERS);
                for (int i = 0; i < each.learned.size(); i += step) {
                    text.append(each.learned.get(i));
                }
            }
            int vocabulary = BytePairs.write(part, text.toString(), decoder.vocabulary);
            new RandomFolder(
                            vocabulary,
                            decoder.width,
                            decoder.layers,
                            decoder.heads,
                            decoder.keyValueHeads,
                            decoder.hidden,
                            decoder.context)
                    .write(part, false, training.seed);
            Files.move(part, folder.start(), StandardCopyOption.ATOMIC_MOVE);
        }
        return LanguageModel.load(folder.start());
    }

    /** Rises in the warm-up, then falls linearly to 0, in levels. */
    private MapSchedule rates() {
        Map<Integer, Double> rates = new HashMap<>();
        for (int i = 0; i < LEVELS; i++) {
            int rising = (int) ((long) i * decoder.warmUp / LEVELS);
            rates.putIfAbsent(rising, training.learningRate * (rising + 1) / decoder.warmUp);
            int left = training.steps - decoder.warmUp;
            int falling = (int) ((long) i * left / LEVELS);
            rates.put(decoder.warmUp + falling, training.learningRate * (left - falling) / left);
        }
        return new MapSchedule(ScheduleType.ITERATION, rates);
    }

    /** Held-out losses by kind of text, in nats per token, and the tasks' metrics. */
    private Map<String, Double> measure(LanguageModel start, MultiLayerNetwork student, Tokens tokens)
            throws IOException {
        Map<String, Double> measured = new LinkedHashMap<>();
        LanguageModel now = start.withNetwork(student);
        try (Teacher model = Teacher.of(now.network())) {
            for (Text text : texts) {
                TokenWindowIterator windows = TokenWindowIterator.evaluation(
                        now.vocabulary(),
                        training.batch,
                        decoder.context,
                        HELD_BATCHES,
                        tokens.of("held " + text.name, text.held));
                measured.put(
                        text.name,
                        TokenEvaluation.of(model, new MultiDataSetIteratorAdapter(windows))
                                .crossEntropy());
            }
        }
        if (decoder.tasks != null) {
            try (TaskModel asked = TaskModel.of(now)) {
                for (TaskResult task :
                        TaskSuite.of(decoder.tasks).run(asked, "base").tasks()) {
                    measured.put("task " + task.task(), task.estimate().value());
                }
            }
        }
        return measured;
    }

    /** Texts as tokens, each document ended by the token that ends texts. */
    private static final class Tokens {

        private final TextModel model;
        private final Map<String, int[]> tokens = new HashMap<>();

        Tokens(TextModel model) {
            this.model = model;
        }

        int[] of(String name, List<String> documents) {
            return tokens.computeIfAbsent(name, key -> {
                IntStream.Builder all = IntStream.builder();
                for (String document : documents) {
                    try {
                        IntStream.of(model.tokens(document.getBytes(StandardCharsets.UTF_8)))
                                .forEach(all::add);
                    } catch (IOException e) {
                        throw new UncheckedIOException(e);
                    }
                    all.add(model.tokenizer().end());
                }
                return all.build().toArray();
            });
        }

        /** Changes with the texts. */
        String description() {
            List<String> parts = new ArrayList<>();
            tokens.forEach(
                    (name, ids) -> parts.add("%s: %d tokens %08x".formatted(name, ids.length, Arrays.hashCode(ids))));
            parts.sort(null);
            return String.join(", ", parts);
        }
    }
}
