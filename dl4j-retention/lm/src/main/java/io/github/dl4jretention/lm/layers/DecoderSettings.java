package io.github.dl4jretention.lm.layers;

import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What a {@link DecoderBlock} is set to: checks, defaults that follow from other settings, and widths. */
abstract class DecoderSettings extends TokenLayer {

    private static final long serialVersionUID = 1L;

    private int heads;
    private int keyValueHeads;
    private int headSize;
    private int hidden;
    private Norm norm = Norm.LAYER_NORM;
    private double epsilon;
    private FeedForward feedForward = FeedForward.GELU_TANH;
    private @Nullable RotaryPositions rotary;
    private boolean queryKeyValueBias;
    private boolean projectionBias;
    private boolean feedForwardBias;
    private boolean queryKeyNorm;
    private boolean parallelResidual;
    private int window;
    private double attentionDropout;
    private double residualDropout;
    private boolean recompute;

    /** For JSON. */
    DecoderSettings() {}

    DecoderSettings(DecoderBlock.Builder builder) {
        super(builder);
        heads = builder.heads;
        keyValueHeads = builder.keyValueHeads;
        headSize = builder.headSize;
        hidden = builder.hidden;
        norm = builder.norm;
        epsilon = builder.epsilon;
        feedForward = builder.feedForward;
        rotary = builder.rotary;
        queryKeyValueBias = builder.queryKeyValueBias;
        projectionBias = builder.projectionBias;
        feedForwardBias = builder.feedForwardBias;
        queryKeyNorm = builder.queryKeyNorm;
        parallelResidual = builder.parallelResidual;
        window = builder.window;
        attentionDropout = builder.attentionDropout;
        residualDropout = builder.residualDropout;
        recompute = builder.recompute;
        require(heads > 0, "heads", "a number above 0", heads);
        require(keyValueHeads >= 0, "keyValueHeads", "a number of at least 0", keyValueHeads);
        require(
                keyValueHeads == 0 || heads % keyValueHeads == 0,
                "keyValueHeads",
                "a number that divides heads = " + heads,
                keyValueHeads);
        require(headSize >= 0, "headSize", "a number of at least 0", headSize);
        require(hidden >= 0, "hidden", "a number of at least 0", hidden);
        require(epsilon > 0, "epsilon", "a number above 0", epsilon);
        require(window > 0, "window", "a number above 0", window);
        require(attentionDropout >= 0 && attentionDropout < 1, "attentionDropout", "[0, 1)", attentionDropout);
        require(residualDropout >= 0 && residualDropout < 1, "residualDropout", "[0, 1)", residualDropout);
        if (width > 0) {
            validate();
        }
    }

    private static void require(boolean fits, String name, String expected, Object got) {
        if (!fits) {
            throw new IllegalArgumentException(name + ": expected " + expected + ", got " + got);
        }
    }

    @Override
    void validate() {
        requireWidth();
        require(
                headSize > 0 || width % heads == 0,
                "heads",
                "a number that divides width = " + width + ", or a headSize of its own",
                heads);
        if (rotary != null) {
            rotary.dimensionsOf(getHeadSize());
        }
    }

    /** {@return number of attention heads} */
    public int getHeads() {
        return heads;
    }

    /** {@return number of heads of keys and values} */
    public int getKeyValueHeads() {
        return keyValueHeads == 0 ? heads : keyValueHeads;
    }

    /** {@return numbers of a head} */
    public int getHeadSize() {
        return headSize == 0 ? width / heads : headSize;
    }

    /** {@return numbers between the feed-forward part's products} */
    public int getHidden() {
        return hidden == 0 ? 4 * width : hidden;
    }

    /** {@return the kind of norm} */
    public Norm getNorm() {
        return norm;
    }

    /** {@return what norms add to the variance or the mean of squares} */
    public double getEpsilon() {
        return epsilon;
    }

    /** {@return the kind of feed-forward part} */
    public FeedForward getFeedForward() {
        return feedForward;
    }

    /** {@return rotary positions; null for none} */
    public @Nullable RotaryPositions getRotary() {
        return rotary;
    }

    /** {@return whether queries, keys and values have biases} */
    public boolean isQueryKeyValueBias() {
        return queryKeyValueBias;
    }

    /** {@return whether the projection after attention has a bias} */
    public boolean isProjectionBias() {
        return projectionBias;
    }

    /** {@return whether the feed-forward part has biases} */
    public boolean isFeedForwardBias() {
        return feedForwardBias;
    }

    /** {@return whether queries and keys are normalised} */
    public boolean isQueryKeyNorm() {
        return queryKeyNorm;
    }

    /** {@return whether attention and feed-forward part both read the input} */
    public boolean isParallelResidual() {
        return parallelResidual;
    }

    /** {@return how many tokens a token sees, itself among them} */
    public int getWindow() {
        return window;
    }

    /** {@return how likely a probability of attention is dropped} */
    public double getAttentionDropout() {
        return attentionDropout;
    }

    /** {@return how likely a number of a branch is dropped} */
    public double getResidualDropout() {
        return residualDropout;
    }

    /** {@return whether backward computes the forward pass once more} */
    public boolean isRecompute() {
        return recompute;
    }

    /** The one setting that may change: it says nothing about what the block computes. */
    void recompute(boolean recompute) {
        this.recompute = recompute;
    }

    int queryWidth() {
        return heads * getHeadSize();
    }

    int keyValueWidth() {
        return getKeyValueHeads() * getHeadSize();
    }

    int queryKeyValueWidth() {
        return queryWidth() + 2 * keyValueWidth();
    }

    /** Columns of the feed-forward part's first product. */
    int upWidth() {
        return feedForward.isGated() ? 2 * getHidden() : getHidden();
    }

    @Override
    List<@Nullable Object> fields() {
        return Arrays.asList(
                heads,
                keyValueHeads,
                headSize,
                hidden,
                norm,
                epsilon,
                feedForward,
                rotary,
                queryKeyValueBias,
                projectionBias,
                feedForwardBias,
                queryKeyNorm,
                parallelResidual,
                window,
                attentionDropout,
                residualDropout,
                recompute);
    }
}
