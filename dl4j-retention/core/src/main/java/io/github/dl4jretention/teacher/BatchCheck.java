package io.github.dl4jretention.teacher;

import java.util.Arrays;
import java.util.Objects;
import java.util.stream.Stream;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;

/**
 * What every minibatch must have before a teacher is asked: where it is missing M2.1 fails without a name, or trains.
 */
final class BatchCheck {

    private BatchCheck() {}

    /**
     * @throws IllegalArgumentException if arrays are missing or empty, labels are no numbers, or a features mask does
     *     not fit
     */
    static void require(MultiDataSet batch) {
        INDArray[] features = batch.getFeatures();
        requireArrays("features", features);
        if (Arrays.stream(features).anyMatch(Objects::isNull)) {
            throw new IllegalArgumentException("features: expected an array for every input, got " + shapes(features));
        }
        INDArray[] labels = batch.getLabels();
        requireArrays("labels", labels);
        for (INDArray array : labels) {
            if (array != null && !array.dataType().isNumerical()) {
                throw new IllegalArgumentException("labels: expected numbers, got " + shape(array));
            }
        }
        INDArray[] masks = batch.getFeaturesMaskArrays();
        for (int i = 0; masks != null && i < masks.length; i++) {
            if (masks[i] != null) {
                requireMask(masks[i], features[i]);
            }
        }
    }

    private static void requireArrays(String name, INDArray[] arrays) {
        if (arrays == null || arrays.length == 0) {
            throw new IllegalArgumentException(name + ": expected at least one array, got none");
        }
        if (Stream.of(arrays).anyMatch(array -> array != null && array.isEmpty())) {
            throw new IllegalArgumentException(name + ": expected at least one example, got " + shapes(arrays));
        }
    }

    /** Stock layers take what they find of a mask of another shape. */
    private static void requireMask(INDArray mask, INDArray features) {
        boolean fits = mask.rank() > 0 && mask.size(0) == features.size(0);
        if (features.rank() == 2) {
            fits &= mask.rank() <= 2 && (mask.length() == features.size(0) || mask.length() == features.length());
        } else if (features.rank() == 3) {
            // Time is the last axis, or the middle one in NWC; an axis of 1 is that of class ids.
            boolean last = features.size(2) > 1 || features.size(1) == 1;
            boolean middle = features.size(1) > 1 || features.size(2) == 1;
            fits &= mask.rank() == 2
                    && (last && mask.size(1) == features.size(2) || middle && mask.size(1) == features.size(1));
        }
        if (!fits) {
            throw new IllegalArgumentException("features mask: expected a weight for every time step of features of "
                    + shape(features) + ", got " + shape(mask));
        }
        for (double weight : mask.dup('c').reshape(mask.length()).toDoubleVector()) {
            if (!(weight >= 0) || Double.isInfinite(weight)) {
                throw new IllegalArgumentException(
                        "features mask: expected finite numbers of at least 0, got " + weight + " in " + shape(mask));
            }
        }
    }

    static String shapes(INDArray[] arrays) {
        return Arrays.stream(arrays)
                .map(array -> array == null ? "null" : shape(array))
                .toList()
                .toString();
    }

    private static String shape(INDArray array) {
        return array.dataType() + " of shape " + Arrays.toString(array.shape());
    }
}
