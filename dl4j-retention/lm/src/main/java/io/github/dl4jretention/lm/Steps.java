package io.github.dl4jretention.lm;

/** Reads sequences token by token, all of them at once, and says what may come next. */
interface Steps {

    /**
     * Reads tokens.
     *
     * @param ids of each sequence, as many of each
     */
    void read(int[][] ids);

    /**
     * {@return after reading one token of each sequence, the logits of the next}
     *
     * @param ids of each sequence one
     */
    float[][] next(int[][] ids);

    /**
     * Makes more sequences of the only one that was read.
     *
     * @param copies how many
     */
    void repeat(int copies);
}
