package io.github.dl4jretention.lm.text;

/**
 * A document's tokens.
 *
 * @param ids     token ids
 * @param learned whether each is to be learned, or only read
 * @param whole   whether it must stay in one piece: an answer means nothing without its prompt
 */
record Document(int[] ids, boolean[] learned, boolean whole) {}
