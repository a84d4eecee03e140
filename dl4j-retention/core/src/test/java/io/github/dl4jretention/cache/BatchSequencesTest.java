package io.github.dl4jretention.cache;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.dl4jretention.Networks;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

class BatchSequencesTest {

    private static SequenceId[] ids(INDArray features, INDArray mask) {
        return BatchSequences.of(new INDArray[] {features}, mask == null ? null : new INDArray[] {mask}, true)
                .ids();
    }

    private static INDArray examples(INDArray array, int... order) {
        return Nd4j.concat(
                0,
                java.util.Arrays.stream(order)
                        .mapToObj(i -> array.get(NDArrayIndex.interval(i, i + 1)))
                        .toArray(INDArray[]::new));
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE", "HALF", "INT", "LONG"})
    void order_and_layout_play_no_part(DataType type) {
        INDArray features = Networks.normal(DataType.DOUBLE, new Random(1), 4, 3, 5)
                .muli(10)
                .castTo(type);
        SequenceId[] ids = ids(features, null);
        assertEquals(4, new HashSet<>(List.of(ids)).size());
        assertArrayEquals(new SequenceId[] {ids[2], ids[0], ids[3], ids[1]}, ids(examples(features, 2, 0, 3, 1), null));
        assertArrayEquals(ids, ids(features.dup('f'), null));
        assertArrayEquals(ids, ids(features.permute(0, 2, 1).dup('c').permute(0, 2, 1), null));
        assertArrayEquals(new SequenceId[] {ids[1], ids[2]}, ids(features.get(NDArrayIndex.interval(1, 3)), null));
    }

    @Test
    void every_value_every_shape_and_the_type_count() {
        INDArray features = Networks.normal(DataType.FLOAT, new Random(2), 1, 2, 6);
        SequenceId id = ids(features, null)[0];
        for (int i = 0; i < features.length(); i++) {
            INDArray changed = features.dup();
            changed.putScalar(i, Math.nextUp(changed.getFloat(i)));
            assertNotEquals(id, ids(changed, null)[0]);
        }
        assertNotEquals(id, ids(features.reshape(1, 3, 4), null)[0]);
        assertNotEquals(id, ids(features.castTo(DataType.DOUBLE), null)[0]);
    }

    @Test
    void ids_are_the_same_while_the_collector_frees_arrays() throws InterruptedException {
        INDArray features = Networks.normal(DataType.FLOAT, new Random(4), 16, 500, 64);
        SequenceId[] expected = ids(features, null);
        AtomicBoolean done = new AtomicBoolean();
        Thread collector = new Thread(() -> {
            while (!done.get()) {
                System.gc();
                Nd4j.valueArrayOf(new long[] {16, 500, 64}, 7.0, DataType.FLOAT);
            }
        });
        collector.start();
        try {
            for (int i = 0; i < 60; i++) {
                assertArrayEquals(expected, ids(features, null));
            }
        } finally {
            done.set(true);
            collector.join();
        }
    }

    @Test
    void a_mask_of_ones_is_none_and_another_counts() {
        INDArray features = Networks.normal(DataType.FLOAT, new Random(3), 2, 3, 5);
        SequenceId[] ids = ids(features, null);
        assertArrayEquals(ids, ids(features, Nd4j.ones(2, 5)));
        SequenceId[] masked = ids(features, Nd4j.ones(2, 5).putScalar(1, 2, 0));
        assertEquals(ids[0], masked[0]);
        assertNotEquals(ids[1], masked[1]);
    }

    private static INDArray padded(INDArray features, int timeAxis, int length, double padding) {
        long[] shape = features.shape().clone();
        shape[timeAxis] = length - shape[timeAxis];
        INDArray rest = Nd4j.valueArrayOf(shape, padding, features.dataType());
        return Nd4j.concat(timeAxis, features, rest);
    }

    @Test
    void padding_does_not_count_whatever_stands_there() {
        for (int timeAxis : new int[] {1, 2}) {
            INDArray features = timeAxis == 2
                    ? Networks.normal(DataType.FLOAT, new Random(4), 2, 3, 5)
                    : Networks.normal(DataType.FLOAT, new Random(4), 2, 5, 3);
            SequenceId[] ids = ids(features, null);
            INDArray mask = padded(Nd4j.ones(2, 5), 1, 8, 0);
            assertArrayEquals(ids, ids(padded(features, timeAxis, 8, 0), mask));
            assertArrayEquals(ids, ids(padded(features, timeAxis, 8, 7), mask));
        }
        INDArray classIds = Nd4j.createFromArray(new int[][] {{1, 2, 3}, {4, 5, 6}});
        assertArrayEquals(ids(classIds, null), ids(padded(classIds, 1, 9, 0), padded(Nd4j.ones(2, 3), 1, 9, 0)));
        BatchSequences sequences = BatchSequences.of(
                new INDArray[] {padded(classIds, 1, 4, 0)},
                new INDArray[] {Nd4j.createFromArray(new float[][] {{1, 0, 1, 0}, {1, 0, 0, 0}})},
                true);
        assertArrayEquals(new int[] {3, 1}, sequences.lengths());
        assertEquals(4, sequences.time());
    }

    @Test
    void where_padding_cannot_be_told_everything_counts() {
        INDArray square = Networks.normal(DataType.FLOAT, new Random(5), 2, 4, 4);
        INDArray mask = Nd4j.ones(2, 4).putScalar(0, 3, 0);
        INDArray changed = square.dup().putScalar(0, 0, 3, 9);
        assertNotEquals(ids(square, mask)[0], ids(changed, mask)[0]);
        assertNotEquals(ids(square, mask)[0], ids(square, null)[0]);

        INDArray features = Networks.normal(DataType.FLOAT, new Random(5), 2, 3, 4);
        INDArray other = features.dup().putScalar(0, 0, 3, 9);
        for (INDArray[] inputs : new INDArray[][] {{features, features}, {other, features}}) {
            BatchSequences two = BatchSequences.of(inputs, new INDArray[] {mask, null}, true);
            assertEquals(0, two.time());
        }
        assertNotEquals(
                BatchSequences.of(new INDArray[] {features}, new INDArray[] {mask}, false)
                        .ids()[0],
                BatchSequences.of(new INDArray[] {other}, new INDArray[] {mask}, false)
                        .ids()[0]);
    }

    @Test
    void inputs_of_other_numbers_of_examples_are_refused() {
        INDArray features = Nd4j.ones(2, 3);
        assertThrows(
                IllegalArgumentException.class,
                () -> BatchSequences.of(new INDArray[] {features, Nd4j.ones(3, 3)}, null, true));
        assertThrows(IllegalArgumentException.class, () -> ids(features, Nd4j.ones(3, 3)));
    }
}
