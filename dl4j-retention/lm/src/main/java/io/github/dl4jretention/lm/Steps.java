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

    /** {@return what is known about the tokens so far, a copy; close it} */
    State state();

    /**
     * Goes back to a state.
     *
     * @param state of {@link #state()} of the same steps, which is left as it is
     * @param rows  which of its sequences each sequence goes on from
     */
    void restore(State state, int[] rows);

    /** What is known about the tokens so far. */
    interface State extends AutoCloseable {

        @Override
        void close();
    }
}
