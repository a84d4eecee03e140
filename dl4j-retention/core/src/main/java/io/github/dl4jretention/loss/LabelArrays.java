package io.github.dl4jretention.loss;

import io.github.dl4jretention.internal.BatchMemory;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataBuffer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.guava.collect.MapMaker;

/**
 * What is known of arrays that carry labels or a teacher's values, beside what they hold: whose values they are, which
 * thread used them last, and when their memory can go. An array is known with all its views for as long as it lives.
 */
public final class LabelArrays {

    /** Weak keys compare by identity, so that a buffer is forgotten with its array. */
    private static final Map<DataBuffer, Source> TEACHERS =
            new MapMaker().weakKeys().makeMap();

    /** The thread that last computed a loss from an array. */
    private static final Map<DataBuffer, Thread> USERS =
            new MapMaker().weakKeys().weakValues().makeMap();

    private LabelArrays() {}

    /**
     * Where an array's values come from.
     *
     * @param teacher    SHA-256
     * @param sampledAt  the temperature whose distribution they are a random sample of; 0 for whole distributions
     * @param everyClass whether each class has the teacher's own probability
     */
    public record Source(String teacher, double sampledAt, boolean everyClass) {}

    /**
     * {@return the teacher whose log-probabilities an array carries; empty for plain labels}
     *
     * @param labels    packed labels or a copy of them, or what was {@link #claim}ed
     * @param classAxis of labels of rank 3: 1 or 2
     */
    public static Optional<Source> sourceOf(INDArray labels, int classAxis) {
        return Optional.ofNullable(TEACHERS.get(root(labels))).or(() -> LabelLayout.ofPacked(labels, classAxis)
                .map(layout ->
                        new Source(Objects.requireNonNull(layout.teacher()), layout.sampledAt(), layout.everyClass())));
    }

    /**
     * Notes where an array's values come from that has no header: those for a SameDiff model, which travel beside the
     * labels. The array is known with all its views for as long as it lives; a copy isn't.
     *
     * @param array  the teacher's values
     * @param source their teacher
     */
    public static void claim(INDArray array, Source source) {
        TEACHERS.put(root(array), source);
    }

    /**
     * Refuses a teacher that isn't the student's.
     *
     * @param expected SHA-256 of the teacher that the student belongs to; null for none
     * @param met      SHA-256 of the teacher that the labels come from
     * @throws IllegalStateException if it's another one
     */
    static void requireSameTeacher(@Nullable String expected, @Nullable String met) {
        if (expected != null && !expected.equals(met)) {
            throw new IllegalStateException("teacher: this student belongs to teacher " + expected
                    + " (SHA-256), but the labels come from teacher " + met
                    + "; training on with another teacher would forget what it retains");
        }
    }

    /**
     * Notes that this thread has done with an array what it was made for.
     *
     * @param array labels, or a teacher's values
     */
    public static void used(INDArray array) {
        USERS.put(root(array), Thread.currentThread());
    }

    /**
     * {@return whether this thread was the last to compute a loss from an array: where a thread trains on one batch after
     * another, it has finished with it}
     *
     * @param array labels, or a teacher's values
     */
    public static boolean isUsedHere(INDArray array) {
        return USERS.get(root(array)) == Thread.currentThread();
    }

    /**
     * Frees an array's memory now, with every view of it, rather than at some garbage collection, or gives it back to
     * whoever lent it. Arrays of a workspace and memory that can't be freed stay.
     *
     * @param array not used afterwards, nor any view of it
     */
    public static void release(INDArray array) {
        DataBuffer buffer = root(array);
        if (!array.isAttached() && buffer.closeable()) {
            TEACHERS.remove(buffer);
            USERS.remove(buffer);
            BatchMemory.release(buffer);
        }
    }

    /**
     * {@return whether two arrays are views of one buffer}
     *
     * @param one   array
     * @param other array
     */
    public static boolean shareMemory(INDArray one, INDArray other) {
        return !one.isEmpty() && !other.isEmpty() && root(one) == root(other);
    }

    /** The buffer that an array and all its views share. */
    static DataBuffer root(INDArray array) {
        DataBuffer buffer = array.data();
        return buffer.originalDataBuffer() == null ? buffer : buffer.originalDataBuffer();
    }
}
