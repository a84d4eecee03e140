package io.github.dl4jretention.loss;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;

/** Masks worked by hand: 8 starts an answer, 9 ends it. */
class AnswerMaskTest {

    private static final AnswerMask MASK = AnswerMask.between(new int[] {8}, new int[] {9});

    @Test
    void answers_and_their_ends_count() {
        assertArrayEquals(new float[] {0, 0, 0, 1, 1, 1, 0, 0, 1}, MASK.weights(new int[] {1, 2, 8, 3, 4, 9, 5, 8, 6}));
        assertArrayEquals(new float[] {0, 0, 0}, MASK.weights(new int[] {1, 9, 2}));
    }

    @Test
    void instructions_may_have_a_weight() {
        assertArrayEquals(
                new float[] {0.5f, 0.5f, 1, 1, 0.5f},
                MASK.withInstructionWeight(0.5).weights(new int[] {1, 8, 2, 9, 3}));
    }

    @Test
    void markers_of_several_bytes() {
        AnswerMask mask = AnswerMask.between("<a>", "</a>");
        assertArrayEquals(new float[] {0, 0, 0, 0, 1, 1, 1, 1, 1, 0}, mask.weights("q<a>x</a>q"));
        // A marker that is broken off marks nothing.
        assertArrayEquals(new float[] {0, 0, 0}, mask.weights("q<a"));
    }

    @Test
    void label_masks_are_one_token_ahead_and_padded() {
        int[][] sequences = {{1, 8, 2, 9, 3}, {8, 4, 9}};
        assertClose(Nd4j.createFromArray(new float[][] {{0, 1, 1, 0}, {1, 1, 0, 0}}), MASK.labelsMask(sequences), 0);
        assertClose(
                Nd4j.createFromArray(new float[][] {{1, 1, 1, 1}, {1, 1, 0, 0}}),
                AnswerMask.featuresMask(sequences),
                0);
    }

    @Test
    void masks_are_FLOAT_whatever_the_default_type() {
        DataType before = Nd4j.dataType();
        Nd4j.setDefaultDataTypes(DataType.DOUBLE, DataType.DOUBLE);
        try {
            assertEquals(DataType.FLOAT, MASK.labelsMask(new int[] {1, 8, 2}).dataType());
            assertEquals(
                    DataType.FLOAT, AnswerMask.featuresMask(new int[] {1, 8, 2}).dataType());
        } finally {
            Nd4j.setDefaultDataTypes(before, before);
        }
    }

    @Test
    void what_does_not_fit_is_refused() {
        assertThrows(IllegalArgumentException.class, () -> AnswerMask.between("", "x"));
        assertThrows(IllegalArgumentException.class, () -> MASK.withInstructionWeight(-1));
        assertThrows(IllegalArgumentException.class, () -> MASK.labelsMask(new int[] {1}));
    }
}
