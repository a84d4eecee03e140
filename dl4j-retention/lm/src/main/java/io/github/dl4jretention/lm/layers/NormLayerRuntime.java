package io.github.dl4jretention.lm.layers;

import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/** The working part of {@link NormLayer}. */
final class NormLayerRuntime extends TokenLayerRuntime {

    private static final long serialVersionUID = 1L;

    private transient @Nullable NormArithmetic arithmetic;

    NormLayerRuntime(NeuralNetConfiguration conf, DataType dataType) {
        super(conf, dataType);
    }

    private NormArithmetic arithmetic() {
        NormLayer layer = (NormLayer) layerConf();
        if (arithmetic == null && !isNative()) {
            arithmetic = new SameDiffNorm(layer, params);
        } else if (arithmetic == null) {
            arithmetic =
                    dataType == DataType.FLOAT ? new FloatNormRows(layer, params) : new DoubleNormRows(layer, params);
        }
        return arithmetic;
    }

    @Override
    public void setParamsViewArray(INDArray params) {
        super.setParamsViewArray(params);
        arithmetic = null;
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaceMgr) {
        assertInputSet(false);
        applyDropOutIfNecessary(training, workspaceMgr);
        INDArray ordered = inRows(input, "input", workspaceMgr, ArrayType.FF_WORKING_MEM);
        INDArray output = sequences(workspaceMgr, ArrayType.ACTIVATIONS, input.size(0), input.size(2));
        arithmetic().forward(rows(ordered), rows(output));
        return output;
    }

    @Override
    public void step(INDArray input, INDArray output, INDArray memory) {
        arithmetic().forward(input, output);
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaceMgr) {
        assertInputSet(true);
        INDArray ordered = inRows(input, "input", workspaceMgr, ArrayType.BP_WORKING_MEM);
        INDArray gradient = inRows(epsilon, "epsilon", workspaceMgr, ArrayType.BP_WORKING_MEM);
        INDArray back = sequences(workspaceMgr, ArrayType.ACTIVATION_GRAD, input.size(0), input.size(2));
        INDArray ofParameters = isFrozen() ? array(workspaceMgr, ArrayType.BP_WORKING_MEM, params.length()) : gradients;
        arithmetic().backward(rows(ordered), rows(gradient), rows(back), ofParameters);
        return new Pair<>(gradientOfViews(), backpropDropOutIfPresent(back));
    }
}
