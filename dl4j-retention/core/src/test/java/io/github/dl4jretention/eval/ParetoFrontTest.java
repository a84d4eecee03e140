package io.github.dl4jretention.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class ParetoFrontTest {

    private record Candidate(double gain, double forgetting) {

        boolean betters(Candidate other) {
            return gain >= other.gain && forgetting <= other.forgetting && !equals(other);
        }
    }

    private static ParetoFront<Candidate> front(List<Candidate> candidates) {
        return ParetoFront.of(candidates, Candidate::gain, Candidate::forgetting);
    }

    private static final Candidate LITTLE = new Candidate(1, -1);
    private static final Candidate SOME = new Candidate(2, 1);
    private static final Candidate MUCH = new Candidate(4, 3);
    private static final Candidate BETTERED = new Candidate(1.5, 2);

    @Test
    void the_front_and_its_area_are_those_worked_by_hand() {
        ParetoFront<Candidate> front = front(
                List.of(MUCH, BETTERED, SOME, LITTLE, new Candidate(Double.NaN, 0), SOME, new Candidate(0.5, -1)));
        assertEquals(List.of(LITTLE, SOME, MUCH), front.points());
        // Strips of gain 0 to 1, 1 to 2 and 2 to 4, from the forgetting of each to 5: 6 + 4 + 2 * 2.
        assertEquals(14, front.hypervolume(0, 5), 0);
        // MUCH forgets too much; from gain 1.5 on only SOME counts: 0.5 * (2 - 1).
        assertEquals(0.5, front.hypervolume(1.5, 2), 0);
        assertEquals(0, front(List.of()).hypervolume(0, 5), 0);
        assertEquals(Optional.of(SOME), front.best(2.9));
        assertEquals(Optional.of(MUCH), front.best(3));
        assertEquals(Optional.empty(), front.best(-2));
    }

    @Test
    void what_is_infinitely_bad_is_left_out() {
        Candidate lost = new Candidate(Double.NEGATIVE_INFINITY, -5);
        Candidate forgotten = new Candidate(9, Double.POSITIVE_INFINITY);
        assertEquals(List.of(), front(List.of(lost, forgotten)).points());
        Candidate best = new Candidate(Double.POSITIVE_INFINITY, 4);
        assertEquals(
                List.of(LITTLE, best),
                front(List.of(forgotten, best, lost, LITTLE)).points());
    }

    @Property(tries = 100, seed = "20261101")
    void no_candidate_betters_the_front_and_all_others_are_bettered(
            @ForAll @IntRange(min = 0, max = 30) int count, @ForAll long seed) {
        List<Candidate> candidates = random(count, seed);
        List<Candidate> front = front(candidates).points();
        for (Candidate candidate : candidates) {
            boolean bettered = candidates.stream().anyMatch(other -> other.betters(candidate));
            assertEquals(!bettered, front.contains(candidate), candidate.toString());
        }
    }

    @Property(tries = 50, seed = "20261101")
    void the_area_is_the_number_of_unit_cells_that_are_reached(
            @ForAll @IntRange(min = 1, max = 20) int count, @ForAll long seed) {
        // Whole coordinates, so that cells are reached as a whole or not at all.
        List<Candidate> candidates = random(count, seed);
        int cells = 0;
        for (int gain = 0; gain < 12; gain++) {
            for (int forgetting = -12; forgetting < 8; forgetting++) {
                double g = gain + 0.5;
                double f = forgetting + 0.5;
                cells += candidates.stream().anyMatch(c -> c.gain() >= g && c.forgetting() <= f) ? 1 : 0;
            }
        }
        assertEquals(cells, front(candidates).hypervolume(0, 8), 1e-9);
        List<Candidate> shuffled = new ArrayList<>(candidates);
        Collections.shuffle(shuffled, new Random(seed));
        assertEquals(front(candidates).points(), front(shuffled).points());
        List<Candidate> more = new ArrayList<>(candidates);
        more.addAll(random(3, seed + 1));
        assertTrue(front(more).hypervolume(0, 8) >= cells - 1e-9);
    }

    private static List<Candidate> random(int count, long seed) {
        Random random = new Random(seed);
        List<Candidate> candidates = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            candidates.add(new Candidate(random.nextInt(15) - 3, random.nextInt(22) - 12));
        }
        return candidates;
    }
}
