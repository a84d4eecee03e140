package io.github.dl4jretention.loss;

import io.github.dl4jretention.internal.FrozenBase;
import io.github.dl4jretention.internal.FrozenProjection;
import io.github.dl4jretention.internal.HeldLayer;
import io.github.dl4jretention.internal.JsonFields;
import io.github.dl4jretention.internal.LowRank;
import io.github.dl4jretention.internal.LowRankParameters;
import java.util.Objects;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;

/**
 * A softmax output layer whose weights are those of a frozen base network, {@code z = h W + b + scale (h D) U}: D and U are
 * its only parameters, and it has none without an adapter. Input, output, labels and loss are those of the layer that it
 * stands in for; the arithmetic is {@link RetentionOutputLayer}'s. {@code LowRankAdapters} makes it.
 */
@JsonFields
public final class AdaptedOutputLayer extends UnbiasedOutputLayer implements HeldLayer {

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
        super(Math.toIntExact(layer.getNOut()));
        this.frozen = frozen;
        flat = layer instanceof OutputLayer;
        setLayerName(layer.getLayerName());
        setIDropout(layer.getIDropout());
        setIUpdater(layer.getIUpdater());
        setGradientNormalization(layer.getGradientNormalization());
        setGradientNormalizationThreshold(layer.getGradientNormalizationThreshold());
        setRegularization(layer.getRegularization());
        setNIn(layer.getNIn());
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
    public boolean equals(Object other) {
        return this == other
                || other instanceof AdaptedOutputLayer that
                        && super.equals(that)
                        && flat == that.flat
                        && frozen.equals(that.frozen);
    }

    @Override
    public int hashCode() {
        return Objects.hash(super.hashCode(), frozen, flat);
    }
}
