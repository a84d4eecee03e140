package io.github.dl4jretention.tasks.file;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files as they are published, with made-up questions. */
class QuestionReaderTest {

    @TempDir
    Path folder;

    private List<Question> read(TaskFormat format, String name, String content) throws IOException {
        return QuestionReader.read(format, Files.writeString(folder.resolve(name), content), Integer.MAX_VALUE);
    }

    private void assertRefused(String message, TaskFormat format, String name, String content) {
        IOException e = assertThrows(IOException.class, () -> read(format, name, content));
        assertEquals(folder.resolve(name) + message, e.getMessage());
    }

    @Test
    void mmlu() throws IOException {
        List<Question> questions = read(
                TaskFormat.MMLU,
                "high_school_art_test.csv",
                "\"Which is red,\nand round?\",sky,ball,sea,tree,B\n \"x\"\"y\" ,1,2,3,4,D\r\n");
        assertEquals(
                new Question(
                        "1",
                        folder.resolve("high_school_art_test.csv") + ":1",
                        "high school art",
                        "Which is red,\nand round?",
                        List.of("sky", "ball", "sea", "tree"),
                        1,
                        List.of()),
                questions.get(0));
        assertEquals(3, questions.get(1).gold());
        assertEquals("4", questions.get(1).answer());
        assertEquals(
                folder.resolve("high_school_art_test.csv") + ":3",
                questions.get(1).place());
        assertRefused(":1: answer: expected one of 4 choices, got E", TaskFormat.MMLU, "a.csv", "q,1,2,3,4,E\n");
        assertRefused(
                ":2: expected a question, at least two choices and a letter, got 3 columns",
                TaskFormat.MMLU,
                "a.csv",
                "q,1,2,3,4,A\nq,1,A\n");
        assertRefused(":1: choices: expected texts, got an empty one", TaskFormat.MMLU, "a.csv", "q,1,,3,4,A\n");
        assertRefused(":1: expected at least one question, got none", TaskFormat.MMLU, "a.csv", "");
    }

    @Test
    void arc_as_published_and_as_the_hub_has_it() throws IOException {
        String published =
                "{\"id\":\"Q1\",\"question\":{\"stem\":\"What melts?\",\"choices\":[{\"text\":\"ice\",\"label\":\"A\"},"
                        + "{\"text\":\"sand\",\"label\":\"B\"}]},\"answerKey\":\"A\"}\n";
        String hub =
                "{\"id\":\"Q1\",\"question\":\"What melts?\",\"choices\":{\"text\":[\"ice\",\"sand\"],\"label\":[\"1\",\"2\"]},"
                        + "\"answerKey\":\"1\"}";
        Question one = read(TaskFormat.ARC, "a.jsonl", published).get(0);
        Question other = read(TaskFormat.ARC, "a.jsonl", hub).get(0);
        assertEquals(one, other);
        assertEquals(
                new Question(
                        "Q1",
                        folder.resolve("a.jsonl") + ":1",
                        "",
                        "What melts?",
                        List.of("ice", "sand"),
                        0,
                        List.of()),
                one);
        assertRefused(
                ":2: answerKey: expected one of 2 choices, got C",
                TaskFormat.ARC,
                "a.jsonl",
                published + published.replace("\"answerKey\":\"A\"", "\"answerKey\":\"C\""));
        assertRefused(
                ":1: answerKey: expected a value, got none",
                TaskFormat.ARC,
                "a.jsonl",
                published.replace(",\"answerKey\":\"A\"", ""));
    }

