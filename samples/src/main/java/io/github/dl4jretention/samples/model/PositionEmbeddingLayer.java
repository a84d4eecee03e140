package io.github.dl4jretention.samples.model;

import java.util.Map;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.samediff.SDLayerParams;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Adds a learned vector for each position. Input and output are {@code [batch, size, time]}, time at most the context.
 */
public final class PositionEmbeddingLayer extends SequenceSameDiffLayer {

    private static final double INITIAL_DEVIATION = 0.02;

    private int context;

    /** For JSON. */
    PositionEmbeddingLayer() {}

    /**
     * @param size    width of the model
     * @param context longest sequence
     */
    public PositionEmbeddingLayer(int size, int context) {
        super(size);
        this.context = context;
    }

    public int getContext() {
        return context;
    }

    public void setContext(int context) {
        this.context = context;
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType inputType) {
        return inputType;
    }

    @Override
    public void defineParameters(SDLayerParams params) {
        params.addWeightParam("positions", context, getSize());
    }

    @Override
    public void initializeParameters(Map<String, INDArray> params) {
        INDArray positions = params.get("positions");
        positions.assign(Nd4j.randn(positions.dataType(), positions.shape()).muli(INITIAL_DEVIATION));
    }

    @Override
    public void validateInput(INDArray input) {
        if (input.size(2) > context) {
            throw new IllegalArgumentException("features: expected at most " + context
                    + " time steps, the model's context, got shape " + java.util.Arrays.toString(input.shape()));
        }
    }

    @Override
    protected SDVariable defineRows(SameDiff sd, SDVariable rows, long time, Map<String, SDVariable> params) {
        // A product with the first rows of the identity selects the positions and has a gradient, where a slice has
        // none.
        SDVariable first = sd.constant(
                "first",
                Nd4j.eye(context)
                        .get(
                                org.nd4j.linalg.indexing.NDArrayIndex.interval(0, time),
                                org.nd4j.linalg.indexing.NDArrayIndex.all())
                        .castTo(rows.dataType())
                        .dup());
        SDVariable positions = first.mmul(params.get("positions")).reshape(1, time, getSize());
        return rows.reshape(-1, time, getSize()).add(positions).reshape(-1, getSize());
    }
}
