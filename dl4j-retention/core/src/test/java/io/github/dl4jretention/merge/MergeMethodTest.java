package io.github.dl4jretention.merge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.merge.MergeMethod.Weighted;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

/** Models of three parameters, worked by hand; and what holds for all. */
class MergeMethodTest {

    private static final String SEED = "20261101";
    private static final double[] BASE = {1, 2, 3};
    private static final double[] A = {1.4, 2.1, 2.0};
    private static final double[] B = {0.8, 2.5, 4.5};

    private static double[] merge(MergeMethod method, Weighted... models) {
        return method.merge(method.hasBase() ? BASE : null, List.of(models), 0);
    }

    private static Weighted of(double[] values, double weight, double density) {
        return new Weighted(values, weight, density);
    }

    @Test
    void linear_is_the_weighted_mean() {
        assertArrayEquals(
                new double[] {1.25, 2.2, 2.625}, merge(MergeMethod.linear(), of(A, 3, 1), of(B, 1, 1)), 1e-15);
        assertArrayEquals(
                new double[] {5.0, 8.8, 10.5},
                merge(MergeMethod.linear().withNormalize(false), of(A, 3, 1), of(B, 1, 1)),
                1e-14);
        assertThrows(IllegalArgumentException.class, () -> merge(MergeMethod.linear(), of(A, 1, 1), of(B, -1, 1)));
    }

    @Test
    void wise_ft_is_between_start_and_tuned_and_expo_beyond() {
        assertArrayEquals(new double[] {1.1, 2.025, 2.75}, merge(MergeMethod.wiseFt(0.25), of(A, 1, 1)), 1e-15);
        assertArrayEquals(new double[] {1.6, 2.15, 1.5}, merge(MergeMethod.expo(0.5), of(A, 1, 1)), 1e-15);
        assertArrayEquals(A, merge(MergeMethod.expo(0), of(A, 1, 1)));
    }

    @Test
    void task_arithmetic_adds_task_vectors() {
        // Task vectors (0.4, 0.1, -1) and (-0.2, 0.5, 1.5); weights 1 and 0.5: sum (0.3, 0.35, -0.25).
        assertArrayEquals(
                new double[] {1.3, 2.35, 2.75}, merge(MergeMethod.taskArithmetic(), of(A, 1, 1), of(B, 0.5, 1)), 1e-15);
        assertArrayEquals(
                new double[] {1.6, 2.7, 2.5},
                merge(MergeMethod.taskArithmetic().withLambda(2), of(A, 1, 1), of(B, 0.5, 1)),
                1e-15);
        assertArrayEquals(
                new double[] {1.2, 2.35 - 0.35 / 3, 3 - 0.25 / 1.5},
                merge(MergeMethod.taskArithmetic().withNormalize(true), of(A, 1, 1), of(B, 0.5, 1)),
                1e-15);
    }

    @Test
    void ties_trims_elects_and_averages_what_agrees() {
        // Two of three values stay: (0.4, 0, -1) and (0, 0.5, 1.5). Weighted by 1 and 0.5: (0.4, 0, -1), (0, 0.25,
        // 0.75).
        // Sums (0.4, 0.25, -0.25): signs +, +, -. What agrees, over its weights: 0.4 / 1, 0.25 / 0.5, -1 / 1.
        double density = 2 / 3.0 + 1e-9;
        assertArrayEquals(
                new double[] {1.4, 2.5, 2.0}, merge(MergeMethod.ties(), of(A, 1, density), of(B, 0.5, density)), 1e-15);
        assertArrayEquals(
                new double[] {1.4, 2.25, 2.0},
                merge(MergeMethod.ties().withNormalize(false), of(A, 1, density), of(B, 0.5, density)),
                1e-15);
        // One of three stays.
        assertArrayEquals(new double[] {1, 2, 4.5}, merge(MergeMethod.ties(), of(A, 1, 0.34), of(B, 1, 0.34)), 1e-15);
    }

    @Test
    void of_equal_values_the_first_stay_and_at_least_one() {
        double[] equal = {2, 3, 4};
        assertArrayEquals(new double[] {2, 3, 3}, merge(MergeMethod.ties(), of(equal, 1, 0.67)), 1e-15);
        assertArrayEquals(new double[] {2, 2, 3}, merge(MergeMethod.ties(), of(equal, 1, 0.01)), 1e-15);
    }