    /** Worked by hand from the harness's preprocess and process_docs. */
    @Test
    void hella_swag() throws IOException {
        String line =
                "{\"ind\":24,\"activity_label\":\"Roof work\",\"ctx_a\":\"A man [header] sits.\",\"ctx_b\":\"he LOOKS up\","
                        + "\"endings\":[\" starts [step] now.\",\"sings [title] twice  more\"],\"label\":\"1\"}\n";
        Question question = read(TaskFormat.HELLASWAG, "h.jsonl", line).get(0);
        assertEquals("Roof work: A man sits. He looks up", question.text());
        assertEquals(List.of("starts now.", "sings. twice more"), question.choices());
        assertEquals(1, question.gold());
        assertEquals("24", question.id());
        assertRefused(
                ":1: label: expected one of 2 choices, got 2",
                TaskFormat.HELLASWAG,
                "h.jsonl",
                line.replace("\"label\":\"1\"", "\"label\":2"));
        assertRefused(
                ":1: label: expected a whole number, got ",
                TaskFormat.HELLASWAG,
                "h.jsonl",
                line.replace("\"label\":\"1\"", "\"label\":\"\""));
    }

    @Test
    void trivia_qa() throws IOException {
        String file =
                "{\"Domain\":\"x\",\"Data\":[\n{\"Question\":\"Capital of France?\",\"QuestionId\":\"tc_1\",\"Answer\":"
                        + "{\"Value\":\"Paris\",\"Aliases\":[\"Paris\",\"City of Light\"]}},\n{\"Question\":\"Two?\",\"Answer\":{\"Value\":\"2\"}}],"
                        + "\"Version\":1}";
        List<Question> questions = read(TaskFormat.TRIVIAQA, "t.json", file);
        assertEquals(List.of("Paris", "City of Light"), questions.get(0).answers());
        assertEquals("tc_1", questions.get(0).id());
        assertEquals(folder.resolve("t.json") + ":3", questions.get(1).place());
        assertEquals(List.of("2"), questions.get(1).answers());
        assertRefused(
                ":3: Question: expected a value, got none",
                TaskFormat.TRIVIAQA,
                "t.json",
                file.replace("\"Question\":\"Two?\",", ""));
        assertRefused(":1: Data: expected an array, got none", TaskFormat.TRIVIAQA, "t.json", "{\"a\":[1],\"b\":{}}");
    }

    @Test
    void math_in_files_and_folders() throws IOException {
        String problem =
                "{\"problem\":\"1+1?\",\"level\":\"Level 1\",\"type\":\"Algebra\",\n\"solution\":\"It is $\\\\boxed{2}$.\"}";
        Path math = Files.createDirectories(folder.resolve("math/algebra"));
        Files.writeString(math.resolve("2.json"), problem.replace("{2}", "{3}"));
        Files.writeString(math.resolve("1.json"), problem);
        List<Question> questions = QuestionReader.read(TaskFormat.MATH, folder.resolve("math"), Integer.MAX_VALUE);
        assertEquals(List.of("2", "3"), questions.stream().map(Question::answer).toList());
        assertEquals("Algebra", questions.get(0).subject());
        assertEquals(
                1,
                QuestionReader.read(TaskFormat.MATH, folder.resolve("math"), 1).size());
        assertRefused(
                ":1: solution: expected an answer in \\boxed{...}, got none",
                TaskFormat.MATH,
                "m.json",
                problem.replace("boxed", "framed"));
    }

    @Test
    void gsm8k() throws IOException {
        Question question = read(
                        TaskFormat.GSM8K,
                        "g.jsonl",
                        "{\"question\":\"3 and 4?\",\"answer\":\"3+4=<<3+4=7>>7\\n#### 7\"}\n")
                .get(0);
        assertEquals("3+4=<<3+4=7>>7\n#### 7", question.answer());
        assertRefused(
                ":1: answer: expected a number after \"#### \", got none",
                TaskFormat.GSM8K,
                "g.jsonl",
                "{\"question\":\"3 and 4?\",\"answer\":\"7\"}");
    }

