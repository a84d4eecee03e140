package io.github.dl4jretention.baseline;

import io.github.dl4jretention.internal.WrappedMultiIterator;
import io.github.dl4jretention.loss.LabelArrays;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.rng.Random;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Mixes a network's parameters w with where they started, w0, in every step of training: each parameter is that of the
 * start with probability p, drawn anew for each minibatch, and the others are moved so that the mean is w,
 *
 * <pre>
 * w(mixed) = w0 + k (w - w0),   k = 0 with probability p, else 1 / (1 - p)
 * dL/dw    = k dL/dw(mixed)
 * </pre>
 *
 * <p>The forward and the backward pass see the mixed parameters. Before the update the parameters themselves are back, bit
 * for bit, and the gradient is multiplied by k: that's the whole method, nothing is approximated. Between two minibatches,
 * and in everything that's evaluated or saved, the network has its own parameters. If {@code fit} throws between the two, on
 * a minibatch that doesn't fit say, it gets them back when this is closed, or the iterator is reset or asked for another
 * minibatch.
 *
 * <pre>{@code
 * try (Mixout mixout = Mixout.of(pretrained, 0.7, 1)) {
 *     student.fit(mixout.iterator(student, trainIterator), epochs);     // plain network or student with retention
 * }
 * }</pre>
 *
 * <p>The iterator mixes when a minibatch is taken, which is just before DL4J trains on it, so it has to be the outermost
 * one, and it isn't prefetched. Frozen layers, and running statistics of batch normalisation, stay what they are. Costs
 * three vectors of the parameters' size beside the network, and a few passes over them for each step; closing it frees
 * them.
 *
 * <p><b>Where it can't be.</b> Truncated backpropagation through time is refused, whose steps share one minibatch. SameDiff
 * updates each variable as soon as its gradient is there, so nothing can come between the two. A
 * {@link io.github.dl4jretention.checkpoint.FinetuningRun} trains a copy of the network, which the iterator doesn't know.
 *
 * <p>Source: Lee, Cho, Kang, Mixout, <a href="https://arxiv.org/abs/1909.11299">arXiv 1909.11299</a>, equation 5, with p of
 * 0.7 to 0.9.
 */
public final class Mixout implements AutoCloseable {

    private static final long STEP = 0x9E3779B97F4A7C15L;

    private final INDArray start;
    private final double probability;
    private final long seed;

    /** Students that have mixed parameters at the moment. */
    private final Set<Mixing> mixed = new HashSet<>();

    private Mixout(INDArray start, double probability, long seed) {
        if (!(probability >= 0 && probability < 1)) {
            throw new IllegalArgumentException(
                    "probability: expected a number of at least 0 and below 1, got " + probability);
        }
        this.start = start;
        this.probability = probability;
        this.seed = seed;
    }

    /**
     * {@return what mixes a network of the start's architecture with the start}
     *
     * @param start       a MultiLayerNetwork or ComputationGraph; its parameters are copied, and {@link #close} frees the
     *     copy
     * @param probability that a parameter is the start's in a step, in [0, 1); 0 mixes nothing
     * @param seed        of the draws, which follow from it and the network's iteration count
     * @throws IllegalArgumentException if the probability is outside of its range
     */
    public static Mixout of(Model start, double probability, long seed) {
        return new Mixout(
                ParameterArrays.get(ParameterArrays.of(start), ParameterArrays.PARAMS)
                        .dup('c'),
                probability,
                seed);
    }

    /**
     * {@return the same minibatches, before each of which the student is mixed} The student gets a listener, in front of
     * those that it has.
     *
     * @param student that {@code fit} is called of
     * @param batches a TeacherIterator, say
     * @throws IllegalArgumentException if the student has other parameters than the start, or truncated backpropagation
     *     through time
     */
    public MultiDataSetIterator iterator(MultiLayerNetwork student, DataSetIterator batches) {
        return iterator(student, new MultiDataSetIteratorAdapter(batches));
    }

