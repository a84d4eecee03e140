package io.github.dl4jretention.tasks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.lm.Tokenizer;
import io.github.dl4jretention.tasks.file.Question;
import io.github.dl4jretention.tasks.file.QuestionReader;
import io.github.dl4jretention.tasks.file.TaskDefinition;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which examples come before a question; HarnessTest says how they're written. */
class PromptsTest {

    @TempDir
    Path folder;

    private List<Question> questions = List.of();

    private Prompts prompts(String definition) throws IOException {
        TaskDefinition task = TaskDefinition.read(Files.writeString(folder.resolve("task.yaml"), definition));
        questions = QuestionReader.read(task);
        return new Prompts(task, questions, Tokenizer.bytes());
    }

    /** The folders of MMLU as it's published. */
    private void mmlu() throws IOException {
        Path test = Files.createDirectories(folder.resolve("data/test"));
        Path dev = Files.createDirectories(folder.resolve("data/dev"));
        for (String subject : List.of("high_school_art", "law")) {
            Files.writeString(
                    test.resolve(subject + "_test.csv"), subject + " one?,a,b,A\n" + subject + " two?,a,b,B\n");
            Files.writeString(
                    dev.resolve(subject + "_dev.csv"),
                    subject + " first?,c,d,A\n" + subject + " second?,c,d,B\n" + subject + " third?,c,d,B\n");
        }
    }

    @Test
    void examples_are_of_the_questions_own_subject() throws IOException {
        mmlu();
        Prompts prompts = prompts("format: mmlu\nfile: data/test\nfewShot: {file: data/dev, count: 2}\n");
        assertEquals(4, questions.size());
        assertEquals(
                """
                The following are multiple choice questions (with answers) about law.

                law first?
                A. c
                B. d
                Answer: A

                law second?
                A. c
                B. d
                Answer: B

                law two?
                A. a
                B. b
                Answer:""",
                prompts.text(3));
        assertTrue(prompts.text(0)
                .startsWith("The following are multiple choice questions (with answers) about high "
                        + "school art.\n\nhigh_school_art first?"));
        assertEquals(prompts.group(0), prompts.group(1));
        assertNotEquals(prompts.group(1), prompts.group(2));
    }

    @Test
    void too_few_examples_of_a_subject_are_named() throws IOException {
        mmlu();
        String message = assertThrows(
                        IOException.class,
                        () -> prompts("format: mmlu\nfile: data/test\nfewShot: {file: data/dev, count: 4}\n"))
                .getMessage();
        assertEquals(
                folder.resolve("task.yaml") + ":3: fewShot: expected 4 other questions about high school art for "
                        + folder.resolve("data/test/high_school_art_test.csv") + ":1, got 3 in "
                        + folder.resolve("data/dev"),
                message);
    }

    /** Neither of the questions' own file nor of another file that has it, too. */
    @Test
    void a_question_is_never_an_example_of_itself() throws IOException {
        String lines = "";
        for (int i = 0; i < 4; i++) {
            lines += "{\"question\": \"q" + i + "\", \"answers\": [\"a" + i + "\"]}\n";
        }
        Files.writeString(folder.resolve("q.jsonl"), lines);
        Files.writeString(folder.resolve("train.jsonl"), "{\"question\": \"x\", \"answers\": [\"y\"]}\n" + lines);
        for (String key : List.of("{count: 3}", "{file: train.jsonl, count: 3}", "{count: 3, seed: 5}")) {
            Prompts prompts = prompts("format: answers\nfile: q.jsonl\nfewShot: " + key + "\n");
            for (int i = 0; i < 4; i++) {
                String text = prompts.text(i);
                assertEquals(3, text.split("\n\n").length - 1, text);
                assertFalse(text.contains("Answer: a" + i), text);
                assertTrue(text.endsWith("Question: q" + i + "\nAnswer:"), text);
            }
        }
    }
}
