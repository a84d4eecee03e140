package io.github.dl4jretention.lm.layers;

import java.util.List;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.samediff.SDLayerParams;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;

/**
 * A decoder block, the layer that GPT-2, GPT-NeoX, Llama, Mistral, Qwen and their like are stacks of:
 * <pre>
 * sequential  m = x + attention(norm1(x)),  y = m + feedForward(norm2(m))
 * parallel    y = x + attention(norm1(x)) + feedForward(norm2(x))
 * attention(n)    = projection(heads of softmax(q k / sqrt(headSize)) v),  q, k, v = n W + b
 * feedForward(n)  = down(activation(up(n)))
 * </pre>
 *
 * where a token attends to itself and to those before. Input and output are {@code [batch, width, time]}; their memory
 * is {@code [batch, time, width]}, and an input that lies like this isn't copied. A features mask {@code [batch, time]}
 * hides tokens from the others, wherever they are; a token that sees none gets 0 from attention. Where several documents
 * share a sequence, the mask holds their numbers, 1, 2 and so on: a token sees those of its own document only.
 *
 * <p><b>Parameters</b>, weights {@code [nIn, nOut]}: {@code query, key, value, projection}, {@code gate} (SwiGLU only),
 * {@code up, down}; biases of the same names with {@code Bias}; gains {@code attentionNorm, feedForwardNorm} with
 * {@code Bias} for LayerNorm; {@code queryNorm, keyNorm}. Query and key-value heads lie one behind the other; with fewer
 * key-value heads than heads, {@code heads / keyValueHeads} neighbours share one.
 *
 * <p><b>Memory.</b> From forward to backward a block keeps {@code 2 (heads + keyValueHeads) headSize + heads + width +
 * hidden} numbers of each token ({@code 2 hidden} for SwiGLU, and {@code (heads + keyValueHeads) headSize} more with
 * query-key norm), times 4 bytes in FLOAT, beside its input. With {@code recompute(true)} it keeps its input alone and
 * computes the rest once more on the way back. Scores are never kept, see below.
 *
 * <p><b>Stored state.</b> {@code rnnTimeStep} keeps keys and values of the tokens so far, so generating a token costs
 * one row of products; truncated backpropagation lets later parts see the keys and values of earlier ones, without a
 * gradient to them. Positions count on.
 *
 * <p><b>Numbers.</b> FLOAT and DOUBLE on the CPU backend run at native speed, by the same code. HALF and BFLOAT16, and
 * other backends, run as SameDiff operations, which is slower by far and builds a graph for each new length: HALF and
 * BFLOAT16 are computed in FLOAT and rounded at the block's end. No backend but the CPU's has run them yet. With {@code -Ddl4jretention.samediff=true} every block runs that way, for comparison.
 * Exponentials at native speed are within 1.5e-7, relative. Dropout's choices come from ND4J's random generator, one
 * number for each forward pass.
 *
 * <p>Sources: Vaswani et al., "Attention Is All You Need", https://arxiv.org/abs/1706.03762; Ainslie et al., "GQA",
 * https://arxiv.org/abs/2305.13245; for the window Jiang et al., "Mistral 7B", https://arxiv.org/abs/2310.06825; for the
 * parallel residual Black et al., "GPT-NeoX-20B", https://arxiv.org/abs/2204.06745; for query-key norm Henry et al.,
 * https://arxiv.org/abs/2010.04245, as Qwen3 has it: RMSNorm of each head before the rotation; for attention in tiles
 * Dao et al., "FlashAttention", https://arxiv.org/abs/2205.14135.
 */
public final class DecoderBlock extends DecoderSettings {

    /**
     * The least number of a document in a features mask that has several documents in a sequence, 2^20: far from any
     * weight of a token, and whole in FLOAT for as many documents as a sequence can have.
     */
    public static final int FIRST_DOCUMENT = 1 << 20;

    private static final long serialVersionUID = 1L;

    static final String QUERY = "query";
    static final String KEY = "key";
    static final String VALUE = "value";
    static final String PROJECTION = "projection";
    static final String GATE = "gate";
    static final String UP = "up";
    static final String DOWN = "down";
    static final String QUERY_BIAS = "queryBias";
    static final String KEY_BIAS = "keyBias";
    static final String VALUE_BIAS = "valueBias";
    static final String PROJECTION_BIAS = "projectionBias";
    static final String GATE_BIAS = "gateBias";
    static final String UP_BIAS = "upBias";
    static final String DOWN_BIAS = "downBias";
    static final String QUERY_NORM = "queryNorm";
    static final String KEY_NORM = "keyNorm";
    static final String ATTENTION_NORM = "attentionNorm";
    static final String ATTENTION_NORM_BIAS = "attentionNormBias";
    static final String FEED_FORWARD_NORM = "feedForwardNorm";
    static final String FEED_FORWARD_NORM_BIAS = "feedForwardNormBias";

