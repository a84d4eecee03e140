package io.github.dl4jretention.samples.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Windows and their next bytes, against a text whose windows can be read off. */
class ByteWindowIteratorTest {

    private static final byte[] TEXT = "abcdefghi".getBytes(StandardCharsets.UTF_8);

    @Test
    void evenlySpacedWindowsAreFollowedByTheirNextBytes() {
        ByteWindowIterator windows = ByteWindowIterator.evaluation(2, 4, 1, TEXT);
        DataSet batch = windows.next();
        assertArrayEquals(new long[] {2, 1, 4}, batch.getFeatures().shape());
        assertArrayEquals(new long[] {2, 256, 4}, batch.getLabels().shape());
        assertEquals(List.of("abcd", "cdef"), List.of(features(batch, 0), features(batch, 1)));
        assertEquals(List.of("bcde", "defg"), List.of(labels(batch, 0), labels(batch, 1)));
        assertFalse(windows.hasNext());
        assertThrows(NoSuchElementException.class, windows::next);
    }

    @Test
    void labelsAreOneHotAndBytesBeyondAsciiArePositive() {
        byte[] text = new byte[17];
        Arrays.fill(text, (byte) 0xff);
        DataSet batch = ByteWindowIterator.evaluation(2, 8, 1, text).next();
        INDArray labels = batch.getLabels();
        assertEquals(16, labels.sumNumber().doubleValue());
        assertEquals(255, batch.getFeatures().minNumber().doubleValue());
        assertTrue(labels.sum(1).eq(1).all());
        assertEquals(1, labels.getDouble(1, 255, 7));
    }

    @Test
    void textOfFewWindowsGivesEachOnce() {
        ByteWindowIterator windows = ByteWindowIterator.evaluation(16, 4, 8, TEXT);
        assertEquals(2, windows.next().numExamples());
        assertFalse(windows.hasNext());
    }

    @Test
    void epochsHaveOtherWindowsThatFollowFromTheirNumber() {
        int[] text = new int[500];
        Arrays.setAll(text, i -> i);
        TokenWindowIterator windows = TokenWindowIterator.epochs(500, 4, 8, 2, 3, text);
        List<INDArray> first = features(windows);
        windows.reset();
        List<INDArray> second = features(windows);
        assertNotEquals(first, second);
        windows.restart(1);
        assertEquals(second, features(windows));
        windows.restart(0);
        assertEquals(first, features(windows));
        assertThrows(IllegalArgumentException.class, () -> windows.restart(-1));
        TokenWindowIterator same = TokenWindowIterator.training(500, 4, 8, 2, 3, text);
        assertEquals(first, features(same));
        same.restart(1);
        assertEquals(first, features(same));
    }

    @Test
    void windowsOfAnswersBeginWithDocumentsAndPredictAnswersAlone() {
        // Documents of "a", "fg", "klm" and "qrst", each after its prompt of as many letters.
        byte[] text = "xaXXfgXXXklmXXXXqrst".getBytes(StandardCharsets.UTF_8);
        int[] starts = {0, 2, 6, 12};
        BitSet answers = new BitSet();
        for (int i = 0; i < text.length; i++) {
            answers.set(i, "afgklmqrst".indexOf(text[i]) >= 0);
        }
        DataSet batch = ByteWindowIterator.evaluation(2, 7, 1, text)
                .ofAnswers(starts, answers)
                .next();
        assertEquals(List.of("xaXXfgX", "XXXklmX"), List.of(features(batch, 0), features(batch, 1)));
        assertEquals(List.of("aXXfgXX", "XXklmXX"), List.of(labels(batch, 0), labels(batch, 1)));
        assertArrayEquals(
                new float[] {1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0},
                batch.getLabelsMaskArray().reshape(14).toFloatVector());
        assertThrows(IllegalArgumentException.class, () -> ByteWindowIterator.evaluation(4, 4, 1, text)
                .ofAnswers(new int[] {0, 2, 6}, answers));

        DataSet shorter = ByteWindowIterator.evaluation(3, 3, 1, text)
                .ofAnswers(starts, answers)
                .next();
        assertEquals("XXX", features(shorter, 2));
        assertEquals("XXk", labels(shorter, 2), "the fourth window would end before its answer");
        assertEquals(
                "text: expected a document for each of 4 windows of 3 tokens that reach its answer, got 3; take longer or"
                        + " fewer windows",
                assertThrows(IllegalArgumentException.class, () -> ByteWindowIterator.evaluation(4, 3, 1, text)
                                .ofAnswers(starts, answers))
                        .getMessage());

        TokenWindowIterator random =
                ByteWindowIterator.training(3, 7, 5, 1, text).ofAnswers(starts, answers);
        Set<String> seen = new TreeSet<>();
        while (random.hasNext()) {
            DataSet next = random.next();
            for (int row = 0; row < 3; row++) {
                seen.add(features(next, row));
            }
        }
        assertEquals(Set.of("xaXXfgX", "XXfgXXX", "XXXklmX", "XXXXqrs"), seen);
    }

    private static List<INDArray> features(TokenWindowIterator windows) {
        List<INDArray> features = new ArrayList<>();
        while (windows.hasNext()) {
            features.add(windows.next().getFeatures());
        }
        return features;
    }

    private static String features(DataSet batch, int row) {
        return text(batch.getFeatures().get(NDArrayIndex.point(row), NDArrayIndex.point(0)));
    }

    private static String labels(DataSet batch, int row) {
        return text(batch.getLabels().get(NDArrayIndex.point(row)).argMax(0));
    }

    private static String text(INDArray bytes) {
        StringBuilder text = new StringBuilder();
        for (int value : bytes.toIntVector()) {
            text.append((char) value);
        }
        return text.toString();
    }
}
