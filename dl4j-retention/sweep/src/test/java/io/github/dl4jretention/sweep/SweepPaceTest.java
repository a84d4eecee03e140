package io.github.dl4jretention.sweep;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome.Status;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.Search;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Where candidates depend on one another the outcome depends on no thread's pace, and on no restart. */
class SweepPaceTest {

    @TempDir
    private Path folder;

    /** Some candidates take longer than others. */
    private static final SweepListener SLOW = new SweepListener() {
        @Override
        public void onStep(int candidate, int step, int steps, TokenLoss loss) {
            try {
                Thread.sleep(candidate % 3 == 0 ? 15 : 0);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    };

    private void assertSameAtAnyPaceAndAfterARestart(SweepOutcome whole, UnaryOperator<Sweep.Builder> settings)
            throws IOException {
        SweepOutcome slow = settings.apply(SweepTest.sweep(folder.resolve("slow")))
                .listener(SLOW)
                .build()
                .run();
        assertEquals(SweepTest.essence(whole), SweepTest.essence(slow));
        Path part = folder.resolve("part");
        settings.apply(SweepTest.sweep(part)).candidates(3).build().run();
        SweepOutcome rest = settings.apply(SweepTest.sweep(part)).build().run();
        assertEquals(SweepTest.essence(whole), SweepTest.essence(rest));
    }

    @Test
    void a_genetic_search() throws IOException {
        UnaryOperator<Sweep.Builder> genetic =
                builder -> builder.search(Search.genetic(3)).parallelism(2).candidates(6);
        SweepOutcome whole =
                genetic.apply(SweepTest.sweep(folder.resolve("whole"))).build().run();
        assertEquals(6, whole.complete().size());
        assertSameAtAnyPaceAndAfterARestart(whole, genetic);
    }

    @Test
    void a_pruned_sweep() throws IOException {
        UnaryOperator<Sweep.Builder> pruned = SweepTest::pruned;
        SweepOutcome whole =
                pruned.apply(SweepTest.sweep(folder.resolve("whole"))).build().run();
        assertEquals(6, whole.candidates().size());
        assertHopelessAreEndedEarly(whole);
        assertSameAtAnyPaceAndAfterARestart(whole, pruned);
    }

    private static void assertHopelessAreEndedEarly(SweepOutcome sweep) {
        List<CandidateOutcome> ended = sweep.candidates().stream()
                .filter(candidate -> candidate.status() == Status.PRUNED)
                .toList();
        assertFalse(ended.isEmpty());
        for (CandidateOutcome candidate : ended) {
            assertTrue(candidate.steps() == 2 || candidate.steps() == 4, "steps " + candidate.steps());
            assertEquals(8, candidate.plannedSteps());
            assertEquals(null, candidate.validation());
            assertEquals(null, candidate.score());
            assertFalse(sweep.front().contains(candidate));
        }
        assertEquals(0.05, sweep.recommended().orElseThrow().configuration().learningRate());
    }

    @Test
    void successive_halving_by_hand() {
        SuccessiveHalving halving = new SuccessiveHalving(10, 3);
        assertEquals(
                List.of(10, 30, 90),
                Stream.iterate(1, step -> step + 1)
                        .limit(200)
                        .filter(halving::isRung)
                        .toList());
        assertTrue(halving.goesOn(5, new double[] {}));
        assertTrue(halving.goesOn(5, new double[] {1}));
        assertFalse(halving.goesOn(5, new double[] {1, 2}));
        assertTrue(halving.goesOn(0.5, new double[] {1, 2}));
        // Two of six go on.
        assertTrue(halving.goesOn(2.5, new double[] {1, 3, 4, 5, 6}));
        assertFalse(halving.goesOn(3.5, new double[] {1, 3, 4, 5, 6}));
    }
}
