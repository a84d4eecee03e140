package io.github.dl4jretention.lm.layers;

import java.util.Arrays;
import java.util.List;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.samediff.SDLayerParams;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;

/**
 * Normalises each token, as before the output layer of a decoder: see {@link Norm} for the formulas. Input and output
 * are {@code [batch, width, time]}. Parameters: {@code gain}, and {@code bias} for LayerNorm. It keeps nothing but its
 * input for the backward pass.
 */
public final class NormLayer extends TokenLayer {

    private static final long serialVersionUID = 1L;

    static final String GAIN = "gain";
    static final String BIAS = "bias";

    /** The kind of norm. */
    private Norm norm = Norm.LAYER_NORM;

    /** Added to the variance or the mean of squares. */
    private double epsilon;

    /** For JSON. */
    NormLayer() {}

    private NormLayer(Builder builder) {
        super(builder);
        norm = builder.norm;
        epsilon = builder.epsilon;
        if (!(epsilon > 0)) {
            throw new IllegalArgumentException("epsilon: expected a number above 0, got " + epsilon);
        }
    }

    /** {@return a builder of norms} */
    public static Builder builder() {
        return new Builder();
    }

    /** {@return the kind of norm} */
    public Norm getNorm() {
        return norm;
    }

    /** {@return what is added to the variance or the mean of squares} */
    public double getEpsilon() {
        return epsilon;
    }

    @Override
    void validate() {
        requireWidth();
    }

    @Override
    public void defineParameters(SDLayerParams params) {
        params.addBiasParam(GAIN, width);
        if (norm == Norm.LAYER_NORM) {
            params.addBiasParam(BIAS, width);
        }
    }

    @Override
    List<String> gains() {
        return List.of(GAIN);
    }

    @Override
    List<@Nullable Object> fields() {
        return Arrays.asList(norm, epsilon);
    }

    @Override
    TokenLayerRuntime runtime(NeuralNetConfiguration conf, DataType dataType) {
        return new NormLayerRuntime(conf, dataType);
    }

    /** Builds a norm. */
    @SuppressWarnings("unchecked")
    public static final class Builder extends TokenLayer.Builder<Builder> {

        private Norm norm = Norm.LAYER_NORM;
        private double epsilon = 1e-5;

        private Builder() {}

        /**
         * @param norm    kind of norm; default LayerNorm
         * @param epsilon above 0; default 1e-5
         * @return this builder
         */
        public Builder norm(Norm norm, double epsilon) {
            this.norm = norm;
            this.epsilon = epsilon;
            return this;
        }

        /** @throws IllegalArgumentException if epsilon isn't above 0 */
        @Override
        public NormLayer build() {
            return new NormLayer(this);
        }
    }
}
