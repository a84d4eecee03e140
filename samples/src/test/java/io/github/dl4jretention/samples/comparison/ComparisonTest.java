package io.github.dl4jretention.samples.comparison;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.samples.text.Corpus;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

class ComparisonTest {

    private static final String PLAN =
            """
            {"models": ["TRANSFORMER"],
             "pairs": [{"target": "KOTLIN", "sources": ["PROSE"]}],
             "learningRates": [0.001], "seeds": [1],
             "steps": 2, "batch": 4, "evaluationBatches": 1, "importanceExamples": 2,
             "methods": [%s]}""";
    private static final String METHODS =
            """
            {"method": "PLAIN", "stops": [1], "merges": [{"merge": "WISE_FT", "strengths": [0.5]},
              {"merge": "EXPO", "strengths": [0.5]}, {"merge": "TIES", "strengths": [0.2]},
              {"merge": "DARE", "strengths": [0.5]}]},
            {"method": "RETENTION", "strengths": [1]}, {"method": "RETENTION_REVERSE", "strengths": [1]},
            {"method": "LABEL_SMOOTHING", "strengths": [0.1]}, {"method": "L2_SP", "strengths": [1]},
            {"method": "EWC", "strengths": [1]}, {"method": "REPLAY", "strengths": [0.25]},
            {"method": "REPLAY_RETENTION", "strengths": [1]}, {"method": "LORA", "strengths": [2]},
            {"method": "LORA_RETENTION", "strengths": [1]}""";

    @TempDir
    private Path folder;

    private Plan plan(String methods) throws IOException {
        return Plan.read(Files.writeString(folder.resolve("plan.json"), PLAN.formatted(methods)));
    }

    private void run(Plan plan, Path out, int part, int parts) throws IOException {
        Corpus corpus = Corpus.read(Path.of("target", "corpus"));
        new ComparisonRun(plan, corpus, Path.of("checkpoints"), out, part, parts).run();
    }

    /** Without what is measured anew on each run. */
    private static Result untimed(Result result) {
        return new Result(
                result.model(),
                result.target(),
                result.method(),
                result.strength(),
                result.merge(),
                result.mergeStrength(),
                result.learningRate(),
                result.seed(),
                result.steps(),
                result.batch(),
                result.validation(),
                result.test(),
                0,
                0);
    }

    private static Set<String> untimed(List<Result> results) {
        Set<String> texts = new HashSet<>();
        results.forEach(
                result -> texts.add(untimed(result).toString().replaceAll("Scores\\[(.*?), domains=[^\\]]*]", "$1")));
        return texts;
    }

    private static double held(List<Result> results, String method) {
        return results.stream()
                .filter(result -> result.method().equals(method))
                .findFirst()
                .orElseThrow()
                .heldMegabytes();
    }

    @Test
    void every_method_runs_and_a_comparison_that_was_killed_ends_like_one_that_was_not() throws IOException {
        Plan plan = plan(METHODS);
        Path whole = folder.resolve("whole");
        run(plan, whole, 1, 1);
        List<Result> all = ResultsFile.read(whole.resolve("results.csv"));
        // The base, ten methods, one stop and four merges.
        assertEquals(16, all.size());
        for (Result result : all) {
            assertTrue(result.validation().target() > 0.5 && result.test().source() < 8, result.toString());
            assertEquals(2, result.test().domains().size());
            if (!result.isBase()) {
                assertTrue(result.test().targetDivergence() > 0, result.toString());
            }
        }
        assertEquals(
                1.25, held(all, "retention") / held(all, "plain"), 1e-9, "a fifth vector beside w, g and Adam's two");
        assertEquals(1.25, held(all, "l2_sp") / held(all, "plain"), 1e-9);
        assertEquals(1.5, held(all, "ewc") / held(all, "plain"), 1e-9);
        assertEquals(held(all, "lora"), held(all, "replay") / 2, 0.1 * held(all, "lora"));
        Summary.of(whole).write(whole);
        String summary = Files.readString(whole.resolve("summary.md"));
        for (Method method : Method.values()) {
            assertTrue(summary.contains("| " + method.label() + " |"), summary);
        }
        assertTrue(summary.contains("| plain + wise_ft |") && summary.contains("Spearman"), summary);
        assertTrue(summary.contains("| plain, every rate | no | all | 1 |"), summary);
        assertFalse(
                summary.lines().anyMatch(line -> line.startsWith("| retention |") && line.contains("NaN | 1.25")),
                "times of steps were measured");
        assertTrue(Files.size(whole.resolve("transformer-kotlin.png")) > 5000);

        // Killed after its seventh trial, while it was writing the eighth.
        Path killed = Files.createDirectories(folder.resolve("killed"));
        List<String> lines = Files.readAllLines(whole.resolve("results.csv"));
        Files.write(killed.resolve("results.csv"), lines.subList(0, 14));
        Files.writeString(killed.resolve("results.csv.part"), "torn");
        run(plan, killed, 1, 1);
        assertEquals(untimed(all), untimed(ResultsFile.read(killed.resolve("results.csv"))));
        assertEquals(
                lines.subList(0, 14),
                Files.readAllLines(killed.resolve("results.csv")).subList(0, 14));

        // A plan that has grown: what is missing is added, the rest is kept.
        Plan wider = plan(METHODS.replace("[0.5]}, {\"merge\": \"TIES\"", "[0.5, 0.7]}, {\"merge\": \"TIES\""));
        run(wider, whole, 1, 1);
        assertEquals(17, ResultsFile.read(whole.resolve("results.csv")).size());
    }

