package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.internal.CheckedZip;
import io.github.dl4jretention.teacher.MovingAverageTeacher;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.io.IOException;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.api.MultiDataSet;

/**
 * What a run needs to do with a model that it trains, whatever kind it is of.
 *
 * @param <M> the kind
 */
sealed interface Student<M> permits NetworkStudent, SameDiffStudent {

    M model();

    /** Everything of it that is in a checkpoint, by names of entries. */
    Map<String, AtomicFile.Content> entries();

    /** Another student of what {@link #entries()} wrote. */
    Student<M> restore(CheckedZip zip) throws IOException;

    /** The teacher's SHA-256; null if it has met none. */
    @Nullable
    String teacher();

    /** The losses by the names of outputs. */
    Map<String, Provenance.Loss> losses();

    /** Keeps a provenance in the model, which saves it with itself. */
    void note(Provenance provenance);

    /** Whether an output of a teacher is one of the student's retention outputs. */
    boolean has(TeacherOutput output);

    /** Whether it has been trained near a teacher; of a SameDiff model, whether it has been trained at all. */
    boolean wasTaught();

    /** How it is trained, as JSON without what training changes. */
    String settings();

    /** Its own listeners, which a run does not call. */
    Collection<?> listeners();

    int iterationCount();

    int epochCount();

    /**
     * Adds up gradients of several minibatches for one step.
     *
     * @throws IllegalArgumentException if it can't
     */
    AccumulatedGradients accumulator();

    /** Sets who listens from now on, beside moving averages. */
    void listen(
            RunListeners listeners, List<MovingAverageTeacher> averages, @Nullable AccumulatedGradients accumulated);

    /** Trains on one minibatch, which carries the teacher, with random numbers from a seed. */
    void train(MultiDataSet batch, long seed);

    void epochStarts();

    /** @param epochs finished so far */
    void epochEnds(int epochs);

    /** Frees its arrays; it can't be used any more. */
    void release();

    /** A copy that shares nothing with it: what a checkpoint of it would give. */
    Student<M> copy();

    /** @throws IllegalArgumentException if the teacher does not teach exactly the retention outputs */
    default void requireTaughtBy(Teacher teacher) {
        List<TeacherOutput> outputs = teacher.outputs();
        if (outputs.size() != losses().size() || !outputs.stream().allMatch(this::has)) {
            throw new IllegalArgumentException("teacher: expected one of the outputs " + losses().keySet()
                    + " of the student, a " + model().getClass().getSimpleName() + ", got one of " + outputs);
        }
    }

    /** @throws IllegalStateException if it is not the student's own */
    default void requireSame(Teacher teacher) {
        String expected = teacher();
        if (expected != null && !Objects.equals(expected, teacher.sha256())) {
            throw new IllegalStateException("teacher: this student belongs to teacher " + expected
                    + " (SHA-256), got teacher " + teacher.sha256());
        }
    }

    /**
     * @throws IllegalStateException if a moving average of the teacher is not where training of this student left it
     */
    default void requireAveragesOf(Teacher teacher) {
        for (MovingAverageTeacher average : teacher.movingAverages()) {
            if (wasTaught() && !average.hasMoved()) {
                throw new IllegalStateException("teacher: this student was trained near a moving average,"
                        + " got one that starts afresh; restore the saved average first");
            }
            if (!wasTaught() && average.hasMoved()) {
                throw new IllegalStateException(
                        "teacher: expected a moving average that starts afresh, for this student"
                                + " was not trained near it, got one that has moved");
            }
        }
    }
}
