package io.github.dl4jretention.baseline;

import io.github.dl4jretention.checkpoint.RestartableIterator;
import io.github.dl4jretention.internal.WrappedIterator;
import io.github.dl4jretention.teacher.DivergenceMask;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.DataSetPreProcessor;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

/**
 * Mixes source text into target text, as {@link ReplayMultiDataSetIterator} does, for networks of one input and one
 * output:
 *
 * <pre>{@code
 * ReplayIterator replay = new ReplayIterator(scala, prose, 0.25, ReplayUnit.EXAMPLES, 1);
 * network.fit(replay, epochs);                                              // replay alone
 * student.fit(new TeacherIterator(replay, teacher), epochs);                // with retention on both parts
 * student.fit(new TeacherIterator(replay, teacher, replay.divergenceOn(ReplayPart.TARGET)), epochs);
 * }</pre>
 *
 * <p>Every epoch has all of the target, and the source examples that follow those of the epoch before. It doesn't pass
 * on the examples' meta data.
 */
public final class ReplayIterator extends WrappedIterator implements RestartableIterator, DivergenceMask.Source {

    private static final long serialVersionUID = 1L;

    /** What is to be learned. */
    private final DataSetIterator target;

    /** What is replayed. */
    private final DataSetIterator source;

    /** Both, mixed. */
    private final ReplayMultiDataSetIterator mixed;

    /**
     * @param target what is to be learned
     * @param source what is replayed; must be resettable, and is reset
     * @param share  of source among all examples, or among all batches where whole batches are replayed; in [0, 1)
     * @param unit   the pieces
     * @param seed   of the order, where whole batches are replayed
     * @throws IllegalArgumentException if the source cannot be reset or the share is outside of its range
     */
    public ReplayIterator(DataSetIterator target, DataSetIterator source, double share, ReplayUnit unit, long seed) {
        super(Objects.requireNonNull(target, "target"));
        this.target = target;
        this.source = Objects.requireNonNull(source, "source");
        mixed = new ReplayMultiDataSetIterator(
                RestartableIterator.multi(target), RestartableIterator.multi(source), share, unit, seed);
    }

    /** Of what a model wrote, whose labels may count nowhere. */
    ReplayIterator(DataSetIterator target, DataSetIterator written, double share) {
        super(target);
        this.target = target;
        this.source = written;
        mixed = ReplayMultiDataSetIterator.ofWritten(
                RestartableIterator.multi(target), RestartableIterator.multi(written), share);
    }

    /**
     * {@return a weight of the divergence for each part, see
     * {@link ReplayMultiDataSetIterator#divergenceWeights(double, double)}}
     *
     * @param target of the target's tokens, finite and at least 0
     * @param source of the replayed tokens, finite and at least 0
     * @throws IllegalArgumentException if a weight is outside of its range
     */
    public DivergenceMask divergenceWeights(double target, double source) {
        return mixed.divergenceWeights(target, source);
    }

    /**
     * {@return the divergence on one part only, see {@link ReplayMultiDataSetIterator#divergenceOn(ReplayPart)}}
     *
     * @param part the examples that are held near the teacher
     */
    public DivergenceMask divergenceOn(ReplayPart part) {
        return mixed.divergenceOn(part);
    }

    /**
     * {@return the divergence on one part only, see
     * {@link ReplayMultiDataSetIterator#divergenceOn(ReplayPart, DivergenceMask)}}
     *
     * @param part the examples that are held near the teacher
     * @param mask which of their tokens are
     */
    public DivergenceMask divergenceOn(ReplayPart part, DivergenceMask mask) {
        return mixed.divergenceOn(part, mask);
    }

    /** See {@link ReplayMultiDataSetIterator#divergenceMask()}. */
    @Override
    public DivergenceMask divergenceMask() {
        return mixed.divergenceMask();
    }

    @Override
    public DataSet next() {
        return dataSet(mixed.next());
    }

    /** @param num examples of the target's batch */
    @Override
    public DataSet next(int num) {
        return dataSet(mixed.next(num));
    }

    private static DataSet dataSet(MultiDataSet batch) {
        return new DataSet(
                batch.getFeatures(0),
                batch.getLabels(0),
                first(batch.getFeaturesMaskArrays()),
                first(batch.getLabelsMaskArrays()));
    }

    private static @Nullable INDArray first(INDArray @Nullable [] masks) {
        return masks == null ? null : masks[0];
    }

    @Override
    public boolean hasNext() {
        return mixed.hasNext();
    }

    /** Begins the next epoch: the target again, while the source goes on. */
    @Override
    public void reset() {
        mixed.reset();
    }

    /** {@inheritDoc} It reads the epochs before, of target and source. */
    @Override
    public void restart(int epoch) {
        mixed.restart(epoch);
    }

    /** Set on both iterators. */
    @Override
    public void setPreProcessor(DataSetPreProcessor preProcessor) {
        target.setPreProcessor(preProcessor);
        source.setPreProcessor(preProcessor);
    }
}
