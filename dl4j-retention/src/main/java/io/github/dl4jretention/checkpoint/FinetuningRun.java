package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.listener.ReportSink;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.autodiff.listeners.Listener;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A finetuning that writes checkpoints and goes on from the last one when it is started again with the same folder:
 *
 * <pre>{@code
 * MultiLayerNetwork tuned = FinetuningRun.builder()
 *         .student(Retention.attach(pretrained, conf))
 *         .teacher(Teacher.of(pretrained))
 *         .iterator(iterator)
 *         .epochs(3)
 *         .folder(Path.of("run"))
 *         .report(50, new ReportLog())
 *         .build()
 *         .run();
 * }</pre>
 *
 * <p>A run that was killed at any moment and started again ends with the parameters of one that was not, bit for bit, on
 * one native thread: parameters, updater state, counters, the state of adaptive coefficients and of moving averages are
 * in the checkpoint, and the random numbers of every iteration (dropout) follow from the seed and the iteration. The
 * iterator must give the same minibatches in the same order after every {@code reset()} and restart.
 *
 * <p>Noticed before anything is trained are another teacher, loss, seed or student (its kind, layers, updater, all of its
 * configuration), another of this library's masks of the divergence, and other minibatches as far as the unfinished epoch has
 * had them: between epochs not at all. A loss or gradient that is not finite is noticed before an update. {@link #stop()}, from
 * another thread, ends the run after the iteration under way, with a checkpoint.
 *
 * @param <M> the kind of model: MultiLayerNetwork, ComputationGraph or SameDiff
 */
public final class FinetuningRun<M> {

    private static final Logger LOG = LoggerFactory.getLogger(FinetuningRun.class);
    private static final long SEED_STEP = 0x9E3779B97F4A7C15L;

    private final Student<M> start;
    private final Teacher teacher;
    private final EpochIterator batches;
    private final DivergenceMask divergenceMask;
    private final int epochs;
    private final int every;
    private final long seed;
    private final String data;
    private final Path folder;
    private final Checkpoints checkpoints;
    private final RunListeners listeners;
    private volatile boolean stopped;

    private Student<M> student;
    private int iteration;
    private int epoch;
    private int position;
    private String checksum;
    private int iterationsPerEpoch;
    private Path newest;
    private boolean unsaved;

    private FinetuningRun(Builder<M> builder) throws IOException {
        start = Objects.requireNonNull(builder.student, "student");
        teacher = Objects.requireNonNull(builder.teacher, "teacher");
        batches = new EpochIterator(Objects.requireNonNull(builder.iterator, "iterator"));
        folder = Objects.requireNonNull(builder.folder, "folder");
        divergenceMask = builder.divergenceMask;
        epochs = builder.epochs;
        every = builder.every;
        iterationsPerEpoch = builder.iterationsPerEpoch;
        seed = builder.seed;
        data = builder.data;
        listeners = new RunListeners(
                builder.reportEvery, builder.sinks, builder.networkListeners, builder.sameDiffListeners);
        checkpoints = new Checkpoints(folder, builder.keep);
        start.requireTaughtBy(teacher);
        listeners.requireFor(start);
    }

    /** A builder with the defaults: one epoch, a checkpoint every 100 iterations of which 3 are kept, seed 0, no reports. */
    public static Builder<?> builder() {
        return new Builder<>();
    }

    /** Ends the run after the iteration under way, with a checkpoint. */
    public void stop() {
        stopped = true;
    }

    /** Whether all epochs have been trained. */
    public boolean isFinished() {
        return epoch >= epochs;
    }

    /**
     * Trains, from the start or from the last checkpoint. SIGINT and SIGTERM let it finish the iteration under way and write
     * a checkpoint before the JVM ends; it does not return then. Listeners must not call {@code System.exit}: the JVM would
     * wait 300 s for the iteration under way. A run that was stopped is built anew to go on.
     *
     * @return the student, with its {@link Provenance}; where {@link #stop()} ended the run, as it is then
     * @throws IOException if a checkpoint cannot be written or none of those there can be read, into Java's heap, with
     *     parameters and updater state of at most 2 GB each
     * @throws IllegalArgumentException if a minibatch does not fit
     * @throws IllegalStateException if another run has the folder, a moving average is not where the student was left, or
     *     the checkpoint belongs to another teacher, loss, mask, iterator, seed or student
     * @throws ArithmeticException if a loss or gradient is not finite; checkpoints and parameters are as before
     */
    public M run() throws IOException {
        try (FolderLock lock = new FolderLock(folder);
                StopSignal signal = new StopSignal(this::stop)) {
            return resumeAndTrain();
        }
    }

    /** Errors are in the log too: after a signal nobody else is left to tell them. */
    private M resumeAndTrain() throws IOException {
        try {
            resume();
            train();
            return student.model();
        } catch (IOException | RuntimeException | Error e) {
            LOG.error("the run ended at iteration {}, last checkpoint: {}", iteration, newest, e);
            throw e;
        }
    }

    private void resume() throws IOException {
        Optional<Checkpoints.Saved<M>> newest = checkpoints.newest(start);
        if (newest.isEmpty()) {
            student = start.copy();
            student.requireSame(teacher);
            student.requireAveragesOf(teacher);
            iteration = 0;
            epoch = 0;
            position = 0;
            checksum = "";
            unsaved = true;
            return;
        }
        Checkpoints.Saved<M> saved = newest.get();
        student = saved.student();
        student.requireSame(teacher);
        saved.requireGoesOn(start, seed, RunState.nameOf(divergenceMask), epochs);
        saved.restoreAverages(teacher);
        RunState state = saved.state();
        iteration = state.iteration();
        epoch = state.epoch();
        position = state.position();
        checksum = state.checksum();
        iterationsPerEpoch = state.iterationsPerEpoch() > 0 ? state.iterationsPerEpoch() : iterationsPerEpoch;
        this.newest = saved.file();
        unsaved = false;
        LOG.info("goes on from {}: iteration {}, epoch {}, minibatch {}", saved.file(), iteration, epoch, position);
    }

    private void train() throws IOException {
        student.listen(listeners, teacher);
        TeacherMultiDataSetIterator taught =
                new TeacherMultiDataSetIterator(batches, teacher, divergenceMask).setReleaseLabels(true);
        while (!isFinished() && !stopped) {
            announceLength();
            batches.resetTo(new EpochIterator.Mark(position, checksum));
            student.epochStarts();
            while (taught.hasNext() && !stopped) {
                student.train(taught.next(), seed + SEED_STEP * (iteration + 1));
                iteration++;
                EpochIterator.Mark mark = batches.trained();
                position = mark.position();
                checksum = mark.checksum();
                unsaved = true;
                if (iteration % every == 0) {
                    save();
                }
            }
            if (!taught.hasNext()) {
                endEpoch();
            }
        }
        if (unsaved) {
            save();
        }
        String how = isFinished() ? "finished" : "stopped, start again with this folder to go on";
        LOG.info("{} after iteration {}: {}", how, iteration, newest);
    }

    private void endEpoch() {
        if (position == 0) {
            throw new IllegalArgumentException("iterator: expected at least one minibatch, got none");
        }
        epoch++;
        position = 0;
        checksum = "";
        unsaved = true;
        student.epochEnds(start.epochCount() + epoch);
        iterationsPerEpoch = (student.iterationCount() - start.iterationCount()) / epoch;
    }

    private void announceLength() {
        if (iterationsPerEpoch > 0) {
            int expected = start.iterationCount() + epochs * iterationsPerEpoch;
            listeners.sinks().forEach(sink -> sink.expect(expected));
        }
    }

    private void save() throws IOException {
        Provenance provenance = new Provenance(
                teacher.sha256(),
                student.losses(),
                null,
                data,
                seed,
                student.iterationCount(),
                student.epochCount(),
                Versions.current());
        String kind = Checkpoints.kind(student);
        String mask = RunState.nameOf(divergenceMask);
        RunState state =
                new RunState(kind, seed, mask, iteration, epoch, position, checksum, iterationsPerEpoch, Map.of());
        newest = checkpoints.write(student, teacher, start.settings(), provenance, state);
        unsaved = false;
        LOG.info("wrote {}", newest);
    }

    /** Builds a {@link FinetuningRun}. */
    @SuppressWarnings("unchecked")
    public static final class Builder<M> {

        private final List<ReportSink> sinks = new ArrayList<>();
        private final List<TrainingListener> networkListeners = new ArrayList<>();
        private final List<Listener> sameDiffListeners = new ArrayList<>();
        private Student<M> student;
        private Teacher teacher;
        private MultiDataSetIterator iterator;
        private DivergenceMask divergenceMask = DivergenceMask.LABEL_MASK;
        private Path folder;
        private int epochs = 1;
        private int every = 100;
        private int keep = 3;
        private int reportEvery = 1;
        private int iterationsPerEpoch;
        private long seed;
        private String data = "";

        private Builder() {}

        /**
         * @param student to start with, left as it is; a checkpoint in the folder stands in its place, if its run began with
         *     one of the same configuration. The run does not call the student's own listeners
         * @throws IllegalArgumentException if it has no retention layer
         */
        public Builder<MultiLayerNetwork> student(MultiLayerNetwork student) {
            return with(new MultiLayerStudent(Objects.requireNonNull(student, "student")));
        }

        /** As {@link #student(MultiLayerNetwork)}. */
        public Builder<ComputationGraph> student(ComputationGraph student) {
            return with(new GraphStudent(Objects.requireNonNull(student, "student")));
        }

        /**
         * As {@link #student(MultiLayerNetwork)}, of a graph with a {@link io.github.dl4jretention.loss.RetentionLoss} and
         * a training configuration. The run has a RetentionListener of its own. Listeners hear of iterations, not of epochs.
         */
        public Builder<SameDiff> student(SameDiff student) {
            return with(new SameDiffStudent(Objects.requireNonNull(student, "student")));
        }

        private <N> Builder<N> with(Student<N> student) {
            Builder<N> builder = (Builder<N>) this;
            builder.student = student;
            return builder;
        }

        /** @param teacher the student's */
        public Builder<M> teacher(Teacher teacher) {
            this.teacher = teacher;
            return this;
        }

        /** @param iterator training data without the teacher's values, the same minibatches after every reset */
        public Builder<M> iterator(DataSetIterator iterator) {
            return iterator(new MultiDataSetIteratorAdapter(Objects.requireNonNull(iterator, "iterator")));
        }

        /** As {@link #iterator(DataSetIterator)}. */
        public Builder<M> iterator(MultiDataSetIterator iterator) {
            this.iterator = iterator;
            return this;
        }

        /** @param divergenceMask which tokens are held near the teacher; default: those of the label mask */
        public Builder<M> divergenceMask(DivergenceMask divergenceMask) {
            this.divergenceMask = Objects.requireNonNull(divergenceMask, "divergenceMask");
            return this;
        }

        /** @param folder of the checkpoints, made if need be */
        public Builder<M> folder(Path folder) {
            this.folder = folder;
            return this;
        }

        /** @param epochs of the whole run, at least 1; default 1 */
        public Builder<M> epochs(int epochs) {
            this.epochs = positive(epochs, "epochs");
            return this;
        }

        /** @param iterations of an epoch, at least 1, for the time left; default: known when the first epoch has ended */
        public Builder<M> iterationsPerEpoch(int iterations) {
            this.iterationsPerEpoch = positive(iterations, "iterations");
            return this;
        }

        /** @param iterations from one checkpoint to the next, at least 1; default 100 */
        public Builder<M> every(int iterations) {
            this.every = positive(iterations, "iterations");
            return this;
        }

        /** @param checkpoints that are kept, at least 1; default 3 */
        public Builder<M> keep(int checkpoints) {
            this.keep = positive(checkpoints, "checkpoints");
            return this;
        }

        /** @param seed of the random numbers of training; default 0 */
        public Builder<M> seed(long seed) {
            this.seed = seed;
            return this;
        }

        /** @param data a description of the training data for the provenance; default empty */
        public Builder<M> data(String data) {
            this.data = Objects.requireNonNull(data, "data");
            return this;
        }

        /**
         * Reports loss, divergence and speed. Sinks learn the number of iterations, and so the time left, when the first
         * epoch has ended, or from {@link #iterationsPerEpoch(int)}.
         *
         * @param iterations from one report to the next, at least 1
         * @param sinks      where reports go; the caller closes them
         */
        public Builder<M> report(int iterations, ReportSink... sinks) {
            this.reportEvery = positive(iterations, "iterations");
            this.sinks.addAll(List.of(sinks));
            return this;
        }

        /** @param listener of a network, called in training; one more each time */
        public Builder<M> listener(TrainingListener listener) {
            networkListeners.add(Objects.requireNonNull(listener, "listener"));
            return this;
        }

        /** @param listener of a SameDiff graph, called in training; one more each time */
        public Builder<M> listener(Listener listener) {
            sameDiffListeners.add(Objects.requireNonNull(listener, "listener"));
            return this;
        }

        /**
         * @throws IOException if the folder cannot be made
         * @throws IllegalArgumentException if the teacher teaches other outputs than the student's, the iterator cannot be
         *     reset, or a listener is for another kind of model
         * @throws NullPointerException if the student, the teacher, the iterator or the folder is missing
         */
        public FinetuningRun<M> build() throws IOException {
            return new FinetuningRun<>(this);
        }

        private static int positive(int number, String name) {
            if (number < 1) {
                throw new IllegalArgumentException(name + ": expected at least 1, got " + number);
            }
            return number;
        }
    }
}
