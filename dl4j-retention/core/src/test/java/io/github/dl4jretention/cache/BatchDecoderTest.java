package io.github.dl4jretention.cache;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

/** Through ND4J, as where the host's memory isn't all there is, the same comes out as straight from memory. */
class BatchDecoderTest {

    private static final int EXAMPLES = 3;
    private static final int TIME = 5;

    @ParameterizedTest
    @CsvSource({"1, 3, FLOAT", "2, 3, FLOAT", "-1, 3, FLOAT", "1, 2, FLOAT", "1, 3, DOUBLE", "-1, 3, FLOAT16"})
    void both_ways_give_the_same(int classAxis, int rank, String typeName) {
        DataType type = typeName.equals("FLOAT16") ? DataType.FLOAT16 : DataType.valueOf(typeName);
        TeacherOutput output = new TeacherOutput("text", 0, classAxis);
        long[] shape = rank == 2
                ? new long[] {EXAMPLES, Networks.VOCABULARY}
                : classAxis == 1
                        ? new long[] {EXAMPLES, Networks.VOCABULARY, TIME}
                        : new long[] {EXAMPLES, TIME, Networks.VOCABULARY};
        INDArray values = Networks.normal(DataType.DOUBLE, new Random(1), shape);
        int axis = output.classAxis(rank);
        values.subi(Transforms.log(Transforms.exp(values).sum(true, axis)).broadcast(shape));
        values = values.castTo(type);
        INDArray features = Networks.normal(DataType.FLOAT, new Random(2), EXAMPLES, Networks.INPUTS, TIME);
        boolean padded = rank == 3 && classAxis > 0;
        INDArray mask = Nd4j.createFromArray(new float[][] {{1, 1, 1, 1, 1}, {1, 1, 1, 0, 0}, {1, 1, 1, 1, 0}});
        BatchSequences sequences =
                BatchSequences.of(new INDArray[] {features}, padded ? new INDArray[] {mask} : null, padded);
        CacheLayout layout = CacheLayout.of(List.of(output), new INDArray[] {values});
        CacheCodec codec = CacheCodec.half();
        INDArray[] decoded = new INDArray[2];
        for (int way = 0; way < 2; way++) {
            ByteBuffer[] entries = new BatchEncoder(codec, 7)
                    .encode(layout, new INDArray[] {values}, sequences, List.of(0, 1, 2)).stream()
                            .map(BatchEncoder.Entry::bytes)
                            .toArray(ByteBuffer[]::new);
            decoded[way] = new BatchDecoder(codec, layout, way == 0).decode(entries, padded ? TIME : 0)[0];
        }
        assertArrayEquals(shape, decoded[1].shape());
        assertEquals(type, decoded[1].dataType());
        INDArray padding = decoded[0].castTo(DataType.DOUBLE).isNaN();
        assertClose(
                padding.castTo(DataType.INT32),
                decoded[1].castTo(DataType.DOUBLE).isNaN().castTo(DataType.INT32),
                0);
        assertEquals(
                padded ? 3 * Networks.VOCABULARY : 0,
                padding.castTo(DataType.INT32).sumNumber().intValue());
        for (INDArray array : decoded) {
            INDArray given = array.castTo(DataType.DOUBLE);
            INDArray counted = Transforms.not(given.isNaN()).castTo(DataType.DOUBLE);
            INDArray numbers = Transforms.max(given, -1e9, true);
            assertClose(values.castTo(DataType.DOUBLE).mul(counted), numbers.mul(counted), 2e-3);
        }
        INDArray first = Transforms.max(decoded[0].castTo(DataType.DOUBLE), -1e9, true);
        assertClose(first, Transforms.max(decoded[1].castTo(DataType.DOUBLE), -1e9, true), 0);
    }
}
