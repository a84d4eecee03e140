package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.nd4j.linalg.api.ndarray.INDArray;

/** The passes of a {@link TokenEmbedding} as operations of ND4J, on any backend and in any number type. */
final class ArrayEmbedding implements EmbeddingArithmetic {

    private final TokenEmbedding layer;
    private final INDArray view;

    /** @param view the layer's parameters */
    ArrayEmbedding(TokenEmbedding layer, INDArray view) {
        this.layer = layer;
        this.view = view;
    }

    @Override
    public void forward(int[] ids, int[] places, INDArray output) {
        Map<String, INDArray> parameters = layer.views(view);
        INDArray tokens = requireNonNull(parameters.get(TokenEmbedding.TOKENS));
        INDArray positions = parameters.get(TokenEmbedding.POSITIONS);
        for (int r = 0; r < ids.length; r++) {
            INDArray row = output.getRow(r);
            if (ids[r] < 0) {
                row.assign(0);
            } else if (positions == null) {
                row.assign(tokens.getRow(ids[r]));
            } else {
                row.assign(tokens.getRow(ids[r]).add(positions.getRow(places[r])));
            }
        }
    }

    @Override
    public void backward(int[] ids, int[] places, INDArray gradient, INDArray gradients) {
        Map<String, INDArray> views = layer.views(gradients);
        add(ids, ids, gradient, requireNonNull(views.get(TokenEmbedding.TOKENS)));
        INDArray positions = views.get(TokenEmbedding.POSITIONS);
        if (positions != null) {
            add(places, ids, gradient, positions);
        }
    }

    /** Rows of one index are summed before they are rounded. */
    private static void add(int[] index, int[] ids, INDArray gradient, INDArray to) {
        INDArray rows = gradient.castTo(SameDiffPass.type(gradient.dataType()));
        Map<Integer, List<Integer>> byIndex = IntStream.range(0, ids.length)
                .filter(r -> ids[r] >= 0)
                .boxed()
                .collect(Collectors.groupingBy(r -> index[r]));
        byIndex.forEach((i, some) -> {
            int[] these = some.stream().mapToInt(Integer::intValue).toArray();
            to.getRow(i).addi(rows.getRows(these).sum(0).castTo(to.dataType()));
        });
    }
}
