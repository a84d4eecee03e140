package io.github.dl4jretention.lm.layers;

import io.github.dl4jretention.internal.JsonFields;
import java.io.Serializable;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * Rotary position embedding: pair i of a query's or key's numbers at position p is turned by the angle
 * {@code p f(i)} with {@code f(i) = base^(-2i / dimensions)}, so that a product of a query and a key depends on the
 * distance of their positions.
 *
 * <p><b>Pairs.</b> {@code (i, i + dimensions / 2)}, as in Llama and GPT-NeoX; or, {@link #interleaved()},
 * {@code (2i, 2i + 1)}, as in GPT-J and the paper.
 *
 * <p><b>Scaling</b> of the frequencies for contexts longer than those of pretraining: {@link #linear} divides them all;
 * {@link #llama3} divides low ones, leaves high ones, and goes smoothly from one to the other between.
 *
 * <p>Sources: Su et al., "RoFormer", https://arxiv.org/abs/2104.09864; Chen et al., "Extending Context Window of Large
 * Language Models via Positional Interpolation", https://arxiv.org/abs/2306.15595; for llama3 the model card's reference
 * code of Llama 3.1. Objects never change: each method gives a new one.
 */
@JsonFields
public final class RotaryPositions implements Serializable {

    private static final long serialVersionUID = 1L;

    /** Above 1. */
    private double base;

    /** Numbers of a head that turn; 0 for all. */
    private int dimensions;

    /** Whether pairs are neighbours. */
    private boolean interleaved;

    /** What frequencies are divided by. */
    private double factor = 1;

    /** Of llama3's scaling; likewise the next two, 0 for the linear one. */
    private double lowFrequencyFactor;

    /** Above the lower one. */
    private double highFrequencyFactor;

    /** The context of pretraining. */
    private int pretrainedPositions;

    /** For JSON. */
    RotaryPositions() {}

    private RotaryPositions(double base) {
        this.base = base;
    }

    /**
     * {@return rotary positions of all of a head's numbers, unscaled}
     *
     * @param base above 1; 10,000 in the paper
     */
    public static RotaryPositions base(double base) {
        if (!(base > 1)) {
            throw new IllegalArgumentException("base: expected a number above 1, got " + base);
        }
        return new RotaryPositions(base);
    }

    /**
     * {@return the same, of a head's first numbers only}
     *
     * @param dimensions how many, even, at most the head size; 0, the default, for all
     */
    public RotaryPositions dimensions(int dimensions) {
        if (dimensions < 0 || dimensions % 2 != 0) {
            throw new IllegalArgumentException("dimensions: expected an even number of at least 0, got " + dimensions);
        }
        RotaryPositions changed = copy();
        changed.dimensions = dimensions;
        return changed;
    }

    /** {@return the same with pairs of neighbours} */
    public RotaryPositions interleaved() {
        RotaryPositions changed = copy();
        changed.interleaved = true;
        return changed;
    }

    /**
     * {@return the same with all frequencies divided by a factor}
     *
     * @param factor at least 1
     */
    public RotaryPositions linear(double factor) {
        requireFactor(factor);
        RotaryPositions changed = copy();
        changed.factor = factor;
        changed.pretrainedPositions = 0;
        return changed;
    }

    /**
     * {@return the same with the scaling of Llama 3.1} With wavelength {@code w = 2 pi / f}: frequencies with
     * {@code w < positions / high} stay, those with {@code w > positions / low} are divided by the factor, those between
     * become {@code (1 - s) f / factor + s f} with {@code s = (positions / w - low) / (high - low)}.
     *
     * @param factor              at least 1
     * @param lowFrequencyFactor  above 0
     * @param highFrequencyFactor above it
     * @param pretrainedPositions the context that the model was pretrained with
     */
    public RotaryPositions llama3(
            double factor, double lowFrequencyFactor, double highFrequencyFactor, int pretrainedPositions) {
        requireFactor(factor);
        if (!(lowFrequencyFactor > 0 && highFrequencyFactor > lowFrequencyFactor && pretrainedPositions > 0)) {
            throw new IllegalArgumentException("llama3: expected 0 < lowFrequencyFactor < highFrequencyFactor and "
                    + "pretrainedPositions above 0, got " + lowFrequencyFactor + ", " + highFrequencyFactor + " and "
                    + pretrainedPositions);
        }
        RotaryPositions changed = linear(factor);
        changed.lowFrequencyFactor = lowFrequencyFactor;
        changed.highFrequencyFactor = highFrequencyFactor;
        changed.pretrainedPositions = pretrainedPositions;
        return changed;
    }

    private static void requireFactor(double factor) {
        if (!(factor >= 1)) {
            throw new IllegalArgumentException("factor: expected a number of at least 1, got " + factor);
        }
    }

    private RotaryPositions copy() {
        RotaryPositions copy = new RotaryPositions(base);
        copy.dimensions = dimensions;
        copy.interleaved = interleaved;
        copy.factor = factor;
        copy.lowFrequencyFactor = lowFrequencyFactor;
        copy.highFrequencyFactor = highFrequencyFactor;
        copy.pretrainedPositions = pretrainedPositions;
        return copy;
    }

    /** {@return whether pairs are neighbours} */
    public boolean isInterleaved() {
        return interleaved;
    }

    /**
     * {@return how many of a head's numbers turn}
     *
     * @param headSize the head's numbers
     * @throws IllegalArgumentException if that is odd or more than the head has
     */
    public int dimensionsOf(int headSize) {
        int turning = dimensions == 0 ? headSize : dimensions;
        if (turning > headSize || turning % 2 != 0) {
            throw new IllegalArgumentException("rotary: expected an even number of dimensions of at most headSize = "
                    + headSize + ", got " + turning);
        }
        return turning;
    }

    /**
     * {@return the frequencies of the pairs, radians per position}
     *
     * @param headSize a head's numbers
     */
    public double[] frequencies(int headSize) {
        int turning = dimensionsOf(headSize);
        double[] frequencies = new double[turning / 2];
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] = scaled(Math.pow(base, -2.0 * i / turning));
        }
        return frequencies;
    }

    private double scaled(double frequency) {
        if (pretrainedPositions == 0) {
            return frequency / factor;
        }
        double turns = pretrainedPositions * frequency / (2 * Math.PI);
        double smooth = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
        double kept = Math.min(Math.max(smooth, 0), 1);
        return (1 - kept) * frequency / factor + kept * frequency;
    }

    private List<Object> fields() {
        return Arrays.asList(
                base, dimensions, interleaved, factor, lowFrequencyFactor, highFrequencyFactor, pretrainedPositions);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof RotaryPositions that && fields().equals(that.fields());
    }

    @Override
    public int hashCode() {
        return Objects.hash(fields());
    }

    @Override
    public String toString() {
        return "RotaryPositions(base=" + base + ", dimensions=" + dimensions + ", interleaved=" + interleaved
                + ", factor=" + factor + ", lowFrequencyFactor=" + lowFrequencyFactor + ", highFrequencyFactor="
                + highFrequencyFactor + ", pretrainedPositions=" + pretrainedPositions + ")";
    }
}
