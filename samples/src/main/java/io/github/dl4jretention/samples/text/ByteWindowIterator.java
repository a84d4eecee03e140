package io.github.dl4jretention.samples.text;

import java.util.stream.Stream;

/**
 * Batches of byte windows for next-byte prediction. Features are byte values {@code [batch, 1, length]}, labels the
 * bytes one step later, one-hot {@code [batch, 256, length]}. After {@link #reset()} the same batches come again.
 */
public final class ByteWindowIterator extends TokenWindowIterator {

    /** Number of byte values, the vocabulary of a byte-level model. */
    public static final int VOCABULARY = 256;

    private static final long serialVersionUID = 1L;

    private ByteWindowIterator(Windows windows) {
        super(windows, VOCABULARY, true);
    }

    /**
     * Windows at random places, as {@link TokenWindowIterator#training} has them.
     *
     * @throws IllegalArgumentException if a text is shorter than one window and the byte after it
     */
    public static ByteWindowIterator training(int batch, int length, int batches, long seed, byte[]... texts) {
        int[][] tokens = Stream.of(texts).map(ByteWindowIterator::tokens).toArray(int[][]::new);
        return new ByteWindowIterator(Windows.training(batch, length, batches, seed, tokens));
    }

    /**
     * Windows at evenly spaced places of one text, as {@link TokenWindowIterator#evaluation} has them.
     *
     * @throws IllegalArgumentException if the text is shorter than one window and the byte after it
     */
    public static ByteWindowIterator evaluation(int batch, int length, int batches, byte[] text) {
        return new ByteWindowIterator(Windows.evaluation(batch, length, batches, tokens(text)));
    }

    /** As {@link #training}, of bytes that are token ids already. */
    public static ByteWindowIterator training(int batch, int length, int batches, long seed, int[]... texts) {
        return new ByteWindowIterator(Windows.training(batch, length, batches, seed, texts));
    }

    /** As {@link #evaluation}, of bytes that are token ids already. */
    public static ByteWindowIterator evaluation(int batch, int length, int batches, int[] text) {
        return new ByteWindowIterator(Windows.evaluation(batch, length, batches, text));
    }

    private static int[] tokens(byte[] text) {
        int[] tokens = new int[text.length];
        for (int i = 0; i < text.length; i++) {
            tokens[i] = Byte.toUnsignedInt(text[i]);
        }
        return tokens;
    }
}
