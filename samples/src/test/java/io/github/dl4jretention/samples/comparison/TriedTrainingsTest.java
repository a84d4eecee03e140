package io.github.dl4jretention.samples.comparison;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** Which trainings are missing for the best to be inside, worked by hand. */
class TriedTrainingsTest {

    private static final double NONE = Double.NaN;
    private static final Result BASE = training("base", NONE, NONE, 0);

    private static Result training(String method, double strength, double rate, double gain) {
        double[] scores = {10 - gain, 10};
        return FamilyTest.result(method, strength, "", NONE, rate, 1, scores, scores);
    }

    private static Set<String> missing(List<Result> results) {
        return TriedTrainings.of(BASE, results).values().iterator().next().missing().stream()
                .map(missing -> Result.number(missing.setting().strength()) + " "
                        + missing.setting().learningRate() + " "
                        + missing.setting().warmUp() + ": " + missing.edge())
                .collect(Collectors.toSet());
    }

    @Test
    void the_next_round_number_beyond_the_best_is_missing() {
        List<Result> results = new ArrayList<>(List.of(
                BASE,
                training("retention", 1, 0.001, 1),
                training("retention", 1, 0.003, 2),
                training("retention", 2, 0.001, 1),
                training("retention", 2, 0.003, 3)));
        assertEquals(
                Set.of("3 0.003 0: strength 2, highest", "2 0.01 0: learning rate 0.003, highest"), missing(results));
        results.add(training("retention", 3, 0.003, 2.5));
        assertEquals(Set.of("2 0.01 0: learning rate 0.003, highest"), missing(results));
        results.add(training("retention", 2, 0.01, NONE));
        assertEquals(Set.of(), missing(results));
        // Another best, whose neighbours in strength were tried at another rate.
        results.add(training("retention", 2, 0.002, 4));
        assertEquals(Set.of("1 0.002 0: strength 2, lowest", "3 0.002 0: strength 2, highest"), missing(results));
    }

    @Test
    void values_that_a_method_cannot_have_and_values_that_are_not_searched_have_no_edge() {
        assertEquals(Set.of(), missing(List.of(training("retention", 1, 0.001, 1))), "nothing was searched");
        assertEquals(
                Set.of("0.1 0.001 0: strength 0.25, lowest"),
                missing(List.of(training("pull", 0.25, 0.001, 2), training("pull", 0.5, 0.001, 1))));
        assertEquals(
                Set.of(),
                missing(List.of(training("pull", 0.25, 0.001, 1), training("pull", 0.5, 0.001, 2))),
                "a share of 1 is none");
        assertEquals(
                Set.of("30 0.001 0: strength 20, highest"),
                missing(List.of(training("eaft", 2, 0.001, 1), training("eaft", 20, 0.001, 2))));
        assertEquals(
                Set.of(), missing(List.of(training("eaft", 2, 0.001, 2), training("eaft", 20, 0.001, 1))), "2 or more");
    }

    private static Result warmed(int warmUp, double gain) {
        Result of = training("plain", NONE, 0.001, gain);
        return new Result(
                of.model(),
                of.target(),
                of.method(),
                "",
                NONE,
                "",
                NONE,
                of.learningRate(),
                warmUp,
                1,
                of.steps(),
                of.batch(),
                of.validation(),
                of.test(),
                1,
                1);
    }

    @Test
    void a_warm_up_has_no_value_below_0() {
        List<Result> results = new ArrayList<>(List.of(warmed(0, 2), warmed(20, 1)));
        assertEquals(Set.of(), missing(results));
        results.add(warmed(40, 3));
        assertEquals(Set.of("NaN 0.001 80: warm up 40, highest"), missing(results));
    }
}
