package io.github.dl4jretention.tasks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.lm.Tokenizer;
import io.github.dl4jretention.tasks.file.Question;
import io.github.dl4jretention.tasks.file.QuestionReader;
import io.github.dl4jretention.tasks.file.TaskDefinition;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ArrayNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/** Marks beside those that the harness's rules give, as metric/cases.json has them, ties and empty answers included. */
class MarkingTest {

    private static final ObjectMapper MAPPER = new ObjectMapper();

    @TempDir
    Path folder;

    private static JsonNode cases(String name) throws IOException {
        return MAPPER.readTree(MarkingTest.class.getResource("/metric/cases.json"))
                .get(name);
    }

    private TaskResult result(String definition, List<ObjectNode> lines, Map<Integer, Answer> answers)
            throws IOException {
        List<String> text = new ArrayList<>();
        for (ObjectNode line : lines) {
            text.add(MAPPER.writeValueAsString(line));
        }
        Files.writeString(folder.resolve("data.jsonl"), String.join("\n", text));
        TaskDefinition task = TaskDefinition.read(
                Files.writeString(folder.resolve("task.yaml"), definition + "\nfile: data.jsonl\n"));
        List<Question> questions = QuestionReader.read(task);
        return new Marking(task).result(questions, answers, new Prompts(task, questions, Tokenizer.bytes()));
    }

    @Test
    void the_likeliest_choice_and_the_likeliest_of_a_character_and_of_a_byte() throws IOException {
        JsonNode cases = cases("choice");
        assertTrue(cases.size() >= 20);
        List<String> metrics = List.of("acc", "acc_norm", "acc_bytes");
        List<ObjectNode> lines = new ArrayList<>();
        Map<Integer, Answer> answers = new HashMap<>();
        int[] right = new int[3];
        for (int i = 0; i < cases.size(); i++) {
            JsonNode row = cases.get(i);
            ObjectNode line = MAPPER.createObjectNode().put("question", "q");
            line.set("choices", row.get(0));
            lines.add(line.put("answer", row.get(2).asInt()));
            List<Double> values = new ArrayList<>();
            row.get(1).forEach(value -> values.add(value.isNull() ? Double.NEGATIVE_INFINITY : value.asDouble()));
            answers.put(i, new Answer(i, values, List.of(), List.of(), 0, false));
            for (int m = 0; m < 3; m++) {
                right[m] += row.get(2 + m).asInt() == row.get(2).asInt() ? 1 : 0;
            }
        }
        assertTrue(right[0] > right[1] + 2 && right[1] != right[2], "cases that differ: " + Arrays.toString(right));
        for (int m = 0; m < 3; m++) {
            TaskResult result = result("format: choices\nmetric: " + metrics.get(m), lines, answers);
            assertEquals((double) right[m] / cases.size(), result.estimate().value(), 1e-12);
            for (int i = 0; i < cases.size(); i++) {
                JsonNode row = cases.get(i);
                boolean same = row.get(2).asInt() == row.get(2 + m).asInt();
                assertEquals(same ? 1.0 : 0.0, result.questions().get(i).marks().get(metrics.get(m)), row.toString());
                assertEquals(
                        row.get(0).get(row.get(2 + m).asInt()).asText(),
                        result.questions().get(i).answer(),
                        row.toString());
            }
        }
    }

    /** AlpacaEval: the mean of preference - 1, 0 is a draw, and what the judge failed at is left out. */
    @Test
    void win_rates_are_those_of_alpaca_eval() throws IOException {
        JsonNode cases = cases("win rate");
        assertTrue(cases.size() >= 20);
        for (JsonNode row : cases) {
            ArrayNode outputs = MAPPER.createArrayNode();
            ArrayNode judge = MAPPER.createArrayNode();
            Map<Integer, Answer> answers = new HashMap<>();
            for (int i = 0; i < row.get(0).size(); i++) {
                outputs.addObject().put("instruction", "say " + i).put("output", "other " + i);
                judge.addObject()
                        .put("instruction", "say " + i)
                        .put("output_1", "other " + i)
                        .put("output_2", "mine " + i)
                        .set("preference", row.get(0).get(i));
                answers.put(i, new Answer(i, List.of(), List.of("mine " + i), List.of(), 0, false));
            }
            MAPPER.writeValue(folder.resolve("outputs.json").toFile(), outputs);
            MAPPER.writeValue(folder.resolve("judge.json").toFile(), judge);
            TaskDefinition task = TaskDefinition.read(Files.writeString(
                    folder.resolve("wins.yaml"), "format: alpaca\nfile: outputs.json\njudgements: judge.json\n"));
            List<Question> questions = QuestionReader.read(task);
            TaskResult result =
                    new Marking(task).result(questions, answers, new Prompts(task, questions, Tokenizer.bytes()));
            assertEquals(row.get(1).asDouble(), result.estimate().value(), 1e-12, row.toString());
            double error = row.get(2).isNull() ? Double.NaN : row.get(2).asDouble();
            assertEquals(error, result.estimate().standardError(), 1e-12, row.toString());
            assertEquals(
                    List.of("judged: " + row.get(3).asInt() + " of "
                            + row.get(0).size()),
                    result.notes());
        }
    }