    @Test
    void human_eval_gzipped() throws IOException {
        Path file = folder.resolve("HumanEval.jsonl.gz");
        try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(file))) {
            out.write(
                    ("{\"task_id\":\"HumanEval/0\",\"prompt\":\"def f(x):\\n\",\"entry_point\":\"f\",\"canonical_solution\":\"\","
                                    + "\"test\":\"def check(c): assert c(1) == 2\"}\n")
                            .getBytes(StandardCharsets.UTF_8));
        }
        Question question = QuestionReader.read(TaskFormat.HUMANEVAL, file, Integer.MAX_VALUE)
                .get(0);
        assertEquals("HumanEval/0", question.id());
        assertEquals(List.of("def check(c): assert c(1) == 2", "f"), question.answers());
        Files.writeString(file, "{}");
        assertEquals(
                file + ":1: expected a gzip file, got Not in GZIP format",
                assertThrows(IOException.class, () -> QuestionReader.read(TaskFormat.HUMANEVAL, file, 1))
                        .getMessage());
    }

    @Test
    void alpaca_eval() throws IOException {
        List<Question> questions = read(
                TaskFormat.ALPACA,
                "a.json",
                "[\n  {\"dataset\": \"x\", \"instruction\": \"Sing\", \"output\": \"La\", \"generator\": \"g\"},\n  {\"instruction\": \"Dance\","
                        + " \"output\": \"\"}\n]\n");
        assertEquals(List.of("La"), questions.get(0).answers());
        assertEquals(folder.resolve("a.json") + ":3", questions.get(1).place());
        assertRefused(":1: expected an object, got 1", TaskFormat.ALPACA, "a.json", "[1]");
    }

    @Test
    void your_own() throws IOException {
        List<Question> questions = read(
                TaskFormat.CHOICES,
                "q.jsonl",
                "{\"question\":\"q\",\"choices\":[\"a\",\"b\"],\"answer\":1}\n\n{\"id\":\"x\",\"subject\":\"s\",\"question\":\"q\","
                        + "\"choices\":[\"a\",\"b\"],\"answer\":\"a\"}\n");
        assertEquals(List.of(1, 0), questions.stream().map(Question::gold).toList());
        assertEquals("x", questions.get(1).id());
        assertEquals(folder.resolve("q.jsonl") + ":3", questions.get(1).place());
        assertRefused(
                ":1: answer: expected one of 2 choices, got \"c\"",
                TaskFormat.CHOICES,
                "q.jsonl",
                "{\"question\":\"q\",\"choices\":[\"a\",\"b\"],\"answer\":\"c\"}");
        assertRefused(
                ":1: answer: expected one of 2 choices, got -1",
                TaskFormat.CHOICES,
                "q.jsonl",
                "{\"question\":\"q\",\"choices\":[\"a\",\"b\"],\"answer\":-1}");
        assertEquals(
                List.of("a", "b"),
                read(TaskFormat.ANSWERS, "q.jsonl", "{\"question\":\"q\",\"answers\":[\"a\",\"b\"]}")
                        .get(0)
                        .answers());
        assertRefused(
                ":2: answers: expected an array of texts, got []",
                TaskFormat.ANSWERS,
                "q.jsonl",
                "{\"question\":\"q\",\"answers\":[\"a\"]}\n{\"question\":\"q\",\"answers\":[]}");
        IOException broken = assertThrows(
                IOException.class,
                () -> read(TaskFormat.ANSWERS, "q.jsonl", "{\"question\":\"q\",\"answers\":[\"a\"]}\n{\"quest"));
        assertEquals(true, broken.getMessage().startsWith(folder.resolve("q.jsonl") + ":2: expected JSON"));
    }

    @Test
    void texts() throws IOException {
        assertEquals("a b\n", read(TaskFormat.TEXT, "t.txt", "a b\n").get(0).text());
        assertEquals(
                "x", read(TaskFormat.TEXT, "t.jsonl", "{\"text\":\"x\"}").get(0).text());
        assertRefused(":1: expected at least one question, got none", TaskFormat.TEXT, "t.txt", "");
    }
}