    /** For JSON. */
    DecoderBlock() {}

    private DecoderBlock(Builder builder) {
        super(builder);
    }

    /** {@return a builder of blocks; heads is the one setting that it needs} */
    public static Builder builder() {
        return new Builder();
    }

    /** Weights first, then the others, as DL4J lays them out; what makes one product lies side by side. */
    @Override
    public void defineParameters(SDLayerParams params) {
        params.addWeightParam(QUERY, width, queryWidth());
        params.addWeightParam(KEY, width, keyValueWidth());
        params.addWeightParam(VALUE, width, keyValueWidth());
        params.addWeightParam(PROJECTION, queryWidth(), width);
        if (getFeedForward().isGated()) {
            params.addWeightParam(GATE, width, getHidden());
        }
        params.addWeightParam(UP, width, getHidden());
        params.addWeightParam(DOWN, getHidden(), width);
        if (isQueryKeyValueBias()) {
            params.addBiasParam(QUERY_BIAS, queryWidth());
            params.addBiasParam(KEY_BIAS, keyValueWidth());
            params.addBiasParam(VALUE_BIAS, keyValueWidth());
        }
        if (isProjectionBias()) {
            params.addBiasParam(PROJECTION_BIAS, width);
        }
        if (isFeedForwardBias() && getFeedForward().isGated()) {
            params.addBiasParam(GATE_BIAS, getHidden());
        }
        if (isFeedForwardBias()) {
            params.addBiasParam(UP_BIAS, getHidden());
            params.addBiasParam(DOWN_BIAS, width);
        }
        if (isQueryKeyNorm()) {
            params.addBiasParam(QUERY_NORM, getHeadSize());
            params.addBiasParam(KEY_NORM, getHeadSize());
        }
        params.addBiasParam(ATTENTION_NORM, width);
        params.addBiasParam(FEED_FORWARD_NORM, width);
        if (getNorm() == Norm.LAYER_NORM) {
            params.addBiasParam(ATTENTION_NORM_BIAS, width);
            params.addBiasParam(FEED_FORWARD_NORM_BIAS, width);
        }
    }

    @Override
    List<String> gains() {
        return List.of(ATTENTION_NORM, FEED_FORWARD_NORM, QUERY_NORM, KEY_NORM);
    }

    @Override
    TokenLayerRuntime runtime(NeuralNetConfiguration conf, DataType dataType) {
        return new DecoderBlockRuntime(conf, dataType);
    }

    /** Builds a block; the defaults are those of GPT-2 without its learned positions. */
    @SuppressWarnings("unchecked")
    public static final class Builder extends TokenLayer.Builder<Builder> {

        int heads;
        int keyValueHeads;
        int headSize;
        int hidden;
        Norm norm = Norm.LAYER_NORM;
        double epsilon = 1e-5;
        FeedForward feedForward = FeedForward.GELU_TANH;

        @Nullable
        RotaryPositions rotary;

        boolean queryKeyValueBias = true;
        boolean projectionBias = true;
        boolean feedForwardBias = true;
        boolean queryKeyNorm;
        boolean parallelResidual;
        int window = Integer.MAX_VALUE;
        double attentionDropout;
        double residualDropout;
        boolean recompute;

        private Builder() {}

        /**
         * @param heads number of attention heads, above 0, which divides the width unless {@link #headSize} is set;
         *     required. Queries are {@code [tokens, heads * headSize]}
         * @return this builder
         */
        public Builder heads(int heads) {
            this.heads = heads;
            return this;
        }

        /**
         * @param keyValueHeads number of heads of keys and values, which divides heads; default heads, or 0, for as many.
         *     Each is shared by {@code heads / keyValueHeads} neighbouring heads (Ainslie et al., section 2.2)
         * @return this builder
         */
        public Builder keyValueHeads(int keyValueHeads) {
            this.keyValueHeads = keyValueHeads;
            return this;
        }

