package io.github.dl4jretention.samples.benchmark;

import java.util.Iterator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Minibatches of random tokens: features are ids {@code [batch, 1, time]}, labels one-hot {@code [batch, V, time]}.
 *
 * @param vocabulary V
 * @param batch      sequences of a minibatch
 * @param time       tokens of a sequence
 */
public record RandomTokens(int vocabulary, int batch, int time) {

    /** Minibatches that are made at once; the same seed gives the same. */
    public List<DataSet> create(int count, long seed) {
        Random random = new Random(seed);
        return IntStream.range(0, count).mapToObj(i -> create(random)).toList();
    }

    /** New minibatches without end, each made when it is asked for. */
    public DataSetIterator stream(long seed) {
        Random random = new Random(seed);
        return new ExistingDataSetIterator(Stream.generate(() -> create(random)).iterator());
    }

    /** These minibatches, once. */
    public static DataSetIterator once(List<DataSet> batches) {
        return new ExistingDataSetIterator(batches);
    }

    /** These minibatches, again and again. */
    public static DataSetIterator endless(List<DataSet> batches) {
        Iterator<DataSet> again =
                Stream.generate(() -> batches).flatMap(List::stream).iterator();
        return new ExistingDataSetIterator(again);
    }

    private DataSet create(Random random) {
        float[] features = new float[batch * time];
        float[] oneHot = new float[batch * vocabulary * time];
        for (int row = 0; row < batch; row++) {
            for (int t = 0; t < time; t++) {
                features[row * time + t] = random.nextInt(vocabulary);
                oneHot[(row * vocabulary + random.nextInt(vocabulary)) * time + t] = 1;
            }
        }
        return new DataSet(
                Nd4j.createFromArray(features).reshape(batch, 1, time),
                Nd4j.createFromArray(oneHot).reshape(batch, vocabulary, time));
    }
}
