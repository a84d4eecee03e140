package io.github.dl4jretention.tasks.file;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.tasks.TaskSuite;
import io.github.dl4jretention.tasks.metric.AnswerFilter;
import io.github.dl4jretention.tasks.metric.AnswerMatch;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TaskDefinitionTest {

    @TempDir
    Path folder;

    @BeforeEach
    void data() throws IOException {
        Files.writeString(folder.resolve("data"), "x");
    }

    private TaskDefinition read(String... lines) throws IOException {
        return TaskDefinition.read(
                Files.writeString(folder.resolve("task.yaml"), String.join("\n", lines) + "\nfile: data\n"));
    }

    private void assertRefused(String message, String... lines) {
        IOException e = assertThrows(IOException.class, () -> read(lines));
        assertEquals(folder.resolve("task.yaml") + message, e.getMessage());
    }

    @Test
    void what_a_file_leaves_out_is_as_the_harness_has_it() throws IOException {
        TaskDefinition mmlu = read("format: mmlu");
        assertEquals("task", mmlu.name());
        assertTrue(mmlu.source() && mmlu.prompting().letters());
        assertEquals("{question}\n{choices}\nAnswer:", mmlu.prompting().template());
        assertEquals("acc", mmlu.scoring().metric());
        assertNull(mmlu.writing());
        assertEquals("acc_norm", read("format: hellaswag").scoring().metric());
        TaskDefinition gsm8k = read("format: gsm8k", "fewShot: {}");
        assertEquals(5, gsm8k.prompting().examples().count());
        assertEquals(
                List.of(AnswerFilter.STRICT, AnswerFilter.LAST_NUMBER),
                gsm8k.scoring().filters());
        assertEquals(AnswerMatch.GSM8K, gsm8k.scoring().match());
        assertEquals(
                List.of("Question:", "</s>", "<|im_end|>"),
                Objects.requireNonNull(gsm8k.writing()).stops());
        assertEquals(
                List.of("\n", ".", ","),
                Objects.requireNonNull(read("format: triviaqa").writing()).stops());
        assertEquals("", read("format: humaneval").prompting().delimiter());
        assertEquals("word_perplexity", read("format: text").scoring().metric());
    }

    @Test
    void every_key_is_read() throws IOException {
        TaskDefinition code = read(
                "{name: my code, format: humaneval, role: target, limit: 7, description: 'D{subject}', prompt: 'P{question}',",
                "separator: S, delimiter: L, chat: true, fewShot: {count: 2, file: data, seed: 4}, stop: [A, B], maxTokens: 9,",
                "temperature: 0.5, topP: 0.9, samples: 20, seed: 3, passAt: [1, 10], metric: pass@10, judgements: j.json,",
                "filters: none, match: exact, letters: false, file: data}",
                "#");
        assertEquals("my code", code.name());
        assertEquals(false, code.source());
        assertEquals(7, code.limit());
        assertEquals(
                new TaskDefinition.Prompting(
                        "D{subject}",
                        "P{question}",
                        "S",
                        "L",
                        false,
                        true,
                        new TaskDefinition.Examples(2, folder.resolve("data"), 4L)),
                code.prompting());
        assertEquals(new TaskDefinition.Writing(List.of("A", "B"), 9, 0.5, 0.9, 20, 3), code.writing());
        assertEquals(
                new TaskDefinition.Scoring(
                        "pass@10",
                        List.of(AnswerFilter.NONE),
                        AnswerMatch.EXACT,
                        List.of(1, 10),
                        folder.resolve("j.json")),
                code.scoring());
    }

    @Test
    void what_does_not_fit_is_named_with_its_line() {
        assertRefused(
                ":1: format: expected one of mmlu, arc, hellaswag, triviaqa, math, gsm8k, humaneval, alpaca, choices,"
                        + " answers, text, got mmul",
                "format: mmul");
        assertRefused(":1: format: expected a value, got none", "name: x");
        assertRefused(":2: role: expected source or target, got both", "format: mmlu", "role: both");
        assertRefused(":2: limit: expected a whole number of at least 1, got 0", "format: mmlu", "limit: 0");
        assertRefused(":2: chat: expected true or false, got \"maybe\"", "format: mmlu", "chat: maybe");
        assertRefused(":2: prompt: expected {question} in it, got Q:", "format: mmlu", "prompt: 'Q:'");
        assertRefused(
                ":3: filters: expected one of none, trim, strict, last-number, boxed, dollars, got last",
                "format: math",
                "#",
                "filters: [boxed, last]");
        assertRefused(
                ":2: stop: expected texts of at least one character, got an empty one", "format: gsm8k", "stop: ['']");
        assertRefused(
                ":2: samples: expected 1 at temperature 0, where all samples are the same, got 3",
                "format: humaneval",
                "samples: 3");
        assertRefused(
                ":2: samples: expected 1, as only code is tried more than once, got 3", "format: gsm8k", "samples: 3");
        assertRefused(":2: seed: expected a whole number, got \"x\"", "format: gsm8k", "seed: x");
        assertRefused(
                ":4: file: expected a readable file, got " + folder.resolve("gone"),
                "format: gsm8k",
                "#  fewShot: {file: gone}",
                "fewShot:",
                "  {file: gone}");
        assertRefused(
                ":2: passAt: expected numbers from 1 to the 1 samples, got 10", "format: humaneval", "passAt: 10");
        assertRefused(
                ":2: passAt: expected numbers from 1 to the 1 samples, got 10", "format: humaneval", "passAt: [10]");
        assertRefused(":2: metric: expected one of acc, acc_norm, acc_bytes, got f1", "format: arc", "metric: f1");
        assertRefused(":2: temperature: expected a number of at least 0, got -1", "format: gsm8k", "temperature: -1");
        assertRefused(":2: topP: expected a number in (0, 1], got 2", "format: gsm8k", "topP: 2");
        assertRefused(":2: fewShot: expected {count: 5, file: FILE, seed: 1}, got 5", "format: gsm8k", "fewShot: 5");
        assertRefused(
                ":2: file: expected a readable file, got " + folder.resolve("gone"),
                "format: gsm8k",
                "fewShot: {file: gone}");
        IOException unknown = assertThrows(IOException.class, () -> read("format: gsm8k", "shots: 5"));
        assertTrue(unknown.getMessage()
                .startsWith(folder.resolve("task.yaml") + ":2: shots: expected one of the keys [chat,"));
        IOException broken = assertThrows(IOException.class, () -> read("format: [", "x"));
        assertTrue(broken.getMessage().startsWith(folder.resolve("task.yaml") + ":"), broken.getMessage());
        Path list = folder.resolve("list.yaml");
        assertEquals(
                list + ":1: expected keys and values, such as format: mmlu, got none",
                assertThrows(IOException.class, () -> TaskDefinition.read(Files.writeString(list, "- mmlu")))
                        .getMessage());
    }

    @Test
    void an_empty_suite_and_two_tasks_of_one_name_are_refused() throws IOException {
        assertEquals(
                "folder: expected a .yaml file for each task, got none in " + folder,
                assertThrows(IOException.class, () -> TaskSuite.of(folder)).getMessage());
        assertEquals(
                "folder: expected a folder with a .yaml file for each task, got " + folder.resolve("none"),
                assertThrows(IOException.class, () -> TaskSuite.of(folder.resolve("none")))
                        .getMessage());
        Files.writeString(folder.resolve("q.jsonl"), "{\"question\":\"q\",\"answers\":[\"a\"]}");
        Files.writeString(folder.resolve("a.yaml"), "name: x\nformat: answers\nfile: q.jsonl");
        Files.writeString(folder.resolve("b.yml"), "{\"name\": \"x\", \"format\": \"answers\", \"file\": \"q.jsonl\"}");
        assertEquals(
                folder.resolve("b.yml") + ":1: name: expected another name than other tasks, got x",
                assertThrows(IOException.class, () -> TaskSuite.of(folder)).getMessage());
        Files.writeString(folder.resolve("b.yml"), "name: ../x\nformat: answers\nfile: q.jsonl");
        assertTrue(assertThrows(IOException.class, () -> TaskSuite.of(folder))
                .getMessage()
                .contains("b.yml:1: name: expected letters"));
    }
}
