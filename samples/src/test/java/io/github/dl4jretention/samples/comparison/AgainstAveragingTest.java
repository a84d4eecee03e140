package io.github.dl4jretention.samples.comparison;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.samples.text.Domain;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** The verdict and its intervals, worked by hand. */
class AgainstAveragingTest {

    private static final double NONE = Double.NaN;

    private static Result point(String method, double strength, String merge, double gain, double forgetting) {
        double[] scores = {10 - gain, 10 + forgetting};
        return FamilyTest.result(method, strength, merge, merge.isEmpty() ? NONE : 0.5, 0.1, 1, scores, scores);
    }

    /** Two documents of target text and one of a source. */
    private static Result withDocuments(Result result, double first, double second) {
        return result.withDocuments(Map.of(
                Domain.SCALA,
                List.of(new Scores.Document(1, first), new Scores.Document(1, second)),
                Domain.JAVA,
                List.of(new Scores.Document(3, result.test().source()))));
    }

    private static Family family(Result base, Result result) {
        return Family.atEveryRate(base, List.of(result)).get(0);
    }

    @Test
    void intervals_come_from_drawing_documents() {
        Result base = withDocuments(point("base", NONE, "", -5, 0), 10, 20);
        Family better = family(base, withDocuments(point("retention", 1, "", 1, 0.5), 6, 12));
        Family worse = family(base, withDocuments(point("plain", NONE, "", 0, 0.5), 8, 12));
        Bootstrap bootstrap = new Bootstrap(base);
        // Gains of 4 and 2, of 6 and 5, or of 8 and 8: the first document twice, both, or the second twice.
        assertEquals(Optional.of(new Bootstrap.Interval(1, 2)), bootstrap.ratio(better, worse));
        assertEquals(Optional.of(new Bootstrap.Interval(1, 1)), bootstrap.ratio(worse, worse));
        assertEquals(
                Optional.empty(), bootstrap.ratio(better, family(base, point("plain", NONE, "", 0, 0.5))), "no losses");
        Result none = point("base", NONE, "", -5, 0);
        assertEquals(Optional.empty(), new Bootstrap(none).ratio(better, worse));
    }

    @Test
    void nothing_is_a_share_of_nothing() {
        Result base = withDocuments(point("base", NONE, "", -5, 0), 10, 20);
        Family some = family(base, withDocuments(point("retention", 1, "", 1, 0.5), 6, 12));
        Family none = family(base, withDocuments(point("plain", NONE, "", -6, 0.5), 10, 22));
        assertEquals(Optional.of(new Bootstrap.Interval(NONE, NONE)), new Bootstrap(base).ratio(some, none), "no gain");
        Result start = point("base", NONE, "", 0, 0);
        List<Result> results = List.of(
                point("plain", NONE, "", 6, -0.1),
                point("plain", NONE, "wise_ft", 4, -0.05),
                point("retention", 1, "", 5.8, 0.1));
        String tables = new AgainstAveraging(start, results, Map.of()).tables();
        assertTrue(tables.contains("| 96.7 % | - |"), tables);
        results = List.of(
                point("plain", NONE, "", -6, 0.1),
                point("plain", NONE, "wise_ft", -4, 0.05),
                point("retention", 1, "", 5.8, 0.1));
        tables = new AgainstAveraging(start, results, Map.of()).tables();
        assertTrue(tables.contains("| - | no losses by document |"), tables);
        assertTrue(tables.contains("| - | 0.0 % |"), tables);
    }

    @Test
    void every_method_is_measured_by_averaging() {
        Result base = point("base", NONE, "", 0, 0);
        List<Result> results = new ArrayList<>(List.of(
                point("plain", NONE, "", 6, 0.8),
                point("plain", NONE, "wise_ft", 4, 0.3),
                point("retention", 1, "", 5.8, 0.1),
                point("retention", 3, "", 2, 0.02)));
        String tables = new AgainstAveraging(base, results, Map.of()).tables();
        // 4 * 0.7 + 2 * 0.2
        String averaged = "| plain + wise_ft | no | 100 | 1 | 2 | 3200.00 (3200.00 to 3200.00) | +0.0 % "
                + "| no losses by document | 0.0000 | 0.0000 | 0.0000 | 100.0 % | 0.0 % |";
        // 2 * 0.98 + 3.8 * 0.9; 5.8 of 6, and 0.1 of 0.8
        String retained = "| retention | no | 100 | 2 | 2 | 5380.00 (5380.00 to 5380.00) | +68.1 % "
                + "| no losses by document | 0.0000 | 2.0000 | 2.0000 | 96.7 % | 87.5 % |";
        assertTrue(tables.contains(averaged) && tables.contains(retained), tables);
        assertTrue(
                tables.contains(
                        "Trainings and points a seed differ: 1 trainings and 2 points (plain), 2 trainings and 2"
                                + " points (retention)."),
                tables);
        assertTrue(tables.contains("at an edge of what was tried: retention (strength 1, lowest)."), tables);
        assertTrue(tables.contains("No times of steps"), tables);
        results.add(point("retention", 0.3, "", 5, 0.5));
        tables = new AgainstAveraging(base, results, Map.of("plain", 1.0, "retention", 1.5)).tables();
        assertTrue(tables.contains("No best training is at an edge"), tables);
        String sameTime = tables.substring(tables.indexOf("at equal time"));
        assertTrue(sameTime.contains(averaged) && !sameTime.contains("| retention |"), tables);
        List<Result> equal =
                List.of(results.get(0), results.get(1), results.get(2), point("retention", 1, "expo", 1, 1));
        tables = new AgainstAveraging(base, equal, Map.of()).tables();
        assertTrue(tables.contains("Each method had 1 trainings and 2 points a seed."), tables);
        assertEquals("", new AgainstAveraging(base, results.subList(0, 1), Map.of()).tables());
    }
}
