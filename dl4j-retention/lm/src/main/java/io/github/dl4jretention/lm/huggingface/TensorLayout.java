package io.github.dl4jretention.lm.huggingface;

import java.util.List;

/**
 * Which parameters of the network a tensor of a file holds. The tensor's numbers, transposed or not, are a matrix of
 * rows; pieces of rows, one after the other, are rows of parameters. In memory a parameter of this library's layers is a
 * matrix of rows too: {@code [out, in]} for weights, {@code [V, width]} for the embedding.
 *
 * @param name       of the tensor
 * @param shape      of the tensor
 * @param transposed whether rows are the tensor's columns, as in GPT-2's weights {@code [in, out]}
 * @param pieces     all rows, in their order
 */
record TensorLayout(String name, List<Long> shape, boolean transposed, List<Piece> pieces) {

    /**
     * Rows that are rows of a parameter.
     *
     * @param layer     of the network
     * @param parameter of the layer
     * @param from      first row of the parameter
     * @param rows      how many
     */
    record Piece(int layer, String parameter, long from, long rows) {}

    TensorLayout {
        shape = List.copyOf(shape);
        pieces = List.copyOf(pieces);
    }

    static TensorLayout vector(String name, int layer, String parameter, long length) {
        return new TensorLayout(name, List.of(length), false, List.of(new Piece(layer, parameter, 0, length)));
    }

    static TensorLayout matrix(String name, int layer, String parameter, long rows, long columns) {
        return new TensorLayout(name, List.of(rows, columns), false, List.of(new Piece(layer, parameter, 0, rows)));
    }

    long rows() {
        return transposed ? shape.get(1) : shape.get(0);
    }

    /** Numbers of a row. */
    long columns() {
        return shape.size() == 1 ? 1 : transposed ? shape.get(0) : shape.get(1);
    }
}