    @Test
    void parts_are_put_together() throws IOException {
        Plan plan = plan("{\"method\": \"PLAIN\"}, {\"method\": \"RETENTION\", \"strengths\": [1]}");
        run(plan, folder, 2, 2);
        run(plan, folder, 1, 2);
        Summary.of(folder).write(folder);
        String summary = Files.readString(folder.resolve("summary.md"));
        assertTrue(summary.contains("| plain |") && summary.contains("| retention |"), summary);
        run(plan, folder, 1, 1);
        assertEquals(
                1,
                ResultsFile.read(folder.resolve("results.csv")).size(),
                "the base, trials are in the files of the parts");
        for (String setting :
                List.of("\"steps\": 2", "\"evaluationBatches\": 1", "\"importanceExamples\": 2", "\"batch\": 4")) {
            Plan other = Plan.read(Files.writeString(
                    folder.resolve("other.json"),
                    PLAN.formatted("{\"method\": \"PLAIN\"}").replace(setting, setting.replaceAll("\\d", "3"))));
            assertThrows(IllegalStateException.class, () -> run(other, folder, 1, 2), setting);
        }
    }

    @Test
    void a_plan_that_changes_keeps_what_it_measured_with_and_measures_the_times_that_it_lacks() throws IOException {
        String plain = "{\"method\": \"PLAIN\"}";
        run(plan(plain), folder, 1, 1);
        assertEquals(Set.of("plain"), StepTimes.read(folder).keySet());
        run(plan(plain + ", {\"method\": \"L2_SP\", \"strengths\": [1]}"), folder, 1, 1);
        assertEquals(Set.of("plain", "l2_sp"), StepTimes.read(folder).keySet());
        run(plan(plain + ", {\"method\": \"REPLAY\", \"strengths\": [0.25]}"), folder, 1, 1);
        assertEquals(Set.of("plain", "l2_sp", "replay"), StepTimes.read(folder).keySet());
        String scala = PLAN.formatted(plain).replace("KOTLIN", "SCALA");
        run(Plan.read(Files.writeString(folder.resolve("scala.json"), scala)), folder, 1, 1);
        Plan otherSources = Plan.read(Files.writeString(
                folder.resolve("java.json"), PLAN.formatted(plain).replace("PROSE", "JAVA")));
        assertThrows(IllegalStateException.class, () -> run(otherSources, folder, 2, 2));
    }

    @Test
    void strengths_are_told_as_words() throws IOException {
        run(
                plan("{\"method\": \"PLAIN\", \"stops\": [1]}, {\"method\": \"L2_SP\", \"strengths\": [10], "
                        + "\"merges\": [{\"merge\": \"WISE_FT\", \"strengths\": [0.4]}]}"),
                folder,
                1,
                1);
        assertEquals(
                List.of("the base itself", "", "stop 1", "10", "10, wise_ft 0.4"),
                ResultsFile.read(folder.resolve("results.csv")).stream()
                        .map(Result::strengths)
                        .toList());
    }

    @Test
    void plans_that_make_no_sense_are_refused() throws IOException {
        String plain = "{\"method\": \"PLAIN\"}";
        assertEquals(1, plan(plain).trials().size());
        assertEquals(
                List.of(0.001, 0.1, 0.2),
                plan(plain + ", {\"method\": \"LORA\", \"strengths\": [2], \"learningRates\": [0.1, 0.2]}")
                        .trials()
                        .stream()
                        .map(Trial::learningRate)
                        .toList());
        List<String> bad = new ArrayList<>(List.of(
                "{\"method\": \"RETENTION\", \"strengths\": [1]}",
                plain + ", {\"method\": \"RETENTION\"}",
                plain + ", {\"method\": \"OTHER\"}",
                "{\"method\": \"PLAIN\", \"strengths\": [1]}",
                "{\"method\": \"PLAIN\", \"merges\": [{\"merge\": \"TIES\"}]}",
                "{\"method\": \"PLAIN\", \"merges\": [{\"merge\": \"WISE_FT\", \"strengths\": [1.2]}]}",
                "{\"method\": \"PLAIN\", \"stops\": [2]}",
                plain + ", {\"method\": \"REPLAY\", \"strengths\": [0.01]}",
                plain + ", {\"method\": \"REPLAY\", \"strengths\": [1]}",
                plain + ", {\"method\": \"RETENTION\", \"strengths\": [-1]}",
                plain + ", {\"method\": \"RETENTION\", \"strengths\": [null]}",
                plain + ", {\"method\": \"LORA\", \"strengths\": [2.5]}"));
        for (String methods : bad) {
            String message = assertThrows(IOException.class, () -> plan(methods), methods)
                    .getMessage();
            assertTrue(message.contains("plan.json"), message);
        }
        Path same = Files.writeString(
                folder.resolve("same.json"), PLAN.formatted(plain).replace("[\"PROSE\"]", "[\"KOTLIN\"]"));
        assertThrows(IOException.class, () -> Plan.read(same));
        Path twice = Files.writeString(
                folder.resolve("twice.json"),
                PLAN.formatted(plain).replace("[{", "[{\"target\": \"KOTLIN\", \"sources\": [\"JAVA\"]}, {"));
        assertThrows(IOException.class, () -> Plan.read(twice));
        for (String shipped : List.of("reduced.json", "evidence.json", "times.json")) {
            assertFalse(Plan.read(Path.of("comparisons", shipped)).trials().isEmpty());
        }
    }

