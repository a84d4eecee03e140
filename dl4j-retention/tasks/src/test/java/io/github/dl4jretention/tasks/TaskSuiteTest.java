package io.github.dl4jretention.tasks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.lm.Tokenizer;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ArrayNode;

class TaskSuiteTest {

    private static final int CONTEXT = 400;

    @TempDir
    Path temporary;

    private Path folder;

    @BeforeEach
    void tasks() throws IOException {
        folder = TaskFolder.write(temporary.resolve("tasks"));
    }

    private static TaskModel model(MultiLayerNetwork network) {
        return TaskModel.of(network, Tokenizer.bytes(), CONTEXT);
    }

    private TaskReport run(TaskModel model) throws IOException {
        try (model) {
            return TaskSuite.of(folder).run(model, "model");
        }
    }

    static Stream<MultiLayerNetwork> networks() {
        return Stream.of(
                ByteModels.decoder(DataType.FLOAT, 3),
                ByteModels.decoder(DataType.DOUBLE, 3),
                ByteModels.lstm(DataType.DOUBLE, 3));
    }

    /** Graphs read whole texts, so nothing is shared there. */
    @ParameterizedTest
    @MethodSource("networks")
    void every_way_of_reading_gives_the_same_report(MultiLayerNetwork network) throws IOException {
        TaskReport stepped = run(model(network));
        TaskReport whole = run(WholeModel.whole(network, Tokenizer.bytes(), CONTEXT));
        TaskReport graph = run(TaskModel.of(ByteModels.graph(network), Tokenizer.bytes(), CONTEXT));
        TaskReport unshared;
        try (TaskModel model = model(network)) {
            unshared = TaskSuite.of(folder).withoutSharedPrefixes().run(model, "model");
        }
        double tolerance = network.params().dataType() == DataType.FLOAT ? 1e-4 : 1e-9;
        for (TaskReport other : List.of(whole, graph, unshared)) {
            assertSame(stepped, other, tolerance);
        }
        assertEquals(List.of("answers", "choices", "mmlu", "text", "wins"), names(stepped));
        double accuracy = stepped.task("choices").estimate().value();
        assertTrue(accuracy > 0 && accuracy < 1, "accuracy " + accuracy);
    }

    private static List<String> names(TaskReport report) {
        return report.tasks().stream().map(TaskResult::task).toList();
    }

    private static void assertSame(TaskReport expected, TaskReport got, double tolerance) {
        assertEquals(names(expected), names(got));
        for (TaskResult task : expected.tasks()) {
            TaskResult other = got.task(task.task());
            task.metrics().forEach((metric, estimate) -> {
                double value = other.metrics().get(metric).value();
                boolean same = Double.isNaN(estimate.value())
                        ? Double.isNaN(value)
                        : estimate.value() == value
                                || Math.abs(estimate.value() - value) <= tolerance * Math.max(1, Math.abs(value));
                assertTrue(same, task.task() + " " + metric + ": " + estimate.value() + " and " + value);
            });
            for (int i = 0; i < task.questions().size(); i++) {
                assertEquals(
                        task.questions().get(i).answer(),
                        other.questions().get(i).answer(),
                        task.task());
            }
        }
    }

    @Test
    void same_diff_models_of_any_and_of_a_fixed_time_give_the_same() throws IOException {
        int context = 40;
        folder = only("answers");
        Files.writeString(folder.resolve("text.yaml"), "format: text\nfile: text.jsonl\n");
        Files.writeString(folder.resolve("answers.yaml"), "format: answers\nfile: answers.jsonl\nmaxTokens: 3\n");
        Files.writeString(folder.resolve("choices.yaml"), "format: choices\nfile: choices.jsonl\n");
        TaskReport any = run(TaskModel.of(ByteModels.sameDiff(-1), "logits", "tokens", Tokenizer.bytes(), context));
        TaskReport fixed =
                run(TaskModel.of(ByteModels.sameDiff(context), "logits", "tokens", Tokenizer.bytes(), 10 * context));
        assertSame(any, fixed, 1e-9);
        assertTrue(fixed.task("choices").truncated() > 0, "a prompt that fills the fixed time");
        assertThrows(
                IllegalArgumentException.class,
                () -> TaskModel.of(ByteModels.sameDiff(-1), "logits", "ids", Tokenizer.bytes(), 9));
    }

    @Test
    void the_same_model_gives_the_same_report_and_another_one_another() throws IOException {
        TaskReport first = run(model(ByteModels.decoder(DataType.FLOAT, 3)));
        assertEquals(first, run(model(ByteModels.decoder(DataType.FLOAT, 3))));
        assertNotEquals(first, run(model(ByteModels.decoder(DataType.FLOAT, 4))));
    }

    @Test
    void a_report_survives_the_disk() throws IOException {
        Path out = temporary.resolve("out");
        try (TaskModel model = model(ByteModels.decoder(DataType.FLOAT, 3))) {
            TaskReport report = TaskSuite.of(folder).out(out).run(model, "base");
            assertEquals(report, TaskReport.read(out));
            assertTrue(report.table().contains("word_perplexity"), report.table());
        }
        assertThrows(IOException.class, () -> TaskReport.read(temporary));
    }

