package io.github.dl4jretention.baseline;

import io.github.dl4jretention.checkpoint.RestartableIterator;
import io.github.dl4jretention.internal.WrappedMultiIterator;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.MultiDataSetPreProcessor;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.shade.guava.collect.MapMaker;

/**
 * Mixes source text into target text (experience replay), so that a share of all examples comes from the source.
 *
 * <p>An epoch has all target batches. After {@code reset()} they come again, with the source examples that follow those
 * of the epoch before, and an order drawn anew; the source begins again where it ends. So over the epochs
 * a short target is mixed with all of a long source. The same arguments give the same epochs if target and source give
 * the same batches after each reset; {@link #restart} goes to the beginning of any epoch, which a {@code FinetuningRun}
 * does when it picks up. A cache of the teacher that was built with one epoch of the mixture lacks what other epochs
 * replay: let it compute what is missing.
 *
 * <p>For retention on both parts, wrap it in a {@code TeacherMultiDataSetIterator} like any iterator. For retention on
 * one part only, give {@link #divergenceOn} as well:
 *
 * <pre>{@code
 * new TeacherMultiDataSetIterator(replay, teacher, replay.divergenceOn(ReplayPart.TARGET))
 * }</pre>
 *
 * <p>It declines asynchronous prefetching, so that the mask belongs to the batch at hand. If it's serialised and read
 * again, it begins with its first epoch, or where the target was if that can't be reset.
 */
