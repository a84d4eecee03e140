package io.github.dl4jretention.cache;

import io.github.dl4jretention.loss.LabelArrays;
import io.github.dl4jretention.loss.LabelLayout;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Asks the teacher for a minibatch, and makes an entry of each sequence that is new. */
final class BatchEntries {

    private final BatchEncoder encoder;
    private final boolean trims;
    private final Supplier<Teacher> teacher;
    private @Nullable CacheLayout layout;

    /**
     * @param trims   whether padding may be left out
     * @param teacher asked for when the first sequence is new
     */
    BatchEntries(BatchEncoder encoder, boolean trims, Supplier<Teacher> teacher) {
        this.encoder = encoder;
        this.trims = trims;
        this.teacher = teacher;
    }

    BatchSequences sequences(MultiDataSet batch) {
        return BatchSequences.of(batch.getFeatures(), batch.getFeaturesMaskArrays(), trims);
    }

    /** Of the teacher's arrays; null until a sequence was new. */
    @Nullable
    CacheLayout layout() {
        return layout;
    }

    /**
     * @param isNew is asked once for each sequence of the minibatch
     * @throws IllegalArgumentException if the teacher has no finite numbers for a token that counts
     */
    List<BatchEncoder.Entry> of(MultiDataSet batch, BatchSequences sequences, Predicate<SequenceId> isNew) {
        List<Integer> missing = new ArrayList<>();
        for (int example = 0; example < sequences.ids().length; example++) {
            if (isNew.test(sequences.ids()[example])) {
                missing.add(example);
            }
        }
        if (missing.isEmpty()) {
            return List.of();
        }
        Teacher asked = teacher.get();
        INDArray[] values = asked.logProbabilities(batch.getFeatures(), batch.getFeaturesMaskArrays());
        try {
            for (int i = 0; i < values.length; i++) {
                requireNumbers(batch, asked.outputs().get(i), values[i]);
            }
            if (layout == null) {
                layout = CacheLayout.of(asked.outputs(), values);
            }
            return encoder.encode(layout, values, sequences, missing);
        } finally {
            Arrays.stream(values).forEach(LabelArrays::release);
        }
    }

    /**
     * A logit that is NaN or +Infinity makes all classes of its token NaN, and so do logits that are all -Infinity: one
     * class is enough to look at.
     */
    private static void requireNumbers(MultiDataSet batch, TeacherOutput output, INDArray values) {
        int classAxis = output.classAxis(values.rank());
        INDArrayIndex[] first = new INDArrayIndex[values.rank()];
        Arrays.fill(first, NDArrayIndex.all());
        first[classAxis] = NDArrayIndex.point(0);
        double[] numbers = flat(values.get(first));
        if (Arrays.stream(numbers).noneMatch(Double::isNaN)) {
            return;
        }
        boolean[] counts = counts(batch, output, values, numbers.length);
        for (int token = 0; token < numbers.length; token++) {
            if (counts[token] && Double.isNaN(numbers[token])) {
                throw new IllegalArgumentException(
                        "features: expected finite numbers for every token that counts, the teacher's logits are not"
                                + " finite for token " + token + " of output \"" + output.name() + "\" of shape "
                                + Arrays.toString(values.shape()));
            }
        }
    }

    /** Tokens that neither a mask nor padding leaves out, one sequence after another. */
    private static boolean[] counts(MultiDataSet batch, TeacherOutput output, INDArray values, int tokens) {
        boolean[] counts = new boolean[tokens];
        Arrays.fill(counts, true);
        INDArray[] masks = batch.getLabelsMaskArrays();
        leaveOut(counts, masks == null ? null : masks[output.index()], 0);
        leaveOut(counts, values.rank() == 3 ? DivergenceMask.LABEL_MASK.of(batch, output, values) : null, 0);
        INDArray[] labels = batch.getLabels();
        INDArray label = labels == null || output.index() >= labels.length ? null : labels[output.index()];
        if (label != null && label.length() == tokens) {
            leaveOut(counts, label, LabelLayout.PADDING);
        } else if (label != null && Arrays.equals(label.shape(), values.shape())) {
            leaveOut(counts, label.castTo(DataType.FLOAT).norm1(output.classAxis(values.rank())), 0);
        }
        return counts;
    }

    /** @param array one number for each token; null or of another length for none */
    private static void leaveOut(boolean[] counts, @Nullable INDArray array, double nothing) {
        if (array != null && array.length() == counts.length) {
            double[] found = flat(array);
            for (int token = 0; token < found.length; token++) {
                counts[token] &= found[token] != nothing;
            }
        }
    }

    private static double[] flat(INDArray array) {
        try (INDArray copy = array.dup('c')) {
            return copy.data().asDouble();
        }
    }
}
