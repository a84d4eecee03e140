package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.params.LSTMParamInitializer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * The working part of a {@link NativeLSTM} whose parameters are a base's, with adapters beside its input or recurrent
 * weights. An adapter's dropout acts on the input; none acts on the state.
 */
final class LowRankLstmRuntime extends NativeLSTMRuntime {

    private static final long serialVersionUID = 1L;

    private final transient LowRankState state;
    private final transient Map<String, INDArray> frozen;

    LowRankLstmRuntime(NeuralNetConfiguration conf, DataType dataType, LowRankState state) {
        super(conf, dataType);
        boolean served = (dataType == DataType.FLOAT || dataType == DataType.DOUBLE)
                && Nd4j.getEnvironment().isCPU();
        if (!served) {
            throw new IllegalArgumentException("network: expected FLOAT or DOUBLE on the CPU for adapters of LSTM \""
                    + conf.getLayer().getLayerName() + "\", got " + dataType);
        }
        this.state = state;
        frozen = LSTMParamInitializer.getInstance().init(conf.clone(), state.frozen(), false);
        paramsFlattened = state.view();
        params = state.table();
    }

    @Override
    List<LowRankWeight> adapters() {
        return state.weights();
    }

    @Override
    Map<String, INDArray> adapterGradients() {
        return state.gradientTable();
    }

    @Override
    Map<String, INDArray> gradientTable() {
        return state.gradientTable();
    }

    @Override
    @Nullable
    INDArray gradientOf(String name) {
        return null;
    }

    @Override
    protected INDArray getParamWithNoise(String param, boolean training, LayerWorkspaceMgr workspaceMgr) {
        state.frozen();
        return requireNonNull(frozen.get(param), param);
    }

    @Override
    public NeuralNetConfiguration conf() {
        return state.conf();
    }

    @Override
    public TrainingConfig getConfig() {
        return state.config();
    }

    @Override
    public void setBackpropGradientsViewArray(INDArray view) {
        state.setGradients(view);
    }

    @Override
    public @Nullable INDArray getGradientsViewArray() {
        return state.gradients();
    }

    @Override
    public void setParams(INDArray values) {
        state.setParams(values);
    }

    @Override
    public void setParam(String key, INDArray value) {
        state.setParam(key, value);
    }

    @Override
    public double calcRegularizationScore(boolean backpropParamsOnly) {
        return state.regularization(getIterationCount(), getEpochCount());
    }
}
