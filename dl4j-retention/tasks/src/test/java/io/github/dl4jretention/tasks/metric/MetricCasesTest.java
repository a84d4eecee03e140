package io.github.dl4jretention.tasks.metric;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/**
 * Made-up cases with what the published functions give for them: those of lm-evaluation-harness, of TriviaQA's own script
 * for triviaqa-official, and of openai/human-eval for pass@k; Python wrote the file with them.
 */
class MetricCasesTest {

    private static JsonNode cases(String name) throws IOException {
        JsonNode cases = new ObjectMapper()
                .readTree(MetricCasesTest.class.getResource("/metric/cases.json"))
                .get(name);
        assertTrue(cases.size() >= 20, name);
        return cases;
    }

    private static double[] numbers(JsonNode array) {
        double[] numbers = new double[array.size()];
        Arrays.setAll(numbers, i -> array.get(i).asDouble());
        return numbers;
    }

    @ParameterizedTest
    @EnumSource(value = AnswerFilter.class, mode = EnumSource.Mode.EXCLUDE, names = "NONE")
    void filters_find_what_the_harness_finds(AnswerFilter filter) throws IOException {
        for (JsonNode pair : cases(filter.label())) {
            assertEquals(
                    pair.get(1).asText(),
                    AnswerFilter.of(filter.label()).apply(pair.get(0).asText()),
                    pair.toString());
        }
    }

    @ParameterizedTest
    @EnumSource(AnswerMatch.class)
    void answers_match_where_they_match_in_the_harness(AnswerMatch match) throws IOException {
        int right = 0;
        for (JsonNode pair : cases(match.label())) {
            boolean found = AnswerMatch.of(match.label())
                    .matches(pair.get(0).asText(), pair.get(1).asText());
            assertEquals(pair.get(2).asBoolean(), found, pair.toString());
            right += found ? 1 : 0;
        }
        assertTrue(right > 0 && right < cases(match.label()).size());
    }

    /**
     * The harness's cases have no {@code \fbox{7}}: its {@code remove_boxed} raises an error for it. Here it's read as
     * {@code \boxed{7}} is.
     */
    @Test
    void a_framed_answer_is_what_is_in_the_frame() {
        assertEquals("7", AnswerFilter.BOXED.apply("so \\fbox{7}"));
        assertEquals("all of it", AnswerFilter.NONE.apply("all of it"));
        assertThrows(IllegalArgumentException.class, () -> AnswerFilter.of("first"));
        assertThrows(IllegalArgumentException.class, () -> AnswerMatch.of("almost"));
    }

    @Test
    void pass_at_k_is_human_evals() throws IOException {
        for (JsonNode row : cases("pass@k")) {
            double found = TaskStatistics.passAtK(
                    row.get(0).asInt(), row.get(1).asInt(), row.get(2).asInt());
            assertEquals(row.get(3).asDouble(), found, 1e-12, row.toString());
        }
        assertThrows(IllegalArgumentException.class, () -> TaskStatistics.passAtK(3, 1, 4));
        assertThrows(IllegalArgumentException.class, () -> TaskStatistics.passAtK(3, 4, 1));
    }

    @Test
    void means_have_the_standard_errors_of_the_harness() throws IOException {
        for (JsonNode row : cases("mean")) {
            Estimate found = TaskStatistics.mean(numbers(row.get(0)));
            assertEquals(row.get(1).asDouble(), found.value(), 1e-12);
            assertEquals(row.get(2).asDouble(), found.standardError(), 1e-12);
        }
        assertTrue(Double.isNaN(TaskStatistics.mean(new double[] {1}).standardError()));
    }

    @Test
    void mc_nemars_test_is_exact() throws IOException {
        for (JsonNode row : cases("McNemar")) {
            double found = TaskStatistics.mcNemar(row.get(0).asInt(), row.get(1).asInt());
            assertEquals(row.get(2).asDouble(), found, 1e-10, row.toString());
        }
    }