    @Test
    void perplexities_of_words_bytes_and_tokens() throws IOException {
        JsonNode cases = cases("perplexity");
        List<ObjectNode> lines = new ArrayList<>();
        Map<Integer, Answer> answers = new HashMap<>();
        for (int i = 0; i < cases.size(); i++) {
            JsonNode row = cases.get(i);
            lines.add(MAPPER.createObjectNode().put("text", row.get(0).asText()));
            answers.put(
                    i,
                    new Answer(
                            i,
                            List.of(row.get(1).asDouble()),
                            List.of(),
                            List.of(),
                            row.get(2).asInt(),
                            false));
        }
        JsonNode all = cases("perplexity of all");
        TaskResult result = result("format: text", lines, answers);
        assertEquals(
                all.get(0).asDouble(), result.metrics().get("word_perplexity").value(), 1e-9);
        assertEquals(
                all.get(1).asDouble(), result.metrics().get("byte_perplexity").value(), 1e-9);
        assertEquals(
                all.get(2).asDouble(), result.metrics().get("token_perplexity").value(), 1e-9);
        assertEquals(
                all.get(3).asDouble(), result.metrics().get("bits_per_byte").value(), 1e-9);
        assertTrue(result.metrics().get("word_perplexity").standardError() > 0);
        for (int i = 0; i < cases.size(); i++) {
            JsonNode row = cases.get(i);
            TaskResult one = result("format: text\nlimit: 1", lines.subList(i, i + 1), Map.of(0, answers.get(i)));
            assertEquals(
                    row.get(3).asDouble(), one.metrics().get("word_perplexity").value(), 1e-9, row.toString());
            assertEquals(
                    row.get(4).asDouble(), one.metrics().get("byte_perplexity").value(), 1e-9, row.toString());
            assertEquals(
                    row.get(5).asDouble(), one.metrics().get("token_perplexity").value(), 1e-9, row.toString());
            assertEquals(
                    row.get(6).asDouble(), one.metrics().get("bits_per_byte").value(), 1e-9, row.toString());
        }
    }

    @Test
    void one_right_alias_is_enough_and_each_filter_has_its_metric() throws IOException {
        ObjectNode line = MAPPER.createObjectNode().put("question", "q");
        line.putArray("answers").add("Paris").add("City of Light");
        ObjectNode number = MAPPER.createObjectNode().put("question", "q");
        number.putArray("answers").add("7");
        List<String> written = List.of("the city of light!", "It is 7.", "");
        Map<Integer, Answer> answers = new HashMap<>();
        for (int i = 0; i < 3; i++) {
            answers.put(i, new Answer(i, List.of(), List.of(written.get(i)), List.of(), 0, i == 1));
        }
        TaskResult result =
                result("format: answers\nfilters: [trim, last-number]", List.of(line, number, number), answers);
        assertEquals("exact_match/trim", result.metric());
        assertEquals(Arrays.asList(0.0, 0.0, 0.0), marks(result, "exact_match/trim"));
        assertEquals(Arrays.asList(0.0, 1.0, 0.0), marks(result, "exact_match/last-number"));
        answers.put(0, new Answer(0, List.of(), List.of(" City of light!"), List.of(), 0, false));
        result = result("format: answers", List.of(line, number, number), answers);
        assertEquals(Arrays.asList(1.0, 0.0, 0.0), marks(result, "exact_match/trim"));
        assertEquals(1, result.truncated());
    }

    private static List<Double> marks(TaskResult result, String metric) {
        return result.questions().stream()
                .map(question -> question.marks().get(metric))
                .toList();
    }

    @Test
    void code_has_a_pass_rate_for_each_number_of_tries() throws IOException {
        ObjectNode line = MAPPER.createObjectNode()
                .put("task_id", "T")
                .put("prompt", "p")
                .put("test", "t")
                .put("entry_point", "f");
        Answer answer = new Answer(
                0, List.of(1.0, 0.0, 0.0, 0.0), List.of("a", "b", "c", "d"), List.of("", "", "", ""), 0, false);
        TaskResult result = result(
                "format: humaneval\nsamples: 4\ntemperature: 0.8\npassAt: [1, 2, 4]", List.of(line), Map.of(0, answer));
        assertEquals(0.25, result.metrics().get("pass@1").value(), 1e-12);
        assertEquals(0.5, result.metrics().get("pass@2").value(), 1e-12);
        assertEquals(1, result.metrics().get("pass@4").value(), 1e-12);
    }
}
