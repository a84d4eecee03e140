package io.github.dl4jretention.samples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.samples.model.RandomFolder;
import io.github.dl4jretention.samples.text.BytePairs;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The program on folders of small Llama models of random weights. */
class EvaluateTest {

    @TempDir
    private Path folder;

    private Path tasks;

    private record Ended(int code, String out, String error) {}

    @BeforeEach
    void files() throws IOException {
        for (int seed = 1; seed <= 3; seed++) {
            Path model = Files.createDirectory(folder.resolve("model" + seed));
            int vocabulary = BytePairs.write(model, "The quick brown fox jumps. ".repeat(200), 290);
            new RandomFolder(vocabulary, 16, 2, 4, 2, 24, 128).write(model, false, seed);
        }
        tasks = Files.createDirectory(folder.resolve("tasks"));
        StringBuilder questions = new StringBuilder();
        for (int i = 0; i < 10; i++) {
            questions.append(
                    "{\"question\": \"Who jumps " + i + "?\", \"choices\": [\"the fox\", \"a dog\"], \"answer\": 0}\n");
        }
        Files.writeString(tasks.resolve("jumps.jsonl"), questions);
        Files.writeString(tasks.resolve("jumps.yaml"), "format: choices\nfile: jumps.jsonl\n");
    }

    private Ended run(String... args) {
        PrintStream oldOut = System.out;
        PrintStream oldError = System.err;
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream error = new ByteArrayOutputStream();
        try {
            System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(error, true, StandardCharsets.UTF_8));
            int code = Evaluate.commandLine().execute(args);
            return new Ended(code, out.toString(StandardCharsets.UTF_8), error.toString(StandardCharsets.UTF_8));
        } finally {
            System.setOut(oldOut);
            System.setErr(oldError);
        }
    }

    private String path(String name) {
        return folder.resolve(name).toString();
    }

    @Test
    void models_are_asked_and_compared() throws IOException {
        Ended base = run("--model", path("model1"), "--tasks", path("tasks"), "--out", path("out1"));
        assertEquals(0, base.code(), base.error());
        assertTrue(base.out().contains("acc_norm") && base.out().contains("10 questions"), base.out());
        assertTrue(base.error().contains("jumps: 10 of 10 questions"), base.error());
        assertEquals(
                0,
                run("--model", path("model2"), "--tasks", path("tasks"), "--out", path("out2"))
                        .code());
        Ended compared = run(
                "--model",
                path("model3"),
                "--tasks",
                path("tasks"),
                "--out",
                path("out3"),
                "--name",
                "kept",
                "--before",
                path("out1"),
                "--beside",
                path("out2"));
        assertEquals(0, compared.code(), compared.error());
        assertTrue(compared.out().contains("forgetting"), compared.out());
        for (String row : new String[] {"model1 ", "model2 ", "kept "}) {
            assertTrue(compared.out().lines().anyMatch(line -> line.startsWith(row)), compared.out());
        }
        assertTrue(Files.size(folder.resolve("out3/comparison.html")) > 500);
        assertEquals(
                10, Files.readAllLines(folder.resolve("out3/comparison.csv")).size());
    }

    @Test
    void what_does_not_fit_is_one_line() throws IOException {
        Ended tasksMissing = run("--model", path("model1"), "--tasks", path("none"), "--out", path("out"));
        assertEquals(
                "error: --tasks: expected a folder, got " + path("none"),
                tasksMissing.error().strip());
        assertEquals(2, tasksMissing.code());
        Ended noReport = run(
                "--model", path("model1"), "--tasks", path("tasks"), "--out", path("out"), "--before", path("gone"));
        assertEquals(
                "error: --before: expected a report in it, got no " + path("gone/report.json"),
                noReport.error().strip());
        assertEquals(
                0,
                run("--model", path("model1"), "--tasks", path("tasks"), "--out", path("base"))
                        .code());
        Ended same = run(
                "--model", path("model1"), "--tasks", path("tasks"), "--out", path("out"), "--before", path("base"));
        assertEquals(
                "error: --name: expected another name than that of the report in " + path("base") + ", got model1",
                same.error().strip());
        Files.copy(tasks.resolve("jumps.yaml"), tasks.resolve("leaps.yaml"));
        Ended others = run(
                "--model", path("model2"), "--tasks", path("tasks"), "--out", path("out"), "--before", path("base"));
        assertEquals(
                "error: --before: expected a report of the tasks [jumps, leaps], got one of [jumps] in " + path("base"),
                others.error().strip());
        Files.delete(tasks.resolve("leaps.yaml"));
        Files.delete(folder.resolve("model1/tokenizer.json"));
        Ended noTokenizer = run("--model", path("model1"), "--tasks", path("tasks"), "--out", path("out"));
        assertTrue(
                noTokenizer
                        .error()
                        .startsWith("error: --model: folder: expected tokenizer.json in " + path("model1") + ", or"),
                noTokenizer.error());
        Files.writeString(tasks.resolve("jumps.jsonl"), "{\"question\": \"q\", \"choices\": [\"a\"], \"answer\": 1}\n");
        Ended bad = run("--model", path("model2"), "--tasks", path("tasks"), "--out", path("out"));
        assertEquals(
                "error: " + path("tasks/jumps.jsonl") + ":1: answer: expected one of 1 choices, got 1",
                bad.error().strip());
        Files.writeString(tasks.resolve("jumps.yaml"), "format: humaneval\nfile: code.jsonl\n");
        Files.writeString(
                tasks.resolve("code.jsonl"),
                "{\"task_id\": \"T\", \"prompt\": \"p\", \"test\": \"t\", \"entry_point\": \"f\"}\n");
        Ended code = run("--model", path("model2"), "--tasks", path("tasks"), "--out", path("out"));
        assertTrue(code.error().startsWith("error: --allow-code: expected it, as a task runs programs"), code.error());
    }
}
