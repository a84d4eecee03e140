package io.github.dl4jretention.lm.layers;

import io.github.dl4jretention.internal.FrozenBase;
import io.github.dl4jretention.internal.HalfReader;
import io.github.dl4jretention.internal.HeldLayer;
import io.github.dl4jretention.internal.JsonFields;
import io.github.dl4jretention.internal.LowRank;
import io.github.dl4jretention.internal.LowRankParameters;
import io.github.dl4jretention.loss.UnbiasedOutputLayer;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.samediff.AbstractSameDiffLayer;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.conf.memory.LayerMemoryReport;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.params.LSTMParamInitializer;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.regularization.Regularization;
import org.nd4j.shade.jackson.annotation.JsonIgnore;

/**
 * A layer of a frozen base network, with low-rank adapters beside some of its weights, or none:
 * {@code x W + scale (dropout(x) D) U} in the place of {@code x W}. The adapters are its only parameters, so nothing else
 * has a gradient or a place in the updater; W stays where the base network has it, see {@link FrozenBase}.
 *
 * <p>Parameters: for each adapted weight its name with {@code Down} (D, {@code [nIn, rank]}) and {@code Up} (U,
 * {@code [rank, nOut]}). Updater, regularisation and gradient normalisation are the layer's for weights, and concern the
 * adapters alone. Input, output, masks, stored state and dropout are the layer's.
 *
 * <p>Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", https://arxiv.org/abs/2106.09685, section
 * 4.1.
 */
@JsonFields
public final class LowRankLayer extends BaseWrapperLayer implements HeldLayer {

    private static final long serialVersionUID = 1L;

    /** SHA-256 of the base's parameters. */
    private String base = "";

    /** The layer's index in the base, or its vertex. */
    private String place = "";

    /** Of the base in this process; files have none. */
    @JsonIgnore
    private long handle;

    /** By the names of the weights that they are beside. */
    private Map<String, LowRank> adapters = new LinkedHashMap<>();

    /** For JSON. */
    LowRankLayer() {}

    /**
     * A layer of a base.
     *
     * @param layer    as the base has it
     * @param base     with the parameters
     * @param place    the layer's index in it, or its vertex
     * @param adapters by the names of the weights that they are beside; none for a layer that is only frozen
     * @throws IllegalArgumentException if the layer has no such weight
     */
    public LowRankLayer(Layer layer, FrozenBase base, String place, Map<String, LowRank> adapters) {
        super(layer);
        setLayerName(layer.getLayerName());
        this.base = base.sha256();
        handle = base.handle();
        this.place = place;
        this.adapters = new LinkedHashMap<>(adapters);
        Map<String, long[]> weights = weights(layer);
        if (!weights.keySet().containsAll(adapters.keySet())) {
            throw new IllegalArgumentException("adapters: expected weights out of " + weights.keySet() + " in layer \""
                    + layer.getLayerName() + "\", got " + adapters.keySet());
        }
    }

    /**
     * {@return the weights of a layer that can have an adapter, with their shapes {@code [nIn, nOut]}; none for a layer of
     * another kind} These are the projections of a {@link DecoderBlock}, W of a DenseLayer, and W and RW of a
     * {@link NativeLSTM}.
     *
     * @param layer of a network
     */
    public static Map<String, long[]> weights(Layer layer) {
        Map<String, long[]> weights = new LinkedHashMap<>();
        if (layer instanceof DecoderBlock block) {
            for (String name : block.getLayerParams().getWeightParameterKeys()) {
                weights.put(name, block.getLayerParams().getParamShapes().get(name));
            }
        } else if (layer.getClass() == DenseLayer.class && !((DenseLayer) layer).hasLayerNorm()) {
            DenseLayer dense = (DenseLayer) layer;
            weights.put(DefaultParamInitializer.WEIGHT_KEY, new long[] {dense.getNIn(), dense.getNOut()});
        } else if (layer instanceof NativeLSTM lstm) {
            long gates = LstmArithmetic.GATES * lstm.getNOut();
            weights.put(LSTMParamInitializer.INPUT_WEIGHT_KEY, new long[] {lstm.getNIn(), gates});
            weights.put(LSTMParamInitializer.RECURRENT_WEIGHT_KEY, new long[] {lstm.getNOut(), gates});
        }
        return weights;
    }

