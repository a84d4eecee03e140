package io.github.dl4jretention.samples.model;

import java.util.Map;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.samediff.SDLayerParams;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Layer normalisation over the features of each time step. Input and output are {@code [batch, size, time]}. */
public final class LayerNormLayer extends SequenceSameDiffLayer {

    /** For JSON. */
    LayerNormLayer() {}

    /** @param size width of the model */
    public LayerNormLayer(int size) {
        super(size);
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType inputType) {
        return inputType;
    }

    @Override
    public void defineParameters(SDLayerParams params) {
        params.addBiasParam("gain", getSize());
        params.addBiasParam("bias", getSize());
    }

    @Override
    public void initializeParameters(Map<String, INDArray> params) {
        params.get("gain").assign(1.0);
        params.get("bias").assign(0.0);
    }

    @Override
    protected SDVariable defineRows(SameDiff sd, SDVariable rows, long time, Map<String, SDVariable> params) {
        return norm(sd, rows, params.get("gain"), params.get("bias"));
    }
}
