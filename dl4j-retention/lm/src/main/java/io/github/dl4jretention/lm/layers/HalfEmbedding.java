package io.github.dl4jretention.lm.layers;

import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.indexer.HalfIndexer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/** A {@link TokenEmbedding} of FLOAT whose table is in half precision: a frozen one, of which a token's row is widened. */
final class HalfEmbedding implements EmbeddingArithmetic {

    private final TokenEmbedding layer;
    private final INDArray halves;
    private final boolean isBfloat16;

    /** @param halves the layer's parameters, FLOAT16 or BFLOAT16 */
    HalfEmbedding(TokenEmbedding layer, INDArray halves) {
        this.layer = layer;
        this.halves = halves;
        isBfloat16 = halves.dataType() == DataType.BFLOAT16;
    }

    @Override
    public void forward(int[] ids, int[] places, INDArray output) {
        if (halves.wasClosed()) {
            throw new IllegalStateException("parameters: expected memory that is there, got an array that was closed");
        }
        int width = layer.getWidth();
        long positions = TokenLayer.offset(layer, TokenEmbedding.POSITIONS);
        FloatBuffer y = bytes(output, 0, output.length() * Float.BYTES).asFloatBuffer();
        short[] row = new short[width];
        for (int id = 0; id < ids.length; id++) {
            float[] sum = new float[width];
            if (ids[id] >= 0) {
                add(row, (long) ids[id] * width, sum);
                if (positions >= 0) {
                    add(row, positions + (long) places[id] * width, sum);
                }
            }
            y.put(id * width, sum);
        }
        Reference.reachabilityFence(output);
    }

    private void add(short[] row, long from, float[] sum) {
        ShortBuffer values = bytes(halves, from * Short.BYTES, (long) row.length * Short.BYTES)
                .asShortBuffer();
        values.get(row);
        for (int i = 0; i < row.length; i++) {
            sum[i] += isBfloat16 ? Float.intBitsToFloat(row[i] << Short.SIZE) : HalfIndexer.toFloat(row[i] & 0xFFFF);
        }
        Reference.reachabilityFence(halves);
    }

    private static ByteBuffer bytes(INDArray array, long from, long count) {
        // JavaCPP's buffers begin at the address and not at the position, which may be beyond what they hold.
        return new BytePointer(array.data().addressPointer())
                .position(0)
                .getPointer(from)
                .limit(count)
                .asByteBuffer();
    }

    @Override
    public void backward(int[] ids, int[] places, INDArray gradient, INDArray gradients) {
        throw new IllegalStateException("a table in half precision is frozen");
    }
}
