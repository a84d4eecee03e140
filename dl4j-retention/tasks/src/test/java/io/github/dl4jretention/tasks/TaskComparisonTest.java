package io.github.dl4jretention.tasks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.tasks.TaskResult.MarkedAnswer;
import io.github.dl4jretention.tasks.metric.TaskStatistics;
import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Worked by hand. */
class TaskComparisonTest {

    /** Right answers are 1. */
    private static TaskResult marked(String task, boolean source, String right) {
        List<MarkedAnswer> answers = new ArrayList<>();
        double[] marks = new double[right.length()];
        for (int i = 0; i < marks.length; i++) {
            marks[i] = right.charAt(i) == '1' ? 1 : 0;
            answers.add(new MarkedAnswer(
                    "q" + i,
                    "f:" + i,
                    "ask <" + i + ">?",
                    "r" + i,
                    right.charAt(i) + " & " + i,
                    Map.of("acc", marks[i])));
        }
        return new TaskResult(
                task,
                "multiple choice",
                source,
                "acc",
                Map.of("acc", TaskStatistics.mean(marks)),
                0,
                List.of("a note"),
                answers);
    }

    @Test
    void numbers_have_as_many_digits_as_one_can_read() {
        assertEquals("7.17", TaskReport.number(7.174, 2));
        assertEquals("1.1e+50", TaskReport.number(1.11e50, 1));
        assertEquals("-", TaskReport.number(Double.NaN, 1));
        assertEquals("1 question", TaskReport.questions(1));
    }

    private static TaskResult perplexity(double factor) {
        List<MarkedAnswer> answers = new ArrayList<>();
        double[][] parts = new double[30][];
        for (int i = 0; i < parts.length; i++) {
            parts[i] = new double[] {-factor * (20 + i), 10 + i % 3};
            Map<String, Double> marks = new LinkedHashMap<>();
            marks.put("log_probability", parts[i][0]);
            marks.put("word", parts[i][1]);
            answers.add(new MarkedAnswer("t" + i, "f:" + i, "", "", "", marks));
        }
        return new TaskResult(
                "text",
                "perplexity",
                true,
                "word_perplexity",
                Map.of("word_perplexity", TaskStatistics.bootstrap(parts, Marking.statistic("word_perplexity"))),
                3,
                List.of(),
                answers);
    }

    private static TaskReport report(String name, String learn, String keep, String keep2, double factor) {
        return new TaskReport(
                name,
                List.of(
                        marked("keep", true, keep),
                        marked("keep2", true, keep2),
                        marked("learn", false, learn),
                        perplexity(factor)));
    }

    private static final TaskReport BASE = report("base", "0000011111", "1111111100", "1111100000", 1);
    private static final TaskReport PLAIN = report("plain", "1111111100", "1111000011", "0000010000", 1.2);
    private static final TaskReport KEPT = report("kept", "0111111111", "1111111000", "1111000000", 1);

    @Test
    void gain_forgetting_and_the_share_avoided() {
        TaskComparison comparison = TaskComparison.of(BASE, List.of(PLAIN, KEPT));
        assertEquals(0.3, comparison.gain(PLAIN), 1e-12);
        assertEquals((0.2 + 0.4) / 2, comparison.forgetting(PLAIN), 1e-12);
        assertEquals(0.4, comparison.gain(KEPT), 1e-12);
        assertEquals(0.1, comparison.forgetting(KEPT), 1e-12);
        assertEquals(1 - 0.1 / 0.3, comparison.forgettingAvoided(KEPT), 1e-12);
        assertTrue(Double.isNaN(comparison.forgettingAvoided(PLAIN)));
        TaskComparison same = BASE.compare(BASE);
        assertEquals("before", same.base().model());
        assertEquals("after", same.models().get(0).model());
        assertEquals(0, same.forgetting(same.models().get(0)), 1e-12);
        assertThrows(IllegalArgumentException.class, () -> TaskComparison.of(BASE, List.of(PLAIN, PLAIN)));
        assertThrows(IllegalArgumentException.class, () -> TaskComparison.of(BASE, List.of(BASE)));
    }