        /**
         * @param headSize numbers of a head, above 0; default {@code width / heads}, or 0. Scores are divided by its root
         * @return this builder
         */
        public Builder headSize(int headSize) {
            this.headSize = headSize;
            return this;
        }

        /**
         * @param hidden numbers of a token between the feed-forward part's products, above 0; default {@code 4 width}, or 0.
         *     {@code up} is {@code [width, hidden]}, {@code down} {@code [hidden, width]}
         * @return this builder
         */
        public Builder hidden(int hidden) {
            this.hidden = hidden;
            return this;
        }

        /**
         * @param norm    kind of both norms, whose formulas {@link Norm} has; default LayerNorm
         * @param epsilon added to the variance or the mean of squares, above 0; default 1e-5
         * @return this builder
         */
        public Builder norm(Norm norm, double epsilon) {
            this.norm = norm;
            this.epsilon = epsilon;
            return this;
        }

        /**
         * @param feedForward kind of feed-forward part, whose formulas {@link FeedForward} has; default
         *     {@link FeedForward#GELU_TANH}
         * @return this builder
         */
        public Builder feedForward(FeedForward feedForward) {
            this.feedForward = feedForward;
            return this;
        }

        /**
         * @param rotary rotary positions of queries and keys, even and at most the head size; default null, for none
         * @return this builder
         */
        public Builder rotary(@Nullable RotaryPositions rotary) {
            this.rotary = rotary;
            return this;
        }

        /**
         * @param queryKeyValueBias whether queries, keys and values have biases; default true
         * @return this builder
         */
        public Builder queryKeyValueBias(boolean queryKeyValueBias) {
            this.queryKeyValueBias = queryKeyValueBias;
            return this;
        }

        /**
         * @param projectionBias whether the projection after attention has a bias; default true
         * @return this builder
         */
        public Builder projectionBias(boolean projectionBias) {
            this.projectionBias = projectionBias;
            return this;
        }

        /**
         * @param feedForwardBias whether the feed-forward part has biases; default true
         * @return this builder
         */
        public Builder feedForwardBias(boolean feedForwardBias) {
            this.feedForwardBias = feedForwardBias;
            return this;
        }

        /**
         * @param hasBias all three kinds of biases at once; default true
         * @return this builder
         */
        public Builder biases(boolean hasBias) {
            return queryKeyValueBias(hasBias).projectionBias(hasBias).feedForwardBias(hasBias);
        }

        /**
         * @param queryKeyNorm whether each head's queries and keys pass an RMSNorm before they are rotated; default
         *     false
         * @return this builder
         */
        public Builder queryKeyNorm(boolean queryKeyNorm) {
            this.queryKeyNorm = queryKeyNorm;
            return this;
        }

        /**
         * @param parallelResidual whether attention and feed-forward part both read the block's input, as in GPT-NeoX
         *     (Black et al., section 2.1); default false: the feed-forward part reads their sum
         * @return this builder
         */
        public Builder parallelResidual(boolean parallelResidual) {
            this.parallelResidual = parallelResidual;
            return this;
        }

        /**
         * @param window how many tokens a token sees, itself among them, above 0; default all before it (Jiang et al.,
         *     section 2). Keys and values of all tokens are stored all the same
         * @return this builder
         */
        public Builder window(int window) {
            this.window = window;
            return this;
        }

        /**
         * @param rate how likely a probability of attention is dropped in training, at least 0 and below 1; default 0. Those
         *     that stay are divided by {@code 1 - rate}. Mind that DL4J's own {@code dropOut} is the probability of keeping
         * @return this builder
         */
        public Builder attentionDropout(double rate) {
            this.attentionDropout = rate;
            return this;
        }

        /**
         * @param rate how likely a number is dropped, in training, of what attention and feed-forward part add, at least 0
         *     and below 1; default 0. Those that stay are divided by {@code 1 - rate}
         * @return this builder
         */
        public Builder residualDropout(double rate) {
            this.residualDropout = rate;
            return this;
        }

        /**
         * @param recompute whether to keep nothing but the input for the backward pass, {@code width} numbers of a token in
         *     place of those above, for one more forward pass; default false. Gradients are the same, bit for bit
         * @return this builder
         */
        public Builder recompute(boolean recompute) {
            this.recompute = recompute;
            return this;
        }

        /**
         * @throws IllegalArgumentException if a setting doesn't fit; the message names it, what was expected and what it got
         */
        @Override
        public DecoderBlock build() {
            return new DecoderBlock(this);
        }
    }
}
