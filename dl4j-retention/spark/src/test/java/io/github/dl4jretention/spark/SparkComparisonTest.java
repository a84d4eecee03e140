package io.github.dl4jretention.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

class SparkComparisonTest {

    private static final class Journal implements TrialJournal<Double> {

        private final Map<String, Double> results = new TreeMap<>();
        private int puts;

        @Override
        public boolean holds(String key) {
            return results.containsKey(key);
        }

        @Override
        public void put(String key, Double result) {
            results.put(key, result);
            puts++;
        }
    }

    private static Map<String, Integer> trials() {
        Map<String, Integer> trials = new LinkedHashMap<>();
        for (int i = 0; i < 6; i++) {
            trials.put("trial " + i, i);
        }
        return trials;
    }

    @Test
    void trials_that_are_missing_run_and_one_that_fails_is_named_with_its_host() throws Exception {
        Journal journal = new Journal();
        journal.results.put("trial 2", -1.0);
        IllegalStateException failed =
                assertThrows(IllegalStateException.class, () -> SparkComparison.on(TestCluster.shared())
                        .parallelism(1)
                        .run(trials(), SparkComparisonTest::upToFour, journal));
        assertTrue(
                failed.getMessage().matches("trial: trial 5: executor \\d+ on host .*: expected at most 4, got 5"),
                failed.getMessage());
        assertEquals(4, journal.puts);
        SparkComparison.on(TestCluster.shared()).run(trials(), trial -> (double) trial * trial, journal);
        assertEquals(5, journal.puts);
        assertEquals(
                Map.of(
                        "trial 0", 0.0, "trial 1", 1.0, "trial 2", -1.0, "trial 3", 9.0, "trial 4", 16.0, "trial 5",
                        25.0),
                journal.results);
    }

    /** Trial 1 is in work on the other executor when trial 0 fails, and ends well after the driver knows. */
    @Test
    @Timeout(120)
    void what_is_in_work_when_a_trial_fails_is_kept_and_nothing_else_is_begun(@TempDir Path folder) {
        Journal journal = new Journal();
        String place = folder.toString();
        IllegalStateException failed =
                assertThrows(IllegalStateException.class, () -> SparkComparison.on(TestCluster.shared())
                        .parallelism(2)
                        .run(trials(), trial -> firstFailsSecondIsSlow(place, trial), journal));
        assertTrue(
                failed.getMessage().matches("trial: trial 0: executor \\d+ on host .*: expected at least 1, got 0"),
                failed.getMessage());
        assertEquals(Map.of("trial 1", 1.0), journal.results);
        assertFalse(Files.exists(folder.resolve("2")));
    }

    @Test
    void a_trial_without_a_result_fails() {
        Journal journal = new Journal();
        IllegalStateException failed =
                assertThrows(IllegalStateException.class, () -> SparkComparison.on(TestCluster.shared())
                        .run(Map.of("trial 0", 0), trial -> null, journal));
        assertTrue(failed.getMessage().contains("result: expected one of the trial, got null"), failed.getMessage());
        assertEquals(Map.of(), journal.results);
    }

    private static Double firstFailsSecondIsSlow(String place, int trial) throws Exception {
        Path began = Path.of(place);
        Files.createFile(began.resolve(String.valueOf(trial)));
        while (trial < 2 && !Files.exists(began.resolve(String.valueOf(1 - trial)))) {
            Thread.sleep(10);
        }
        if (trial == 0) {
            throw new IllegalArgumentException("expected at least 1, got 0");
        }
        Thread.sleep(5000);
        return (double) trial;
    }

    private static Double upToFour(Integer trial) {
        if (trial > 4) {
            throw new IllegalArgumentException("expected at most 4, got " + trial);
        }
        return (double) trial * trial;
    }
}
