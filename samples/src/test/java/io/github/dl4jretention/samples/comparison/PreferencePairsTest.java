package io.github.dl4jretention.samples.comparison;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.samples.text.ByteWindowIterator;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

class PreferencePairsTest {

    private static DataSetIterator windows(String... rows) {
        int[][] texts = new int[rows.length][];
        for (int i = 0; i < rows.length; i++) {
            texts[i] = rows[i].chars().toArray();
        }
        return ByteWindowIterator.training(rows.length, 5, 1, 1, texts);
    }

    @Test
    void chosen_and_rejected_come_in_turn_and_the_prompt_is_masked() {
        DataSetIterator pairs =
                PreferencePairs.of(windows("abcdef", "ghijkl", "mnopqr"), windows("abcxyz", "ghijkl", "mnooqr"), 3);
        assertTrue(pairs.hasNext());
        DataSet batch = pairs.next();
        assertFalse(pairs.hasNext());
        String[] expected = {"abcdef", "abcxyz", "mnopqr", "mnooqr"};
        assertEquals(4, batch.numExamples(), "the second window's answer is the text itself");
        INDArray labels = Nd4j.argMax(batch.getLabels(), 1);
        for (int row = 0; row < 4; row++) {
            for (int t = 0; t < 5; t++) {
                assertEquals(expected[row].charAt(t), batch.getFeatures().getInt(row, 0, t));
                assertEquals(expected[row].charAt(t + 1), labels.getInt(row, t));
            }
            assertArrayEquals(
                    new float[] {0, 0, 1, 1, 1},
                    batch.getLabelsMaskArray().getRow(row).toFloatVector(),
                    "the first label of an answer is that of the prompt's last token");
        }
    }

    @Test
    void a_base_that_writes_the_text_itself_has_no_pairs() {
        DataSet same = windows("abcdef").next();
        DataSetIterator pairs = PreferencePairs.of(
                new ExistingDataSetIterator(List.of(same)), new ExistingDataSetIterator(List.of(same.copy())), 3);
        assertTrue(assertThrows(IllegalStateException.class, pairs::next)
                .getMessage()
                .startsWith("pairs: expected a base that doesn't know"));
    }
}
