package io.github.dl4jretention.baseline;

/** In which pieces source text is mixed into target text. */
public enum ReplayUnit {
    /**
     * Every target batch gets source examples after its own: so many that the share is right in expectation,
     * {@code n share / (1 - share)} for n of the target, rounded up or down at random. Batches of source and target
     * must have one shape, but for the number of examples.
     */
    EXAMPLES,
    /**
     * Whole source batches between target batches: each batch is one of the source with the probability of the share.
     */
    BATCHES
}