    @Test
    void a_run_that_was_killed_in_a_line_ends_with_the_same_report() throws IOException {
        MultiLayerNetwork network = ByteModels.decoder(DataType.FLOAT, 3);
        Path whole = temporary.resolve("whole");
        Path part = temporary.resolve("part");
        TaskReport expected;
        try (TaskModel model = model(network)) {
            expected = TaskSuite.of(folder).out(whole).run(model, "model");
            Files.createDirectories(part.resolve("answers"));
            for (String task : names(expected)) {
                String journal = Files.readString(whole.resolve("answers").resolve(task + ".jsonl"));
                Files.writeString(
                        part.resolve("answers").resolve(task + ".jsonl"),
                        journal.substring(0, journal.length() * 2 / 3));
            }
            List<Integer> answered = new ArrayList<>();
            TaskReport resumed = TaskSuite.of(folder)
                    .out(part)
                    .listener((task, done, questions, left) -> {
                        if (Double.isNaN(left)) {
                            answered.add(done);
                        }
                    })
                    .run(model, "model");
            assertEquals(expected, resumed);
            assertTrue(answered.stream().mapToInt(Integer::intValue).sum() > 8, "what was there is kept: " + answered);
        }
        assertEquals(Files.readString(whole.resolve("report.json")), Files.readString(part.resolve("report.json")));
    }

    @Test
    void answers_of_another_model_or_other_questions_are_refused() throws IOException {
        Path out = temporary.resolve("out");
        try (TaskModel model = model(ByteModels.decoder(DataType.FLOAT, 3));
                TaskModel other = model(ByteModels.decoder(DataType.FLOAT, 4))) {
            TaskSuite.of(folder).out(out).run(model, "model");
            assertMessage(
                    "expected answers of the same model",
                    () -> TaskSuite.of(folder).out(out).run(other, "model"));
            Path file = folder.resolve("choices.jsonl");
            Files.writeString(file, Files.readString(file).replace("What", "Who"));
            assertMessage("choices.jsonl", () -> TaskSuite.of(folder).out(out).run(model, "model"));
        }
    }

    /** What is right may be said anew without asking the model again. */
    @Test
    void answers_are_marked_anew() throws IOException {
        Path out = temporary.resolve("out");
        try (TaskModel model = model(ByteModels.decoder(DataType.FLOAT, 3))) {
            TaskSuite.of(folder).out(out).run(model, "model");
            Files.writeString(
                    folder.resolve("answers.yaml"),
                    "filters: [none, last-number]\nmatch: exact\n",
                    StandardOpenOption.APPEND);
            List<Integer> asked = new ArrayList<>();
            TaskReport report = TaskSuite.of(folder)
                    .out(out)
                    .listener((task, done, questions, left) -> asked.add(questions - done))
                    .run(model, "model");
            assertEquals(
                    List.of("exact_match/none", "exact_match/last-number"),
                    List.copyOf(report.task("answers").metrics().keySet()));
            assertTrue(asked.stream().allMatch(left -> left == 0), "nothing is left to ask: " + asked);
        }
    }

    @Test
    void a_judge_reads_the_outputs_and_its_file_gives_the_win_rate() throws IOException {
        Path out = temporary.resolve("out");
        ObjectMapper mapper = new ObjectMapper();
        try (TaskModel model = model(ByteModels.decoder(DataType.FLOAT, 3))) {
            TaskReport before = TaskSuite.of(folder).out(out).run(model, "mine");
            assertTrue(Double.isNaN(before.task("wins").estimate().value()));
            assertEquals(List.of("judged: 0 of 6"), before.task("wins").notes());
            JsonNode outputs = mapper.readTree(out.resolve("outputs/wins.json").toFile());
            JsonNode references = mapper.readTree(folder.resolve("wins.json").toFile());
            ArrayNode judge = mapper.createArrayNode();
            double[] preferences = {2, 0, 1.25, 2};
            double[] wins = {1, 0.5, 0.25, 0};
            for (int i = 0; i < 6; i++) {
                boolean swapped = i == 3;
                String mine = outputs.get(i).get("output").asText();
                String other = references.get(i).get("output").asText();
                assertEquals("mine", outputs.get(i).get("generator").asText());
                var node = judge.addObject();
                node.put("instruction", references.get(i).get("instruction").asText());
                node.put("output_1", swapped ? mine : other);
                node.put("output_2", swapped ? other : i == 5 ? "another text" : mine);
                if (i == 4) {
                    node.putNull("preference");
                } else {
                    node.put("preference", i == 5 ? 2 : preferences[i]);
                }
            }
            mapper.writeValue(folder.resolve("judge.json").toFile(), judge);
            TaskResult after = TaskSuite.of(folder).out(out).run(model, "mine").task("wins");
            double mean = Arrays.stream(wins).average().orElseThrow();
            assertEquals(mean, after.metrics().get("win_rate").value(), 1e-12);
            assertEquals(List.of("judged: 4 of 6"), after.notes());
            assertTrue(Double.isFinite(
                    after.metrics().get("length_controlled_win_rate").standardError()));
            Files.writeString(folder.resolve("judge.json"), "[{\"instruction\": \"x\",\n \"output_1\": \"y\"}]");
            assertMessage("judge.json:1: output_2: expected a text", () -> TaskSuite.of(folder)
                    .run(model, "mine"));
        }
    }

