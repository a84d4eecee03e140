package io.github.dl4jretention.lm.layers;

import io.github.dl4jretention.internal.Workers;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * The forward and backward pass of a {@link TokenEmbedding}. Threads share the tokens on the way forth, and the columns
 * on the way back, where several tokens may have one id.
 */
final class FloatEmbedding implements EmbeddingArithmetic {

    private final TokenEmbedding layer;
    private final INDArray view;

    /** @param view the layer's parameters */
    FloatEmbedding(TokenEmbedding layer, INDArray view) {
        this.layer = layer;
        this.view = view;
    }

    private FloatRows tokens(INDArray view) {
        return FloatRows.of(view, 0, layer.getVocabulary(), layer.getWidth());
    }

    private @Nullable FloatRows positions(INDArray view) {
        long offset = TokenLayer.offset(layer, TokenEmbedding.POSITIONS);
        return offset < 0 ? null : FloatRows.of(view, offset, layer.getPositions(), layer.getWidth());
    }

    @Override
    public void forward(int[] ids, int[] places, INDArray output) {
        FloatRows tokens = tokens(view);
        FloatRows positions = positions(view);
        FloatRows y = FloatRows.of(output, layer.getWidth());
        int parts = Math.min(Workers.ofMachine().rows(), ids.length);
        Workers.run(parts, part -> {
            float[] row = new float[layer.getWidth()];
            float[] position = new float[layer.getWidth()];
            int end = Workers.start(ids.length, parts, part + 1);
            for (int r = Workers.start(ids.length, parts, part); r < end; r++) {
                if (ids[r] < 0) {
                    Arrays.fill(row, 0);
                } else {
                    tokens.get(ids[r], row);
                    if (positions != null) {
                        positions.get(places[r], position);
                        FloatVectors.add(position, row, row.length);
                    }
                }
                y.put(r, row);
            }
        });
    }

    @Override
    public void backward(int[] ids, int[] places, INDArray gradient, INDArray gradients) {
        FloatRows dTokens = tokens(gradients);
        FloatRows dPositions = positions(gradients);
        FloatRows dy = FloatRows.of(gradient, layer.getWidth());
        int parts = Math.min(Workers.ofMachine().rows(), layer.getWidth());
        Workers.run(parts, part -> {
            int from = Workers.start(layer.getWidth(), parts, part);
            int count = Workers.start(layer.getWidth(), parts, part + 1) - from;
            float[] row = new float[count];
            float[] sum = new float[count];
            for (int r = 0; r < ids.length; r++) {
                if (ids[r] >= 0) {
                    dy.get(r, from, row, 0, count);
                    add(row, dTokens, ids[r], from, sum);
                    if (dPositions != null) {
                        add(row, dPositions, places[r], from, sum);
                    }
                }
            }
        });
    }

    private static void add(float[] row, FloatRows to, int index, int from, float[] sum) {
        to.get(index, from, sum, 0, row.length);
        FloatVectors.add(row, sum, row.length);
        to.put(index, from, sum, 0, row.length);
    }
}
