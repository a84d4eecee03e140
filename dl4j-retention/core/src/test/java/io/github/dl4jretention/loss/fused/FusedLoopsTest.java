package io.github.dl4jretention.loss.fused;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class FusedLoopsTest {

    private static final int BLOCK = 1 << 16;

    @Test
    void the_relative_error_is_within_its_bound() {
        float[] x = new float[BLOCK];
        float[] y = new float[BLOCK];
        float[] scratch = new float[BLOCK];
        double worst = 0;
        // Every 997th float from -0 to -87, a prime so that no pattern of bits is left out.
        int bits = Float.floatToIntBits(-0f);
        int last = Float.floatToIntBits(-87f);
        while (bits < last) {
            for (int i = 0; i < BLOCK; i++) {
                x[i] = Float.intBitsToFloat(Math.min(bits, last));
                bits += bits < last ? 997 : 0;
            }
            double sum = FusedLoops.exponentials(x, 0, scratch, y, BLOCK);
            double expected = 0;
            for (int i = 0; i < BLOCK; i++) {
                double exact = StrictMath.exp(x[i]);
                worst = Math.max(worst, Math.abs(y[i] - exact) / exact);
                expected += exact;
            }
            assertEquals(expected, sum, 1.2e-7 * expected);
        }
        assertTrue(worst < 1.2e-7, "relative error " + worst);
    }

    @Test
    void zero_gives_one_and_what_is_below_the_domain_its_end() {
        float[] x = {3, -200, Float.NEGATIVE_INFINITY, Float.NaN, 2};
        float[] y = new float[5];
        FusedLoops.exponentials(x, 3, new float[5], y, 5);
        assertEquals(1f, y[0]);
        assertEquals(StrictMath.exp(-87), y[1], 1e-44);
        assertEquals(y[1], y[2]);
        assertTrue(Float.isNaN(y[3]));
        assertEquals(StrictMath.exp(-1), y[4], 1e-7);
    }

    @Test
    void the_largest_number_is_none_where_one_is_as_low_as_the_bound() {
        assertEquals(3f, FusedLoops.maxAbove(-5, new float[] {-4, 3, Float.NaN, 2}, 4));
        assertEquals(Float.NEGATIVE_INFINITY, FusedLoops.maxAbove(-5, new float[] {Float.NaN}, 1));
        assertTrue(Float.isNaN(FusedLoops.maxAbove(-5, new float[] {3, -5}, 2)));
        assertTrue(Float.isNaN(FusedLoops.maxAbove(-5, new float[] {Float.NEGATIVE_INFINITY, 3}, 2)));
        // Beyond the length.
        assertEquals(1f, FusedLoops.maxAbove(-5, new float[] {1, 7, -9}, 1));
    }
}