    @Test
    void prompts_longer_than_the_context_lose_their_beginning_and_are_counted() throws IOException {
        MultiLayerNetwork network = ByteModels.decoder(DataType.DOUBLE, 3);
        try (TaskModel wide = TaskModel.of(network, Tokenizer.bytes(), CONTEXT);
                TaskModel narrow = TaskModel.of(network, Tokenizer.bytes(), 120);
                TaskModel narrowWhole = WholeModel.whole(network, Tokenizer.bytes(), 120)) {
            TaskReport all = TaskSuite.of(folder).run(wide, "wide");
            TaskReport cut = TaskSuite.of(folder).run(narrow, "narrow");
            assertEquals(0, all.tasks().stream().mapToInt(TaskResult::truncated).sum());
            assertTrue(cut.task("choices").truncated() > 0, "choices");
            assertEquals(6, cut.task("mmlu").truncated());
            assertTrue(cut.table().contains("6 prompts longer than the context"), cut.table());
            assertSame(cut, TaskSuite.of(folder).run(narrowWhole, "narrow"), 1e-9);
        }
        try (TaskModel tiny = TaskModel.of(network, Tokenizer.bytes(), 4)) {
            TaskSuite suite = TaskSuite.of(only("choices"));
            assertMessage("choices.jsonl:1: choices: expected at most 4 tokens", () -> suite.run(tiny, "tiny"));
        }
    }

    private Path only(String task) throws IOException {
        Path one = Files.createDirectories(temporary.resolve("only-" + task));
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : (Iterable<Path>) files::iterator) {
                String name = file.getFileName().toString();
                if (!name.endsWith(".yaml") || name.equals(task + ".yaml")) {
                    Files.copy(file, one.resolve(name), StandardCopyOption.REPLACE_EXISTING);
                }
            }
        }
        return one;
    }

    /** In windows, each token once: the same as summing up by hand. */
    @Test
    void long_texts_are_measured_in_windows() throws IOException {
        MultiLayerNetwork network = ByteModels.decoder(DataType.DOUBLE, 3);
        int context = 50;
        String text = "A sea of trees. ".repeat(14);
        byte[] bytes = ("\n" + text).getBytes(StandardCharsets.UTF_8);
        double expected = 0;
        try (TaskModel model = TaskModel.of(network, Tokenizer.bytes(), context)) {
            for (int i = 1; i < bytes.length; i++) {
                int window = (i - 1) / context;
                int end = Math.min(bytes.length, (window + 1) * context + 1);
                int start = end - 1 - context < 0 ? 0 : Math.min(window * context, end - 1 - context);
                int[] before = new int[i - start];
                for (int t = start; t < i; t++) {
                    before[t - start] = bytes[t];
                }
                expected += model.score(new int[0], new int[][] {before}, new int[][][] {{{bytes[i]}}})[0][0][0];
            }
            TaskResult result = TaskSuite.of(only("text")).run(model, "model").task("text");
            assertEquals(expected, result.questions().get(1).marks().get("log_probability"), 1e-9);
            assertEquals(224.0, result.questions().get(1).marks().get("token"));
        }
    }

    @Test
    void code_needs_permission() throws IOException {
        Path one = Files.createDirectories(temporary.resolve("code"));
        Files.writeString(one.resolve("code.yaml"), "format: humaneval\nfile: code.jsonl\n");
        Files.writeString(
                one.resolve("code.jsonl"),
                "{\"task_id\": \"T/0\", \"prompt\": \"def f():\\n\", \"test\": \"def check(f): pass\", \"entry_point\": \"f\"}\n");
        try (TaskModel model = model(ByteModels.decoder(DataType.FLOAT, 3))) {
            TaskSuite suite = TaskSuite.of(one);
            String message = assertThrows(IllegalStateException.class, () -> suite.run(model, "model"))
                    .getMessage();
            assertTrue(message.contains("--allow-code"), message);
            assertTrue(suite.runsCode());
            assertFalse(TaskSuite.of(folder).runsCode());
        }
    }

    @Test
    void a_model_without_a_chat_template_is_named() throws IOException {
        Files.writeString(folder.resolve("choices.yaml"), "format: choices\nfile: choices.jsonl\nchat: true\n");
        try (TaskModel model = model(ByteModels.decoder(DataType.FLOAT, 3))) {
            assertMessage(
                    "choices.yaml:3: chat: expected a model with a chat template, got one without; say chat: false",
                    () -> TaskSuite.of(folder).run(model, "model"));
        }
    }

    static void assertMessage(String part, Executable call) {
        String message = assertThrows(IOException.class, call).getMessage();
        assertTrue(message.contains(part), message);
    }
}
