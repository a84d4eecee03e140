package io.github.dl4jretention.tasks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;

/** A folder of small tasks of made-up questions, of every kind but code. */
final class TaskFolder {

    private static final String[] THINGS = {"cat", "dog", "old house", "sun", "red ball", "sea", "bird", "tree"};

    private TaskFolder() {}

    static Path write(Path folder) throws IOException {
        return write(folder, 6);
    }

    static Path write(Path folder, int questions) throws IOException {
        Files.createDirectories(folder);
        Random random = new Random(8);
        StringBuilder choices = new StringBuilder();
        StringBuilder answers = new StringBuilder();
        StringBuilder mmlu = new StringBuilder();
        StringBuilder wins = new StringBuilder();
        for (int i = 0; i < questions; i++) {
            String a = THINGS[random.nextInt(8)];
            String b = THINGS[random.nextInt(8)] + " " + i;
            int gold = random.nextInt(3);
            choices.append("{\"question\": \"What is by the " + a + "?\", \"choices\": [\"a " + b + "\", \"x\", \"the "
                    + a + "\"], \"answer\": " + gold + "}\n");
            answers.append("{\"question\": \"Say " + b + "\", \"answers\": [\"" + b + "\", \"the " + b + "\"]}\n");
            mmlu.append("\"Which is " + a + ", " + i + "?\"," + b + ",\"" + a + "\",none,all," + "ABCD".charAt(gold)
                    + "\n");
            wins.append(i == 0 ? "[" : ",")
                    .append("{\"instruction\": \"Tell of " + b + "\", \"output\": \"It is " + a + "\"}\n");
        }
        Files.writeString(folder.resolve("choices.jsonl"), choices);
        Files.writeString(folder.resolve("answers.jsonl"), answers);
        Files.writeString(folder.resolve("things_test.csv"), mmlu);
        Files.writeString(folder.resolve("wins.json"), wins + "]");
        Files.writeString(
                folder.resolve("text.jsonl"),
                "{\"text\": \"The cat sat on the mat.\"}\n{\"text\": \"" + "A sea of trees. ".repeat(14) + "\"}\n");
        Files.writeString(
                folder.resolve("choices.yaml"), "format: choices\nfile: choices.jsonl\nfewShot: {count: 2}\n");
        Files.writeString(
                folder.resolve("mmlu.yaml"),
                "format: mmlu\nfile: things_test.csv\nfewShot: {file: things_test.csv, count: 1, seed: 3}\n");
        Files.writeString(
                folder.resolve("answers.yaml"),
                "format: answers\nrole: target\nfile: answers.jsonl\nfewShot: {count: 1}\nmaxTokens: 8\n");
        Files.writeString(folder.resolve("text.yaml"), "format: text\nfile: text.jsonl\n");
        Files.writeString(
                folder.resolve("wins.yaml"),
                "format: alpaca\nfile: wins.json\nmaxTokens: 6\ntemperature: 0.9\njudgements: judge.json\n");
        return folder;
    }
}
