package io.github.dl4jretention.lm.layers;

import io.github.dl4jretention.internal.HalfReader;
import io.github.dl4jretention.internal.TiedWeights;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.samediff.SDLayerParams;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * The first layer of a decoder: token id t at position p becomes {@code W(t)}, or {@code W(t) + positions(p)} with
 * learned positions. Input are ids {@code [batch, time]} or {@code [batch, 1, time]} of any type; output is
 * {@code [batch, width, time]}. A masked token becomes 0, whatever its id.
 *
 * <p>Parameters: {@code W}, {@code [vocabulary, width]}, and {@code positions}, {@code [positions, width]}. Positions
 * count from 0, and in rnnTimeStep and truncated backpropagation from where the tokens before ended; where a features
 * mask holds numbers of documents, 1, 2 and so on, from the beginning of each. A
 * {@link io.github.dl4jretention.loss.TiedOutputLayer} at the network's end shares W.
 */
public final class TokenEmbedding extends TokenLayer implements HalfReader {

    private static final long serialVersionUID = 1L;

    static final String TOKENS = DefaultParamInitializer.WEIGHT_KEY;
    static final String POSITIONS = "positions";

    /** Number of token ids. */
    private int vocabulary;

    /** Number of learned positions; 0 for none. */
    private int positions;

    /** For JSON. */
    TokenEmbedding() {}

    private TokenEmbedding(Builder builder) {
        super(builder);
        vocabulary = builder.vocabulary;
        positions = builder.positions;
        validate();
        if (vocabulary < 2) {
            throw new IllegalArgumentException("vocabulary: expected a number of at least 2, got " + vocabulary);
        }
        if (positions < 0) {
            throw new IllegalArgumentException("positions: expected a number of at least 0, got " + positions);
        }
    }

    /** {@return a builder of embeddings; vocabulary and width are required} */
    public static Builder builder() {
        return new Builder();
    }

    /** {@return number of token ids} */
    public int getVocabulary() {
        return vocabulary;
    }

    /** {@return number of learned positions; 0 for none} */
    public int getPositions() {
        return positions;
    }

    @Override
    void validate() {
        requireWidth();
    }

    /** The input's size says nothing about the width. */
    @Override
    public void setNIn(InputType inputType, boolean override) {}

    @Override
    public void defineParameters(SDLayerParams params) {
        params.addWeightParam(TOKENS, vocabulary, width);
        if (positions > 0) {
            params.addWeightParam(POSITIONS, positions, width);
        }
    }

    /** A token's numbers lie side by side. */
    @Override
    public char paramReshapeOrder(String param) {
        return 'c';
    }

    @Override
    public boolean readsHalves(DataType network) {
        return network == DataType.FLOAT && TokenLayerRuntime.isNative(network);
    }

    @Override
    List<String> gains() {
        return List.of();
    }

    @Override
    List<@Nullable Object> fields() {
        return Arrays.asList(vocabulary, positions);
    }

    @Override
    public Layer instantiate(
            NeuralNetConfiguration conf,
            Collection<TrainingListener> trainingListeners,
            int layerIndex,
            INDArray layerParamsView,
            boolean initializeParams,
            DataType networkDataType) {
        Layer layer = super.instantiate(
                conf, trainingListeners, layerIndex, layerParamsView, initializeParams, networkDataType);
        TiedWeights.offer(trainingListeners, (TokenEmbeddingRuntime) layer);
        return layer;
    }

    @Override
    TokenLayerRuntime runtime(NeuralNetConfiguration conf, DataType dataType) {
        return new TokenEmbeddingRuntime(conf, dataType);
    }

    /** Builds an embedding. */
    @SuppressWarnings("unchecked")
    public static final class Builder extends TokenLayer.Builder<Builder> {

        private int vocabulary;
        private int positions;

        private Builder() {}

        /**
         * @param vocabulary number of token ids, at least 2; required
         * @return this builder
         */
        public Builder vocabulary(int vocabulary) {
            this.vocabulary = vocabulary;
            return this;
        }

        /**
         * @param positions number of learned positions, the longest sequence; default 0, for none
         * @return this builder
         */
        public Builder positions(int positions) {
            this.positions = positions;
            return this;
        }

        /** @throws IllegalArgumentException if a setting doesn't fit; the message names it */
        @Override
        public TokenEmbedding build() {
            return new TokenEmbedding(this);
        }
    }
}
