package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import io.github.dl4jretention.internal.Workers;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/** The forward and backward pass of a {@link NormLayer}: threads share the rows. */
final class FloatNormRows implements NormArithmetic {

    private final NormLayer layer;
    private final INDArray view;
    private final FloatNorm[] norms;

    /** @param view the layer's parameters */
    FloatNormRows(NormLayer layer, INDArray view) {
        this.layer = layer;
        this.view = view;
        norms = new FloatNorm[Workers.ofMachine().rows()];
        for (int i = 0; i < norms.length; i++) {
            norms[i] = new FloatNorm(layer.getNorm() == Norm.LAYER_NORM, layer.getEpsilon(), layer.getWidth());
        }
    }

    private @Nullable FloatRows parameter(INDArray view, String name) {
        long offset = TokenLayer.offset(layer, name);
        return offset < 0 ? null : FloatRows.of(view, offset, 1, layer.getWidth());
    }

    private interface Work {
        void accept(FloatNorm norm, int row, float[] first, float[] second);
    }

    private void rows(int tokens, Work work) {
        FloatRows gain = parameter(view, NormLayer.GAIN);
        FloatRows bias = parameter(view, NormLayer.BIAS);
        for (FloatNorm norm : norms) {
            norm.start(gain, bias);
        }
        int parts = Math.min(norms.length, tokens);
        Workers.split(tokens, parts, (part, from, to) -> {
            float[] first = new float[layer.getWidth()];
            float[] second = new float[layer.getWidth()];
            for (int row = from; row < to; row++) {
                work.accept(norms[part], row, first, second);
            }
        });
    }

    @Override
    public void forward(INDArray input, INDArray output) {
        FloatRows x = FloatRows.of(input, layer.getWidth());
        FloatRows y = FloatRows.of(output, layer.getWidth());
        rows(x.rows(), (norm, row, first, second) -> {
            x.get(row, first);
            norm.forward(first, first, 0);
            y.put(row, first);
        });
    }

    @Override
    public void backward(INDArray input, INDArray gradient, INDArray inputGradient, INDArray gradients) {
        FloatRows x = FloatRows.of(input, layer.getWidth());
        FloatRows dy = FloatRows.of(gradient, layer.getWidth());
        FloatRows dx = FloatRows.of(inputGradient, layer.getWidth());
        rows(x.rows(), (norm, row, first, second) -> {
            x.get(row, first);
            dy.get(row, second);
            norm.backward(first, second, 0);
            dx.put(row, second);
        });
        for (int i = 1; i < norms.length; i++) {
            norms[0].add(norms[i]);
        }
        requireNonNull(parameter(gradients, NormLayer.GAIN)).put(0, norms[0].gainGradient());
        FloatRows bias = parameter(gradients, NormLayer.BIAS);
        if (bias != null) {
            bias.put(0, norms[0].biasGradient());
        }
    }
}
