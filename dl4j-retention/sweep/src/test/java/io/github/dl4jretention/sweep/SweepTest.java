package io.github.dl4jretention.sweep;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.internal.FolderLock;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.FinetuneMethod;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.space.Search;
import io.github.dl4jretention.sweep.task.Batches;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import io.github.dl4jretention.sweep.task.FinetuneSpace;
import io.github.dl4jretention.sweep.task.Losses;
import io.github.dl4jretention.sweep.task.RetentionScore;
import io.github.dl4jretention.sweep.task.SweepData;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Stream;
import org.deeplearning4j.arbiter.optimize.api.OptimizationResult;
import org.deeplearning4j.arbiter.optimize.parameter.continuous.ContinuousParameterSpace;
import org.deeplearning4j.arbiter.optimize.parameter.math.Op;
import org.deeplearning4j.arbiter.optimize.parameter.math.PairMathOp;
import org.deeplearning4j.arbiter.optimize.runner.CandidateInfo;
import org.deeplearning4j.arbiter.optimize.runner.IOptimizationRunner;
import org.deeplearning4j.arbiter.optimize.runner.listener.BaseStatusListener;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;

class SweepTest {

    private static final DataType TYPE = DataType.DOUBLE;

    @TempDir
    private Path folder;

    private static FinetuneSpace space(RetentionSpace retention) {
        return FinetuneSpace.builder()
                .retention(retention)
                .learningRates(0.01)
                .steps(6)
                .build();
    }

    static Sweep.Builder sweep(Path folder) {
        return Sweep.builder()
                .model(FinetuneModel.of(Networks.lstm(TYPE, 1)))
                .data(SweepTexts.data(TYPE))
                .space(space(RetentionSpace.builder().coefficient(0.1, 10).build()))
                .search(Search.grid(4))
                .folder(folder);
    }

    /** Six candidates on two threads, of which hopeless ones end after 2 or 4 of 8 steps. */
    static Sweep.Builder pruned(Sweep.Builder sweep) {
        return sweep.space(FinetuneSpace.builder()
                        .retention(
                                RetentionSpace.builder().coefficients(1, 2, 4).build())
                        .learningRates(0.05, 1e-6)
                        .steps(8)
                        .build())
                .score(RetentionScore.weighted(0))
                .pruning(new SuccessiveHalving(2, 2))
                .parallelism(2);
    }

    /** Notes which candidates run. */
    static SweepListener noting(List<Integer> ran) {
        return new SweepListener() {
            @Override
            public void onCandidate(SweepOutcome sweep, CandidateOutcome candidate) {
                ran.add(candidate.index());
            }
        };
    }

    /** What two sweeps must have in common to be the same: everything but times. */
    static List<String> essence(SweepOutcome sweep) {
        List<String> lines = new ArrayList<>(List.of(sweep.base() + " " + sweep.baseTest()));
        sweep.candidates()
                .forEach(c -> lines.add(c.index() + " " + c.status() + " " + c.configuration() + " " + c.reason() + " "
                        + c.score() + " " + c.validation() + " " + c.test() + " " + c.steps() + " " + c.curve() + " "
                        + c.rungs()));
        lines.add("front " + sweep.front().stream().map(CandidateOutcome::index).toList());
        lines.add("recommended " + sweep.recommended().map(CandidateOutcome::index));
        return lines;
    }

    @Test
    void a_grid_runs_to_its_end_and_leaves_its_files() throws IOException {
        SweepOutcome outcome = sweep(folder).build().run();
        assertEquals(4, outcome.complete().size(), outcome.candidates().toString());
        List<Double> coefficients =
                outcome.candidates().stream().map(CandidateOutcome::coefficient).toList();
        assertEquals(0.1, coefficients.get(0));
        assertEquals(0.4642, coefficients.get(1));
        assertEquals(10.0, coefficients.get(3));
        assertTrue(outcome.finished());
        assertEquals(4, outcome.budget());
        assertEquals(5, Files.readAllLines(folder.resolve("candidates.csv")).size());
        for (String name :
                List.of("sweep.json", "report.html", "tradeoff.png", "cross-entropy.png", "divergence.png")) {
            assertTrue(Files.size(folder.resolve(name)) > 500, name);
        }
        assertEquals(outcome, SweepOutcome.fromJson(Files.readString(folder.resolve("sweep.json"))));
        assertModelsAreThoseOfTheFront(outcome);
    }

