package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.FolderLock;
import io.github.dl4jretention.listener.ReportSink;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.MovingAverageTeacher;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.listeners.Listener;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

/**
 * A finetuning that writes checkpoints, and picks up from the last one when you start it again with the same folder:
 *
 * <pre>{@code
 * MultiLayerNetwork tuned = FinetuningRun.builder()
 *     .student(Retention.attach(pretrained, conf))
 *     .teacher(Teacher.of(pretrained))
 *     .iterator(iterator)
 *     .epochs(3)
 *     .folder(Path.of("run"))
 *     .report(50, new ReportLog())
 *     .build()
 *     .run();
 * }</pre>
 *
 * <p>You can kill a run at any moment and start it again: on one native thread it ends with the same parameters, bit
 * for bit, as if it hadn't been killed. A checkpoint holds parameters, updater state, counters, and the state of
 * adaptive coefficients and moving averages; the random numbers of an iteration (dropout) follow from the seed and the
 * iteration. The iterator must give the same minibatches in the same order after every {@code reset()} and restart. If
 * epochs differ, it must be a {@link RestartableIterator}, and so must an iterator that wraps it.
 *
 * <p>Before it trains, a run that picks up checks that it was given what it began with: teacher, loss, seed,
 * minibatches of a step, description of the data, the mask of the divergence if it's one that {@link
 * io.github.dl4jretention.teacher.DivergenceMask} names, and the student (its kind, layers, updater and all other
 * configuration; of a SameDiff model its training configuration and variables, but not its operations). What says
 * only how much memory a layer takes ({@code recompute}) may change, and is that of the student given last. It also
 * compares the minibatches that the unfinished epoch has had; between epochs there are none to compare. A loss or
 * gradient that isn't finite is noticed before the update. Call {@link #stop()} from another thread to end the run
 * after the current iteration, with a checkpoint.
 *
 * @param <M> the kind of model: MultiLayerNetwork, ComputationGraph or SameDiff
 */
public final class FinetuningRun<M> {

    private final Path folder;
    private final RunLoop<M> loop;

    private FinetuningRun(Builder<M> builder) throws IOException {
        folder = Objects.requireNonNull(builder.folder, "folder");
        loop = new RunLoop<>(new RunLoop.Settings<>(
                Objects.requireNonNull(builder.student, "student"),
                Objects.requireNonNull(builder.teacher, "teacher"),
                builder.allAverages(),
                new EpochIterator(Objects.requireNonNull(builder.iterator, "iterator")),
                builder.divergenceMask == null ? DivergenceMask.defaultOf(builder.iterator) : builder.divergenceMask,
                builder.epochs,
                builder.accumulate,
                builder.keepStudent,
                builder.every,
                builder.iterationsPerEpoch,
                builder.seed,
                builder.data,
                new Checkpoints(folder, builder.keep),
                new RunListeners(
                        builder.reportEvery, builder.sinks, builder.networkListeners, builder.sameDiffListeners)));
    }

    /** {@return a builder; defaults: one epoch, steps of one minibatch, a checkpoint every 100 iterations, 3 kept, seed 0, no reports} */
    public static Builder<?> builder() {
        return new Builder<>();
    }

    /** Ends the run after the current iteration, with a checkpoint. */
    public void stop() {
        loop.stop();
    }

    /** {@return whether all epochs have been trained; false before {@link #run()} has read the last checkpoint} */
    public boolean isFinished() {
        return loop.isFinished();
    }

    /**
     * Trains, from the start or from the last checkpoint. On SIGINT and SIGTERM it finishes the current iteration and
     * writes a checkpoint before the JVM ends; it doesn't return then. Listeners must not call {@code System.exit}: the
     * JVM would wait 300 s for the current iteration. To go on after a stop, build a new run.
     *
     * @return the student, with its {@link Provenance}; where {@link #stop()} ended the run, as it is then
     * @throws IOException if a checkpoint cannot be written or none of those there can be read, into Java's heap, with
     *     parameters and updater state of at most 2 GB each
     * @throws IllegalArgumentException if a minibatch does not fit
     * @throws IllegalStateException if another run has the folder, a moving average is not where the student was left,
     *     or the checkpoint belongs to another teacher, loss, mask, iterator, description of the data, seed or student
     * @throws ArithmeticException if a loss or gradient is not finite; checkpoints and parameters are as before
     */
    public M run() throws IOException {
        try (FolderLock lock = FolderLock.of(folder, "run");
                StopSignal signal = new StopSignal(this::stop)) {
            return loop.run();
        }
    }

