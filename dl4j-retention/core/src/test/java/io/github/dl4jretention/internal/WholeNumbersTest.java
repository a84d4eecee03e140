package io.github.dl4jretention.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Which ids an array may have rounded. */
class WholeNumbersTest {

    /** Against what ND4J makes of the numbers. */
    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "HALF", "BFLOAT16"})
    void the_first_that_may_be_another(DataType type) {
        long first = WholeNumbers.firstInexact(type);
        INDArray ids = Nd4j.createFromArray(first - 1, first, first + 1);
        INDArray back = ids.castTo(type).castTo(DataType.INT64);
        assertEquals(first - 1, back.getLong(0));
        assertEquals(first, back.getLong(1));
        assertEquals(first, back.getLong(2));
        assertFalse(WholeNumbers.isAmbiguous(first - 1, type, 10 * first));
        assertTrue(WholeNumbers.isAmbiguous(first, type, 10 * first));
        // With so few ids the last can't be a greater one.
        assertFalse(WholeNumbers.isAmbiguous(first, type, first + 1));
        assertTrue(WholeNumbers.isAmbiguous(first, type, first + 2));
    }

    @Test
    void integers_are_exact() {
        assertFalse(WholeNumbers.isAmbiguous(Integer.MAX_VALUE, DataType.INT32, Long.MAX_VALUE));
        assertFalse(WholeNumbers.isAmbiguous(1L << 40, DataType.INT64, Long.MAX_VALUE));
        assertFalse(WholeNumbers.isAmbiguous(1L << 40, DataType.DOUBLE, Long.MAX_VALUE));
    }

    @Test
    void a_placeholder_of_integers_refuses_numbers_that_were_rounded() {
        SameDiff sd = SameDiff.create();
        sd.placeHolder("ids", DataType.INT32, -1);
        try (PlaceholderArrays arrays = new PlaceholderArrays(sd)) {
            INDArray exact = Nd4j.createFromArray(1f, (1 << 24) - 1f);
            assertEquals((1 << 24) - 1, arrays.put("ids", exact).getInt(1));
            for (INDArray rounded : new INDArray[] {
                Nd4j.createFromArray(1f, (float) ((1 << 24) + 1)),
                Nd4j.createFromArray(1f, 2049f).castTo(DataType.FLOAT16)
            }) {
                String message = assertThrows(IllegalArgumentException.class, () -> arrays.put("ids", rounded))
                        .getMessage();
                assertTrue(message.startsWith("ids: expected whole numbers below "), message);
                assertTrue(message.contains("give them as INT32"), message);
                assertFalse(rounded.wasClosed());
            }
        }
    }
}
