package io.github.dl4jretention.cache;

/** The first 128 bits of the SHA-256 of a sequence's features and features mask, see {@link BatchSequences}. */
record SequenceId(long high, long low) {

    static final int BYTES = 2 * Long.BYTES;
}