    private static Result result(String merge, double rate, long seed, double[] validation, double[] test) {
        return new Result(
                "transformer",
                "SCALA",
                "plain",
                Double.NaN,
                merge,
                Double.NaN,
                rate,
                seed,
                1,
                1,
                new Scores(validation[0], validation[1], 0, 0, Map.of()),
                new Scores(test[0], test[1], 0, 0, Map.of()),
                1,
                1);
    }

    @Test
    void families_are_chosen_on_validation_and_reported_on_test() {
        Result base = result("", 0, 0, new double[] {10, 10}, new double[] {20, 20});
        // At rate 1: gain 4 and forgetting 0.5 on validation; at rate 2: gain 6, forgetting 0.9; references 1 and 2.
        Result first = result("", 1, 1, new double[] {6, 10.5}, new double[] {14, 21});
        Result fast = result("", 2, 1, new double[] {4, 10.9}, new double[] {10, 20});
        // The merge betters neither on validation, though it does on test.
        Result merged = result("wise_ft", 1, 1, new double[] {7, 10.6}, new double[] {1, 20});
        List<Family> families = Family.of(base, List.of(first, fast, merged));
        assertEquals(
                List.of("plain", "plain, every rate", "plain + wise_ft"),
                families.stream().map(Family::name).toList());
        Family plain = families.get(0);
        assertEquals("1.0, lowest", plain.rate(), "4 * 0.5 is more than 6 * 0.1");
        assertEquals(6 * 1, plain.hypervolume(Result::test).mean(), 1e-12);
        assertEquals(6 * 1, families.get(2).hypervolume(Result::test).mean(), 1e-12);
        assertEquals(List.of(first), plain.chosen(0.05));
        assertEquals(List.of(base), plain.chosen(0.01), "nothing forgets so little");
        assertEquals(List.of(first), families.get(2).balanced());
    }

    @Test
    void sources_have_equal_shares() throws IOException {
        Plan plan = Plan.read(Files.writeString(
                folder.resolve("plan.json"),
                PLAN.formatted("{\"method\": \"PLAIN\"}").replace("[\"PROSE\"]", "[\"PROSE\", \"JAVA\", \"SCALA\"]")));
        Corpus corpus = Corpus.read(Path.of("target", "corpus"));
        TrialSetup setup = new TrialSetup(null, plan.trials().get(0), plan, corpus, () -> null);
        DataSetIterator windows = setup.sourceWindows(7, 1);
        int[] shares = new int[3];
        while (windows.hasNext()) {
            INDArray features = windows.next().getFeatures();
            for (int row = 0; row < features.size(0); row++) {
                String window = new String(bytes(features.slice(row)), StandardCharsets.ISO_8859_1);
                for (int i = 0; i < shares.length; i++) {
                    String text = new String(
                            corpus.text(plan.pairs().get(0).sources().get(i), Corpus.Part.PRETRAIN),
                            StandardCharsets.ISO_8859_1);
                    shares[i] += text.contains(window) ? 1 : 0;
                }
            }
        }
        assertArrayEquals(new int[] {3, 3, 3}, shares);
    }

    private static byte[] bytes(INDArray values) {
        INDArray flat = values.reshape(values.length());
        byte[] bytes = new byte[(int) flat.length()];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) flat.getInt(i);
        }
        return bytes;
    }

    @Test
    void correlations_are_those_worked_by_hand() {
        double[] x = {1, 2, 3, 4};
        assertEquals(1, Correlation.pearson(x, new double[] {3, 5, 7, 9}), 1e-15);
        assertEquals(1, Correlation.spearman(x, new double[] {1, 10, 100, 1000}), 1e-15);
        // Ranks 1, 2.5, 2.5, 4: covariance 4.5, variances 5 and 4.5.
        assertEquals(4.5 / Math.sqrt(22.5), Correlation.spearman(x, new double[] {0, 1, 1, 2}), 1e-15);
    }
}
