package io.github.dl4jretention.teacher;

import java.io.Serializable;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * Which tokens are held near the teacher, where these are not the tokens that are learned: in instruction tuning, say,
 * all tokens beside answers only. The cross-entropy is weighed by the label mask in any case. It's serialisable, so that a
 * cluster can have it.
 */
@FunctionalInterface
public interface DivergenceMask extends Serializable {

    /**
     * The label mask weighs the divergence too; the default. Where an output of sequences has no label mask, the
     * features mask of the only input does, if it has one: there is nothing to retain of padding.
     */
    DivergenceMask LABEL_MASK = (batch, output, batchSize, time) -> {
        INDArray[] labelMasks = batch.getLabelsMaskArrays();
        INDArray[] masks = batch.getFeaturesMaskArrays();
        boolean masked = labelMasks != null && labelMasks[output.index()] != null;
        if (masked || masks == null || masks.length != 1 || masks[0] == null || batch.getFeatures().length > 1) {
            return null;
        }
        boolean ofTokens = Arrays.equals(masks[0].shape(), new long[] {batchSize, time});
        return ofTokens && masks[0].minNumber().doubleValue() == 0 ? ones(masks[0]) : null;
    };

    /**
     * Every token counts, but for those that the features mask leaves out as padding. For networks of several inputs
     * that have masks, whose tokens these are cannot be told: they are refused.
     */
    DivergenceMask ALL_TOKENS = (batch, output, batchSize, time) -> {
        INDArray[] given = batch.getFeaturesMaskArrays();
        List<INDArray> masks = given == null
                ? List.of()
                : Arrays.stream(given).filter(Objects::nonNull).toList();
        if (masks.isEmpty()) {
            return Nd4j.ones(DataType.FLOAT, batchSize, time);
        }
        INDArray mask = masks.get(0);
        if (batch.getFeatures().length > 1 || !Arrays.equals(mask.shape(), new long[] {batchSize, time})) {
            throw new IllegalArgumentException(
                    "features mask: expected one input with a mask of shape [" + batchSize + ", "
                            + time + "] for output \"" + output.name() + "\", got " + batch.getFeatures().length
                            + " inputs and masks of shapes "
                            + masks.stream()
                                    .map(array -> Arrays.toString(array.shape()))
                                    .toList()
                            + "; write a DivergenceMask of your own");
        }
        return ones(mask);
    };

    /**
     * The tokens that aren't learned, prompts say: those of {@link #ALL_TOKENS} where the label mask is 0. Of an output
     * without a label mask there are none.
     */
    DivergenceMask PROMPTS = (batch, output, batchSize, time) -> {
        INDArray all = Objects.requireNonNull(ALL_TOKENS.of(batch, output, batchSize, time));
        INDArray[] given = batch.getLabelsMaskArrays();
        INDArray mask = given == null ? null : given[output.index()];
        return mask == null
                ? all.mul(0)
                : all.mul(mask.reshape(batchSize, time).eq(0).castTo(DataType.FLOAT));
    };

    /**
     * The weights of a batch's divergence.
     *
     * @param batch     the plain batch, without the teacher's values
     * @param output    of the teacher, which the weights are for
     * @param batchSize examples of the batch
     * @param time      length of the output's sequences; 1 without time
     * @return {@code [batchSize, time]}, finite and at least 0; null for the label mask
     */
    @Nullable
    INDArray of(MultiDataSet batch, TeacherOutput output, long batchSize, long time);

    /**
     * The weights for a teacher's output, whose shape gives batch size and time.
     *
     * @param batch  the plain batch, without the teacher's values
     * @param output of the teacher
     * @param values the teacher's values of that output
     * @return {@code [batchSize, time]}, finite and at least 0; null for the label mask
     */
    default @Nullable INDArray of(MultiDataSet batch, TeacherOutput output, INDArray values) {
        long tokens = values.length() / values.size(output.classAxis(values.rank()));
        return of(batch, output, values.size(0), tokens / values.size(0));
    }

    /**
     * {@return a name that a training which goes on must find again; masks of the default name, "one of the user's", aren't
     * told apart}
     */
    default String name() {
        return "one of the user's";
    }

    /** An iterator that knows which tokens of its minibatches are held near the teacher where nobody says it. */
    interface Source {

        /** {@return the mask for its minibatches} */
        DivergenceMask divergenceMask();
    }

    /**
     * {@return the mask where none is given: an iterator's own if it's a {@link Source}, else {@link #LABEL_MASK}}
     *
     * @param iterator of plain minibatches
     */
    static DivergenceMask defaultOf(Object iterator) {
        return iterator instanceof Source source ? source.divergenceMask() : LABEL_MASK;
    }

    /** A features mask may number documents that share a sequence; each of their tokens counts once. */
    private static INDArray ones(INDArray mask) {
        return Transforms.min(mask.castTo(DataType.FLOAT), 1);
    }
}
