package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import java.util.Map;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.feedforward.dense.DenseLayer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * The working part of a DenseLayer whose W and b are a base's, with an adapter beside W:
 * {@code activation(x W + b + scale (dropout(x) D) U)}, x {@code [batch, nIn]}.
 */
final class LowRankDenseRuntime extends DenseLayer {

    private static final long serialVersionUID = 1L;

    private final transient LowRankState state;
    private final transient LowRankWeight adapter;
    private final transient Map<String, INDArray> frozen;

    /** What numbers of the adapter's input are multiplied by: 0 for those that are dropped. */
    private transient @Nullable INDArray factors;

    LowRankDenseRuntime(NeuralNetConfiguration conf, DataType dataType, LowRankState state) {
        super(conf, dataType);
        this.state = state;
        adapter = state.weights().get(0);
        frozen = DefaultParamInitializer.getInstance().init(conf.clone(), state.frozen(), false);
        paramsFlattened = state.view();
        params = state.table();
    }

    @Override
    protected INDArray getParamWithNoise(String param, boolean training, LayerWorkspaceMgr workspaceMgr) {
        return requireNonNull(frozen.get(param), param);
    }

    @Override
    protected Pair<INDArray, INDArray> preOutputWithPreNorm(
            boolean training, boolean forBackprop, LayerWorkspaceMgr workspaceMgr) {
        // Is open for as long as its layers are used.
        state.frozen();
        Pair<INDArray, INDArray> plain = super.preOutputWithPreNorm(training, forBackprop, workspaceMgr);
        if (!forBackprop) {
            factors = training ? newFactors() : null;
        }
        plain.getFirst().addi(low().mmul(adapter.up()).muli(adapter.settings().scale()));
        if (maskArray != null) {
            applyMask(plain.getFirst());
        }
        return plain;
    }

    private @Nullable INDArray newFactors() {
        double rate = adapter.settings().dropout();
        if (rate == 0) {
            return null;
        }
        double[] values = new double[Math.toIntExact(input.length())];
        java.util.Arrays.fill(values, 1);
        new DoubleDropout(rate).apply(values, 0, values.length, Nd4j.getRandom().nextLong(), 0);
        return Nd4j.createFromArray(values)
                .reshape('c', input.shape())
                .castTo(dataType)
                .detach();
    }

    private INDArray dropped() {
        INDArray typed = input.castTo(dataType);
        return factors == null ? typed : typed.mul(factors);
    }

    /** {@code dropout(x) D}. */
    private INDArray low() {
        return dropped().mmul(adapter.down());
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaceMgr) {
        assertInputSet(true);
        INDArray z = preOutputWithPreNorm(true, true, workspaceMgr).getFirst();
        INDArray delta = layerConf().getActivationFn().backprop(z, epsilon).getFirst();
        if (maskArray != null) {
            applyMask(delta);
        }
        double scale = adapter.settings().scale();
        INDArray lowGradient = delta.mmul(adapter.up().transpose()).muli(scale);
        Map<String, INDArray> gradients = state.gradientTable();
        Gradient made = new DefaultGradient();
        INDArray ofDown = requireNonNull(gradients.get(adapter.downName()));
        ofDown.assign(dropped().transpose().mmul(lowGradient));
        made.setGradientFor(adapter.downName(), ofDown, 'f');
        INDArray ofUp = requireNonNull(gradients.get(adapter.upName()));
        ofUp.assign(low().transpose().mmul(delta).muli(scale));
        made.setGradientFor(adapter.upName(), ofUp, 'f');
        INDArray weights = requireNonNull(frozen.get(DefaultParamInitializer.WEIGHT_KEY));
        INDArray back = workspaceMgr.createUninitialized(
                ArrayType.ACTIVATION_GRAD, delta.dataType(), new long[] {delta.size(0), weights.size(0)}, 'f');
        delta.mmuli(weights.transpose(), back);
        INDArray share = lowGradient.mmul(adapter.down().transpose());
        back.addi(factors == null ? share : share.muli(factors));
        return new Pair<>(made, backpropDropOutIfPresent(back));
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

    @Override
    public void clear() {
        super.clear();
        factors = null;
    }
}
