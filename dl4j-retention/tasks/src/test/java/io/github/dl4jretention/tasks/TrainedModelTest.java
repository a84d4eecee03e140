package io.github.dl4jretention.tasks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.tasks.file.Question;
import io.github.dl4jretention.tasks.file.QuestionReader;
import io.github.dl4jretention.tasks.file.TaskDefinition;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/**
 * {@code -Dstories260k=FOLDER}: a trained model of short stories, which isn't part of this project. {@code
 * -Dpython=PROGRAM} names a Python with torch.
 */
class TrainedModelTest {

    private static final String[] WHO = {"Lily", "Tom", "a cat", "the dog", "Mom", "a bird", "Ben", "the bear"};
    private static final String[] WHAT = {"ball", "cake", "red car", "tree", "toy", "big house", "park", "flower"};
    private static final String[] END = {
        "She was very happy.", "They played all day.", "The end.", "It was a big surprise!", "He said no.", "xq zzv kk."
    };

    private static LanguageModel model;

    @TempDir
    Path temporary;

    @BeforeAll
    static void load() throws IOException {
        String property = System.getProperty("stories260k");
        assumeTrue(property != null, "-Dstories260k");
        model = LanguageModel.load(Path.of(property));
    }

    private static String one(String[] of, Random random) {
        return of[random.nextInt(of.length)];
    }

    private Path tasks(int questions, int shots) throws IOException {
        Path folder = Files.createDirectories(temporary.resolve("tasks" + questions + "-" + shots));
        Random random = new Random(6);
        StringBuilder choices = new StringBuilder();
        StringBuilder lettered = new StringBuilder();
        StringBuilder answers = new StringBuilder();
        StringBuilder texts = new StringBuilder();
        for (int i = 0; i < questions; i++) {
            String who = one(WHO, random);
            String what = one(WHAT, random);
            String start = "Once upon a time, " + who + " saw a " + what + " number " + i + ".";
            choices.append("{\"question\": \"" + start + "\", \"choices\": [\"" + END[i % 6] + "\", \""
                    + END[(i + 1) % 6] + "\", \"" + END[(i + 2) % 6] + "\", \"" + END[(i + 3) % 6] + "\"], \"answer\": "
                    + i % 4 + "}\n");
            lettered.append("\"" + start + " Who?\"," + WHO[i % 8] + "," + WHO[(i + 1) % 8] + "," + WHO[(i + 2) % 8]
                    + "," + WHO[(i + 3) % 8] + "," + "ABCD".charAt(i % 4) + "\n");
            answers.append("{\"question\": \"" + start + " What is it?\", \"answers\": [\"" + what + "\"]}\n");
            texts.append("{\"text\": \"" + start + " " + one(END, random) + " " + one(END, random) + "\"}\n");
        }
        Files.writeString(folder.resolve("c.jsonl"), choices);
        Files.writeString(folder.resolve("l.csv"), lettered);
        Files.writeString(folder.resolve("a.jsonl"), answers);
        Files.writeString(folder.resolve("t.jsonl"), texts);
        String few = "fewShot: {count: " + shots + "}\n";
        Files.writeString(folder.resolve("c.yaml"), "format: choices\nprompt: '{question}'\nfile: c.jsonl\n" + few);
        Files.writeString(folder.resolve("l.yaml"), "format: mmlu\nfile: l.csv\nfewShot: {count: 1}\n");
        Files.writeString(
                folder.resolve("a.yaml"), "format: answers\nmaxTokens: 20\nfile: a.jsonl\nfewShot: {count: 1}\n");
        Files.writeString(folder.resolve("t.yaml"), "format: text\nfile: t.jsonl\n");
        return folder;
    }

