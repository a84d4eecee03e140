package io.github.dl4jretention.internal;

import java.io.Serializable;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.shade.jackson.annotation.JsonIgnore;

/** Where an output layer's frozen weights are, and the adapter beside them. */
@JsonFields
public final class FrozenProjection implements Serializable {

    private static final long serialVersionUID = 1L;

    private String base = "";

    /** Of the base in this process; files have none. */
    @JsonIgnore
    private long handle;

    private @Nullable String layer;
    private @Nullable LowRank adapter;

    /** For JSON. */
    public FrozenProjection() {}

    /**
     * A projection of a base.
     *
     * @param base    with the weights
     * @param layer   index or name of its output layer; null if the weights are an embedding's
     * @param adapter null for none
     */
    public FrozenProjection(FrozenBase base, @Nullable String layer, @Nullable LowRank adapter) {
        this.base = base.sha256();
        handle = base.handle();
        this.layer = layer;
        this.adapter = adapter;
    }

    /** {@return SHA-256 of the base} */
    public String base() {
        return base;
    }

    /** {@return the adapter's settings; null for none} */
    public @Nullable LowRank adapter() {
        return adapter;
    }

    /** {@return whether the weights are an embedding's} */
    public boolean isTied() {
        return layer == null;
    }

    /** {@return the base, to be held as long as {@link #weights} are used} */
    public FrozenBase held() {
        return FrozenBase.named(base, handle);
    }

    /**
     * {@return W {@code [nIn, nOut]}, and b if there is one, views of the base's parameters; none if they are an
     * embedding's}
     *
     * @param held {@link #held}
     */
    public Map<String, INDArray> weights(FrozenBase held, long nIn, long nOut) {
        Map<String, INDArray> weights = new LinkedHashMap<>();
        if (layer == null) {
            return weights;
        }
        INDArray all = held.parameters(layer);
        INDArray line = all.reshape(all.length());
        weights.put(
                DefaultParamInitializer.WEIGHT_KEY,
                line.get(NDArrayIndex.interval(0, nIn * nOut)).reshape('f', nIn, nOut));
        if (line.length() > nIn * nOut) {
            weights.put(
                    DefaultParamInitializer.BIAS_KEY,
                    line.get(NDArrayIndex.interval(nIn * nOut, line.length())).reshape(1, nOut));
        }
        return weights;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof FrozenProjection that
                && base.equals(that.base)
                && Objects.equals(layer, that.layer)
                && Objects.equals(adapter, that.adapter);
    }

    @Override
    public int hashCode() {
        return Objects.hash(base, layer, adapter);
    }

    @Override
    public String toString() {
        return "FrozenProjection(base=" + base + ", layer=" + layer + ", adapter=" + adapter + ")";
    }
}
