package io.github.dl4jretention.samples;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.lm.TextDataset;
import io.github.dl4jretention.tasks.TaskSuite;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.apache.commons.io.FileUtils;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/** A decoder's pretraining and the texts around it, small: what is learned in full is in docs/pretraining.md. */
class PretrainTest {

    @TempDir
    private Path folder;

    private static String[] arguments(Path out, String... more) {
        return Stream.concat(
                        Stream.of(
                                ("--decoder --corpus target/corpus --out %s --vocabulary 300 --width 16 --layers 1 --heads 2"
                                                + " --key-value-heads 1 --hidden 24 --context 32 --documents 200 --batch 10"
                                                + " --steps 12 --every 4 --warm-up 3 --learning-rate 0.01 --seed 5")
                                        .formatted(out)
                                        .split(" ")),
                        Stream.of(more))
                .toArray(String[]::new);
    }

    private static int pretrain(String... arguments) {
        return Pretrain.commandLine().setOverwrittenOptionsAllowed(true).execute(arguments);
    }

    private static String printed(Path out, String... more) {
        PrintStream old = System.out;
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        try {
            System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
            assertEquals(0, pretrain(arguments(out, more)));
        } finally {
            System.setOut(old);
        }
        return printed.toString(StandardCharsets.UTF_8).strip();
    }

    private static String refused(String... arguments) {
        PrintStream old = System.err;
        ByteArrayOutputStream error = new ByteArrayOutputStream();
        try {
            System.setErr(new PrintStream(error, true, StandardCharsets.UTF_8));
            assertEquals(2, pretrain(arguments));
        } finally {
            System.setErr(old);
        }
        return error.toString(StandardCharsets.UTF_8).strip();
    }

    @Test
    void a_killed_pretraining_ends_with_the_same_model() throws IOException {
        Path whole = folder.resolve("whole");
        assertEquals(0, pretrain(arguments(whole)));
        List<String> lines = Files.readAllLines(whole.resolve("losses.csv"));
        assertEquals("step,learned,facts,skills,prose,java,scala", lines.get(0));
        assertEquals(4, lines.size());
        double first = Double.parseDouble(lines.get(1).split(",")[1]);
        double last = Double.parseDouble(lines.get(3).split(",")[1]);
        assertTrue(first > last && first < Math.log(300) + 0.2, lines.toString());
        assertTrue(Files.size(whole.resolve("losses.png")) > 1000);

        // What a kill in the last third leaves.
        Path killed = folder.resolve("killed");
        FileUtils.copyDirectory(whole.toFile(), killed.toFile());
        FileUtils.deleteDirectory(killed.resolve("base").toFile());
        try (Stream<Path> checkpoints = Files.list(killed.resolve("run"))) {
            Files.delete(checkpoints
                    .filter(file -> file.toString().endsWith(".zip"))
                    .sorted()
                    .reduce((one, other) -> other)
                    .orElseThrow());
        }
        Files.writeString(killed.resolve("losses.csv"), String.join("\n", lines.subList(0, 3)) + "\n");
        assertEquals(0, pretrain(arguments(killed)));
        assertEquals(lines, Files.readAllLines(killed.resolve("losses.csv")));
        assertArrayEquals(
                Files.readAllBytes(whole.resolve("base").resolve("model.safetensors")),
                Files.readAllBytes(killed.resolve("base").resolve("model.safetensors")));

        LanguageModel model = LanguageModel.load(whole.resolve("base"));
        String text = "The capital of France is Paris, 12 + 345 = 357.\n  int i = 0;";
        assertEquals(text, model.tokenizer().decode(model.tokenizer().encode(text, false)));
        int[] digits = model.tokenizer().encode("345", false);
        assertEquals(3, digits.length, "digits are tokens of their own");
    }

    @Test
    void a_folder_is_that_of_the_pretraining_it_was_begun_with() throws IOException {
        Path out = folder.resolve("out");
        Path torn = Files.createDirectories(out.resolve(".base.part-1"));
        Files.writeString(torn.resolve("config.json"), "{");
        Files.writeString(out.resolve("losses.csv"), "step,learned\n1000,3.5\n");
        assertEquals("wrote " + out.resolve("base"), printed(out, "--steps", "4"));
        assertFalse(Files.exists(torn));
        List<String> lines = Files.readAllLines(out.resolve("losses.csv"));
        assertEquals(2, lines.size(), lines.toString());
        assertTrue(lines.get(1).startsWith("4,"), lines.toString());

        // As docs/pretraining.md says once the model is there.
        FileUtils.deleteDirectory(out.resolve("start").toFile());
        FileUtils.deleteDirectory(out.resolve("run").toFile());
        byte[] weights = Files.readAllBytes(out.resolve("base").resolve("model.safetensors"));
        assertEquals(
                "the pretraining in " + out + " is done: its model is " + out.resolve("base"),
                printed(out, "--steps", "4"));
        String instead = ", with which the pretraining in " + out
                + " was begun, got %s; give another --out, or delete that folder";
        assertEquals(
                "error: --seed: expected 5" + instead.formatted("6"),
                refused(arguments(out, "--steps", "4", "--seed", "6")));
        assertEquals("error: --steps: expected 4" + instead.formatted("8"), refused(arguments(out, "--steps", "8")));
        assertArrayEquals(weights, Files.readAllBytes(out.resolve("base").resolve("model.safetensors")));
        assertEquals(lines, Files.readAllLines(out.resolve("losses.csv")));

        // As a kill before the first checkpoint leaves it.
        Files.move(out.resolve("base"), out.resolve("start"));
        assertEquals(
                "error: --width: expected 16" + instead.formatted("32"),
                refused(arguments(out, "--steps", "4", "--width", "32")));
        assertTrue(refused(arguments(out, "--steps", "4", "--more", more().toString()))
                .startsWith("error: --corpus, --more: expected texts "));

        Files.delete(out.resolve("pretraining.json"));
        assertEquals(
                "error: --out: expected a new folder, or one with the pretraining.json of its pretraining, got " + out
                        + "; give another",
                refused(arguments(out, "--steps", "4")));
        assertTrue(refused(arguments(out.resolve("losses.csv"))).startsWith("error: --out: expected a folder"));
    }

