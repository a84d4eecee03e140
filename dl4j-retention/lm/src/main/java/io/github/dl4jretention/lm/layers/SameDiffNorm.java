package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** The passes of a {@link NormLayer} as SameDiff operations. */
final class SameDiffNorm implements NormArithmetic {

    private static final String INPUT = "input";

    private final NormLayer layer;
    private final INDArray view;
    private @Nullable SameDiffPass pass;
    private long tokens;

    /** @param view the layer's parameters */
    SameDiffNorm(NormLayer layer, INDArray view) {
        this.layer = layer;
        this.view = view;
    }

    /**
     * {@return the norm of each row, as {@link Norm} has it}
     *
     * @param epsilon beside the variance or the mean of squares
     * @param bias    of LayerNorm; null for RMSNorm
     */
    static SDVariable norm(SDVariable rows, double epsilon, SDVariable gain, @Nullable SDVariable bias) {
        SDVariable centred = bias == null ? rows : rows.sub(rows.mean(true, 1));
        SDVariable spread =
                rows.getSameDiff().math.square(centred).mean(true, 1).add(epsilon);
        SDVariable scaled = centred.div(rows.getSameDiff().math.sqrt(spread)).mul(gain);
        return bias == null ? scaled : scaled.add(bias);
    }

    private Map<String, INDArray> placeholders(INDArray input) {
        Map<String, INDArray> placeholders = layer.views(view);
        placeholders.put(INPUT, input);
        return SameDiffPass.cast(placeholders);
    }

    private SameDiffPass pass(Map<String, INDArray> placeholders) {
        SameDiffPass made = pass;
        long now = requireNonNull(placeholders.get(INPUT)).size(0);
        if (made == null || tokens != now) {
            made = new SameDiffPass(
                    placeholders,
                    placeholders.keySet().toArray(String[]::new),
                    (sd, in) -> norm(
                            requireNonNull(in.get(INPUT)),
                            layer.getEpsilon(),
                            requireNonNull(in.get(NormLayer.GAIN)),
                            in.get(NormLayer.BIAS)));
            pass = made;
            tokens = now;
        }
        return made;
    }

    @Override
    public void forward(INDArray input, INDArray output) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            Map<String, INDArray> placeholders = placeholders(input);
            output.assign(pass(placeholders)
                    .forward(placeholders, SameDiffPass.OUTPUT)
                    .get(SameDiffPass.OUTPUT));
        }
    }

    @Override
    public void backward(INDArray input, INDArray gradient, INDArray inputGradient, INDArray gradients) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            Map<String, INDArray> placeholders = placeholders(input);
            INDArray typed = gradient.castTo(SameDiffPass.type(gradient.dataType()));
            String[] names = placeholders.keySet().toArray(String[]::new);
            Map<String, INDArray> found = pass(placeholders).backward(placeholders, typed, names);
            inputGradient.assign(found.get(INPUT));
            layer.views(gradients).forEach((name, part) -> part.assign(found.get(name)));
        }
    }
}