    /** 50 choices of 13 questions. */
    @Test
    void log_probabilities_of_choices_are_those_of_pytorch() throws IOException, InterruptedException {
        String python = System.getProperty("python");
        assumeTrue(python != null, "-Dpython");
        Path folder = tasks(13, 2);
        TaskDefinition task = TaskDefinition.read(folder.resolve("c.yaml"));
        List<Question> questions = QuestionReader.read(task);
        Prompts prompts = new Prompts(task, questions, model.tokenizer());
        List<Double> got = new ArrayList<>();
        List<int[]> before = new ArrayList<>();
        List<int[]> continuations = new ArrayList<>();
        try (TaskModel asked = TaskModel.of(model);
                AnswerJournal journal = new AnswerJournal(null, "")) {
            new TaskRunner(task, questions, asked, prompts, null, journal, (t, a, q, l) -> {}, true).run();
            for (int i = 0; i < questions.size(); i++) {
                Prompts.Choices choices = prompts.choices(i);
                for (int j = 0; j < choices.continuations().length && got.size() < 50; j++) {
                    got.add(journal.answers().get(i).values().get(j));
                    before.add(choices.prompt());
                    continuations.add(choices.continuations()[j]);
                }
            }
        }
        assertEquals(50, got.size());
        List<Double> expected = pytorch(python, before, continuations);
        double most = 0;
        for (int i = 0; i < 50; i++) {
            most = Math.max(most, Math.abs(expected.get(i) - got.get(i)));
            assertEquals(expected.get(i), got.get(i), 1e-4 * Math.max(1, Math.abs(expected.get(i))), "choice " + i);
        }
        System.out.println("largest difference from PyTorch: " + most + " nats");
    }

    /** All in one process, as torch takes seconds to start. */
    private static List<Double> pytorch(String python, List<int[]> prompts, List<int[]> continuations)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(
                python,
                "../lm/src/test/resources/huggingface/make_models.py",
                "logits",
                System.getProperty("stories260k")));
        List<int[]> texts = new ArrayList<>();
        for (int i = 0; i < prompts.size(); i++) {
            int[] text = IntStream.concat(Arrays.stream(prompts.get(i)), Arrays.stream(continuations.get(i)))
                    .toArray();
            texts.add(text);
            command.add(Arrays.stream(text).mapToObj(Integer::toString).collect(Collectors.joining(",")));
        }
        Process process = new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output);
        List<String> lines = output.lines().toList();
        assertEquals(prompts.size(), lines.size());
        List<Double> sums = new ArrayList<>();
        for (int i = 0; i < lines.size(); i++) {
            double[][] logits = new ObjectMapper().readValue(lines.get(i), double[][].class);
            sums.add(sum(logits, texts.get(i), prompts.get(i).length));
        }
        return sums;
    }

    private static double sum(double[][] logits, int[] text, int from) {
        double sum = 0;
        for (int t = from; t < text.length; t++) {
            double[] row = logits[t - 1];
            double largest = Arrays.stream(row).max().orElseThrow();
            double all = largest
                    + Math.log(
                            Arrays.stream(row).map(z -> Math.exp(z - largest)).sum());
            sum += row[text[t]] - all;
        }
        return sum;
    }

    @Test
    void four_hundred_questions_take_less_than_three_minutes() throws IOException {
        Path folder = tasks(100, 2);
        long start = System.nanoTime();
        TaskReport report = TaskSuite.of(folder).run(model);
        double seconds = (System.nanoTime() - start) / 1e9;
        System.out.println("400 questions: " + seconds + " s\n" + report.table());
        assertTrue(seconds < 180, seconds + " s");
    }

    @Test
    void shared_prefixes_are_three_times_as_fast_and_change_nothing() throws IOException {
        Path folder = tasks(48, 5);
        for (String other : new String[] {"l", "a", "t"}) {
            Files.delete(folder.resolve(other + ".yaml"));
        }
        double[] seconds = {Double.MAX_VALUE, Double.MAX_VALUE};
        TaskReport[] reports = new TaskReport[2];
        for (int round = 0; round < 3; round++) {
            for (int way = 0; way < 2; way++) {
                try (TaskModel asked = way == 0
                        ? TaskModel.of(model)
                        : WholeModel.whole(model.network(), model.tokenizer(), model.contextLength())) {
                    long start = System.nanoTime();
                    reports[way] = TaskSuite.of(folder).run(asked, "model");
                    seconds[way] = Math.min(seconds[way], (System.nanoTime() - start) / 1e9);
                }
            }
        }
        System.out.println(
                "48 questions of 4 choices, 5-shot: shared " + seconds[0] + " s, whole " + seconds[1] + " s");
        for (int i = 0; i < 48; i++) {
            assertEquals(
                    reports[1].tasks().get(0).questions().get(i),
                    reports[0].tasks().get(0).questions().get(i));
        }
        assertTrue(seconds[1] > 3 * seconds[0], seconds[0] + " and " + seconds[1]);
    }
}
