package io.github.dl4jretention.loss;

import io.github.dl4jretention.internal.FrozenBase;
import io.github.dl4jretention.internal.FrozenProjection;
import io.github.dl4jretention.internal.HeldLayer;
import io.github.dl4jretention.internal.LowRank;
import io.github.dl4jretention.internal.LowRankParameters;
import java.util.Collection;
import java.util.Objects;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.activations.impl.ActivationSoftmax;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.lossfunctions.impl.LossMCXENT;
import org.nd4j.shade.jackson.annotation.JsonAutoDetect;

/**
 * A softmax output layer whose weights are those of a frozen base network, {@code z = h W + b + scale (h D) U}: D and U are
 * its only parameters, and it has none without an adapter. Input, output, labels and loss are those of the layer that it
 * stands in for; the arithmetic is {@link RetentionOutputLayer}'s. {@code LowRankAdapters} makes it.
 */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE,
        setterVisibility = JsonAutoDetect.Visibility.NONE)
public final class AdaptedOutputLayer extends RnnOutputLayer implements HeldLayer {

    private static final long serialVersionUID = 1L;

    private FrozenProjection frozen = new FrozenProjection();

    /** Whether the input is {@code [batch, nIn]}. */
    private boolean flat;

    /** For JSON. */
    AdaptedOutputLayer() {}

    /**
     * An output layer in the place of another one.
     *
     * @param layer  whose weights are frozen
     * @param frozen where they are, and the adapter
     */
    public AdaptedOutputLayer(BaseOutputLayer layer, FrozenProjection frozen) {
        this.frozen = frozen;
        flat = layer instanceof OutputLayer;
        setLayerName(layer.getLayerName());
        setIDropout(layer.getIDropout());
        setIUpdater(layer.getIUpdater());
        setGradientNormalization(layer.getGradientNormalization());
        setGradientNormalizationThreshold(layer.getGradientNormalizationThreshold());
        setRegularization(layer.getRegularization());
        setNIn(layer.getNIn());
        setNOut(layer.getNOut());
        setHasBias(false);
        setActivationFn(new ActivationSoftmax());
        setLossFn(new LossMCXENT());
        if (layer instanceof RnnOutputLayer rnn) {
            setRnnDataFormat(rnn.getRnnDataFormat());
        }
    }

    /** {@return where the frozen weights are, and the adapter} */
    public FrozenProjection frozen() {
        return frozen;
    }

    @Override
    public FrozenBase base() {
        return frozen.held();
    }

    @Override
    public boolean isAdapted() {
        return frozen.adapter() != null;
    }

    boolean isFlat() {
        return flat;
    }

    @Override
    public ParamInitializer initializer() {
        LowRank adapter = frozen.adapter();
        LowRankParameters parameters = new LowRankParameters();
        return adapter == null
                ? parameters
                : parameters.with(DefaultParamInitializer.WEIGHT_KEY, getNIn(), getNOut(), adapter.rank());
    }

    @Override
    public org.deeplearning4j.nn.api.Layer instantiate(
            NeuralNetConfiguration conf,
            Collection<TrainingListener> trainingListeners,
            int layerIndex,
            INDArray layerParamsView,
            boolean initializeParams,
            DataType networkDataType) {
        NeuralNetConfiguration own = conf.clone();
        own.setLayer(RetentionOutputLayer.replacing(
                this, RetentionConfiguration.builder().coefficient(0).build(), null));
        return own.getLayer()
                .instantiate(own, trainingListeners, layerIndex, layerParamsView, initializeParams, networkDataType);
    }

    @Override
    public boolean equals(Object other) {
        return this == other
                || other instanceof AdaptedOutputLayer that
                        && super.equals(that)
                        && flat == that.flat
                        && frozen.equals(that.frozen);
    }

    @Override
    public boolean canEqual(Object other) {
        return other instanceof AdaptedOutputLayer;
    }

    @Override
    public int hashCode() {
        return Objects.hash(super.hashCode(), frozen, flat);
    }
}
