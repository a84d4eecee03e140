package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * The parameters of a block, or their gradients, as matrices over the layer's flat view. A weight {@code [nIn, nOut]}
 * lies in memory as {@code nOut} rows of {@code nIn}. Query, key and value lie side by side and make one matrix, and so
 * do gate and up. What a block doesn't have is null.
 */
final class FloatBlockParameters {

    final FloatRows queryKeyValue;
    final @Nullable FloatRows queryKeyValueBias;
    final @Nullable FloatRows queryNorm;
    final @Nullable FloatRows keyNorm;
    final FloatRows projection;
    final @Nullable FloatRows projectionBias;
    final FloatRows up;
    final @Nullable FloatRows upBias;
    final FloatRows down;
    final @Nullable FloatRows downBias;
    final FloatRows attentionNorm;
    final @Nullable FloatRows attentionNormBias;
    final FloatRows feedForwardNorm;
    final @Nullable FloatRows feedForwardNormBias;

    private final DecoderBlock block;
    private final FloatRows all;

    FloatBlockParameters(DecoderBlock block, INDArray view) {
        this.block = block;
        all = FloatRows.all(view);
        int width = block.getWidth();
        boolean gated = block.getFeedForward().isGated();
        queryKeyValue = requireNonNull(rows(DecoderBlock.QUERY, block.queryKeyValueWidth(), width));
        queryKeyValueBias = rows(DecoderBlock.QUERY_BIAS, 1, block.queryKeyValueWidth());
        queryNorm = rows(DecoderBlock.QUERY_NORM, 1, block.getHeadSize());
        keyNorm = rows(DecoderBlock.KEY_NORM, 1, block.getHeadSize());
        projection = requireNonNull(rows(DecoderBlock.PROJECTION, width, block.queryWidth()));
        projectionBias = rows(DecoderBlock.PROJECTION_BIAS, 1, width);
        up = requireNonNull(rows(gated ? DecoderBlock.GATE : DecoderBlock.UP, block.upWidth(), width));
        upBias = rows(gated ? DecoderBlock.GATE_BIAS : DecoderBlock.UP_BIAS, 1, block.upWidth());
        down = requireNonNull(rows(DecoderBlock.DOWN, width, block.getHidden()));
        downBias = rows(DecoderBlock.DOWN_BIAS, 1, width);
        attentionNorm = requireNonNull(rows(DecoderBlock.ATTENTION_NORM, 1, width));
        attentionNormBias = rows(DecoderBlock.ATTENTION_NORM_BIAS, 1, width);
        feedForwardNorm = requireNonNull(rows(DecoderBlock.FEED_FORWARD_NORM, 1, width));
        feedForwardNormBias = rows(DecoderBlock.FEED_FORWARD_NORM_BIAS, 1, width);
    }

    /** Their addresses were taken when the layer was made. */
    void requireOpen() {
        all.requireOpen();
    }

    private @Nullable FloatRows rows(String first, int rows, int columns) {
        long offset = TokenLayer.offset(block, first);
        return offset < 0 ? null : all.reshape(offset, rows, columns);
    }
}
