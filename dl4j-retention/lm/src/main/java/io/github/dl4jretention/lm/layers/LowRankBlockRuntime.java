package io.github.dl4jretention.lm.layers;

import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/** The working part of a {@link DecoderBlock} whose weights are a base's, with adapters beside some of them, or none. */
final class LowRankBlockRuntime extends DecoderBlockRuntime {

    private static final long serialVersionUID = 1L;

    private final transient LowRankState state;

    LowRankBlockRuntime(NeuralNetConfiguration conf, DataType dataType, LowRankState state) {
        super(conf, dataType);
        this.state = state;
        params = state.view();
        paramTable = state.table();
    }

    @Override
    INDArray withPasses(Work work) {
        return state.withFrozen(weights -> work.of(passes(weights)));
    }

    @Override
    @Nullable
    INDArray blockGradients() {
        return null;
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
        gradients = view;
        gradTable = state.gradientTable();
    }

    @Override
    public double calcRegularizationScore(boolean backpropParamsOnly) {
        return state.regularization(getIterationCount(), getEpochCount());
    }
}
