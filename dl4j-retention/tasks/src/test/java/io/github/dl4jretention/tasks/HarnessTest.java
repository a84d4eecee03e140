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
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/**
 * Prompts, continuations, stops and marks beside those of lm-evaluation-harness 0.4.13. harness/tasks.json has made-up
 * questions in each published format, and what the harness's own ConfigurableTask makes of them with its own task files: the
 * context with and without worked examples, the continuations, where writing ends, and the marks of made-up answers.
 */
class HarnessTest {

    /** Our names of the harness's filters. */
    private static final Map<String, String> FILTERS = Map.of(
            "remove_whitespace", "trim",
            "strict-match", "strict",
            "flexible-extract", "last-number",
            "none", "dollars");

    @TempDir
    Path folder;

    private static JsonNode made(String format) throws IOException {
        return new ObjectMapper()
                .readTree(HarnessTest.class.getResource("/harness/tasks.json"))
                .get(format);
    }

    private TaskDefinition task(String format, String ending, JsonNode made, int shots) throws IOException {
        Files.writeString(
                folder.resolve("abstract_algebra_test" + ending),
                made.get("file").asText());
        Files.writeString(
                folder.resolve("abstract_algebra_dev" + ending),
                made.get("examples").asText());
        String text = "format: " + format + "\nfile: abstract_algebra_test" + ending + "\n";
        if (shots > 0) {
            text += "fewShot: {file: abstract_algebra_dev" + ending + ", count: " + shots + "}\n";
        }
        return TaskDefinition.read(Files.writeString(folder.resolve("task.yaml"), text));
    }

    @ParameterizedTest
    @CsvSource({
        "mmlu, .csv, 1.0",
        "arc, .jsonl, 1.0",
        "hellaswag, .jsonl, 1.0",
        "triviaqa, .json, 3.0",
        "math, .jsonl, 1.0",
        "gsm8k, .jsonl, 3.0",
        "humaneval, .jsonl, 1.0"
    })
    void prompts_are_the_harnesss(String format, String ending, String version) throws IOException {
        JsonNode made = made(format);
        assertEquals(version, made.get("version").asText());
        for (int shots : new int[] {0, made.get("shots").asInt()}) {
            TaskDefinition task = task(format, ending, made, shots);
            List<Question> questions = QuestionReader.read(task);
            Prompts prompts = new Prompts(task, questions, Tokenizer.bytes());
            JsonNode expected = made.get(shots == 0 ? "plain" : "context");
            assertEquals(expected.size(), questions.size());
            for (int i = 0; i < questions.size(); i++) {
                assertEquals(expected.get(i).asText(), prompts.text(i));
                if (made.has("continuations")) {
                    JsonNode continuations = made.get("continuations").get(i);
                    assertEquals(
                            made.get("gold").get(i).asInt(), questions.get(i).gold());
                    Prompts.Choices choices = prompts.choices(i);
                    assertEquals(continuations.size(), choices.continuations().length);
                    for (int j = 0; j < continuations.size(); j++) {
                        assertEquals(
                                expected.get(i).asText() + continuations.get(j).asText(),
                                Tokenizer.bytes().decode(choices.prompt())
                                        + Tokenizer.bytes().decode(choices.continuations()[j]));
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"triviaqa, .json", "math, .jsonl", "gsm8k, .jsonl", "humaneval, .jsonl"})
    void writing_ends_where_the_harness_ends_it(String format, String ending) throws IOException {
        JsonNode made = made(format);
        TaskDefinition.Writing writing =
                Objects.requireNonNull(task(format, ending, made, 0).writing());
        assertEquals(made.get("until").size(), writing.stops().size());
        for (int i = 0; i < writing.stops().size(); i++) {
            assertEquals(made.get("until").get(i).asText(), writing.stops().get(i));
        }
        assertEquals(made.get("max_gen_toks").asInt(), writing.maxTokens());
        assertEquals(0, writing.temperature());
    }

    @ParameterizedTest
    @CsvSource({"triviaqa, .json", "math, .jsonl", "gsm8k, .jsonl"})
    void answers_get_the_harnesss_marks(String format, String ending) throws IOException {
        JsonNode made = made(format);
        TaskDefinition task = task(format, ending, made, 0);
        List<Question> questions = QuestionReader.read(task);
        Prompts prompts = new Prompts(task, questions, Tokenizer.bytes());
        assertTrue(made.get("marks").size() >= 20);
        int right = 0;
        for (JsonNode mark : made.get("marks")) {
            int question = mark.get("question").asInt();
            Map<Integer, Answer> answers = new HashMap<>();
            for (int i = 0; i < questions.size(); i++) {
                String text = i == question ? mark.get("text").asText() : "";
                answers.put(i, new Answer(i, List.of(), List.of(text), List.of(), 0, false));
            }
            Map<String, Double> marks = new Marking(task)
                    .result(questions, answers, prompts)
                    .questions()
                    .get(question)
                    .marks();
            for (Map.Entry<String, JsonNode> expected :
                    (Iterable<Map.Entry<String, JsonNode>>) mark.get("marks")::fields) {
                String filter = Objects.requireNonNull(FILTERS.get(expected.getKey()));
                assertEquals(
                        expected.getValue().asDouble(), marks.get("exact_match/" + filter), filter + " of " + mark);
                right += expected.getValue().asInt();
            }
        }
        assertTrue(right > 5, "right ones are there: " + right);
    }

    @Test
    void trivia_qa_as_the_hub_has_it_is_the_same() throws IOException {
        JsonNode made = made("triviaqa");
        List<Question> published = QuestionReader.read(task("triviaqa", ".json", made, 0));
        Path hub = Files.writeString(
                folder.resolve("validation.jsonl"), made.get("hub").asText());
        List<Question> ofHub = QuestionReader.read(published(hub));
        assertEquals(published.size(), ofHub.size());
        for (int i = 0; i < ofHub.size(); i++) {
            assertEquals(published.get(i).id(), ofHub.get(i).id());
            assertEquals(published.get(i).text(), ofHub.get(i).text());
            assertEquals(published.get(i).answers(), ofHub.get(i).answers());
        }
    }

    private TaskDefinition published(Path file) throws IOException {
        return TaskDefinition.read(
                Files.writeString(folder.resolve("hub.yaml"), "format: triviaqa\nfile: " + file.getFileName() + "\n"));
    }
}