    /** Builds a {@link FinetuningRun}. */
    @SuppressWarnings("unchecked")
    public static final class Builder<M> {

        private final List<ReportSink> sinks = new ArrayList<>();
        private final List<MovingAverageTeacher> averages = new ArrayList<>();
        private final List<TrainingListener> networkListeners = new ArrayList<>();
        private final List<Listener> sameDiffListeners = new ArrayList<>();
        private @Nullable Student<M> student;
        private @Nullable Teacher teacher;
        private @Nullable MultiDataSetIterator iterator;
        private @Nullable DivergenceMask divergenceMask;
        private @Nullable Path folder;
        private int epochs = 1;
        private int accumulate = 1;
        private boolean keepStudent = true;
        private int every = 100;
        private int keep = 3;
        private int reportEvery = 1;
        private int iterationsPerEpoch;
        private long seed;
        private String data = "";

        private Builder() {}

        /**
         * @param student to start with; it isn't changed, unless {@link #keepStudent} says so. If the folder has a checkpoint whose run began with the same
         *     configuration, that is trained instead. The run doesn't call the student's own listeners
         * @return this builder
         * @throws IllegalArgumentException if it has no retention layer, or a configuration that DL4J can't read back
         *     from JSON: with a RampSchedule, say
         */
        public Builder<MultiLayerNetwork> student(MultiLayerNetwork student) {
            return with(new MultiLayerStudent(Objects.requireNonNull(student, "student")));
        }

        /**
         * The same as {@link #student(MultiLayerNetwork)}, for a graph.
         *
         * @param student to start with
         * @return this builder
         */
        public Builder<ComputationGraph> student(ComputationGraph student) {
            return with(new GraphStudent(Objects.requireNonNull(student, "student")));
        }

        /**
         * Adds a SameDiff student. The run has a RetentionListener of its own. Listeners are told of iterations, but
         * not of epochs.
         *
         * @param student as {@link #student(MultiLayerNetwork)}, a graph with a {@link
         *     io.github.dl4jretention.loss.RetentionLoss} and a training configuration
         * @return this builder
         */
        public Builder<SameDiff> student(SameDiff student) {
            return with(new SameDiffStudent(Objects.requireNonNull(student, "student")));
        }

        private <N> Builder<N> with(Student<N> student) {
            // Before anything is trained that no checkpoint could bring back.
            student.settings();
            Builder<N> builder = (Builder<N>) this;
            builder.student = student;
            return builder;
        }

        /**
         * @param keepStudent whether the student that the run was given stays as it is; default true. If not, the run
         *     trains it instead of a copy, which saves the memory of its parameters; a run that picks up from a
         *     checkpoint frees them. Use what {@link FinetuningRun#run()} returns, then
         * @return this builder
         */
        public Builder<M> keepStudent(boolean keepStudent) {
            this.keepStudent = keepStudent;
            return this;
        }

        /**
         * @param teacher the student's
         * @return this builder
         */
        public Builder<M> teacher(Teacher teacher) {
            this.teacher = teacher;
            return this;
        }

        /**
         * @param iterator training data without the teacher's values, the same minibatches after every reset, or a
         *     {@link RestartableIterator}
         * @return this builder
         */
        public Builder<M> iterator(DataSetIterator iterator) {
            requirePlain(iterator);
            return iterator(RestartableIterator.multi(iterator));
        }

        /**
         * @param iterator as {@link #iterator(DataSetIterator)}
         * @return this builder
         */
        public Builder<M> iterator(MultiDataSetIterator iterator) {
            requirePlain(iterator);
            this.iterator = iterator;
            return this;
        }

        private static void requirePlain(Object iterator) {
            Objects.requireNonNull(iterator, "iterator");
            if (iterator instanceof TeacherIterator || iterator instanceof TeacherMultiDataSetIterator) {
                throw new IllegalArgumentException(
                        "iterator: expected plain batches, to which the run adds the teacher, " + "got a "
                                + iterator.getClass().getSimpleName());
            }
        }

        /**
         * @param divergenceMask which tokens are held near the teacher; default: {@link DivergenceMask#defaultOf}, the label
         *     mask mostly
         * @return this builder
         */
        public Builder<M> divergenceMask(DivergenceMask divergenceMask) {
            this.divergenceMask = Objects.requireNonNull(divergenceMask, "divergenceMask");
            return this;
        }