    @Test
    void dare_keeps_or_drops_each_value_and_rescales() {
        boolean[] kept = new boolean[3];
        boolean[] dropped = new boolean[3];
        for (long seed = 0; seed < 40; seed++) {
            double[] merged = merge(MergeMethod.dareLinear(seed), of(A, 1, 0.25));
            assertArrayEquals(merged, merge(MergeMethod.dareLinear(seed), of(A, 1, 0.25)));
            for (int i = 0; i < 3; i++) {
                // Kept values are four times as large: 1 + 1.6, 2 + 0.4, 3 - 4.
                boolean stays = merged[i] != BASE[i];
                assertEquals(stays ? BASE[i] + 4 * (A[i] - BASE[i]) : BASE[i], merged[i], 1e-14);
                kept[i] |= stays;
                dropped[i] |= !stays;
            }
        }
        assertArrayEquals(new boolean[] {true, true, true}, kept);
        assertArrayEquals(new boolean[] {true, true, true}, dropped);
        double[] small = merge(MergeMethod.dareLinear(1).withRescale(false), of(A, 1, 0.5));
        for (int i = 0; i < 3; i++) {
            assertTrue(small[i] == BASE[i] || Math.abs(small[i] - A[i]) < 1e-15);
        }
    }

    @Test
    void dare_keeps_the_expectation() {
        int n = 200_000;
        double[] zeros = new double[n];
        double[] ones = new double[n];
        Arrays.fill(ones, 1);
        double[] merged = MergeMethod.dareTies(3).merge(zeros, List.of(new Weighted(ones, 1, 0.1)), 7);
        // Values are 10 with probability 0.1, else 0: variance 9. Six standard deviations of their mean.
        assertEquals(1, Arrays.stream(merged).average().orElse(0), 6 * Math.sqrt(9.0 / n));
        double[] small =
                MergeMethod.dareLinear(3).withRescale(false).merge(zeros, List.of(new Weighted(ones, 1, 0.1)), 7);
        assertEquals(0.1, Arrays.stream(small).average().orElse(0), 6 * Math.sqrt(0.09 / n));
    }

    @Test
    void models_and_parameters_are_dropped_out_each_on_its_own() {
        double[] zeros = new double[64];
        double[] ones = new double[64];
        Arrays.fill(ones, 1);
        double[] first = MergeMethod.dareLinear(3).merge(zeros, List.of(of(ones, 1, 0.5)), 0);
        double[] second = MergeMethod.dareLinear(3).merge(zeros, List.of(of(ones, 1, 0.5)), 1);
        assertTrue(!Arrays.equals(first, second));
        double[] both = MergeMethod.dareLinear(3).merge(zeros, List.of(of(ones, 1, 0.5), of(ones, 1, 0.5)), 0);
        assertTrue(Arrays.stream(both).anyMatch(v -> v == 2), Arrays.toString(both));
    }

    /**
     * Steps of seeds that are those of the generator itself would give the second model the first one's mask, shifted.
     */
    @Test
    void no_models_mask_is_anothers_shifted_by_one() {
        double[] zeros = new double[64];
        double[] ones = new double[64];
        Arrays.fill(ones, 1);
        List<Weighted> models = List.of(of(ones, 1, 0.5), of(ones, 2, 0.5));
        for (int parameter = 0; parameter < 3; parameter++) {
            // 1 where the first model's value is kept, plus 2 where the second one's is.
            double[] kept = MergeMethod.dareLinear(3).withRescale(false).merge(zeros, models, parameter);
            int differences = 0;
            for (int i = 0; i + 1 < kept.length; i++) {
                differences += ((int) kept[i] >> 1 & 1) == ((int) kept[i + 1] & 1) ? 0 : 1;
            }
            assertTrue(differences > 10, Arrays.toString(kept));
        }
    }

    @Test
    void slerp_follows_the_arc() {
        // From (1, 0, 0) to (0, 1, 0) by a third of a right angle.
        double[] merged =
                MergeMethod.slerp(1 / 3.0).merge(new double[] {1, 0, 0}, List.of(of(new double[] {0, 1, 0}, 1, 1)), 0);
        assertArrayEquals(new double[] {Math.sqrt(3) / 2, 0.5, 0}, merged, 1e-15);
        // Opposite to one another: no arc, the straight line.
        assertArrayEquals(
                new double[] {0.5, 0, 0},
                MergeMethod.slerp(0.25).merge(new double[] {1, 0, 0}, List.of(of(new double[] {-1, 0, 0}, 1, 1)), 0));
    }

    @Test
    void options_that_fit_no_method_are_refused() {
        assertThrows(IllegalArgumentException.class, () -> MergeMethod.slerp(1.1));
        assertThrows(IllegalArgumentException.class, () -> MergeMethod.wiseFt(-0.1));
        assertThrows(IllegalArgumentException.class, () -> MergeMethod.expo(Double.NaN));
        assertThrows(IllegalArgumentException.class, () -> MergeMethod.ties().withRescale(true));
        assertThrows(IllegalArgumentException.class, () -> MergeMethod.taskArithmetic()
                .withLambda(Double.NaN));
        assertThrows(IllegalArgumentException.class, () -> merge(MergeMethod.taskArithmetic(), of(A, 1, 0.5)));
    }

