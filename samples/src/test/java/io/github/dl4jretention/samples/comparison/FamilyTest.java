package io.github.dl4jretention.samples.comparison;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** What is made of results, worked by hand. */
class FamilyTest {

    private static Result result(String merge, double rate, long seed, double[] validation, double[] test) {
        return result("plain", Double.NaN, merge, Double.NaN, rate, seed, validation, test);
    }

    /** Of 100 steps, on Scala. */
    static Result result(
            String method,
            double strength,
            String merge,
            double mergeStrength,
            double rate,
            long seed,
            double[] validation,
            double[] test) {
        return new Result(
                "transformer",
                "SCALA",
                method,
                "",
                strength,
                merge,
                mergeStrength,
                rate,
                0,
                seed,
                100,
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
        assertEquals("1, lowest", plain.rate(), "4 * 0.5 is more than 6 * 0.1");
        assertEquals(6 * 1, plain.hypervolume(Result::test).mean(), 1e-12);
        assertEquals(6 * 1, families.get(2).hypervolume(Result::test).mean(), 1e-12);
        assertEquals(List.of(first), plain.chosen(0.05));
        assertEquals(List.of(base), plain.chosen(0.01), "nothing forgets so little");
        assertEquals(List.of(first), families.get(2).balanced());
    }

    @Test
    void at_equal_time_a_method_has_what_it_reached_at_the_last_stop_that_fits() {
        double none = Double.NaN;
        double[] start = {10, 10};
        Result base = result("base", none, "", none, none, 0, start, start);
        Function<String, Result> at = label -> {
            double loss = label.startsWith("stop") ? 6 : 4;
            double[] scores = {loss, 10.5};
            String merge = label.replaceFirst(" [\\d.]+$", "");
            double strength = label.isEmpty() ? none : Double.parseDouble(label.replaceFirst("^.* ", ""));
            return result("retention", 1, merge, strength, 0.1, 1, scores, scores);
        };
        List<Result> results = Stream.of(
                        "", "wise_ft 0.5", "stop 50", "stop 80", "stop 50, wise_ft 0.5", "stop 80, wise_ft 0.5")
                .map(at)
                .toList();
        assertEquals(
                List.of(100, 100, 50, 80, 50, 80),
                results.stream().map(Result::trainedSteps).toList());
        assertEquals(List.of(), Family.atEqualTime(base, results, Map.of()));
        assertEquals(List.of(), Family.atEqualTime(base, results, Map.of("retention", 2.1)));
        for (double ratio : new double[] {1.25, 1.9}) {
            List<Family> families =
                    Family.atEveryRate(base, Family.atEqualTime(base, results, Map.of("retention", ratio)));
            assertEquals(
                    List.of("retention, every rate", "retention + wise_ft, every rate"),
                    families.stream().map(Family::name).toList());
            int last = ratio < 1.5 ? 80 : 50;
            for (Family family : families) {
                assertEquals(4 * 0.5, family.hypervolume(Result::test).mean(), 1e-12);
                family.seeds().get(1L).forEach(result -> assertEquals(last, result.steps()));
            }
        }
        List<Result> fitting = Family.atEqualTime(base, results, Map.of("retention", 1.01));
        Family whole = Family.atEveryRate(base, fitting).get(0);
        assertEquals(6 * 0.5, whole.hypervolume(Result::test).mean(), 1e-12);
        assertEquals(
                List.of("retention, every rate", "retention + stop, every rate", "retention + wise_ft, every rate"),
                Family.atEveryRate(base, results).stream().map(Family::name).toList());
    }

    private static Result point(String method, double strength, String merge, double mergeStrength, double rate) {
        double[] scores = {1, 1};
        return result(method, strength, merge, mergeStrength, rate, 1, scores, scores);
    }

    private static List<String> curves(Family family) {
        return family.curves().stream()
                .map(curve -> curve.name() + ": "
                        + String.join(
                                " ",
                                curve.points().stream()
                                        .map(results -> results.get(0).strengths())
                                        .toList()))
                .toList();
    }

    @Test
    void curves_go_along_the_strength_whatever_came_of_it() {
        double none = Double.NaN;
        Result base = point("base", none, "", none, none);
        List<Family> families = Family.atEveryRate(
                base,
                List.of(
                        point("retention", 1, "", none, 0.1),
                        point("retention", 1, "wise_ft", 0.9, 0.1),
                        point("retention", 1, "wise_ft", 0.2, 0.1),
                        point("retention", 0.3, "wise_ft", 0.2, 0.1),
                        point("retention", 0.3, "", none, 0.1),
                        point("retention", 0.3, "", none, 0.01),
                        point("retention", 0.3, "expo", 0.5, 0.01),
                        point("plain", none, "stop", 80, 0.1),
                        point("plain", none, "stop", 40, 0.1),
                        point("plain", none, "", none, 0.1),
                        point("plain", none, "", none, 0.01)));
        assertEquals(
                List.of(
                        "plain, every rate",
                        "plain + stop, every rate",
                        "retention, every rate",
                        "retention + wise_ft, every rate",
                        "retention + expo, every rate"),
                families.stream().map(Family::name).toList());
        assertEquals(List.of("over the rate:  "), curves(families.get(0)));
        assertEquals(List.of("rate 0.01: ", "rate 0.1: stop 40 stop 80 "), curves(families.get(1)));
        assertEquals(List.of("rate 0.01: 0.3", "rate 0.1: 0.3 1"), curves(families.get(2)));
        assertEquals(
                List.of(
                        "rate 0.01, strength 0.3: 0.3",
                        "rate 0.1, strength 0.3: 0.3, wise_ft 0.2 0.3",
                        "rate 0.1, strength 1: 1, wise_ft 0.2 1, wise_ft 0.9 1"),
                curves(families.get(3)));
        assertEquals(
                List.of(
                        "rate 0.01, strength 0.3: 0.3 0.3, expo 0.5",
                        "rate 0.1, strength 0.3: 0.3",
                        "rate 0.1, strength 1: 1"),
                curves(families.get(4)));
    }
}