    /** keep: 4 lost, 2 won, p = 2 (1 + 6 + 15) / 64. */
    @Test
    void flips_and_their_significance() {
        TaskComparison.Change change = PLAIN.compare(BASE).change(PLAIN, "keep");
        assertEquals(
                List.of("q4", "q5", "q6", "q7"),
                change.lost().stream().map(f -> f.before().id()).toList());
        assertEquals(
                List.of("q8", "q9"),
                change.won().stream().map(f -> f.before().id()).toList());
        assertEquals("1 & 4", change.lost().get(0).before().answer());
        assertEquals("0 & 4", change.lost().get(0).after().answer());
        assertEquals(2 * (1 + 6 + 15) / 64.0, change.significance(), 1e-12);
        assertEquals("McNemar", change.test());
        assertEquals(-0.2, change.difference(), 1e-12);
    }

    @Test
    void perplexities_are_compared_by_bootstrap_and_count_in_no_mean() {
        TaskComparison comparison = PLAIN.compare(BASE);
        TaskComparison.Change change = comparison.change(PLAIN, "text");
        assertEquals("paired bootstrap", change.test());
        assertEquals(1e-4, change.significance(), 1e-12);
        assertEquals(Math.pow(change.before(), 1.2), change.after(), 1e-9);
        assertEquals(List.of(), change.lost());
        assertEquals(1, KEPT.compare(BASE).change(KEPT, "text").significance());
    }

    @Test
    void table_page_and_csv() throws IOException {
        TaskComparison comparison = TaskComparison.of(BASE, List.of(PLAIN, KEPT));
        List<String> lines = comparison.table().lines().toList();
        assertEquals(4, lines.size());
        assertTrue(lines.get(0).matches("model +keep +keep2 +learn +text +gain +forgetting +avoided"), lines.get(0));
        assertTrue(lines.get(2).contains("60.0 +- 16.3 (p 0.688)"), lines.get(2));
        assertTrue(lines.get(3).endsWith("66.7"), lines.get(3));
        String page = comparison.html();
        assertTrue(page.contains("keep: right before, wrong after (4)"), page);
        assertTrue(page.contains("<td>ask &lt;4&gt;?</td><td>r4</td><td>1 &amp; 4</td><td>0 &amp; 4</td>"), page);
        assertTrue(page.contains("forgetting avoided is measured against plain"), page);
        assertTrue(page.contains("3 prompts were longer than the context"), page);
        assertFalse(page.contains("<script") || page.contains("src=") || page.contains("href="), "one page");
        List<CSVRecord> rows = CSVFormat.DEFAULT
                .builder()
                .setHeader()
                .setSkipHeaderRecord(true)
                .build()
                .parse(new StringReader(comparison.csv()))
                .getRecords();
        assertEquals(12, rows.size());
        CSVRecord row = rows.get(4);
        assertEquals(
                List.of("plain", "keep", "source", "acc", "0.6"), row.toList().subList(0, 5));
        assertEquals("4", row.get("lost"));
        assertEquals("2", row.get("won"));
        assertEquals(-0.2, Double.parseDouble(row.get("change")), 1e-12);
    }

    @Test
    void files_are_written(@TempDir Path folder) throws IOException {
        PLAIN.compare(BASE).write(folder);
        assertTrue(Files.size(folder.resolve("comparison.html")) > 1000);
        assertTrue(Files.readString(folder.resolve("comparison.csv")).startsWith("model,task,role,metric,value"));
    }

    @Test
    void other_tasks_or_questions_are_refused() {
        assertMessage(
                "plain: expected the tasks [keep], got [keep, keep2, learn, text]",
                new TaskReport("base", List.of(marked("keep", true, "11"))),
                PLAIN);
        TaskReport other = report("other", "0000011111", "11111111", "1111100000", 1);
        assertMessage("other: keep: expected the questions and the metric that the base has, got others", BASE, other);
        assertThrows(IllegalArgumentException.class, () -> TaskComparison.of(BASE, List.of()));
        assertEquals(
                "task: expected one of [keep, keep2, learn, text], got gone",
                assertThrows(IllegalArgumentException.class, () -> BASE.task("gone"))
                        .getMessage());
    }

    private static void assertMessage(String message, TaskReport base, TaskReport model) {
        assertEquals(
                message,
                assertThrows(IllegalArgumentException.class, () -> model.compare(base))
                        .getMessage());
    }
}
