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
        assertTrue(ended.error().contains("4 of 4"), ended.error());
        assertEquals(3, Files.readAllLines(folder.resolve("out/candidates.csv")).size());
        assertTrue(Files.size(folder.resolve("out/report.html")) > 5000);
        Ended again = run();
        assertEquals(ended.lines(), again.lines());
        assertFalse(again.error().contains("4 of 4"), again.error());
    }

    @Test
    void where_every_candidate_fails_it_says_so() throws IOException {
        Ended ended = run("--learning-rate=1e30");
        assertEquals(1, ended.code(), ended.error());
        assertTrue(ended.out().contains("no candidate was trained to its end: 2 of 2 have failed"), ended.out());
        assertFalse(ended.out().contains("no coefficient"), ended.out());
    }

    @Test
    void one_text_for_both_is_refused() throws IOException {
        Ended ended = run("--source=" + folder.resolve("target.txt"));
        assertEquals(2, ended.code(), ended.error());
        assertTrue(ended.error().contains("--source: expected another text than --target"), ended.error());
    }

    @Test
    void errors_are_one_line() throws IOException {
        for (String[] bad : new String[][] {
            {"--lowest=-1", "coefficient: expected bounds"},
            {"--candidates=1", "points: expected at least 2"},
            {"--steps=0", "steps: expected at least 1"},
            {"--model=missing.zip", "model"}
        }) {
            Ended ended = run(bad[0]);
            List<String> lines = ended.error()
                    .lines()
                    .filter(line -> line.startsWith("error: "))
                    .toList();
            assertEquals(1, lines.size(), ended.error());
            assertTrue(lines.get(0).contains(bad[1]), lines.get(0));
            assertFalse(Files.exists(folder.resolve("out/sweep.json")));
        }
        assertEquals(0, run().code());
        Ended other = run("--seed=2");
        assertTrue(other.error().contains("seed: 1 there, 2 here"), other.error());
    }
}
