package io.github.dl4jretention.loss;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.internal.BatchMemory;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

class TokenBatchTest {

    private static final int V = Networks.VOCABULARY;
    private static final int TIME = Networks.TIME;

    private static long address(INDArray array) {
        return array.data().addressPointer().address();
    }

    /** Two time steps at once, then single ones: the next copy is larger, equal or smaller. */
    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE", "HALF"})
    void chunks_that_are_copied_share_memory_and_give_it_back(DataType type) {
        INDArray labels = Networks.oneHot(type, 2, TIME, new Random(1));
        TokenBatch batch = new TokenBatch(Nd4j.zeros(DataType.FLOAT, 2, 3, TIME), labels, null, V, 1, 0, false);
        try (BatchMemory memory = new BatchMemory()) {
            INDArray probe = memory.array(DataType.FLOAT, 4, V);
            long address = address(probe);
            BatchMemory.release(probe.data());
            float[] found = new float[V];
            for (int[] chunk : new int[][] {{0, 4}, {4, 6}, {6, 10}}) {
                batch.rows().prepare(chunk[0], chunk[1], memory);
                INDArray meanwhile = memory.array(DataType.FLOAT, 1, V);
                assertNotEquals(address, address(meanwhile));
                BatchMemory.release(meanwhile.data());
                for (int token = chunk[0]; token < chunk[1]; token++) {
                    batch.rows().distribution(token, found);
                    for (int v = 0; v < V; v++) {
                        assertEquals(labels.getFloat(token % 2, v, token / 2), found[v], "token " + token);
                    }
                }
            }
            batch.rows().release();
            batch.rows().release();
            assertEquals(address, address(memory.array(DataType.FLOAT, 4, V)));
        }
    }
}