    /**
     * {@return the same as {@link #iterator(MultiLayerNetwork, DataSetIterator)}}
     *
     * @param student a MultiLayerNetwork or ComputationGraph that {@code fit} is called of
     * @param batches what it is trained on
     * @throws IllegalArgumentException as there
     */
    public MultiDataSetIterator iterator(Model student, MultiDataSetIterator batches) {
        ParameterArrays.requireSame(Map.of(ParameterArrays.PARAMS, start), ParameterArrays.of(student), "student");
        BackpropType type = student instanceof MultiLayerNetwork network
                ? network.getLayerWiseConfigurations().getBackpropType()
                : ((ComputationGraph) student).getConfiguration().getBackpropType();
        if (type == BackpropType.TruncatedBPTT) {
            throw new IllegalArgumentException("student: expected one that is trained on whole sequences, got truncated"
                    + " backpropagation through time, whose steps are parts of a minibatch");
        }
        Mixing mixing = new Mixing(student);
        List<TrainingListener> listeners = new ArrayList<>();
        listeners.add(mixing);
        for (TrainingListener listener : student instanceof MultiLayerNetwork network
                ? network.getListeners()
                : ((ComputationGraph) student).getListeners()) {
            if (listener instanceof Mixing other) {
                other.restore();
            } else {
                listeners.add(listener);
            }
        }
        student.setListeners(listeners);
        return new MixedBatches(batches, mixing);
    }

    /** Gives students their own parameters back, and frees the start's. Iterators can't be used any more. */
    @Override
    public void close() {
        List.copyOf(mixed).forEach(Mixing::restore);
        if (start.closeable()) {
            start.close();
        }
    }

    /** One student's parameters, mixed from when a minibatch is taken until its gradient is there. */
    private final class Mixing extends BaseTrainingListener {

        private final Model student;
        private final @Nullable INDArray trained;
        private @Nullable INDArray own;
        private @Nullable INDArray factor;

        Mixing(Model student) {
            this.student = student;
            this.trained = PenaltyListener.mask(student);
        }

        private INDArray parameters() {
            return ParameterArrays.get(ParameterArrays.of(student), ParameterArrays.PARAMS);
        }

        void mix() {
            if (start.wasClosed()) {
                throw new IllegalStateException("Mixout: expected one that is open, got one that has been closed");
            }
            try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
                INDArray now = parameters();
                own = now.dup('c');
                mixed.add(this);
                factor = draw(now);
                try (INDArray way = now.sub(start)) {
                    now.assign(start).addi(way.muli(factor));
                }
            }
        }

        private INDArray draw(INDArray now) {
            int iteration = student instanceof MultiLayerNetwork network
                    ? network.getIterationCount()
                    : ((ComputationGraph) student).getIterationCount();
            long mixed = new SplittableRandom(seed + STEP * iteration).nextLong();
            try (Random random = Nd4j.getRandomFactory().getNewRandomInstance(mixed);
                    INDArray uniform = Nd4j.rand(random, now.length());
                    INDArray kept = uniform.gte(probability)) {
                INDArray drawn = kept.castTo(now.dataType()).divi(1 - probability);
                if (trained != null) {
                    // 1 where nothing is trained.
                    try (INDArray mask = trained.castTo(now.dataType()).reshape(now.length());
                            INDArray rest = mask.rsub(1)) {
                        drawn.muli(mask).addi(rest);
                    }
                }
                return drawn;
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        }

        /** Before the update. */
        @Override
        public void onGradientCalculation(Model model) {
            if (factor != null) {
                INDArray gradient = model.getGradientsViewArray();
                gradient.reshape(gradient.length()).muli(factor);
                restore();
            }
        }

        private void restore() {
            if (own != null) {
                parameters().assign(own);
                LabelArrays.release(own);
                own = null;
                if (factor != null) {
                    LabelArrays.release(factor);
                    factor = null;
                }
                mixed.remove(this);
            }
        }
    }

    /** Mixes before each minibatch. */
    private static final class MixedBatches extends WrappedMultiIterator {

        private static final long serialVersionUID = 1L;

        private final transient MultiDataSetIterator batches;
        private final transient Mixing mixing;

        MixedBatches(MultiDataSetIterator batches, Mixing mixing) {
            super(batches);
            this.batches = batches;
            this.mixing = mixing;
        }

        @Override
        public MultiDataSet next() {
            mixing.restore();
            MultiDataSet batch = batches.next();
            mixing.mix();
            return batch;
        }

        @Override
        public MultiDataSet next(int num) {
            mixing.restore();
            MultiDataSet batch = batches.next(num);
            mixing.mix();
            return batch;
        }

        @Override
        public void reset() {
            mixing.restore();
            super.reset();
        }
    }
}
