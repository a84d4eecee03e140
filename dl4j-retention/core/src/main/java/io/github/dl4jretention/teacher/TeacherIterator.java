package io.github.dl4jretention.teacher;

import io.github.dl4jretention.internal.BatchMemory;
import io.github.dl4jretention.internal.WrappedIterator;
import java.util.List;
import java.util.Objects;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

/**
 * A training iterator whose labels carry the teacher's log-probabilities for the same features, as
 * {@link io.github.dl4jretention.loss.RetentionOutputLayer} takes them. Features and masks pass through untouched. For
 * networks of one input and one output; {@link TeacherMultiDataSetIterator} is for others.
 *
 * <p>A frozen teacher is asked for the next batch on a thread of its own while the student trains on the last; an error
 * there is thrown by the {@code next()} whose batch it is. The wrapped iterator must give new arrays for every batch,
 * or {@link #setPrefetch} be off. DL4J's own asynchronous prefetching is declined: in M2.1 an error on its thread
 * leaves {@code fit} waiting forever.
 *
 * <p>The labels of one batch after another share memory, see {@link #setReleaseLabels}. {@link #close} frees it; an
 * iterator that isn't closed frees it when it's garbage collected.
 */
public final class TeacherIterator extends WrappedIterator implements AutoCloseable {

    private static final long serialVersionUID = 1L;

    // What Java deserializes has no teacher.
    private final transient DataSetIterator iterator;
    private final transient Teacher teacher;
    private final transient DivergenceMask divergenceMask;
    private final transient TaughtBatches<DataSet> batches;

    /**
     * The divergence's mask is that of {@link DivergenceMask#defaultOf}: the label mask, or what the iterator says.
     *
     * @param iterator batches whose labels are one-hot, distributions, or class ids
     * @param teacher  asked for every batch
     */
    public TeacherIterator(DataSetIterator iterator, Teacher teacher) {
        this(iterator, teacher, DivergenceMask.defaultOf(iterator));
    }

    /**
     * @param iterator       batches whose labels are one-hot, distributions, or class ids
     * @param teacher        asked for every batch
     * @param divergenceMask which tokens are held near the teacher
     * @throws IllegalArgumentException if the teacher has several outputs
     */
    public TeacherIterator(DataSetIterator iterator, Teacher teacher, DivergenceMask divergenceMask) {
        super(iterator);
        this.iterator = iterator;
        if (iterator instanceof TeacherIterator) {
            throw new IllegalArgumentException(
                    "iterator: expected plain batches, got those of a TeacherIterator, which "
                            + "carry a teacher already");
        }
        this.teacher = Objects.requireNonNull(teacher, "teacher");
        this.divergenceMask = Objects.requireNonNull(divergenceMask, "divergenceMask");
        List<TeacherOutput> outputs = teacher.outputs();
        if (outputs.size() != 1 || outputs.get(0).index() != 0) {
            throw new IllegalArgumentException("teacher: expected one that teaches the only output, got " + outputs
                    + "; use TeacherMultiDataSetIterator");
        }
        if (outputs.get(0).ownArray()) {
            throw new IllegalArgumentException(
                    "teacher: expected one of a network, got one of a SameDiff model; use TeacherMultiDataSetIterator");
        }
        batches = new TaughtBatches<>(
                teacher.isFrozen(), this::plain, iterator::hasNext, this::withTeacher, !iterator.asyncSupported());
    }

    /**
     * @param enabled whether the next batch is prepared while the student trains on the last; default true, but for a
     *     teacher that follows its student, which is asked for every batch when its turn comes
     * @return this iterator
     * @throws IllegalArgumentException if it is enabled for such a teacher
     */
    public TeacherIterator setPrefetch(boolean enabled) {
        batches.setPrefetch(enabled);
        return this;
    }

    /**
     * @param releases whether the labels of a batch are freed when the thread that trained on it takes the next one;
     *     default true: otherwise they wait for a garbage collection, by which time there may be many. Batches that are
     *     collected first, or handed to other threads, as by DL4J's ParallelWrapper, keep theirs. Set it to false to
     *     use a batch again after training on it; ND4J throws an exception when freed labels are read
     * @return this iterator
     */
    public TeacherIterator setReleaseLabels(boolean releases) {
        batches.setReleases(releases);
        return this;
    }

    /**
     * Frees the labels of the last batch, if this thread has trained on it, and the memory for those of others. The
     * teacher and the wrapped iterator stay open. A second call does nothing; {@link #next} fails afterwards.
     */
    @Override
    public void close() {
        batches.close();
    }

    @Override
    public DataSet next() {
        return batches.next();
    }

    /** Of a size of its own, except where a batch is prepared already: then that one. */
    @Override
    public DataSet next(int num) {
        return batches.next(() -> plain(iterator.next(num)));
    }

    private DataSet plain() {
        return plain(iterator.next());
    }

    /** Arrays of a workspace would not live until the student gets them. */
    private static DataSet plain(DataSet plain) {
        plain.detach();
        return plain;
    }

    private TaughtBatches.Taught<DataSet> withTeacher(DataSet plain, BatchMemory memory) {
        TaughtBatches.Taught<MultiDataSet> taught =
                TaughtBatches.teach(teacher, divergenceMask, plain.toMultiDataSet(), memory);
        DataSet batch = new DataSet(
                taught.batch().getFeatures(0),
                taught.batch().getLabels(0),
                plain.getFeaturesMaskArray(),
                plain.getLabelsMaskArray());
        batch.setExampleMetaData(plain.getExampleMetaData());
        return new TaughtBatches.Taught<>(batch, taught.made());
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
