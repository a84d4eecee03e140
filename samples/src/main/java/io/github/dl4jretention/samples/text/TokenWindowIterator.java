package io.github.dl4jretention.samples.text;

import io.github.dl4jretention.checkpoint.RestartableIterator;
import java.util.Arrays;
import java.util.BitSet;
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
 * Batches of windows of tokens for next-token prediction. Features are token ids {@code [batch, 1, length]}, labels the
 * ids one step later: ids of the same shape, both INT32, or one-hot {@code [batch, V, length]}, both FLOAT, for DL4J's own
 * output layers. After {@link #reset()} the same batches come again, unless each epoch is to have other ones.
 */
public class TokenWindowIterator implements DataSetIterator, RestartableIterator {

    private static final long serialVersionUID = 1L;

    private static final long EPOCH_SEED = 0x9E3779B97F4A7C15L;

    private final int[][] texts;
    private final int batch;
    private final int length;
    private final int batches;
    private final boolean random;
    private final long seed;
    private final boolean anew;
    private final int vocabulary;
    private final boolean oneHot;
    /** Where windows may begin; null for anywhere. */
    private int @Nullable [] starts;

    /** Whether a token is to be predicted; null for all. */
    private @Nullable BitSet learned;

    private int epoch;
    private Random generator = new Random();
    private int next;
    private @Nullable DataSetPreProcessor preProcessor;

    /**
     * At the first batch.
     *
     * @param windows    of which texts, how many and where
     * @param vocabulary number of token ids
     * @param oneHot     whether labels are one-hot, rather than ids
     */
    TokenWindowIterator(Windows windows, int vocabulary, boolean oneHot) {
        for (int[] text : windows.texts) {
            if (text.length < windows.length + 1) {
                throw new IllegalArgumentException("text: expected at least " + (windows.length + 1)
                        + " tokens (one sequence and the token after it), got " + text.length);
            }
        }
        this.texts = windows.texts;
        this.batch = windows.batch;
        this.length = windows.length;
        this.batches = windows.batches;
        this.random = windows.random;
        this.seed = windows.seed;
        this.anew = windows.anew;
        this.vocabulary = vocabulary;
        this.oneHot = oneHot;
        start();
    }

    /** Which windows there are; {@code anew} says whether each epoch has other ones. */
    record Windows(int[][] texts, int batch, int length, int batches, boolean random, long seed, boolean anew) {

        static Windows training(int batch, int length, int batches, long seed, int[]... texts) {
            return new Windows(texts.clone(), batch, length, batches, true, seed, false);
        }

        /** A text of fewer windows than asked for gives as many as it has, so that none is counted twice. */
        static Windows evaluation(int batch, int length, int batches, int[] text) {
            int windows = Math.max(1, (text.length - 1) / length);
            int rows = Math.min(batch, windows);
            return new Windows(
                    new int[][] {text}, rows, length, Math.max(1, Math.min(batches, windows / rows)), false, 0, false);
        }
    }

    /**
     * Windows at random places, with labels of ids; row {@code i} of a batch comes from text {@code i mod texts.length},
     * so that every text has the same share.
     *
     * @param vocabulary number of token ids
     * @throws IllegalArgumentException if a text is shorter than one window and the token after it
     */
    public static TokenWindowIterator training(
            int vocabulary, int batch, int length, int batches, long seed, int[]... texts) {
        return new TokenWindowIterator(Windows.training(batch, length, batches, seed, texts), vocabulary, false);
    }

    /**
     * As {@link #training}, with other windows in each epoch, which follow from the seed and the epoch's number.
     *
     * @param batches of an epoch
     * @throws IllegalArgumentException if a text is shorter than one window and the token after it
     */
    public static TokenWindowIterator epochs(
            int vocabulary, int batch, int length, int batches, long seed, int[]... texts) {
        return new TokenWindowIterator(
                new Windows(texts.clone(), batch, length, batches, true, seed, true), vocabulary, false);
    }

    /**
     * Windows at evenly spaced places of one text, with labels of ids, for evaluation. A text of fewer windows than asked
     * for gives as many as it has, so that none is counted twice.
     *
     * @param vocabulary number of token ids
     * @throws IllegalArgumentException if the text is shorter than one window and the token after it
     */
    public static TokenWindowIterator evaluation(int vocabulary, int batch, int length, int batches, int[] text) {
        return new TokenWindowIterator(Windows.evaluation(batch, length, batches, text), vocabulary, false);
    }

    /**
     * Lets windows of a text of prompts and answers begin with a document, and only some tokens be predicted: in the labels
     * mask {@code [batch, length]} the others are 0. A window that ends before an answer begins predicts nothing, and is left
     * out.
     *
     * @param documents where those of the only text begin
     * @param answers   tokens that are predicted
     * @return this, at the first batch
     * @throws IllegalArgumentException if there are fewer such documents than windows of an evaluation
     */
    public TokenWindowIterator ofAnswers(int[] documents, BitSet answers) {
        int last = texts[0].length - length - 1;
        starts = Arrays.stream(documents)
                .filter(start -> start <= last
                        && answers.get(start + 1, start + 1 + length).cardinality() > 0)
                .toArray();
        learned = answers;
        if (starts.length < (random ? 1 : batches * batch)) {
            throw new IllegalArgumentException("text: expected a document for each of " + batches * batch
                    + " windows of " + length + " tokens that reach its answer, got " + starts.length
                    + "; take longer or fewer windows");
        }
        return this;
    }

    @Override
    public DataSet next() {
        if (!hasNext()) {
            throw new NoSuchElementException("all " + batches + " batches were read; reset() starts again");
        }
        int[] features = new int[batch * length];
        int[] labels = new int[batch * length];
        float[] mask = new float[batch * length];
        for (int row = 0; row < batch; row++) {
            int[] text = texts[row % texts.length];
            int start = start(text, row);
            System.arraycopy(text, start, features, row * length, length);
            System.arraycopy(text, start + 1, labels, row * length, length);
            for (int i = 0; learned != null && i < length; i++) {
                mask[row * length + i] = learned.get(start + 1 + i) ? 1 : 0;
            }
        }
        next++;
        INDArray ids = Nd4j.createFromArray(features).reshape(batch, 1, length);
        DataSet dataSet = oneHot
                ? new DataSet(ids.castTo(DataType.FLOAT), oneHot(labels))
                : new DataSet(ids, Nd4j.createFromArray(labels).reshape(batch, 1, length));
        if (learned != null) {
            dataSet.setLabelsMaskArray(Nd4j.createFromArray(mask).reshape(batch, length));
        }
        if (preProcessor != null) {
            preProcessor.preProcess(dataSet);
        }
        return dataSet;
    }

    /** ND4J copies a Java array number by number, and nearly all are 0 anyway. */
    private INDArray oneHot(int[] ids) {
        INDArray array = Nd4j.create(DataType.FLOAT, batch, vocabulary, length);
        for (int i = 0; i < ids.length; i++) {
            array.putScalar(i / length, ids[i], i % length, 1);
        }
        return array;
    }

    /**
     * Where the windows of an evaluation begin in their text, in reading order.
     *
     * @throws IllegalStateException if windows are at random places
     */
    public int[] places() {
        if (random) {
            throw new IllegalStateException("places: expected windows of an evaluation, got windows at random places");
        }
        int[] places = new int[batches * batch];
        Arrays.setAll(places, window -> place(texts[0], window));
        return places;
    }

    private int place(int[] text, long window) {
        if (starts != null) {
            return starts[(int) (window * starts.length / ((long) batches * batch))];
        }
        int places = text.length - length;
        return (int) (window * places / ((long) batches * batch));
    }

    private int start(int[] text, int row) {
        if (!random) {
            return place(text, (long) next * batch + row);
        }
        return starts == null ? generator.nextInt(text.length - length) : starts[generator.nextInt(starts.length)];
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
        epoch++;
        start();
    }

    @Override
    public void restart(int newEpoch) {
        if (newEpoch < 0) {
            throw new IllegalArgumentException("epoch: expected at least 0, got " + newEpoch);
        }
        epoch = newEpoch;
        start();
    }

    private void start() {
        next = 0;
        generator = new Random(anew ? seed + EPOCH_SEED * epoch : seed);
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
        return vocabulary;
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
        return getClass().getSimpleName() + "[" + batches + " batches of " + batch + " x " + length + ", text lengths "
                + Arrays.toString(Arrays.stream(texts).mapToInt(t -> t.length).toArray()) + "]";
    }
}