    @Test
    void every_setting_that_weights_depend_on_is_compared() throws IOException {
        CommandSpec spec = Pretrain.commandLine().getCommandSpec();
        PretrainingFolder out = new PretrainingFolder(folder.resolve("out"));
        Map<String, Object> settings = new DecoderOptions().settings(new TrainingOptions(10, 10, 0.1, 1));
        assertEquals(
                Set.of(
                        "--vocabulary",
                        "--width",
                        "--layers",
                        "--heads",
                        "--key-value-heads",
                        "--hidden",
                        "--context",
                        "--documents",
                        "--steps",
                        "--batch",
                        "--learning-rate",
                        "--warm-up",
                        "--every",
                        "--seed"),
                settings.keySet());
        out.open(spec, settings);
        Files.createDirectory(out.start());
        out.open(spec, settings);
        for (String option : settings.keySet()) {
            Map<String, Object> others = new LinkedHashMap<>(settings);
            others.put(option, 77);
            String message = assertThrows(ParameterException.class, () -> out.open(spec, others))
                    .getMessage();
            assertTrue(message.startsWith(option + ": expected " + settings.get(option) + ", "), message);
        }
    }

    /** A folder with one source jar that's there anyway. */
    private Path more() throws IOException {
        Path more = Files.createDirectories(folder.resolve("more"));
        String jar = "guava-33.3.1-jre-sources.jar";
        Files.copy(Path.of("target", "corpus", jar), more.resolve(jar));
        return more;
    }

    @Test
    void lessons_are_read_by_the_programs_that_take_them() throws IOException {
        Path out = folder.resolve("lessons");
        assertEquals(
                0,
                Lessons.commandLine()
                        .execute(
                                "--corpus",
                                "target/corpus",
                                "--out",
                                out.toString(),
                                "--questions",
                                "3000",
                                "--problems",
                                "30"));
        assertEquals(
                List.of(
                        "arithmetic",
                        "choices",
                        "elements",
                        "instructions",
                        "java",
                        "knowledge",
                        "kotlin",
                        "lists",
                        "patterns",
                        "problems",
                        "prose",
                        "wordings"),
                TaskSuite.of(out.resolve("tasks")).tasks().stream()
                        .map(task -> task.name())
                        .toList());
        List<String> choices = Files.readAllLines(out.resolve("tasks").resolve("choices.jsonl"));
        assertTrue(choices.size() > 100, choices.size() + " choices");
        assertFalse(String.join("", choices).contains("\"language\""), "a country may have several");
        TaskSuite problems = TaskSuite.of(out.resolve("tasks-problems"));
        assertEquals(
                List.of("problems"),
                problems.tasks().stream()
                        .filter(task -> !task.source())
                        .map(task -> task.name())
                        .toList());
        assertEquals(9, problems.tasks().size());
        Path base = folder.resolve("base");
        assertEquals(0, pretrain(arguments(base, "--steps", "4")));
        LanguageModel model = LanguageModel.load(base.resolve("base"));
        for (String learned : List.of("problems", "elements", "instructions")) {
            TextDataset texts = TextDataset.builder(model.tokenizer())
                    .file(out.resolve("learn").resolve(learned + ".jsonl"))
                    .sequenceLength(256)
                    .batch(2)
                    .build();
            assertEquals(30, texts.documents());
            double masked =
                    texts.iterator().next().getLabelsMaskArray().meanNumber().doubleValue();
            assertTrue(masked > 0 && masked < 0.9, learned + ": only answers are learned, " + masked);
        }
        for (String kept : List.of("facts", "skills", "prose", "java")) {
            assertTrue(TextDataset.builder(model.tokenizer())
                            .file(out.resolve("keep").resolve(kept + ".jsonl"))
                            .sequenceLength(64)
                            .batch(2)
                            .build()
                            .documents()
                    > 10);
        }
    }

    @Test
    void sizes_that_do_not_fit_are_refused() {
        assertEquals(
                "error: --width: expected a multiple of twice --heads, 4, got 18",
                refused(arguments(folder, "--width", "18")));
        assertEquals(
                "error: --key-value-heads: expected a divisor of --heads, 2, got 3",
                refused(arguments(folder, "--key-value-heads", "3")));
        assertEquals(
                "error: --batch: expected a multiple of 10, so that each text has its share, got 4",
                refused(arguments(folder, "--batch", "4")));
        assertEquals(
                "error: --every: expected a divisor of --steps, 12, got 5", refused(arguments(folder, "--every", "5")));
        assertEquals(
                "error: --warm-up: expected fewer than --steps, 12, got 12",
                refused(arguments(folder, "--warm-up", "12")));
        assertEquals(
                "error: --vocabulary: expected at least 257, the bytes and one more, got 256",
                refused(arguments(folder, "--vocabulary", "256")));
        // What comes before it fits: the defaults.
        assertTrue(refused("--decoder", "--more", "nowhere").startsWith("error: --more: expected a folder"));
        assertTrue(refused(arguments(folder, "--tasks", "nowhere")).startsWith("error: --tasks: expected a folder"));
        assertTrue(refused(arguments(folder, "--more", "nowhere")).startsWith("error: --more: expected a folder"));
    }
}
