package io.github.dl4jretention.lm.layers;

import io.github.dl4jretention.internal.FrozenBase;
import java.util.Map;
import java.util.function.Supplier;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * A layer at work on a base's parameters: to the network it has none. Layers of this library go backward without
 * gradients of their parameters; others are given memory for them, which is freed at once.
 */
class FrozenLayerRuntime extends BaseWrapperLayer {

    private static final long serialVersionUID = 1L;

    private final transient NeuralNetConfiguration conf;
    private final transient FrozenBase base;

    /**
     * @param conf  that holds the {@link LowRankLayer}
     * @param base  held as long as the layer is
     * @param layer with the base's parameters
     */
    FrozenLayerRuntime(NeuralNetConfiguration conf, FrozenBase base, Layer layer) {
        super(layer);
        this.conf = conf;
        this.base = base;
    }

    /** {@return SHA-256 of the base} */
    String base() {
        return base.sha256();
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaceMgr) {
        return withoutGradients(() -> underlying.backpropGradient(epsilon, workspaceMgr));
    }

    Pair<Gradient, INDArray> withoutGradients(Supplier<Pair<Gradient, INDArray>> backward) {
        if (underlying instanceof TokenLayerRuntime) {
            return new Pair<>(new DefaultGradient(), backward.get().getSecond());
        }
        INDArray scratch;
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            INDArray parameters = underlying.params();
            scratch = Nd4j.createUninitialized(parameters.dataType(), parameters.length());
        }
        try {
            underlying.setBackpropGradientsViewArray(scratch);
            return new Pair<>(new DefaultGradient(), backward.get().getSecond());
        } finally {
            scratch.close();
        }
    }

    @Override
    public NeuralNetConfiguration conf() {
        return conf;
    }

    @Override
    public void setConf(NeuralNetConfiguration conf) {
        throw new UnsupportedOperationException("the configuration of a frozen layer stays as it is");
    }

    @Override
    public TrainingConfig getConfig() {
        return conf.getLayer();
    }

    @Override
    public double calcRegularizationScore(boolean backpropOnlyParams) {
        return 0;
    }

    @Override
    public @Nullable INDArray params() {
        return null;
    }

    @Override
    public long numParams() {
        return 0;
    }

    @Override
    public long numParams(boolean backwards) {
        return 0;
    }

    @Override
    public void setParams(INDArray params) {
        // It has none.
    }

    @Override
    public void setParamsViewArray(INDArray params) {
        // It has none.
    }

    @Override
    public @Nullable INDArray getGradientsViewArray() {
        return null;
    }

    @Override
    public void setBackpropGradientsViewArray(INDArray gradients) {
        // It has none.
    }

    @Override
    public Gradient gradient() {
        return new DefaultGradient();
    }

    @Override
    public @Nullable INDArray getParam(String param) {
        return null;
    }

    @Override
    public Map<String, INDArray> paramTable() {
        return Map.of();
    }

    @Override
    public Map<String, INDArray> paramTable(boolean backpropParamsOnly) {
        return Map.of();
    }

    @Override
    public void setParamTable(Map<String, INDArray> paramTable) {
        // It has none.
    }

    @Override
    public void setParam(String key, INDArray val) {
        throw new IllegalArgumentException("key: expected a parameter of layer \""
                + conf.getLayer().getLayerName() + "\", which is frozen and has none, got " + key);
    }

    @Override
    public void applyConstraints(int iteration, int epoch) {
        // They are for what trains.
    }

    @Override
    public boolean updaterDivideByMinibatch(String paramName) {
        return true;
    }
}
