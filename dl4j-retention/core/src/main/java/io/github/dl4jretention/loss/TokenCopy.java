package io.github.dl4jretention.loss;

import io.github.dl4jretention.loss.fused.FloatMemory;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Copies values on the class axis, token by token. */
final class TokenCopy {

    private TokenCopy() {}

    /**
     * @param from   {@code [time, batch, C]}
     * @param to     {@code [time, batch, C']}
     * @param offset of the first of the C values among the C'
     */
    static void copy(INDArray from, INDArray to, long offset) {
        if (isFast(from) && isFast(to)) {
            copyFloats(from, to, offset);
        } else {
            to.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.interval(offset, offset + from.size(2)))
                    .assign(from);
        }
    }

    private static boolean isFast(INDArray array) {
        return array.dataType() == DataType.FLOAT && (array.stride(2) == 1 || array.size(2) == 1);
    }

    private static void copyFloats(INDArray from, INDArray to, long offset) {
        FloatMemory source = new FloatMemory(from);
        FloatMemory target = new FloatMemory(to);
        float[] values = new float[(int) from.size(2)];
        for (long time = 0; time < from.size(0); time++) {
            for (long batch = 0; batch < from.size(1); batch++) {
                source.get(time * from.stride(0) + batch * from.stride(1), values, 0, values.length);
                target.put(time * to.stride(0) + batch * to.stride(1) + offset, values, 0, values.length);
            }
        }
    }
}
