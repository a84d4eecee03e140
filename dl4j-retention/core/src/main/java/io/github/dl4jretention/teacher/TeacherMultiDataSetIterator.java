package io.github.dl4jretention.teacher;

import io.github.dl4jretention.internal.WrappedMultiIterator;
import java.util.Arrays;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

/**
 * A training iterator for graphs. The labels of every output that the teacher teaches carry its log-probabilities, as
 * {@link io.github.dl4jretention.loss.RetentionOutputLayer} takes them; other labels, features and masks pass through
 * untouched. With a teacher made of a SameDiff model the labels stay as they are and the teacher's log-probabilities
 * follow them as one more labels array, for the placeholder "teacherLogits" of
 * {@link io.github.dl4jretention.loss.RetentionLoss}; after it the divergence's weights, if there is a divergence mask.
 *
 * <p>A frozen teacher is asked for the next batch on a thread of its own while the student trains on the last; an error
 * there is thrown by the {@code next()} whose batch it is. The wrapped iterator must give new arrays for every batch,
 * or {@link #setPrefetch} be off. DL4J's own asynchronous prefetching is declined: in M2.1 an error on its thread
 * leaves {@code fit} waiting forever.
 *
 * <p>The labels of one batch after another share memory, see {@link TeacherIterator#setReleaseLabels}. {@link #close}
 * frees it; an iterator that isn't closed frees it when it's garbage collected.
 */
public final class TeacherMultiDataSetIterator extends WrappedMultiIterator implements AutoCloseable {

    private static final long serialVersionUID = 1L;

    // What Java deserializes has no teacher.
    private final transient MultiDataSetIterator iterator;
    private final transient TaughtBatches<MultiDataSet> batches;

    /**
     * The divergence's mask is that of {@link DivergenceMask#defaultOf}: the label mask, or what the iterator says.
     *
     * @param iterator batches whose labels are one-hot, distributions, or class ids
     * @param teacher  asked for every batch
     */
    public TeacherMultiDataSetIterator(MultiDataSetIterator iterator, Teacher teacher) {
        this(iterator, teacher, DivergenceMask.defaultOf(iterator));
    }

    /**
     * @param iterator       batches whose labels are one-hot, distributions, or class ids
     * @param teacher        asked for every batch
     * @param divergenceMask which tokens are held near the teacher
     */
    public TeacherMultiDataSetIterator(MultiDataSetIterator iterator, Teacher teacher, DivergenceMask divergenceMask) {
        super(iterator);
        this.iterator = iterator;
        if (iterator instanceof TeacherMultiDataSetIterator) {
            throw new IllegalArgumentException(
                    "iterator: expected plain batches, got those of a TeacherMultiDataSetIterator, which "
                            + "carry a teacher already");
        }
        Objects.requireNonNull(teacher, "teacher");
        Objects.requireNonNull(divergenceMask, "divergenceMask");
        batches = new TaughtBatches<>(
                teacher.isFrozen(),
                this::plain,
                iterator::hasNext,
                (plain, memory) -> TaughtBatches.teach(teacher, divergenceMask, plain, memory),
                !iterator.asyncSupported());
    }

    /**
     * See {@link TeacherIterator#setPrefetch}.
     *
     * @param enabled whether the next batch is prepared while the student trains on the last; default: for frozen
     *     teachers
     * @return this iterator
     * @throws IllegalArgumentException if it is enabled for a teacher that follows its student
     */
    public TeacherMultiDataSetIterator setPrefetch(boolean enabled) {
        batches.setPrefetch(enabled);
        return this;
    }

    /**
     * See {@link TeacherIterator#setReleaseLabels}; the teacher's arrays are freed, others are not.
     *
     * @param releases whether that is done when the next batch is taken; default true
     * @return this iterator
     */
    public TeacherMultiDataSetIterator setReleaseLabels(boolean releases) {
        batches.setReleases(releases);
        return this;
    }

    /** See {@link TeacherIterator#close}. */
    @Override
    public void close() {
        batches.close();
    }

    @Override
    public MultiDataSet next() {
        return batches.next();
    }

    /** Of a size of its own, except where a batch is prepared already: then that one. */
    @Override
    public MultiDataSet next(int num) {
        return batches.next(() -> plain(iterator.next(num)));
    }

    private MultiDataSet plain() {
        return plain(iterator.next());
    }

    /**
     * Arrays of a workspace would not live until the student gets them. M2.1's own detach() fails on an output without
     * a mask.
     */
    private static MultiDataSet plain(MultiDataSet plain) {
        return new org.nd4j.linalg.dataset.MultiDataSet(
                detached(plain.getFeatures()),
                detached(plain.getLabels()),
                detached(plain.getFeaturesMaskArrays()),
                detached(plain.getLabelsMaskArrays()));
    }

    private static INDArray @Nullable [] detached(INDArray @Nullable [] arrays) {
        return arrays == null
                ? null
                : Arrays.stream(arrays)
                        .map(array -> array == null ? null : array.detach())
                        .toArray(INDArray[]::new);
    }

    @Override
    public boolean hasNext() {
        return batches.hasNext();
    }

    @Override
    public void reset() {
        batches.clear();
        super.reset();
    }
}
