package io.github.dl4jretention.sweep;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.sweep.task.Batches;
import io.github.dl4jretention.sweep.task.SweepData;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

/** Small texts for sweeps of the networks of {@link Networks}. */
public final class SweepTexts {

    private SweepTexts() {}

    public static SweepData data(DataType type) {
        return new SweepData(
                target(type, 4, 10),
                target(type, 2, 20),
                source(type, 2, 30),
                target(type, 2, 40),
                source(type, 2, 50));
    }

    /** The class is the largest input; equal seeds give equal texts. */
    public static Batches target(DataType type, int batches, long seed) {
        return text(type, batches, seed, 0);
    }

    /** Another class for the same input. */
    public static Batches source(DataType type, int batches, long seed) {
        return text(type, batches, seed, 2);
    }

    /** Random class ids {@code [batch, time]} for {@link #graph}. */
    public static Batches ids(DataType type, long seed) {
        Random random = new Random(seed);
        int[][] ids = new int[3][Networks.TIME];
        for (int[] row : ids) {
            Arrays.setAll(row, t -> random.nextInt(Networks.VOCABULARY));
        }
        DataSet batch = new DataSet(
                Networks.normal(type, random, 3, Networks.TIME, Networks.INPUTS), Nd4j.createFromArray(ids));
        return Batches.of(() -> new ExistingDataSetIterator(List.of(batch)));
    }

    /** Logits of a projection of {@code features [batch, time, inputs]}, labels class ids {@code [batch, time]}. */
    public static SameDiff graph(DataType type) {
        SameDiff sd = SameDiff.create();
        SDVariable features = sd.placeHolder("features", type, -1, Networks.TIME, Networks.INPUTS);
        SDVariable w = sd.var("w", Networks.normal(type, new Random(1), Networks.INPUTS, Networks.VOCABULARY));
        features.reshape(-1, Networks.INPUTS)
                .mmul(w)
                .reshape(-1, Networks.TIME, Networks.VOCABULARY)
                .rename("logits");
        sd.placeHolder("labels", DataType.INT32, -1, Networks.TIME);
        return sd;
    }

    private static Batches text(DataType type, int batches, long seed, int shift) {
        List<DataSet> text = new ArrayList<>();
        for (int i = 0; i < batches; i++) {
            INDArray features = Networks.sequences(type, 3, 100 * seed + i).getFeatures();
            INDArray classes = Nd4j.argMax(features, 1);
            INDArray labels = Nd4j.zeros(type, 3, Networks.VOCABULARY, Networks.TIME);
            for (int b = 0; b < 3; b++) {
                for (int t = 0; t < Networks.TIME; t++) {
                    labels.putScalar(b, classes.getInt(b, t) + shift, t, 1);
                }
            }
            text.add(new DataSet(features, labels));
        }
        return Batches.of(() -> new ExistingDataSetIterator(text));
    }
}