        /**
         * @param folder of the checkpoints, made if need be
         * @return this builder
         */
        public Builder<M> folder(Path folder) {
            this.folder = folder;
            return this;
        }

        /**
         * @param epochs how many there are in the whole run, at least 1; default 1
         * @return this builder
         */
        public Builder<M> epochs(int epochs) {
            this.epochs = positive(epochs, "epochs");
            return this;
        }

        /**
         * @param minibatches whose gradients are added up for one step, at least 1; default 1. A step is then that of one
         *     minibatch of all their examples, however many tokens their masks leave, in the memory of one of them and
         *     one more copy of the gradients. An iteration is a step; the last one of an epoch has the minibatches that
         *     are left
         * @return this builder
         */
        public Builder<M> accumulate(int minibatches) {
            this.accumulate = positive(minibatches, "minibatches");
            return this;
        }

        /**
         * @param iterations of an epoch, at least 1, for the time left; default: known when the first epoch has ended
         * @return this builder
         */
        public Builder<M> iterationsPerEpoch(int iterations) {
            this.iterationsPerEpoch = positive(iterations, "iterations");
            return this;
        }

        /**
         * @param iterations from one checkpoint to the next, at least 1; default 100
         * @return this builder
         */
        public Builder<M> every(int iterations) {
            this.every = positive(iterations, "iterations");
            return this;
        }

        /**
         * @param checkpoints that are kept, at least 1; default 3
         * @return this builder
         */
        public Builder<M> keep(int checkpoints) {
            this.keep = positive(checkpoints, "checkpoints");
            return this;
        }

        /**
         * @param seed of the random numbers of training; default 0
         * @return this builder
         */
        public Builder<M> seed(long seed) {
            this.seed = seed;
            return this;
        }

        /**
         * @param data a description of the training data for the provenance; default empty. Give the same when you
         *     start the run again
         * @return this builder
         */
        public Builder<M> data(String data) {
            this.data = Objects.requireNonNull(data, "data");
            return this;
        }

        /**
         * Reports loss, divergence and speed. Sinks learn the number of iterations, and so the
         * time left, when the first epoch has ended, or from {@link #iterationsPerEpoch(int)}.
         *
         * @param iterations from one report to the next, at least 1
         * @param sinks      where reports go; the caller closes them
         * @return this builder
         */
        public Builder<M> report(int iterations, ReportSink... sinks) {
            this.reportEvery = positive(iterations, "iterations");
            this.sinks.addAll(List.of(sinks));
            return this;
        }

        /**
         * @param listener of a network, called in training; one more each time
         * @return this builder
         */
        public Builder<M> listener(TrainingListener listener) {
            networkListeners.add(Objects.requireNonNull(listener, "listener"));
            return this;
        }

        /**
         * Keeps a running average of the student, beside those that the teacher has. It plays no part in the loss, and
         * checkpoints have it: started again after a kill, with an average that starts afresh, the run goes on with the same
         * bits. {@link io.github.dl4jretention.Averaging#choose} takes it when the run has ended.
         *
         * @param average of the student's start, such as {@code Teacher.movingAverage(pretrained, 0.99)}; one more each time.
         *     It has to be closed by whoever made it
         * @return this builder
         */
        public Builder<M> average(MovingAverageTeacher average) {
            averages.add(Objects.requireNonNull(average, "average"));
            return this;
        }

        private List<MovingAverageTeacher> allAverages() {
            List<MovingAverageTeacher> all =
                    new ArrayList<>(Objects.requireNonNull(teacher, "teacher").movingAverages());
            averages.stream().filter(average -> !all.contains(average)).forEach(all::add);
            return List.copyOf(all);
        }

        /**
         * @param listener of a SameDiff model, called in training; one more each time
         * @return this builder
         */
        public Builder<M> listener(Listener listener) {
            sameDiffListeners.add(Objects.requireNonNull(listener, "listener"));
            return this;
        }

        /**
         * {@return a run, ready to start}
         *
         * @throws IOException if the folder cannot be made
         * @throws IllegalArgumentException if the teacher teaches other outputs than the student's, the iterator cannot
         *     be reset, a listener is for another kind of model, or gradients can't be accumulated: of a SameDiff
         *     student, with truncated backpropagation, or with batch normalisation that normalises by the minibatch
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