    /**
     * {@return whether a layer's parameters are held in FLOAT where the base's are in half precision: it doesn't widen them
     * itself, a few or all, when it uses them}
     *
     * @param layer of the base
     */
    public static boolean isWidenedOnce(Layer layer) {
        boolean widens = layer instanceof DecoderBlock
                || layer instanceof UnbiasedOutputLayer
                || layer instanceof HalfReader reader && reader.readsHalves(DataType.FLOAT);
        return !widens;
    }

    /** {@return whether layers widen parameters in half precision, for networks of FLOAT} */
    public static boolean widensHalves() {
        return TokenLayerRuntime.isNative(DataType.FLOAT);
    }

    @Override
    public FrozenBase base() {
        return FrozenBase.named(base, handle);
    }

    @Override
    public boolean isAdapted() {
        return !adapters.isEmpty();
    }

    /** {@return the adapters by the names of the weights that they are beside} */
    public Map<String, LowRank> adapters() {
        return Map.copyOf(adapters);
    }

    @Override
    public ParamInitializer initializer() {
        Map<String, long[]> weights = weights(underlying);
        LowRankParameters parameters = new LowRankParameters();
        adapters.forEach((name, adapter) -> {
            long[] shape = Objects.requireNonNull(weights.get(name), name);
            parameters.with(name, shape[0], shape[1], adapter.rank());
        });
        return parameters;
    }

    @Override
    public IUpdater getUpdaterByParam(String parameter) {
        return underlying instanceof AbstractSameDiffLayer layer
                ? layer.getUpdater()
                : ((BaseLayer) underlying).getIUpdater();
    }

    @Override
    public List<Regularization> getRegularizationByParam(String parameter) {
        return underlying instanceof AbstractSameDiffLayer layer
                ? layer.getRegularization()
                : ((BaseLayer) underlying).getRegularization();
    }

    @Override
    public boolean isPretrainParam(String parameter) {
        return false;
    }

    @Override
    public void setDataType(DataType dataType) {
        underlying.setDataType(dataType);
    }

    @Override
    public LayerMemoryReport getMemoryReport(InputType inputType) {
        return underlying.getMemoryReport(inputType);
    }

    @Override
    public org.deeplearning4j.nn.api.Layer instantiate(
            NeuralNetConfiguration conf,
            Collection<TrainingListener> trainingListeners,
            int layerIndex,
            INDArray layerParamsView,
            boolean initializeParams,
            DataType networkDataType) {
        FrozenBase held = base();
        NeuralNetConfiguration inner = conf.clone();
        inner.setLayer(underlying);
        if (adapters.isEmpty() && !(underlying instanceof DecoderBlock && held.isHalf())) {
            org.deeplearning4j.nn.api.Layer layer = underlying.instantiate(
                    inner, trainingListeners, layerIndex, held.parameters(place), false, networkDataType);
            return layer instanceof RecurrentLayer recurrent
                    ? new FrozenRecurrentRuntime(conf, held, recurrent)
                    : new FrozenLayerRuntime(conf, held, layer);
        }
        conf.clearVariables();
        Map<String, INDArray> own =
                adapters.isEmpty() ? Map.of() : initializer().init(conf, layerParamsView, initializeParams);
        LowRankState state = new LowRankState(conf, held, place, layerParamsView, own, adapters);
        org.deeplearning4j.nn.layers.AbstractLayer<?> layer = underlying instanceof DecoderBlock
                ? new LowRankBlockRuntime(inner, networkDataType, state)
                : underlying instanceof NativeLSTM
                        ? new LowRankLstmRuntime(inner, networkDataType, state)
                        : new LowRankDenseRuntime(inner, networkDataType, state);
        layer.setListeners(trainingListeners);
        layer.setIndex(layerIndex);
        return layer;
    }

    @Override
    public boolean equals(Object other) {
        return this == other
                || other instanceof LowRankLayer that
                        && super.equals(that)
                        && base.equals(that.base)
                        && place.equals(that.place)
                        && adapters.equals(that.adapters);
    }

    @Override
    public boolean canEqual(Object other) {
        return other instanceof LowRankLayer;
    }

    @Override
    public int hashCode() {
        return Objects.hash(underlying, base, place, adapters);
    }

    @Override
    public String toString() {
        return "LowRankLayer(" + underlying + ", base=" + base + ", place=" + place + ", adapters=" + adapters + ")";
    }
}
