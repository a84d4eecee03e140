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

    /** Columns that are summed at a time: of a few thousand ids they stay in a processor's cache. */
    private static final int COLUMNS = 16;

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
        Workers.split(ids.length, parts, (part, from, to) -> {
            float[] row = new float[layer.getWidth()];
            float[] position = new float[layer.getWidth()];
            for (int r = from; r < to; r++) {
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
        Workers.split(layer.getWidth(), parts, (part, from, to) -> {
            int count = to - from;
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

    /**
     * Sums the gradients of each id's tokens where DL4J has its weights, a column after the other.
     *
     * @param ids      of the tokens, from 0
     * @param gradient of the tokens, {@code [tokens, width]}
     * @param sums     {@code [width, vocabulary]}, to be set
     */
    static void addColumns(int[] ids, FloatRows gradient, FloatRows sums) {
        int vocabulary = sums.columns();
        int blocks = (sums.rows() + COLUMNS - 1) / COLUMNS;
        int parts = Math.min(Workers.ofMachine().rows(), blocks);
        Workers.split(blocks, parts, (part, first, end) -> {
            float[] row = new float[COLUMNS];
            float[] table = new float[Math.multiplyExact(vocabulary, COLUMNS)];
            float[] column = new float[vocabulary];
            for (int block = first; block < end; block++) {
                int from = block * COLUMNS;
                int count = Math.min(COLUMNS, sums.rows() - from);
                Arrays.fill(table, 0);
                for (int r = 0; r < ids.length; r++) {
                    gradient.get(r, from, row, 0, count);
                    for (int j = 0; j < count; j++) {
                        table[ids[r] * COLUMNS + j] += row[j];
                    }
                }
                for (int j = 0; j < count; j++) {
                    for (int id = 0; id < vocabulary; id++) {
                        column[id] = table[id * COLUMNS + j];
                    }
                    sums.put(from + j, column);
                }
            }
        });
    }

    /**
     * Looks rows up where DL4J has them, a column after the other.
     *
     * @param ids     of the tokens, from 0
     * @param columns {@code [width, vocabulary]}
     * @param output  {@code [tokens, width]}, to be set
     */
    static void lookUp(int[] ids, FloatRows columns, FloatRows output) {
        int blocks = (columns.rows() + COLUMNS - 1) / COLUMNS;
        int parts = Math.min(Workers.ofMachine().rows(), blocks);
        Workers.split(blocks, parts, (part, first, end) -> {
            float[] column = new float[columns.columns()];
            float[] some = new float[Math.multiplyExact(ids.length, COLUMNS)];
            for (int block = first; block < end; block++) {
                int from = block * COLUMNS;
                int count = Math.min(COLUMNS, columns.rows() - from);
                for (int j = 0; j < count; j++) {
                    columns.get(from + j, column);
                    for (int r = 0; r < ids.length; r++) {
                        some[r * COLUMNS + j] = column[ids[r]];
                    }
                }
                for (int r = 0; r < ids.length; r++) {
                    output.put(r, from, some, r * COLUMNS, count);
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
