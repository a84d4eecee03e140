package io.github.dl4jretention.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.factory.Nd4j;

class EpochIteratorTest {

    private static String checksum(INDArray featuresMask, INDArray labelsMask) {
        DataSet batch = new DataSet(Nd4j.ones(2, 3, 4), Nd4j.ones(2, 1, 4), featuresMask, labelsMask);
        EpochIterator iterator =
                new EpochIterator(new MultiDataSetIteratorAdapter(new ExistingDataSetIterator(List.of(batch))));
        iterator.next();
        return iterator.trained().checksum();
    }

    @Test
    void other_masks_are_other_minibatches() {
        INDArray ones = Nd4j.ones(2, 4);
        INDArray other = Nd4j.ones(2, 4).putScalar(1, 3, 0);
        assertEquals(checksum(ones, ones.dup()), checksum(ones.dup(), ones));
        assertNotEquals(checksum(ones, ones), checksum(ones, other));
        assertNotEquals(checksum(ones, ones), checksum(other, ones));
        assertNotEquals(checksum(ones, null), checksum(null, ones));
        assertNotEquals(checksum(null, ones), checksum(null, null));
    }
}
