package io.github.dl4jretention.samples.comparison;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** Tables of answers, worked by hand. */
class TaskTablesTest {

    private static final double NONE = Double.NaN;

    private static List<Double> marks(int right, int wrong) {
        List<Double> marks = new ArrayList<>(Collections.nCopies(right, 1.0));
        marks.addAll(Collections.nCopies(wrong, 0.0));
        return marks;
    }

    private static Scores.TaskScore score(boolean source, List<Double> marks) {
        double value = marks.stream().mapToDouble(mark -> mark).average().orElseThrow();
        return new Scores.TaskScore(source, value, marks);
    }

    private static Map<String, Scores.TaskScore> answers(List<Double> facts, List<Double> sums, double prose) {
        return new TreeMap<>(Map.of(
                "facts",
                score(true, facts),
                "sums",
                score(false, sums),
                "prose",
                new Scores.TaskScore(true, prose, List.of())));
    }

    private static Result model(String method, double strength, long seed, double gain, double forgetting) {
        double[] scores = {10 - gain, 10 + forgetting};
        return FamilyTest.result(method, strength, "", NONE, 0.1, seed, scores, scores);
    }

    private static String row(String table, String method) {
        return table.lines()
                .filter(line -> line.startsWith("| " + method + " |"))
                .findFirst()
                .orElseThrow();
    }

    @Test
    void a_row_is_what_a_method_answers_where_it_has_plains_gain() {
        Result base = model("base", NONE, 0, 0, 0).withTasks(answers(marks(8, 2), marks(0, 10), 5));
        List<Result> results = new ArrayList<>();
        for (long seed = 1; seed <= 2; seed++) {
            // The slower of two does not have 95 % of plain's gain.
            results.add(model("plain", NONE, seed, 6, 0.8).withTasks(answers(marks(4, 6), marks(10, 0), 6)));
            results.add(model("retention", 1, seed, 5.8, 0.1).withTasks(answers(marks(7, 3), marks(9, 1), 5.25)));
            results.add(model("retention", 3, seed, 2, 0.01).withTasks(answers(marks(8, 2), marks(1, 9), 5)));
        }
        String tables = new TaskTables(base, results, "plain").tables();
        assertTrue(tables.contains("| method | sees source | strength | facts | prose | sums, target |"), tables);
        assertTrue(row(tables, "base").startsWith("| base | | | 80.0 | 5.000 | 0.0 |"), tables);
        // All ten are right in each draw: plain's gain is 100 % whatever is drawn.
        assertTrue(
                row(tables, "plain")
                        .startsWith("| plain | no |  | 40.0 (-40.0) | 6.000 (+1.000) | 100.0 (+100.0) |"
                                + " +100.0 (+100.0 to +100.0) | +40.0 ("),
                tables);
        assertTrue(row(tables, "plain").endsWith("| +0.0 |"), tables);
        String retention = row(tables, "retention");
        assertTrue(
                retention.startsWith("| retention | no | 1 | 70.0 (-10.0) | 5.250 (+0.250) | 90.0 (+90.0) | +90.0 ("),
                tables);
        assertTrue(
                retention.endsWith(" | +75.0 |"),
                "three quarters of plain's forgetting; in some draws it has none: " + tables);
        // Against plain, of ten questions one is lost and three are kept.
        assertTrue(tables.contains("| retention | -10.0 (-30.0 to +0.0) | -30.0 ("), tables);
        // The least sum of losses: 20 - 2 + 0.01 is more than 20 - 5.8 + 0.1.
        assertEquals(2, tables.lines().filter(retention::equals).count(), tables);
        assertEquals(0.1, TaskTables.forgetting(base, results.get(1)), 1e-12);
    }

    @Test
    void seeds_are_drawn_too_and_only_those_of_all_methods_count() {
        Result base = model("base", NONE, 0, 0, 0).withTasks(answers(marks(1, 0), marks(0, 1), 5));
        List<Result> results = new ArrayList<>();
        for (long seed = 1; seed <= 3; seed++) {
            boolean first = seed == 1;
            results.add(model("plain", NONE, seed, 6, 0.8)
                    .withTasks(answers(first ? marks(1, 0) : marks(0, 1), marks(1, 0), 5)));
            if (seed < 3) {
                results.add(model("l2_sp", 1, seed, 6, 0.8).withTasks(answers(marks(1, 0), marks(1, 0), 5)));
            }
        }
        String tables = new TaskTables(base, results, "plain").tables();
        assertTrue(tables.contains("means over 2 seeds"), tables);
        // One question: each draw has both seeds, or one of them twice.
        assertTrue(row(tables, "plain").contains("| +50.0 (+0.0 to +100.0) |"), tables);
        assertTrue(row(tables, "l2_sp").contains("| +0.0 (+0.0 to +0.0) |"), tables);
    }

    @Test
    void other_questions_are_refused_and_without_any_there_is_no_table() {
        Result base = model("base", NONE, 0, 0, 0).withTasks(answers(marks(1, 1), marks(0, 1), 5));
        Result plain = model("plain", NONE, 1, 6, 0.8);
        assertEquals("", new TaskTables(base, List.of(plain), "plain").tables());
        List<Result> other = List.of(plain.withTasks(answers(marks(1, 2), marks(0, 1), 5)));
        String message = assertThrows(IllegalStateException.class, () -> new TaskTables(base, other, "plain"))
                .getMessage();
        assertTrue(message.contains("{facts=2, prose=0, sums=1}, got {facts=3, prose=0, sums=1}"), message);
    }
}
