package io.github.dl4jretention.samples.model;

import io.github.dl4jretention.samples.text.ByteWindowIterator;
import org.nd4j.autodiff.loss.LossReduce;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.rng.Random;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.IUpdater;

/**
 * A causal transformer language model written as one SameDiff model: token and position embeddings, pre-norm blocks of
 * attention and a ReLU layer four times as wide, and an output that shares the embedding's weights.
 *
 * <p>The placeholders {@code tokens} and {@code labels} take ids {@code [batch, context]} of type INT64; labels are the
 * same text one token later. The variable {@code logits} is {@code [batch, context, vocabulary]}. The loss is the sum of
 * the tokens' cross-entropies divided by the tokens, in nats. docs/samediff.md goes through it line by line.
 */
public final class SameDiffLanguageModel {

    private static final double DEVIATION = 0.02;
    private static final double MASKED = -1e9;

    private final SameDiff sd = SameDiff.create();
    private final DataType type;
    private final ModelSize size;
    private final int heads;
    private final Random random;

    private SameDiffLanguageModel(DataType type, ModelSize size, int heads, long seed) {
        if (size.units() != size.embedding() || size.units() % heads != 0) {
            throw new IllegalArgumentException(
                    "size: expected units = embedding, a multiple of heads = " + heads + ", got " + size);
        }
        this.type = type;
        this.size = size;
        this.heads = heads;
        random = Nd4j.getRandomFactory().getNewRandomInstance(seed);
    }

    /**
     * {@return a new model with random weights}
     *
     * @param type  FLOAT or DOUBLE
     * @param size  vocabulary, context, layers, and one width for embedding and units
     * @param heads of the attention; they divide the width
     * @param seed  of the weights; 0 is a different seed each time, as ND4J has it
     * @throws IllegalArgumentException if the heads don't divide the width, or there are two widths
     */
    public static SameDiff create(DataType type, ModelSize size, int heads, long seed) {
        return new SameDiffLanguageModel(type, size, heads, seed).define();
    }

    /**
     * {@return a training configuration that feeds the model's placeholders}
     *
     * @param updater of all weights
     */
    public static TrainingConfig training(IUpdater updater) {
        return TrainingConfig.builder()
                .updater(updater)
                .dataSetFeatureMapping("tokens")
                .dataSetLabelMapping("labels")
                .build();
    }

    /**
     * {@return the samples' batches as the model takes them: ids {@code [batch, time]} of type INT64}
     *
     * @param bytes features {@code [batch, 1, time]} and one-hot labels, as {@link ByteWindowIterator} gives them
     */
    public static MultiDataSetIterator batches(DataSetIterator bytes) {
        MultiDataSetIterator ids = new MultiDataSetIteratorAdapter(bytes);
        ids.setPreProcessor(batch -> {
            INDArray features = batch.getFeatures(0);
            batch.setFeatures(
                    0, features.reshape(features.size(0), features.size(2)).castTo(DataType.INT64));
            batch.setLabels(0, batch.getLabels(0).argMax(1));
        });
        return ids;
    }

    // snippet
    private SameDiff define() {
        SDVariable tokens = sd.placeHolder("tokens", DataType.INT64, -1, size.context());
        SDVariable embedding = weights("embedding", size.vocabulary(), size.units());
        SDVariable positions = weights("positions", 1, size.context(), size.units());
        SDVariable rows = oneHot(tokens).mmul(embedding); // not sd.gather, whose gradient is wrong
        rows = rows(sequences(rows).add(positions));
        SDVariable mask = sd.constant("mask", causalMask());
        for (int i = 0; i < size.layers(); i++) {
            rows = rows.add(attention("attention" + i, norm("norm" + i, rows), mask));
            rows = rows.add(feedForward("wide" + i, norm("wideNorm" + i, rows)));
        }
        SDVariable scores = sd.mmul(norm("outputNorm", rows), embedding, false, true, false); // the tied output
        scores.reshape(-1, size.context(), size.vocabulary()).rename("logits");

        SDVariable labels = sd.placeHolder("labels", DataType.INT64, -1, size.context());
        sd.loss.softmaxCrossEntropy("loss", oneHot(labels), scores, null, LossReduce.MEAN_BY_NONZERO_WEIGHT_COUNT, 0);
        sd.setLossVariables("loss");
        return sd;
    }

    private SDVariable attention(String name, SDVariable rows, SDVariable mask) {
        int width = size.units();
        SDVariable query = heads(rows.mmul(weights(name + "Query", width, width)));
        SDVariable key = heads(rows.mmul(weights(name + "Key", width, width)));
        SDVariable value = heads(rows.mmul(weights(name + "Value", width, width)));
        double scale = 1 / Math.sqrt((double) width / heads);
        SDVariable scores = sd.mmul(query, key, false, true, false).mul(scale).add(mask);
        SDVariable mixed = sd.mmul(sd.nn.softmax(scores, -1), value).permute(0, 2, 1, 3);
        return rows(mixed).mmul(weights(name + "Output", width, width));
    }

    private SDVariable feedForward(String name, SDVariable rows) {
        long width = size.units();
        SDVariable wide = sd.nn.relu(rows.mmul(weights(name + "In", width, 4 * width)), 0);
        return wide.mmul(weights(name + "Out", 4 * width, width));
    }
    // end

    /** Ids {@code [batch, context]} as one-hot rows {@code [batch * context, vocabulary]}. */
    private SDVariable oneHot(SDVariable ids) {
        return sd.oneHot(ids.reshape(-1), size.vocabulary(), 1, 1, 0, type);
    }

    private SDVariable norm(String name, SDVariable rows) {
        return sd.nn.layerNorm(rows, sd.var(name, Nd4j.ones(type, size.units())), false, 1);
    }

    private SDVariable rows(SDVariable sequences) {
        return sequences.reshape(-1, size.units());
    }

    private SDVariable sequences(SDVariable rows) {
        return rows.reshape(-1, size.context(), size.units());
    }

    /** Rows as {@code [batch, heads, context, width of a head]}. */
    private SDVariable heads(SDVariable rows) {
        return rows.reshape(-1, size.context(), heads, size.units() / heads).permute(0, 2, 1, 3);
    }

    private SDVariable weights(String name, long... shape) {
        return sd.var(name, random.nextGaussian(shape).muli(DEVIATION).castTo(type));
    }

    /** A large negative number where a token would see a later one; added to the scores before the softmax. */
    private INDArray causalMask() {
        INDArray mask = Nd4j.zeros(type, 1, 1, size.context(), size.context());
        for (long row = 0; row < size.context(); row++) {
            for (long later = row + 1; later < size.context(); later++) {
                mask.putScalar(new long[] {0, 0, row, later}, MASKED);
            }
        }
        return mask;
    }
}
