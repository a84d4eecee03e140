package io.github.dl4jretention.lm.layers;

import org.jspecify.annotations.Nullable;

/**
 * What a block is told about a minibatch. Its tokens are rows, sequence after sequence.
 *
 * @param batch    sequences
 * @param time     tokens of each that are computed now
 * @param past     tokens before them whose keys and values are known
 * @param capacity tokens for which a sequence has room in the memory of known keys and values; 0 without such memory
 * @param keep     {@code [batch][past + time]}: whether a token may be attended to; null if all may
 * @param starts   {@code [batch][time]}: the first token of each token's document; null if a sequence is one document
 * @param seed     of dropout
 * @param training whether dropout acts
 */
record Sequences(
        int batch,
        int time,
        int past,
        int capacity,
        boolean @Nullable [][] keep,
        int @Nullable [][] starts,
        long seed,
        boolean training) {

    int tokens() {
        return batch * time;
    }

    /** Tokens of a sequence with those before. */
    int total() {
        return past + time;
    }

    /**
     * Which keys of a sequence may be seen.
     *
     * @param keep   null for all
     * @param starts first key of each token's document; null for 0
     */
    record Keys(boolean @Nullable [] keep, int @Nullable [] starts) {}

    Keys keep(int sequence) {
        return new Keys(keep == null ? null : keep[sequence], starts == null ? null : starts[sequence]);
    }
}