    @Test
    void a_space_that_was_searched_before_is_the_same_space() throws IOException {
        RetentionSpace retention = RetentionSpace.builder().coefficient(0.1, 10).build();
        FinetuneSpace space =
                FinetuneSpace.builder().retention(retention).steps(1).build();
        for (int candidates = 1; candidates < 3; candidates++) {
            SweepOutcome outcome =
                    sweep(folder).space(space).candidates(candidates).build().run();
            assertEquals(candidates, outcome.candidates().size());
        }
    }

    private void assertModelsAreThoseOfTheFront(SweepOutcome outcome) throws IOException {
        FinetuneModel model = FinetuneModel.of(Networks.lstm(TYPE, 1));
        SweepData data = SweepTexts.data(TYPE);
        try (Stream<Path> models = Files.list(folder.resolve("models"))) {
            assertEquals(outcome.front().size(), models.count());
        }
        for (CandidateOutcome candidate : outcome.front()) {
            Path file = folder.resolve("models/candidate-%03d.zip".formatted(candidate.index()));
            MultiLayerNetwork network = MultiLayerNetwork.load(file.toFile(), false);
            assertFalse(network.getLayerWiseConfigurations().toJson().contains("Retention"));
            assertEquals(
                    candidate.validation(), model.losses(network, data.validationTarget(), data.validationSource()));
            assertEquals(candidate.test(), model.losses(network, data.testTarget(), data.testSource()));
        }
    }

    @Test
    void a_sweep_goes_on_where_it_ended_and_equal_candidates_at_once_are_the_same() throws IOException {
        SweepOutcome whole = sweep(folder.resolve("whole")).build().run();
        Path part = folder.resolve("part");
        SweepOutcome first = sweep(part).candidates(2).build().run();
        assertEquals(2, first.candidates().size());
        assertEquals(2, first.budget());
        List<Integer> ran = new ArrayList<>();
        SweepOutcome rest =
                sweep(part).parallelism(2).listener(noting(ran)).build().run();
        assertEquals(List.of(2, 3), ran.stream().sorted().toList());
        assertEquals(essence(whole), essence(rest));
        ran.clear();
        assertEquals(essence(rest), essence(sweep(part).build().run()));
        assertEquals(List.of(), ran);
    }

    @Test
    void another_configuration_is_refused_by_what_differs() throws IOException {
        sweep(folder).candidates(1).build().run();
        byte[] before = Files.readAllBytes(folder.resolve("sweep.json"));
        assertRefused("seed: 0 there, 5 here", sweep(folder).seed(5));
        assertRefused("score:", sweep(folder).score(RetentionScore.constrained(0)));
        assertRefused(
                "space:",
                sweep(folder).space(RetentionSpace.builder().coefficient(0.1, 9).build()));
        assertRefused("search:", sweep(folder).search(Search.grid(5)));
        assertRefused("model:", sweep(folder).model(FinetuneModel.of(Networks.lstm(TYPE, 2))));
        assertRefused("pruning:", sweep(folder).pruning(new SuccessiveHalving(1, 2)));
        SweepData data = SweepTexts.data(TYPE);
        assertRefused(
                "testSource:",
                sweep(folder)
                        .data(new SweepData(
                                data.training(),
                                data.validationTarget(),
                                data.validationSource(),
                                data.testTarget(),
                                SweepTexts.source(TYPE, 2, 60))));
        assertEquals(new String(before), Files.readString(folder.resolve("sweep.json")));
    }

    private static void assertRefused(String difference, Sweep.Builder other) throws IOException {
        Sweep sweep = other.build();
        IllegalStateException e = assertThrows(IllegalStateException.class, sweep::run);
        assertTrue(e.getMessage().contains(difference), e.getMessage());
        assertTrue(e.getMessage().startsWith("folder: expected"), e.getMessage());
    }

    @Test
    void one_sweep_at_a_time_works_in_a_folder() throws IOException {
        Sweep sweep = sweep(folder).build();
        try (FolderLock other = FolderLock.of(folder, "sweep")) {
            IllegalStateException e = assertThrows(IllegalStateException.class, sweep::run);
            assertTrue(e.getMessage().startsWith("folder: expected one that no other sweep works in"), e.getMessage());
        }
    }