    @Property(tries = 60, seed = SEED)
    void weight_0_gives_the_first_model_and_1_the_second(
            @ForAll long seed, @ForAll @IntRange(min = 1, max = 40) int n) {
        double[] base = normal(n, seed);
        double[] model = normal(n, seed + 1);
        for (MergeMethod method : List.of(MergeMethod.wiseFt(0), MergeMethod.slerp(0))) {
            assertArrayEquals(base, method.merge(base, List.of(of(model, 1, 1)), 0));
        }
        for (MergeMethod method : List.of(MergeMethod.wiseFt(1), MergeMethod.slerp(1), MergeMethod.expo(0))) {
            assertArrayEquals(model, method.merge(base, List.of(of(model, 1, 1)), 0));
        }
        for (MergeMethod method : taskVectors()) {
            assertArrayEquals(base, method.merge(base, List.of(of(model, 0, 1)), 0), 1e-15);
            assertArrayEquals(model, method.merge(base, List.of(of(model, 1, 1)), 0), 1e-14);
        }
        assertArrayEquals(base, MergeMethod.linear().merge(null, List.of(of(base, 1, 1), of(model, 0, 1)), 0));
    }

    @Property(tries = 60, seed = SEED)
    void a_model_merged_with_itself_is_itself(
            @ForAll long seed,
            @ForAll @IntRange(min = 1, max = 40) int n,
            @ForAll @DoubleRange(min = 0, max = 1) double t,
            @ForAll @DoubleRange(min = 0.05, max = 1) double density) {
        double[] model = normal(n, seed);
        for (MergeMethod method : List.of(MergeMethod.wiseFt(t), MergeMethod.slerp(t), MergeMethod.expo(t))) {
            assertArrayEquals(model, method.merge(model, List.of(of(model, 1, 1)), 0), 1e-14);
        }
        double[] base = normal(n, seed + 1);
        for (TaskVectorMerge method : taskVectors()) {
            List<Weighted> twice = List.of(of(model, t, 1), of(model, 1, 1));
            assertArrayEquals(model, method.withNormalize(true).merge(base, twice, 0), 1e-14);
        }
        List<Weighted> trimmed = List.of(of(model, t, density), of(model, 1, density));
        double[] merged = MergeMethod.ties().merge(base, trimmed, 0);
        int kept = 0;
        for (int i = 0; i < n; i++) {
            boolean stays = Math.abs(merged[i] - model[i]) < 1e-14;
            assertTrue(stays || merged[i] == base[i], "value " + i);
            kept += stays ? 1 : 0;
        }
        assertEquals(Math.max(1, (int) (density * n)), kept);
        assertArrayEquals(model, MergeMethod.linear().merge(null, List.of(of(model, t, 1), of(model, 1, 1)), 0), 1e-14);
    }

    @Property(tries = 60, seed = SEED)
    void linear_merges_do_not_depend_on_the_order(
            @ForAll long seed, @ForAll @Size(3) List<@DoubleRange(min = 0.1, max = 2) Double> weights) {
        double[] base = normal(20, seed);
        List<Weighted> models = List.of(
                of(normal(20, seed + 1), weights.get(0), 0.5),
                of(normal(20, seed + 2), weights.get(1), 0.5),
                of(normal(20, seed + 3), weights.get(2), 0.5));
        List<Weighted> turned = List.of(models.get(2), models.get(0), models.get(1));
        for (MergeMethod method : List.of(MergeMethod.linear(), MergeMethod.ties())) {
            double[] start = method.hasBase() ? base : null;
            assertArrayEquals(method.merge(start, models, 0), method.merge(start, turned, 0), 1e-13);
        }
    }

    @Property(tries = 60, seed = SEED)
    void slerp_of_vectors_of_one_length_keeps_the_length(
            @ForAll long seed, @ForAll @DoubleRange(min = 0, max = 1) double t) {
        double[] base = unit(normal(12, seed));
        double[] model = unit(normal(12, seed + 1));
        double[] merged = MergeMethod.slerp(t).merge(base, List.of(of(model, 1, 1)), 0);
        assertEquals(1, length(merged), 1e-12);
    }

    private static List<TaskVectorMerge> taskVectors() {
        return List.of(
                MergeMethod.taskArithmetic(), MergeMethod.ties(), MergeMethod.dareLinear(1), MergeMethod.dareTies(1));
    }

    private static double[] normal(int n, long seed) {
        Random random = new Random(seed);
        return random.doubles(n).map(uniform -> random.nextGaussian()).toArray();
    }

    private static double[] unit(double[] vector) {
        double length = length(vector);
        return Arrays.stream(vector).map(v -> v / length).toArray();
    }

    private static double length(double[] vector) {
        return Math.sqrt(Arrays.stream(vector).map(v -> v * v).sum());
    }
}
