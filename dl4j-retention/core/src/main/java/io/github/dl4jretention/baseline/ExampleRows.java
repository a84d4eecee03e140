package io.github.dl4jretention.baseline;

import java.util.Arrays;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * Examples of batches, which lie on the first axis of all arrays, in whatever layout the other axes are. M2.1's own
 * {@code merge} takes the last axis for time.
 */
final class ExampleRows {

    private ExampleRows() {}

    /** Copies of the examples from one index up to another, excluded. */
    static MultiDataSet of(MultiDataSet batch, long from, long to) {
        UnaryOperator<INDArray> slice = array -> slice(array, from, to);
        return new org.nd4j.linalg.dataset.MultiDataSet(
                each(batch.getFeatures(), slice),
                each(batch.getLabels(), slice),
                each(batch.getFeaturesMaskArrays(), slice),
                each(batch.getLabelsMaskArrays(), slice));
    }

    /**
     * One batch of the examples of two.
     *
     * @throws IllegalArgumentException if shapes or types differ but for the number of examples
     */
    static MultiDataSet concat(MultiDataSet first, MultiDataSet second) {
        return new org.nd4j.linalg.dataset.MultiDataSet(
                both(first.getFeatures(), second.getFeatures(), "features"),
                both(first.getLabels(), second.getLabels(), "labels"),
                bothMasks(
                        first.getFeaturesMaskArrays(), second.getFeaturesMaskArrays(), first, second, "features mask"),
                bothMasks(first.getLabelsMaskArrays(), second.getLabelsMaskArrays(), first, second, "labels mask"));
    }

    private static INDArray @Nullable [] each(INDArray @Nullable [] arrays, UnaryOperator<INDArray> function) {
        return arrays == null
                ? null
                : Arrays.stream(arrays)
                        .map(array -> array == null ? null : function.apply(array))
                        .toArray(INDArray[]::new);
    }

    private static INDArray slice(INDArray array, long from, long to) {
        INDArrayIndex[] indices = new INDArrayIndex[array.rank()];
        Arrays.fill(indices, NDArrayIndex.all());
        indices[0] = NDArrayIndex.interval(from, to);
        return array.get(indices).dup('c');
    }

    private static INDArray[] both(INDArray[] first, INDArray[] second, String what) {
        if (first.length != second.length) {
            throw new IllegalArgumentException(what + ": expected as many arrays of the source as of the target, "
                    + first.length + ", got " + second.length);
        }
        INDArray[] result = new INDArray[first.length];
        for (int i = 0; i < result.length; i++) {
            result[i] = concat(first[i], second[i], what);
        }
        return result;
    }

    /** Where one batch has a mask and the other none, all tokens of the other count. */
    private static INDArray @Nullable [] bothMasks(
            INDArray @Nullable [] first,
            INDArray @Nullable [] second,
            MultiDataSet firstBatch,
            MultiDataSet secondBatch,
            String what) {
        INDArray[] some = first == null ? second : first;
        if (some == null) {
            return null;
        }
        int count = some.length;
        INDArray[] result = new INDArray[count];
        for (int i = 0; i < count; i++) {
            INDArray one = first == null ? null : first[i];
            INDArray two = second == null ? null : second[i];
            if (one != null && two != null) {
                result[i] = concat(one, two, what);
            } else if (one != null) {
                result[i] = concat(one, ones(one, secondBatch), what);
            } else if (two != null) {
                result[i] = concat(ones(two, firstBatch), two, what);
            }
        }
        return result;
    }

    private static INDArray ones(INDArray like, MultiDataSet batch) {
        long[] shape = like.shape().clone();
        shape[0] = batch.getFeatures(0).size(0);
        return Nd4j.ones(like.dataType(), shape);
    }

    private static INDArray concat(INDArray first, INDArray second, String what) {
        long[] like = second.shape().clone();
        like[0] = first.size(0);
        if (first.dataType() != second.dataType() || !Arrays.equals(like, first.shape())) {
            throw new IllegalArgumentException(what + ": expected source examples of the target's shape and type "
                    + Arrays.toString(first.shape()) + " " + first.dataType() + ", but for their number, got "
                    + Arrays.toString(second.shape()) + " " + second.dataType());
        }
        return Nd4j.concat(0, first, second);
    }
}
