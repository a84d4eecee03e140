package io.github.dl4jretention.samples;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
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
import java.util.List;
import java.util.stream.Stream;
import org.apache.commons.io.FileUtils;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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
                                "20",
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
                "error: --every: expected a divisor of --steps, 12, got 5", refused(arguments(folder, "--every", "5")));
        assertEquals(
                "error: --warm-up: expected fewer than --steps, 12, got 12",
                refused(arguments(folder, "--warm-up", "12")));
        assertEquals(
                "error: --vocabulary: expected at least 257, the bytes and one more, got 256",
                refused(arguments(folder, "--vocabulary", "256")));
        assertTrue(refused(arguments(folder, "--tasks", "nowhere")).startsWith("error: --tasks: expected a folder"));
        assertTrue(refused(arguments(folder, "--more", "nowhere")).startsWith("error: --more: expected a folder"));
    }
}
