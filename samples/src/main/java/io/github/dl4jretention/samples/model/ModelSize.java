package io.github.dl4jretention.samples.model;

/**
 * How large a model of a {@link ModelKind} is.
 *
 * @param vocabulary classes of a token
 * @param context    tokens of the longest sequence
 * @param embedding  width of the embedding
 * @param layers     LSTM layers or transformer blocks
 * @param units      of an LSTM layer, or the width of a transformer, which is that of its embedding
 */
public record ModelSize(int vocabulary, int context, int embedding, int layers, int units) {

    /** This size with another vocabulary and another longest sequence. */
    public ModelSize with(int vocabulary, int context) {
        return new ModelSize(vocabulary, context, embedding, layers, units);
    }
}