    /** What Arbiter logs as the best score, and shows to its listeners. */
    @Test
    void candidates_that_forget_too_much_have_no_score_for_arbiter_and_the_sweep_keeps_its_own() throws IOException {
        List<Double> scores = Collections.synchronizedList(new ArrayList<>());
        SweepOutcome outcome = sweep(folder)
                .score(RetentionScore.constrained(-1))
                .statusListener(new BaseStatusListener() {
                    @Override
                    public void onCandidateStatusChange(
                            CandidateInfo info, IOptimizationRunner runner, OptimizationResult result) {
                        scores.add(info.getScore());
                        scores.add(result.getScore());
                    }
                })
                .build()
                .run();
        assertTrue(scores.size() >= 8 && scores.stream().allMatch(Objects::isNull), scores.toString());
        assertTrue(outcome.complete().stream().allMatch(candidate -> candidate.score() > 1e6));
        assertEquals(Optional.empty(), outcome.recommended());
        // In a spreadsheet there is no number that means nothing.
        List<String> rows = Files.readAllLines(folder.resolve("candidates.csv"));
        int column = List.of(rows.get(0).split(",")).indexOf("score");
        assertEquals(
                List.of("", "", "", ""),
                rows.stream().skip(1).map(row -> row.split(",")[column]).toList());
    }

    @Test
    void plain_finetuning_runs_once_whatever_the_losses() throws IOException {
        SweepOutcome outcome = sweep(folder)
                .space(FinetuneSpace.builder()
                        .methods(FinetuneMethod.PLAIN, FinetuneMethod.RETENTION)
                        .retention(
                                RetentionSpace.builder().coefficients(0.5, 2, 4).build())
                        .steps(2)
                        .build())
                .build()
                .run();
        assertEquals(4, outcome.candidates().size());
        assertEquals(4, outcome.budget());
        assertEquals(
                List.of(0, 1, 2, 3),
                outcome.candidates().stream().map(CandidateOutcome::index).toList());
        assertEquals(
                1,
                outcome.candidates().stream()
                        .filter(c -> c.configuration().method() == FinetuneMethod.PLAIN)
                        .count());
    }

    @Test
    void what_fails_is_counted_shown_and_never_recommended() throws IOException {
        SweepOutcome outcome = sweep(folder)
                .space(FinetuneSpace.builder()
                        .retention(RetentionSpace.builder().coefficients(1, 2).build())
                        .learningRates(100, 0.01)
                        .steps(5)
                        .build())
                .build()
                .run();
        assertEquals(2, outcome.failed().size());
        assertEquals(2, outcome.complete().size());
        assertTrue(outcome.failed().stream().allMatch(c -> c.reason().contains("diverged") && c.score() == null));
        assertTrue(outcome.front().stream().allMatch(c -> c.configuration().learningRate() == 0.01));
        String csv = Files.readString(folder.resolve("candidates.csv"));
        assertTrue(csv.contains("FAILED") && csv.contains("diverged"), csv);
        String html = Files.readString(folder.resolve("report.html"));
        assertTrue(html.contains("id=\"failures\"") && html.contains("diverged"));
    }

    @Test
    void candidates_that_fail_while_they_are_generated_are_counted_and_shown() throws IOException {
        // Both ends are above 0, what is between them may reach down to -0.96.
        PairMathOp<Double> difference = new PairMathOp<>(
                new ContinuousParameterSpace(0.02, 1), new ContinuousParameterSpace(0.01, 0.98), Op.SUB);
        SweepOutcome outcome = sweep(folder)
                .space(FinetuneSpace.builder()
                        .retention(RetentionSpace.builder().coefficients(1, 2).build())
                        .learningRate(difference)
                        .steps(2)
                        .build())
                .search(Search.random())
                .candidates(6)
                .build()
                .run();
        assertEquals(6, outcome.candidates().size());
        assertEquals(
                outcome.failed().size(),
                outcome.candidates().stream()
                        .filter(c -> c.configuration() == null)
                        .count());
        assertFalse(outcome.failed().isEmpty());
        assertFalse(outcome.complete().isEmpty());
        assertTrue(
                outcome.failed()
                        .get(0)
                        .reason()
                        .startsWith("generation: learningRate: expected a finite number above 0"),
                outcome.failed().get(0).reason());
    }

