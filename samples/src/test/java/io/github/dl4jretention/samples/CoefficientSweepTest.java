package io.github.dl4jretention.samples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CoefficientSweepTest {

    @TempDir
    private Path folder;

    private record Ended(int code, String out, String error) {

        /** What the program prints, without what SameDiff does, which a main method keeps off the screen. */
        List<String> lines() {
            return out.lines()
                    .filter(line -> !line.startsWith("Added differentiated op"))
                    .toList();
        }
    }

    private Ended run(String... more) throws IOException {
        Path target = folder.resolve("target.txt");
        Path source = folder.resolve("source.txt");
        StringBuilder code = new StringBuilder();
        StringBuilder prose = new StringBuilder();
        for (int i = 0; i < 120; i++) {
            code.append("val x")
                    .append(i)
                    .append(" = List(1, 2, ")
                    .append(i * i)
                    .append(").map(_ + 1)\n");
            prose.append("The quick brown fox jumps over dog number ")
                    .append(i * 7)
                    .append(". ");
        }
        Files.writeString(target, code);
        Files.writeString(source, prose);
        List<String> args = new ArrayList<>(List.of(
                "--target=" + target,
                "--source=" + source,
                "--out=" + folder.resolve("out"),
                "--checkpoint=checkpoints/transformer.zip",
                "--steps=2",
                "--batch=2",
                "--candidates=2",
                "--highest=3",
                "--held-out=1",
                "--forgetting=10"));
        args.addAll(List.of(more));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream error = new ByteArrayOutputStream();
        PrintStream[] screens = {System.out, System.err};
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(error, true, StandardCharsets.UTF_8));
        try {
            int ended = CoefficientSweep.commandLine()
                    .setOverwrittenOptionsAllowed(true)
                    .execute(args.toArray(String[]::new));
            return new Ended(ended, out.toString(StandardCharsets.UTF_8), error.toString(StandardCharsets.UTF_8));
        } finally {
            System.setOut(screens[0]);
            System.setErr(screens[1]);
        }
    }

    @Test
    void recommends_a_coefficient_and_goes_on_with_what_is_there() throws IOException {
        Ended ended = run();
        assertEquals(0, ended.code(), ended.error());
        assertTrue(ended.out().contains("recommended: #"), ended.out());
        assertTrue(ended.out().contains("RetentionConfiguration.builder().coefficient("), ended.out());
        assertTrue(ended.out().contains("source loss at most 10.0 nats per token above the base"), ended.out());
        assertTrue(ended.out().contains("a token is a byte here"), ended.out());
        assertTrue(ended.error().contains("4 of 4 steps"), ended.error());
        List<String> csv = Files.readAllLines(folder.resolve("out/candidates.csv"));
        assertTrue(csv.get(1).contains(",0.03,") && csv.get(2).contains(",3.0,"), csv.toString());
        assertEquals(3, Files.readAllLines(folder.resolve("out/candidates.csv")).size());
        assertTrue(Files.size(folder.resolve("out/report.html")) > 5000);
        Ended again = run();
        assertEquals(ended.lines(), again.lines());
        assertTrue(
                again.error().contains("picking up where the sweep stopped: 2 of 2 candidates are done"),
                again.error());
        assertFalse(again.error().contains("4 of 4"), again.error());
    }

    @Test
    void where_every_candidate_fails_it_says_so() throws IOException {
        Ended ended = run("--learning-rate=1e30", "--steps=3");
        assertEquals(1, ended.code(), ended.error());
        assertTrue(ended.out().contains("no candidate was trained to its end: 2 of 2 have failed"), ended.out());
        assertFalse(ended.out().contains("no coefficient"), ended.out());
        // Of 3 steps of each of 2 candidates; the first has failed at its second step.
        assertTrue(ended.error().contains("2 of 4 steps"), ended.error());
    }

    @Test
    void one_text_for_both_is_refused() throws IOException {
        Ended ended = run("--source=" + folder.resolve("target.txt"));
        assertEquals(2, ended.code(), ended.error());
        assertTrue(ended.error().startsWith("error: --source: expected another text than --target"), ended.error());
    }

    @Test
    void errors_are_one_line() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "");
        for (String[] bad : new String[][] {
            {"--lowest=-1", "--lowest: expected a finite number above 0, got -1"},
            {"--highest=0.01", "--lowest and --highest: expected lowest < highest, got 0.03 and 0.01"},
            {"--candidates=1", "--candidates: expected at least 2, got 1"},
            {"--forgetting=NaN", "--forgetting: expected a finite number, got NaN"},
            {"--steps=0", "--steps: expected a whole number of at least 1, got 0"},
            {"--batch=0", "--batch: expected a whole number of at least 1, got 0"},
            {"--learning-rate=0", "--learning-rate: expected a finite number above 0, got 0"},
            {"--held-out=0", "--held-out: expected a whole number of at least 1, got 0"},
            {"--parallelism=0", "--parallelism: expected a whole number of at least 1, got 0"},
            {"--model=missing.zip", "--model: expected a readable file or a model folder, got missing.zip"},
            {
                "--model=" + file,
                "--model: expected a model folder, or a MultiLayerNetwork saved by DL4J's ModelSerializer, got " + file
            },
            {"--source=missing.txt", "--source: expected a readable file, got missing.txt"},
            {"--out=" + file, "--out: expected a folder that can be written to, got " + file}
        }) {
            Ended ended = run(bad[0]);
            assertEquals(2, ended.code(), ended.error());
            List<String> lines = ended.error()
                    .lines()
                    .filter(line -> line.startsWith("error: "))
                    .toList();
            assertEquals(1, lines.size(), ended.error());
            assertEquals("error: " + bad[1], lines.get(0));
            assertFalse(Files.exists(folder.resolve("out/sweep.json")));
        }
        assertEquals(0, run().code());
        Ended other = run("--seed=2");
        assertTrue(other.error().contains("error: --out: expected a new one or one of this sweep"), other.error());
        assertTrue(other.error().contains("seed: 1 there, 2 here"), other.error());
    }
}