public final class ReplayMultiDataSetIterator extends WrappedMultiIterator
        implements RestartableIterator, DivergenceMask.Source {

    private static final long serialVersionUID = 1L;

    /** So that the number of replayed examples is the nearest to the wanted one. */
    private static final double ROUNDED = 0.5;

    /** What is to be learned. */
    private final MultiDataSetIterator target;

    /** What is replayed. */
    private final MultiDataSetIterator source;

    /** The pieces that are replayed. */
    private final ReplayUnit unit;

    /** Of source among all, in [0, 1). */
    private final double share;

    /** Of the order. */
    private final long seed;

    /** Whether all tokens of the source count for {@link #divergenceWeights}, whatever they weigh as labels. */
    private final boolean written;

    /** How many of a batch's examples, the first ones, are target; weak keys compare by identity. */
    private final transient Map<INDArray, Long> targetExamples =
            new MapMaker().weakKeys().makeMap();

    private transient SplittableRandom random;
    private transient double owed;
    private transient @Nullable MultiDataSet sourceBatch;
    private transient long sourceUsed;

    /**
     * @param target what is to be learned
     * @param source what is replayed; must be resettable, and is reset
     * @param share  of source among all examples, or among all batches where whole batches are replayed; in [0, 1)
     * @param unit   the pieces
     * @param seed   of the order, where whole batches are replayed
     * @throws IllegalArgumentException if the source cannot be reset or the share is outside of its range
     */
    public ReplayMultiDataSetIterator(
            MultiDataSetIterator target, MultiDataSetIterator source, double share, ReplayUnit unit, long seed) {
        this(target, source, share, unit, seed, false);
    }

    private ReplayMultiDataSetIterator(
            MultiDataSetIterator target,
            MultiDataSetIterator source,
            double share,
            ReplayUnit unit,
            long seed,
            boolean written) {
        super(Objects.requireNonNull(target, "target"));
        this.written = written;
        this.target = target;
        this.source = Objects.requireNonNull(source, "source");
        this.unit = Objects.requireNonNull(unit, "unit");
        this.share = share;
        this.seed = seed;
        if (!(share >= 0 && share < 1)) {
            throw new IllegalArgumentException("share: expected a number of at least 0 and below 1, got " + share);
        }
        if (!source.resetSupported()) {
            throw new IllegalArgumentException("source: expected an iterator that can be reset");
        }
        begin();
    }

    /** What a model wrote among the target text: its tokens may count nowhere as labels. */
    static ReplayMultiDataSetIterator ofWritten(
            MultiDataSetIterator target, MultiDataSetIterator written, double share) {
        return new ReplayMultiDataSetIterator(target, written, share, ReplayUnit.EXAMPLES, 0, true);
    }

    /**
     * Begins anew: what is kept of a batch is not serialised.
     *
     * @return an iterator of the same arguments
     */
    private Object readResolve() {
        if (target.resetSupported()) {
            rewind(target);
        }
        return new ReplayMultiDataSetIterator(target, source, share, unit, seed, written);
    }

    private void begin() {
        random = new SplittableRandom(seed);
        rewind(source);
        sourceBatch = null;
        sourceUsed = 0;
        owed = ROUNDED;
    }

    /** A reset of one that counts its epochs would begin the next. */
    static void rewind(MultiDataSetIterator iterator) {
        if (iterator instanceof RestartableIterator restartable) {
            restartable.restart(0);
        } else {
            iterator.reset();
        }
    }

    @Override
    public MultiDataSet next() {
        return mixed(-1);
    }

    /** @param num examples of the target's batch */
    @Override
    public MultiDataSet next(int num) {
        return mixed(num);
    }

    private MultiDataSet mixed(int num) {
        if (!hasNext()) {
            throw new NoSuchElementException("iterator: expected a batch of the target, got its end; call reset()");
        }
        if (unit == ReplayUnit.BATCHES && random.nextDouble() < share) {
            MultiDataSet replayed = nextSource();
            targetExamples.put(replayed.getFeatures(0), 0L);
            return replayed;
        }
        MultiDataSet batch = num < 0 ? target.next() : target.next(num);
        long examples = batch.getFeatures(0).size(0);
        if (unit == ReplayUnit.EXAMPLES) {
            owed += examples * share / (1 - share);
            long count = (long) owed;
            owed -= count;
            while (count > 0) {
                long available = available();
                long taken = Math.min(count, available);
                batch = ExampleRows.concat(
                        batch, ExampleRows.of(Objects.requireNonNull(sourceBatch), sourceUsed, sourceUsed + taken));
                sourceUsed += taken;
                count -= taken;
            }
        }
        targetExamples.put(batch.getFeatures(0), examples);
        return batch;
    }

    /** Examples that are left of the present source batch, or of the next if none is. */
    private long available() {
        if (sourceBatch == null || sourceUsed == sourceBatch.getFeatures(0).size(0)) {
            sourceBatch = nextSource();
            sourceUsed = 0;
        }
        return sourceBatch.getFeatures(0).size(0) - sourceUsed;
    }

    private MultiDataSet nextSource() {
        if (!source.hasNext()) {
            source.reset();
            if (!source.hasNext()) {
                throw new IllegalStateException("source: expected at least one batch, got none");
            }
        }
        return source.next();
    }

    /**
     * {@return the divergence on one part only, weighed there by the label mask}
     *
     * @param part the examples that are held near the teacher
     */
    public DivergenceMask divergenceOn(ReplayPart part) {
        return divergenceOn(part, DivergenceMask.LABEL_MASK);
    }

    /**
     * The divergence on one part only.
     *
     * @param part the examples that are held near the teacher
     * @param mask which of their tokens are
     * @return a mask for batches of this iterator and no others
     */
    public DivergenceMask divergenceOn(ReplayPart part, DivergenceMask mask) {
        Objects.requireNonNull(part, "part");
        Objects.requireNonNull(mask, "mask");
        return (batch, output, batchSize, time) -> on(part, mask, batch, output, batchSize, time);
    }

    /** The weights of a mask where a batch has a part, else 0. */
    private INDArray on(
            ReplayPart part, DivergenceMask mask, MultiDataSet batch, TeacherOutput output, long batchSize, long time) {
        Long count = targetExamples.get(batch.getFeatures(0));
        if (count == null) {
            throw new IllegalArgumentException("batch: expected one of this ReplayIterator with its own features "
                    + "array, got another; nothing that copies batches may stand between it and the teacher's "
                    + "iterator");
        }
        INDArray weights = weights(mask.of(batch, output, batchSize, time), batch, output, batchSize, time);
        if (mask == DivergenceMask.LABEL_MASK) {
            takePaddingOut(weights, batch, output);
        }
        long from = part == ReplayPart.TARGET ? count : 0;
        long to = part == ReplayPart.TARGET ? batchSize : count;
        if (from < to) {
            weights.get(NDArrayIndex.interval(from, to), NDArrayIndex.all()).assign(0);
        }
        return weights;
    }

    /**
     * {@return a mask for batches of this iterator and no others, which gives each part a weight of the divergence, on top
     * of the label mask}
     *
     * <p>The loss multiplies them by lambda: at lambda = 1 they are the coefficients of the two parts. Of sequences that a
     * model wrote ({@link SelfReplay}) all tokens count, whatever they weigh as labels.
     *
     * @param target of the target's tokens, finite and at least 0
     * @param source of the replayed tokens, finite and at least 0
     * @throws IllegalArgumentException if a weight is outside of its range
     */
    public DivergenceMask divergenceWeights(double target, double source) {
        return new PartWeights(require(target, "target"), require(source, "source"));
    }

    /**
     * {@return the mask where the teacher's iterator is given none: retention on both parts} That's the label mask, or
     * {@code divergenceWeights(1, 1)} for sequences that a model wrote, whose tokens may weigh nothing as labels.
     */
    @Override
    public DivergenceMask divergenceMask() {
        return written ? divergenceWeights(1, 1) : DivergenceMask.LABEL_MASK;
    }

    private static double require(double weight, String name) {
        if (!(weight >= 0) || Double.isInfinite(weight)) {
            throw new IllegalArgumentException(name + ": expected a finite number of at least 0, got " + weight);
        }
        return weight;
    }

    /** Weights that a run can tell from others by their name. */
    private final class PartWeights implements DivergenceMask {
        private final double ofTarget;
        private final double ofSource;

        PartWeights(double ofTarget, double ofSource) {
            this.ofTarget = ofTarget;
            this.ofSource = ofSource;
        }

        @Override
        public INDArray of(MultiDataSet batch, TeacherOutput output, long batchSize, long time) {
            INDArray replayed =
                    on(ReplayPart.SOURCE, written ? ALL_TOKENS : LABEL_MASK, batch, output, batchSize, time);
            INDArray learned = on(ReplayPart.TARGET, LABEL_MASK, batch, output, batchSize, time);
            return replayed.castTo(learned.dataType()).muli(ofSource).addi(learned.muli(ofTarget));
        }

        @Override
        public String name() {
            return "weights " + ofTarget + " of the target, " + ofSource + " of what is replayed";
        }
    }

    private static INDArray weights(
            @Nullable INDArray given, MultiDataSet batch, TeacherOutput output, long batchSize, long time) {
        INDArray labelMask = batch.getLabelsMaskArrays() == null ? null : batch.getLabelsMaskArray(output.index());
        INDArray weights = given != null ? given : labelMask;
        return weights == null
                ? Nd4j.ones(DataType.FLOAT, batchSize, time)
                : weights.castTo(weights.dataType() == DataType.DOUBLE ? DataType.DOUBLE : DataType.FLOAT)
                        .dup('c')
                        .reshape('c', batchSize, time);
    }

    /**
     * Weights of their own count in padding too, and a mixture may have a label mask of ones where a part of it has none:
     * takes out labels that are all zero, and what the features mask leaves out.
     */
    private static void takePaddingOut(INDArray weights, MultiDataSet batch, TeacherOutput output) {
        INDArray labels = batch.getLabels(output.index());
        if (labels.length() > weights.length()) {
            INDArray numbers = labels.dataType().isFPType() ? labels : labels.castTo(DataType.FLOAT);
            weights.muli(numbers.norm1(output.classAxis(labels.rank()))
                    .neq(0)
                    .castTo(weights.dataType())
                    .reshape('c', weights.shape()));
        }
        MultiDataSet unlabelled = new org.nd4j.linalg.dataset.MultiDataSet(
                batch.getFeatures(), batch.getLabels(), batch.getFeaturesMaskArrays(), null);
        INDArray ofFeatures = DivergenceMask.LABEL_MASK.of(unlabelled, output, weights.size(0), weights.size(1));
        if (ofFeatures != null) {
            weights.muli(ofFeatures.castTo(weights.dataType()));
        }
    }

    /** {@inheritDoc} It reads the epochs before, of target and source. */
    @Override
    public void restart(int epoch) {
        if (epoch < 0) {
            throw new IllegalArgumentException("epoch: expected at least 0, got " + epoch);
        }
        rewind(target);
        begin();
        for (int i = 0; i < epoch; i++) {
            while (hasNext()) {
                next();
            }
            reset();
        }
    }

    /** Set on both iterators. */
    @Override
    public void setPreProcessor(MultiDataSetPreProcessor preProcessor) {
        target.setPreProcessor(preProcessor);
        source.setPreProcessor(preProcessor);
    }
}