    @Test
    void time_that_is_up_ends_a_sweep_and_more_time_lets_it_go_on() throws IOException {
        SweepOutcome little = sweep(folder).minutes(1e-9).build().run();
        assertEquals(0, little.candidates().size());
        SweepOutcome more = sweep(folder).minutes(10).build().run();
        assertEquals(4, more.candidates().size());
    }

    @Test
    void gain_and_forgetting_are_against_the_base_and_the_best_of_the_feasible_is_recommended() throws IOException {
        SweepOutcome outcome =
                sweep(folder).score(RetentionScore.constrained(-1)).build().run();
        assertTrue(outcome.recommended().isEmpty());
        assertTrue(Files.readString(folder.resolve("report.html")).contains("keep the model as it is"));
        CandidateOutcome first = outcome.candidates().get(0);
        Losses base = outcome.base();
        assertEquals(
                base.target() - first.validation().target(), first.validation().gain(base));
    }

    @Test
    void bad_input_is_refused_before_anything_is_trained() throws IOException {
        SweepData data = SweepTexts.data(TYPE);
        assertRefusedFirst("validationSource: expected another text than validationTarget", () -> sweep(folder)
                .data(new SweepData(
                        data.training(),
                        data.validationTarget(),
                        SweepTexts.target(TYPE, 2, 20),
                        data.testTarget(),
                        data.testSource()))
                .build());
        assertRefusedFirst("testTarget: expected another text than validationTarget", () -> sweep(folder)
                .data(new SweepData(
                        data.training(),
                        data.validationTarget(),
                        data.validationSource(),
                        SweepTexts.target(TYPE, 2, 20),
                        data.testSource()))
                .build());
        assertRefusedFirst("validationTarget: expected another text than training", () -> sweep(folder)
                .data(new SweepData(
                        data.training(),
                        data.training(),
                        data.validationSource(),
                        data.testTarget(),
                        data.testSource()))
                .build());
        Batches none = Batches.of(() -> new ExistingDataSetIterator(List.<DataSet>of()));
        assertRefusedFirst("testSource: expected at least one batch", () -> sweep(folder)
                .data(new SweepData(
                        data.training(), data.validationTarget(), data.validationSource(), data.testTarget(), none))
                .build());
        assertRefusedFirst("space: expected something to search", () -> sweep(folder)
                .space(RetentionSpace.builder().coefficients(1).build())
                .build());
        assertRefusedFirst(
                "candidates: expected a number of candidates or minutes",
                () -> sweep(folder).search(Search.random()).build());
        assertRefusedFirst("frozenUpTo: expected indices of at most 0", () -> sweep(folder)
                .space(FinetuneSpace.builder().frozenUpTo(-1, 1).build())
                .build());
        assertRefusedFirst(
                "candidates: expected at least 1", () -> sweep(folder).candidates(0));
        assertRefusedFirst(
                "minutes: expected a number above 0", () -> sweep(folder).minutes(0));
        assertRefusedFirst(
                "parallelism: expected at least 1", () -> sweep(folder).parallelism(0));
        assertRefusedFirst("minSteps: expected at least 1", () -> new SuccessiveHalving(0, 2));
        assertRefusedFirst("eta: expected at least 2", () -> new SuccessiveHalving(1, 1));
        Path file = Files.writeString(folder.resolve("file"), "");
        IOException e = assertThrows(IOException.class, () -> sweep(file).build());
        assertTrue(e.getMessage().startsWith("folder: expected one that can be written to"), e.getMessage());
        Path damaged = Files.createDirectories(folder.resolve("damaged"));
        Files.writeString(damaged.resolve("sweep.json"), "{\"configuration\": 3}");
        IOException unreadable =
                assertThrows(IOException.class, () -> sweep(damaged).build().run());
        assertTrue(unreadable.getMessage().startsWith("folder: expected a sweep's"), unreadable.getMessage());
    }

    private static void assertRefusedFirst(String message, Executable call) {
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, call);
        assertTrue(e.getMessage().startsWith(message), e.getMessage());
    }
}