    /** 64 of 100 heads: sqrt(0.64 * 0.36 / 99) is 0.0482. */
    @Test
    void the_bootstrap_is_near_the_exact_error_and_the_same_each_time() {
        double[][] heads = new double[100][1];
        for (int i = 0; i < 64; i++) {
            heads[i][0] = 1;
        }
        Estimate found = TaskStatistics.bootstrap(
                heads,
                all -> Arrays.stream(all).mapToDouble(row -> row[0]).average().orElseThrow());
        assertEquals(0.64, found.value(), 1e-12);
        assertEquals(0.0482, found.standardError(), 0.005);
        assertEquals(found, TaskStatistics.bootstrap(heads, all -> Arrays.stream(all)
                .mapToDouble(row -> row[0])
                .average()
                .orElseThrow()));
    }

    @Test
    void a_paired_bootstrap_sees_a_difference_and_none() {
        SplittableRandom random = new SplittableRandom(3);
        double[][] same = new double[200][2];
        double[][] better = new double[200][2];
        for (int i = 0; i < same.length; i++) {
            double value = random.nextGaussian();
            same[i] = new double[] {value, i % 2 == 0 ? value + i : value - i + 1};
            better[i] = new double[] {value, value + 0.5 + random.nextGaussian()};
        }
        double none = TaskStatistics.pairedBootstrap(same, MetricCasesTest::difference);
        double some = TaskStatistics.pairedBootstrap(better, MetricCasesTest::difference);
        assertTrue(none > 0.05 && none <= 1, "p " + none);
        assertTrue(some <= 0.001 && some > 0, "p " + some);
        assertEquals(1, TaskStatistics.pairedBootstrap(new double[][] {{1, 1}, {2, 2}}, MetricCasesTest::difference));
        double one = TaskStatistics.pairedBootstrap(new double[][] {{1, 2}}, MetricCasesTest::difference);
        assertTrue(Double.isNaN(one), "one question says nothing: " + one);
    }

    private static double difference(double[][] rows) {
        return Arrays.stream(rows).mapToDouble(row -> row[1] - row[0]).sum();
    }

    /** Drawn from the model itself: sigmoid(a) is 0.3, and longer answers win more often. */
    @Test
    void length_control_finds_the_win_rate_at_equal_lengths() {
        SplittableRandom random = new SplittableRandom(7);
        double[] wins = new double[20_000];
        double[] lengths = new double[wins.length];
        for (int i = 0; i < wins.length; i++) {
            lengths[i] = 60 + 100 * random.nextGaussian();
        }
        double mean = Arrays.stream(lengths).average().orElseThrow();
        double scale = Math.sqrt(
                Arrays.stream(lengths).map(l -> (l - mean) * (l - mean)).sum() / (lengths.length - 1));
        double a = Math.log(0.3 / 0.7);
        for (int i = 0; i < wins.length; i++) {
            double p = 1 / (1 + Math.exp(-(a + 1.5 * Math.tanh(lengths[i] / scale))));
            wins[i] = random.nextDouble() < p ? 1 : 0;
        }
        double raw = Arrays.stream(wins).average().orElseThrow();
        assertTrue(raw > 0.35, "without control " + raw);
        assertEquals(0.3, TaskStatistics.lengthControlled(wins, lengths), 0.02);
    }

    @Test
    void length_control_without_a_difference_in_lengths_is_the_win_rate() {
        double[] wins = {1, 0, 0.5, 1, 1, 0, 1, 0.5};
        assertEquals(0.625, TaskStatistics.lengthControlled(wins, new double[8]), 1e-3);
        assertEquals(0.625, TaskStatistics.lengthControlled(wins, new double[] {3, 3, 3, 3, 3, 3, 3, 3}), 1e-3);
        double all = TaskStatistics.lengthControlled(new double[] {1, 1, 1}, new double[] {1, 2, 3});
        assertTrue(all > 0.9 && all < 1, "a win rate of 1 stays finite: " + all);
    }
}
