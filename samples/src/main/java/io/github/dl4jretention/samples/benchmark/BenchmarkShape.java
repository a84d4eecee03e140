package io.github.dl4jretention.samples.benchmark;

import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.model.ModelSize;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

/**
 * The size of what is measured, with networks and random tokens of that size. The same seed gives the same tokens.
 *
 * @param vocabulary classes of a token
 * @param batch      sequences of a minibatch
 * @param time       tokens of a sequence
 */
public record BenchmarkShape(int vocabulary, int batch, int time) {

    /** An LSTM of two layers of 256 units, or a transformer of four blocks of width 128, with fixed random weights. */
    public MultiLayerNetwork network(ModelKind kind) {
        ModelSize size =
                switch (kind) {
                    case LSTM -> new ModelSize(vocabulary, time, 256, 2, 256);
                    case TRANSFORMER -> new ModelSize(vocabulary, time, 128, 4, 128);
                };
        return kind.create(size, new Adam(1e-4), 1);
    }

    /** {@code count} minibatches: ids {@code [batch, 1, time]}, one-hot labels {@code [batch, vocabulary, time]}. */
    public List<DataSet> tokens(int count, long seed) {
        Random random = new Random(seed);
        return IntStream.range(0, count).mapToObj(i -> tokens(random)).toList();
    }

    /** {@code count} minibatches whose labels are ids too: one-hot ones of a large vocabulary would take all memory. */
    public List<DataSet> ids(int count, long seed) {
        Random random = new Random(seed);
        return IntStream.range(0, count)
                .mapToObj(i -> new DataSet(ids(random), ids(random)))
                .toList();
    }

    private INDArray ids(Random random) {
        return Nd4j.createFromArray(
                        random.ints((long) batch * time, 0, vocabulary).toArray())
                .castTo(DataType.FLOAT)
                .reshape(batch, 1, time);
    }

    private DataSet tokens(Random random) {
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
