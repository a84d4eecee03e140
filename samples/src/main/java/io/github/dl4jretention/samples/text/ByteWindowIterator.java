package io.github.dl4jretention.samples.text;

import java.util.Arrays;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.DataSetPreProcessor;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Batches of byte windows for next-byte prediction. Features are byte values {@code [batch, 1, length]}, labels the
 * bytes one step later, one-hot {@code [batch, 256, length]}. After {@link #reset()} the same batches come again.
 */
public final class ByteWindowIterator implements DataSetIterator {

    /** Number of byte values, the vocabulary of a byte-level model. */
    public static final int VOCABULARY = 256;

    private static final long serialVersionUID = 1L;

    private final byte[][] texts;
    private final int batch;
    private final int length;
    private final int batches;
    private final boolean random;
    private final long seed;
    private Random generator;
    private int next;
    private @Nullable DataSetPreProcessor preProcessor;

    private ByteWindowIterator(byte[][] texts, int batch, int length, int batches, boolean random, long seed) {
        for (byte[] text : texts) {
            if (text.length < length + 1) {
                throw new IllegalArgumentException("text: expected at least " + (length + 1)
                        + " bytes (one sequence and the byte after it), got " + text.length);
            }
        }
        this.texts = texts;
        this.batch = batch;
        this.length = length;
        this.batches = batches;
        this.random = random;
        this.seed = seed;
        reset();
    }

    /**
     * Windows at random places; row {@code i} of a batch comes from text {@code i mod texts.length}, so that every text
     * has the same share.
     *
     * @throws IllegalArgumentException if a text is shorter than one window and the byte after it
     */
    public static ByteWindowIterator training(int batch, int length, int batches, long seed, byte[]... texts) {
        return new ByteWindowIterator(texts.clone(), batch, length, batches, true, seed);
    }

    /**
     * Windows at evenly spaced places of one text, for evaluation. A text of fewer windows than asked for gives as many
     * as it has, so that none is counted twice.
     *
     * @throws IllegalArgumentException if the text is shorter than one window and the byte after it
     */
    public static ByteWindowIterator evaluation(int batch, int length, int batches, byte[] text) {
        int windows = Math.max(1, (text.length - 1) / length);
        int rows = Math.min(batch, windows);
        return new ByteWindowIterator(
                new byte[][] {text}, rows, length, Math.max(1, Math.min(batches, windows / rows)), false, 0);
    }

    @Override
    public DataSet next() {
        if (!hasNext()) {
            throw new NoSuchElementException("all " + batches + " batches were read; reset() starts again");
        }
        float[] features = new float[batch * length];
        // ND4J copies a Java array float by float: of one-hot labels nearly all are 0 anyway.
        INDArray oneHot = Nd4j.create(DataType.FLOAT, batch, VOCABULARY, length);
        for (int row = 0; row < batch; row++) {
            byte[] text = texts[row % texts.length];
            int start = start(text, row);
            for (int t = 0; t < length; t++) {
                features[row * length + t] = Byte.toUnsignedInt(text[start + t]);
                oneHot.putScalar(row, Byte.toUnsignedInt(text[start + t + 1]), t, 1);
            }
        }
        next++;
        DataSet dataSet = new DataSet(Nd4j.createFromArray(features).reshape(batch, 1, length), oneHot);
        if (preProcessor != null) {
            preProcessor.preProcess(dataSet);
        }
        return dataSet;
    }

    private int start(byte[] text, int row) {
        int places = text.length - length;
        if (random) {
            return generator.nextInt(places);
        }
        long window = (long) next * batch + row;
        return (int) (window * places / ((long) batches * batch));
    }

    @Override
    public DataSet next(int num) {
        throw new UnsupportedOperationException("the batch size is fixed at " + batch);
    }

    @Override
    public boolean hasNext() {
        return next < batches;
    }

    @Override
    public void reset() {
        next = 0;
        generator = new Random(seed);
    }

    @Override
    public boolean resetSupported() {
        return true;
    }

    @Override
    public boolean asyncSupported() {
        return true;
    }

    @Override
    public int batch() {
        return batch;
    }

    @Override
    public int inputColumns() {
        return 1;
    }

    @Override
    public int totalOutcomes() {
        return VOCABULARY;
    }

    @Override
    public List<String> getLabels() {
        return List.of();
    }

    @Override
    public void setPreProcessor(DataSetPreProcessor preProcessor) {
        this.preProcessor = preProcessor;
    }

    @Override
    public @Nullable DataSetPreProcessor getPreProcessor() {
        return preProcessor;
    }

    @Override
    public String toString() {
        return "ByteWindowIterator[" + batches + " batches of " + batch + " x " + length + ", text lengths "
                + Arrays.toString(Arrays.stream(texts).mapToInt(t -> t.length).toArray()) + "]";
    }
}
