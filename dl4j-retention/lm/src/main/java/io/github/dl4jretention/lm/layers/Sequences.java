package io.github.dl4jretention.lm.layers;

/**
 * What a block is told about a minibatch. Its tokens are rows, sequence after sequence.
 *
 * @param batch    sequences
 * @param time     tokens of each that are computed now
 * @param past     tokens before them whose keys and values are known
 * @param capacity tokens for which a sequence has room in the memory of known keys and values; 0 without such memory
 * @param keep     {@code [batch][past + time]}: whether a token may be attended to; null if all may
 * @param seed     of dropout
 * @param training whether dropout acts
 */
record Sequences(int batch, int time, int past, int capacity, boolean[][] keep, long seed, boolean training) {

    int tokens() {
        return batch * time;
    }

    /** Tokens of a sequence with those before. */
    int total() {
        return past + time;
    }

    boolean[] keep(int sequence) {
        return keep == null ? null : keep[sequence];
    }
}
