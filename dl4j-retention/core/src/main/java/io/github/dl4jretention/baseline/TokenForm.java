package io.github.dl4jretention.baseline;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * How sequences of tokens lie in the arrays of a minibatch, learned from one: features with the tokens, labels with those
 * that follow.
 *
 * @param features     layout of the features
 * @param labels       layout of the labels
 * @param featuresMask type of a features mask
 * @param labelsMask   type of a label mask
 * @param time         tokens of a sequence
 */
record TokenForm(Layout features, Layout labels, DataType featuresMask, DataType labelsMask, int time) {

    /**
     * One array's layout.
     *
     * @param type    of the array
     * @param rank    2 for ids {@code [batch, time]}, else 3
     * @param axis    of the classes: 1 or 2; of ids of rank 3 the axis of size 1
     * @param classes size of that axis; 1 for ids
     */
    record Layout(DataType type, int rank, int axis, int classes) {

        /**
         * @param what names the array in messages
         * @throws IllegalArgumentException if the array holds no tokens
         */
        static Layout of(INDArray array, String what) {
            if (array.rank() == 2) {
                return new Layout(array.dataType(), 2, 2, 1);
            }
            if (array.rank() == 3 && (array.size(1) == 1 || array.size(2) == 1)) {
                return new Layout(array.dataType(), 3, array.size(1) == 1 ? 1 : 2, 1);
            }
            double first = array.rank() == 3 ? oneHot(array, 1) : 0;
            double last = array.rank() == 3 ? oneHot(array, 2) : 0;
            if (first == 0 && last == 0) {
                throw new IllegalArgumentException(what
                        + ": expected tokens, as ids [batch, time], [batch, 1, time] or [batch, time, 1], or one-hot, got "
                        + array.dataType() + " of shape " + Arrays.toString(array.shape()));
            }
            int axis = first >= last ? 1 : 2;
            return new Layout(array.dataType(), 3, axis, Math.toIntExact(array.size(axis)));
        }

        /** The share of tokens that have a class, if no token has two or part of one; else 0. */
        private static double oneHot(INDArray array, int axis) {
            INDArray sums = array.castTo(DataType.DOUBLE).sum(axis);
            INDArray squares = array.castTo(DataType.DOUBLE).norm2(axis);
            double[] sum = sums.dup('c').reshape(sums.length()).toDoubleVector();
            double[] square = squares.dup('c').reshape(squares.length()).toDoubleVector();
            double tokens = 0;
            for (int i = 0; i < sum.length; i++) {
                if (sum[i] != 0 && (sum[i] != 1 || square[i] != 1)) {
                    return 0;
                }
                tokens += sum[i];
            }
            return tokens / sum.length;
        }

        int time(INDArray array) {
            return Math.toIntExact(array.size(rank == 2 ? 1 : 3 - axis));
        }

        /** The array of some tokens of each row. */
        INDArray of(int[][] rows, int from, int time) {
            long[] shape = new long[rank];
            shape[0] = rows.length;
            shape[rank == 2 ? 1 : 3 - axis] = time;
            if (rank == 3) {
                shape[axis] = classes;
            }
            INDArray array = Nd4j.create(type, shape);
            long[] place = new long[rank];
            for (int row = 0; row < rows.length; row++) {
                place[0] = row;
                for (int t = 0; t < time; t++) {
                    int id = rows[row][from + t];
                    place[rank == 2 ? 1 : 3 - axis] = t;
                    if (classes > 1) {
                        place[axis] = id;
                        array.putScalar(place, 1);
                    } else {
                        array.putScalar(place, id);
                    }
                }
            }
            return array;
        }

        /** The tokens of each row. */
        int[][] ids(INDArray array) {
            int time = time(array);
            INDArray ids = classes > 1 ? Nd4j.argMax(array, axis) : array.reshape(array.size(0), time);
            int[][] rows = new int[(int) array.size(0)][time];
            for (int row = 0; row < rows.length; row++) {
                for (int t = 0; t < time; t++) {
                    rows[row][t] = ids.getInt(row, t);
                }
            }
            return rows;
        }
    }

    /**
     * @param batch of one input and one output
     * @throws IllegalArgumentException if it has several, or holds no sequences of tokens
     */
    static TokenForm of(MultiDataSet batch) {
        if (batch.getFeatures().length != 1 || batch.getLabels().length != 1) {
            throw new IllegalArgumentException("target: expected batches of one input and one output, got "
                    + batch.getFeatures().length + " inputs and " + batch.getLabels().length + " outputs");
        }
        Layout features = Layout.of(batch.getFeatures(0), "features");
        Layout labels = Layout.of(batch.getLabels(0), "labels");
        int time = features.time(batch.getFeatures(0));
        if (labels.time(batch.getLabels(0)) != time) {
            throw new IllegalArgumentException("labels: expected a label for each token of the features of shape "
                    + Arrays.toString(batch.getFeatures(0).shape()) + ", got shape "
                    + Arrays.toString(batch.getLabels(0).shape()));
        }
        return new TokenForm(
                features, labels, type(batch.getFeaturesMaskArrays()), type(batch.getLabelsMaskArrays()), time);
    }

    private static DataType type(INDArray @Nullable [] masks) {
        return masks == null || masks[0] == null ? DataType.FLOAT : masks[0].dataType();
    }

    /**
     * Sequences as a minibatch. Shorter ones than the form's are padded at the end, where both masks are 0.
     *
     * @param rows   of one length, a token more than the features have
     * @param weight of the labels; 1 for no mask, unless there is padding
     */
    DataSet batch(int[][] rows, double weight) {
        int length = rows[0].length - 1;
        int[][] padded =
                Arrays.stream(rows).map(row -> Arrays.copyOf(row, time + 1)).toArray(int[][]::new);
        return new DataSet(
                features.of(padded, 0, time),
                labels.of(padded, 1, time),
                length == time ? null : mask(featuresMask, rows.length, length, 1),
                length == time && weight == 1 ? null : mask(labelsMask, rows.length, length, weight));
    }

    private INDArray mask(DataType type, int rows, int length, double weight) {
        INDArray array = Nd4j.zeros(type, rows, time);
        array.get(NDArrayIndex.all(), NDArrayIndex.interval(0, length)).assign(weight);
        return array;
    }
}
