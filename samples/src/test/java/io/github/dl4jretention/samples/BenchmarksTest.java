package io.github.dl4jretention.samples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import picocli.CommandLine;

class BenchmarksTest {

    private static final String[] SMALL = {"--vocabulary", "20", "--time", "8", "--batch", "2"};

    private static List<String> run(CommandLine program, String... args) {
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        PrintStream screen = System.out;
        System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
        try {
            String[] all =
                    Stream.concat(Arrays.stream(SMALL), Arrays.stream(args)).toArray(String[]::new);
            assertEquals(0, program.execute(all));
        } finally {
            System.setOut(screen);
        }
        return printed.toString(StandardCharsets.UTF_8).lines().toList();
    }

    /** Columns of the lines that start so. */
    private static List<String[]> rows(List<String> lines, String start) {
        return lines.stream()
                .filter(line -> line.startsWith(start))
                .map(line -> line.trim().split("\\s+"))
                .toList();
    }

    @Test
    void steps_of_every_side_are_timed() {
        List<String> lines = run(StepBenchmark.commandLine(), "--models", "lstm", "--blocks", "1", "--steps", "1");
        List<String[]> rows = rows(lines, "lstm");
        assertEquals(
                List.of("plain", "zero", "online", "online_in_turn", "cached"),
                rows.stream().map(row -> row[4]).toList());
        assertTrue(rows.stream().allMatch(row -> Double.parseDouble(row[5]) > 0), lines.toString());
        assertEquals("1.00", rows.get(0)[8]);
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void a_process_tells_its_peak_memory() {
        List<String> lines = run(
                PeakMemoryBenchmark.commandLine(),
                "--models=lstm",
                "--sides=plain",
                "--steps=1",
                "--runs=1",
                "--heap=300m",
                "--head-vocabularies=64",
                "--head-tokens=64");
        List<String[]> rows = rows(lines, "lstm");
        assertEquals(1, rows.size(), lines.toString());
        double megabytes = Double.parseDouble(rows.get(0)[2]);
        assertTrue(megabytes > 50 && megabytes < 3000, lines.toString());
    }

    @Test
    void samples_are_found_in_the_parts_of_a_step() {
        List<String> lines = run(StepProfile.commandLine(), "--models=lstm", "--warm-up=5", "--steps=40");
        double lstm = rows(lines, "LSTM:").stream()
                .mapToDouble(row -> Double.parseDouble(Arrays.stream(row)
                        .filter(cell -> cell.endsWith("%"))
                        .findFirst()
                        .orElseThrow()
                        .replace("%", "")))
                .sum();
        assertTrue(lstm > 20 && lstm <= 100.2, lines.toString());
    }
}
