package io.github.dl4jretention.samples.comparison;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ComparisonTest {

    /** Of two steps, without its methods. */
    static final String PLAN =
            """
            {"models": ["TRANSFORMER"],
             "pairs": [{"target": "KOTLIN", "sources": ["PROSE"]}],
             "learningRates": [0.001], "seeds": [1],
             "steps": 2, "batch": 4, "evaluationBatches": 1, "importanceExamples": 2,
             "methods": [%s]}""";

    private static final String METHODS =
            """
            {"method": "PLAIN", "stops": [1], "mergeStops": true, "merges": [{"merge": "WISE_FT", "strengths": [0.5]},
              {"merge": "EXPO", "strengths": [0.5]}, {"merge": "TIES", "strengths": [0.2]},
              {"merge": "DARE", "strengths": [0.5]}]},
            {"method": "RETENTION", "strengths": [1]}, {"method": "RETENTION_REVERSE", "strengths": [1]},
            {"method": "LABEL_SMOOTHING", "strengths": [0.1]}, {"method": "L2_SP", "strengths": [1]},
            {"method": "EWC", "strengths": [1]}, {"method": "REPLAY", "strengths": [0.25]},
            {"method": "REPLAY_RETENTION", "strengths": [1]}, {"method": "LORA", "strengths": [2]},
            {"method": "LORA_RETENTION", "strengths": [1]}, {"method": "PULL", "strengths": [0.1]},
            {"method": "TRUST_REGION", "strengths": [0.01]}, {"method": "SELF_REPLAY", "strengths": [1]},
            {"method": "SELF_REPLAY_RETENTION", "strengths": [1]}, {"method": "EAFT", "strengths": [20]},
            {"method": "DFT"}, {"method": "TALR", "strengths": [2]}, {"method": "SELECTIVE", "strengths": [0.8]},
            {"method": "FLOW", "strengths": [1]}, {"method": "MIXOUT", "strengths": [0.7]}, {"method": "RETENTION", "strengths": [1], "tokenWeight": "dft()",
             "warmUps": [2]}, {"method": "DPO", "strengths": [0.1]}, {"method": "IPO", "strengths": [0.1]},
            {"method": "SIMPO", "strengths": [2]}, {"method": "DPO_RETENTION", "strengths": [1]},
            {"method": "SELF_REPLAY", "strengths": [1],
             "written": {"count": 3, "length": 20, "temperature": 0.8, "prompt": 10, "share": 0.5, "labels": 1}}""";

    @TempDir
    private Path folder;

    private Plan plan(String methods) throws IOException {
        return Plan.read(Files.writeString(folder.resolve("a plan.json"), PLAN.formatted(methods)));
    }

    private void run(Plan plan, Path out, int part, int parts) throws IOException {
        Corpus corpus = Corpus.read(Path.of("target", "corpus"));
        new ComparisonRun(plan, corpus, ComparisonRun.samples(plan, Path.of("checkpoints")), out, part, parts).run();
    }

    /** Without what is measured anew on each run. */
    private static Result untimed(Result result) {
        return new Result(
                result.model(),
                result.target(),
                result.method(),
                result.variant(),
                result.strength(),
                result.merge(),
                result.mergeStrength(),
                result.learningRate(),
                result.warmUp(),
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
        results.forEach(result -> texts.add(untimed(result).toString()));
        return texts;
    }

    private static double held(List<Result> results, String method) {
        return results.stream()
                .filter(result -> result.method().equals(method))
                .findFirst()
                .orElseThrow()
                .heldMegabytes();
    }

    private static double mean(List<Scores.Document> documents) {
        assertTrue(documents.size() > 1, documents.toString());
        assertEquals(
                16 * 64, documents.stream().mapToInt(Scores.Document::tokens).sum());
        return documents.stream()
                        .mapToDouble(document -> document.tokens() * document.loss())
                        .sum()
                / (16 * 64);
    }

    @Test
    void every_method_runs_and_a_comparison_that_was_killed_ends_like_one_that_was_not() throws IOException {
        Plan plan = plan(METHODS);
        Path whole = folder.resolve("whole");
        run(plan, whole, 1, 1);
        List<Result> all = ResultsFile.read(whole.resolve("results.csv"));
        // The base, twenty-four methods, two variants, one stop and four merges of both.
        assertEquals(36, all.size());
        for (Result result : all) {
            assertTrue(result.validation().target() > 0.5 && result.test().source() < 8, result.toString());
            assertEquals(2, result.test().domains().size());
            Map<Domain, List<Scores.Document>> documents = Objects.requireNonNull(
                    new DocumentsFile(whole, result.key()).read().get(result.point()), result.key());
            assertEquals(result.test().target(), mean(documents.get(Domain.KOTLIN)), 1e-6);
            assertEquals(result.test().source(), mean(documents.get(Domain.PROSE)), 1e-6);
            if (!result.isBase()) {
                assertTrue(result.test().targetDivergence() > 0, result.toString());
            }
        }
        assertEquals(
                1.25, held(all, "retention") / held(all, "plain"), 1e-9, "a fifth vector beside w, g and Adam's two");
        assertEquals(1.25, held(all, "l2_sp") / held(all, "plain"), 1e-9);
        assertEquals(1.5, held(all, "ewc") / held(all, "plain"), 1e-9);
        double megabyte = (1 << 20) / (double) Float.BYTES;
        double parameters = held(all, "plain") * megabyte / 4;
        // Adapters of ranks 2 and 8 beside two weights a block, with their gradients and Adam's state, beside one base.
        double adapters = 3 * 2 * 2 * 128;
        assertEquals((parameters + 4 * 2 * adapters) / megabyte, held(all, "lora"), 1e-9);
        assertEquals((parameters + 4 * 8 * adapters) / megabyte, held(all, "lora_retention"), 1e-9);
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

        // Killed after its third trial, while it was writing the fourth.
        Path killed = Files.createDirectories(folder.resolve("killed"));
        List<String> lines = Files.readAllLines(whole.resolve("results.csv"));
        Files.write(killed.resolve("results.csv"), lines.subList(0, 14));
        Files.copy(whole.resolve("plan.json"), killed.resolve("plan.json"));
        Files.writeString(killed.resolve("results.csv.4711.part"), "torn");
        run(plan, killed, 1, 1);
        assertEquals(untimed(all), untimed(ResultsFile.read(killed.resolve("results.csv"))));
        assertEquals(
                lines.subList(0, 14),
                Files.readAllLines(killed.resolve("results.csv")).subList(0, 14));

        // A plan that has grown: what is missing is added, the rest is kept.
        Plan wider = plan(METHODS.replace("[0.5]}, {\"merge\": \"TIES\"", "[0.5, 0.7]}, {\"merge\": \"TIES\""));
        run(wider, whole, 1, 1);
        assertEquals(38, ResultsFile.read(whole.resolve("results.csv")).size());
    }

    @Test
    void a_plan_widens_until_the_best_is_inside_or_its_trainings_are_used_up() throws IOException {
        String methods = "{\"method\": \"PLAIN\", \"learningRates\": [0.0001]}, "
                + "{\"method\": \"PLAIN\", \"learningRates\": [0.0003], \"stops\": [1]}, "
                + "{\"method\": \"RETENTION\", \"strengths\": [1]}";
        Path file = Files.writeString(
                folder.resolve("wide.json"),
                PLAN.formatted(methods).replace("\"steps\": 2", "\"widen\": 2, \"steps\": 2"));
        run(Plan.read(file), folder, 1, 1);
        List<Result> results = ResultsFile.read(folder.resolve("results.csv"));
        List<Double> rates = results.stream()
                .filter(result -> result.method().equals("plain"))
                .filter(result -> result.merge().isEmpty())
                .map(Result::learningRate)
                .toList();
        // Two steps are better, the longer they are.
        assertEquals(List.of(0.0001, 0.0003, 0.001, 0.003), rates);
        assertEquals(9, results.size(), "three stops, the base, and retention, of which nothing is searched");
        FileTime written = Files.getLastModifiedTime(folder.resolve("results.csv"));
        run(Plan.read(file), folder, 1, 1);
        assertEquals(written, Files.getLastModifiedTime(folder.resolve("results.csv")), "nothing is missing");
    }

    @Test
    void parts_are_put_together() throws IOException {
        Plan plan = plan("{\"method\": \"PLAIN\"}, {\"method\": \"RETENTION\", \"strengths\": [1]}");
        run(plan, folder, 2, 2);
        run(plan, folder, 1, 2);
        Summary.of(folder).write(folder);
        String summary = Files.readString(folder.resolve("summary.md"));
        assertTrue(summary.contains("| plain |") && summary.contains("| retention |"), summary);
        assertEquals(
                List.of("base", "plain", "retention"),
                ResultsFile.read(folder.resolve("comparison.csv")).stream()
                        .map(Result::method)
                        .toList());
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
        assertEquals(Set.of("plain"), StepTimes.read(folder, "transformer").keySet());
        run(plan(plain + ", {\"method\": \"L2_SP\", \"strengths\": [1]}"), folder, 1, 1);
        assertEquals(
                Set.of("plain", "l2_sp"), StepTimes.read(folder, "transformer").keySet());
        run(plan(plain + ", {\"method\": \"REPLAY\", \"strengths\": [0.25]}"), folder, 1, 1);
        assertEquals(
                Set.of("plain", "l2_sp", "replay"),
                StepTimes.read(folder, "transformer").keySet());
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
    void models_that_give_no_finite_numbers_are_rows_without_scores() throws IOException {
        Plan plan = plan(
                """
                {"method": "PLAIN", "stops": [1], "learningRates": [1e30, 1e-3],
                 "merges": [{"merge": "EXPO", "strengths": [1e38]}]}""");
        run(plan, folder, 1, 1);
        List<Result> results = ResultsFile.read(folder.resolve("results.csv"));
        for (Result result : results) {
            boolean lost = result.learningRate() == 1e30 || result.merge().equals("expo");
            assertEquals(lost, Double.isNaN(result.test().target()), result.toString());
        }
        Summary.of(folder).write(folder);
        assertTrue(Files.readString(folder.resolve("summary.md")).contains("| plain | no | 0.001, lowest | 1 |"));
        FileTime written = Files.getLastModifiedTime(folder.resolve("results.csv"));
        run(plan, folder, 1, 1);
        assertEquals(written, Files.getLastModifiedTime(folder.resolve("results.csv")), "nothing is missing");

        // The only loss is that of the base; the update after it makes the model one without numbers.
        Path last = folder.resolve("last");
        run(
                Plan.read(Files.writeString(
                        folder.resolve("last.json"),
                        PLAN.formatted(
                                        """
                                        {"method": "PLAIN", "learningRates": [1e30],
                                         "merges": [{"merge": "WISE_FT", "strengths": [0.5]}]}""")
                                .replace("\"steps\": 2", "\"steps\": 1"))),
                last,
                1,
                1);
        List<Result> lost = ResultsFile.read(last.resolve("results.csv"));
        assertEquals(List.of(false, true), lost.stream().map(Result::isDiverged).toList());
        Summary.of(last).write(last);
        assertTrue(Files.readString(last.resolve("summary.md")).contains("| plain | no | 1.0E30 | 1 | 1 | 0.000"));
        assertTrue(Files.size(last.resolve("transformer-kotlin-rates.png")) > 1000);
    }

    @Test
    void every_kind_of_model_has_its_own_base_and_times() throws IOException {
        Plan plan = Plan.read(Files.writeString(
                folder.resolve("both.json"),
                PLAN.formatted("{\"method\": \"PLAIN\"}").replace("\"TRANSFORMER\"", "\"TRANSFORMER\", \"LSTM\"")));
        run(plan, folder, 1, 1);
        assertEquals(Set.of("plain"), StepTimes.read(folder, "transformer").keySet());
        assertEquals(Set.of("plain"), StepTimes.read(folder, "lstm").keySet());
        Summary.of(folder).write(folder);
        String summary = Files.readString(folder.resolve("summary.md"));
        assertTrue(summary.contains("## transformer kotlin") && summary.contains("## lstm kotlin"), summary);
    }

    @Test
    void another_base_is_refused_in_a_new_part_too() throws IOException {
        Plan plan = plan("{\"method\": \"PLAIN\"}");
        run(plan, folder, 1, 2);
        Path part = folder.resolve("results-1-of-2.csv");
        Result base = ResultsFile.read(part).get(0);
        Files.writeString(
                part, Files.readString(part).replace(String.valueOf(base.test().target()), "1.5"));
        String message = assertThrows(IllegalStateException.class, () -> run(plan, folder, 2, 2))
                .getMessage();
        assertTrue(message.contains("1.5"), message);
        assertFalse(Files.exists(folder.resolve("results-2-of-2.csv")));
    }
}
