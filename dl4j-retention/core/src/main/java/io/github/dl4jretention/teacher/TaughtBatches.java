package io.github.dl4jretention.teacher;

import io.github.dl4jretention.internal.BatchMemory;
import io.github.dl4jretention.loss.LabelArrays;
import io.github.dl4jretention.loss.RetentionLabels;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.BiFunction;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * Batches whose labels carry what a teacher says of them, see {@link #teach}. The next one is prepared on a thread of
 * its own while the student trains on the last, whose labels are freed when the thread that trained on it takes the
 * next. What fails on the way is thrown by the {@code next()} that would have returned the batch. For one caller's
 * thread at a time.
 *
 * @param <B> kind of batch
 */
final class TaughtBatches<B> implements AutoCloseable {

    private static final ExecutorService THREADS = Executors.newCachedThreadPool(work -> {
        Thread thread = new Thread(work, "teacher-prefetch");
        thread.setDaemon(true);
        return thread;
    });

    private final boolean frozen;
    private final Supplier<B> source;
    private final BooleanSupplier hasNext;
    private final BiFunction<B, BatchMemory, Taught<B>> teaching;
    private final boolean fetchHere;
    private final BatchMemory memory = new BatchMemory();
    private boolean enabled;
    private @Nullable CompletableFuture<Taught<B>> prepared;
    private boolean releases = true;
    private List<INDArray> last = List.of();
    private boolean closed;

    /**
     * A batch with its teacher.
     *
     * @param batch for the student
     * @param made  arrays of it to be freed
     */
    record Taught<B>(B batch, List<INDArray> made) {}

    /**
     * Prepares batches ahead if the teacher is frozen.
     *
     * @param frozen    whether the teacher is
     * @param source    gives plain batches
     * @param hasNext   whether it has one more
     * @param teaching  adds the teacher, in arrays of the memory that it's given
     * @param fetchHere whether plain batches must come from the caller's thread
     */
    TaughtBatches(
            boolean frozen,
            Supplier<B> source,
            BooleanSupplier hasNext,
            BiFunction<B, BatchMemory, Taught<B>> teaching,
            boolean fetchHere) {
        this.source = source;
        this.hasNext = hasNext;
        this.teaching = teaching;
        this.fetchHere = fetchHere;
        this.frozen = frozen;
        enabled = frozen;
    }

    /** @throws IllegalArgumentException if it's enabled for a teacher that follows its student */
    void setPrefetch(boolean enabled) {
        if (enabled && !frozen) {
            throw new IllegalArgumentException("prefetch: expected a frozen teacher, got one that follows its student");
        }
        this.enabled = enabled;
    }

    /** Whether the labels of a batch are freed once they have been trained on; default true. */
    void setReleases(boolean releases) {
        this.releases = releases;
        last = releases ? last : List.of();
    }

    boolean hasNext() {
        return prepared != null || hasNext.getAsBoolean();
    }

    B next() {
        B batch = next(source);
        if (enabled) {
            try {
                prepared = hasNext.getAsBoolean() ? prepare() : null;
            } catch (RuntimeException | Error e) {
                prepared = CompletableFuture.failedFuture(e);
            }
        }
        return batch;
    }

    /** The prepared batch; of another size if none is. */
    B next(Supplier<B> other) {
        if (closed) {
            throw new IllegalStateException(
                    "iterator: expected one that is open, it was closed; close it after the last batch");
        }
        releaseLast();
        Taught<B> taught = prepared == null ? teaching.apply(other.get(), memory) : take(prepared);
        last = releases ? taught.made() : List.of();
        return taught.batch();
    }

    private void releaseLast() {
        last.stream().filter(LabelArrays::isUsedHere).forEach(LabelArrays::release);
        last = List.of();
    }

    private CompletableFuture<Taught<B>> prepare() {
        if (fetchHere) {
            B plain = source.get();
            return CompletableFuture.supplyAsync(() -> teaching.apply(plain, memory), THREADS);
        }
        return CompletableFuture.supplyAsync(() -> teaching.apply(source.get(), memory), THREADS);
    }

    private Taught<B> take(CompletableFuture<Taught<B>> ready) {
        try {
            return ready.join();
        } catch (CompletionException e) {
            if (e.getCause() instanceof Error error) {
                throw error;
            }
            throw e.getCause() instanceof RuntimeException cause ? cause : e;
        } finally {
            prepared = null;
        }
    }

    /** Waits for what is under way and forgets it, before the source is reset. */
    void clear() {
        if (prepared != null) {
            prepared.handle((taught, failure) -> {
                        if (taught != null) {
                            taught.made().forEach(LabelArrays::release);
                        }
                        return null;
                    })
                    .join();
            prepared = null;
        }
    }

    /** Frees the labels of batches that this thread has trained on or nobody has taken, and all memory for others. */
    @Override
    public void close() {
        clear();
        releaseLast();
        memory.close();
        closed = true;
    }

    /**
     * Asks a teacher.
     *
     * @param batch  plain
     * @param memory lends packed labels theirs
     * @return the batch with labels for the student: those of the teacher's outputs packed, others as they were. For a
     *     SameDiff student the teacher's values and the divergence's weights follow them as arrays of their own. Its
     *     features are finite
     * @throws IllegalArgumentException if the batch doesn't fit the teacher; the message says what doesn't
     */
    static Taught<MultiDataSet> teach(
            Teacher teacher, DivergenceMask divergenceMask, MultiDataSet batch, BatchMemory memory) {
        INDArray[] features =
                batch.getFeatures() == null ? null : batch.getFeatures().clone();
        INDArray[] masks = batch.getFeaturesMaskArrays();
        for (int i = 0; features != null && masks != null && i < masks.length; i++) {
            features[i] = finite(features[i], masks[i]);
        }
        require(batch);
        // A mask of the divergence may know the batch by its own arrays.
        MultiDataSet asked = new org.nd4j.linalg.dataset.MultiDataSet(
                features, batch.getLabels(), masks, batch.getLabelsMaskArrays());
        List<TeacherOutput> outputs = teacher.outputs();
        INDArray[] given = batch.getLabels();
        for (TeacherOutput output : outputs) {
            if (output.index() >= given.length || given[output.index()] == null) {
                throw new IllegalArgumentException("labels: expected an array for output " + output.index() + " (\""
                        + output.name() + "\"), got " + given.length + " arrays");
            }
        }
        List<INDArray> labels = new ArrayList<>(Arrays.asList(given));
        List<INDArray> made = new ArrayList<>();
        if (outputs.get(0).ownArray()) {
            INDArray[] values = teacher.values(asked);
            made.addAll(Arrays.asList(values));
            try {
                for (int i = 0; i < values.length; i++) {
                    LabelArrays.claim(values[i], source(teacher));
                    labels.add(values[i]);
                    INDArray weights = divergenceMask.of(batch, outputs.get(i), values[i]);
                    if (weights != null) {
                        labels.add(weights);
                    }
                }
            } catch (RuntimeException | Error e) {
                made.forEach(LabelArrays::release);
                throw e;
            }
        } else {
            RetentionLabels[] packing = outputs.stream()
                    .map(output -> packing(teacher, divergenceMask, batch, output, memory))
                    .toArray(RetentionLabels[]::new);
            try {
                teacher.teach(asked, packing);
            } catch (RuntimeException | Error e) {
                Arrays.stream(packing).forEach(RetentionLabels::discard);
                throw e;
            }
            for (int i = 0; i < packing.length; i++) {
                labels.set(outputs.get(i).index(), packing[i].packed());
                made.add(packing[i].packed());
            }
        }
        INDArray[] labelMasks = batch.getLabelsMaskArrays();
        return new Taught<>(
                new org.nd4j.linalg.dataset.MultiDataSet(
                        features,
                        labels.toArray(INDArray[]::new),
                        masks,
                        labelMasks == null ? null : Arrays.copyOf(labelMasks, labels.size())),
                made);
    }

    private static RetentionLabels packing(
            Teacher teacher,
            DivergenceMask divergenceMask,
            MultiDataSet batch,
            TeacherOutput output,
            BatchMemory memory) {
        INDArray[] masks = batch.getLabelsMaskArrays();
        return new RetentionLabels(
                batch.getLabels(output.index()),
                masks == null ? null : masks[output.index()],
                (examples, time) -> divergenceMask.of(batch, output, examples, time),
                output.classAxis(),
                source(teacher),
                memory);
    }

    private static LabelArrays.Source source(Teacher teacher) {
        return new LabelArrays.Source(teacher.sha256(), teacher.sampledAt().orElse(0), teacher.givesEveryClass());
    }

    /**
     * Features without what a mask leaves out, if that isn't finite: 0 times NaN would be NaN in every layer.
     *
     * @param features of any shape; null stays null
     * @param mask     {@code [batch, time]}; null for none
     * @return the same array, or a copy with zeros where the mask has them
     */
    private static @Nullable INDArray finite(@Nullable INDArray features, @Nullable INDArray mask) {
        if (features == null
                || mask == null
                || features.rank() != 3
                || mask.rank() != 2
                || !features.dataType().isFPType()
                || mask.size(0) != features.size(0)
                || Double.isFinite(features.sumNumber().doubleValue())) {
            return features;
        }
        boolean last = mask.size(1) == features.size(2);
        if (!last && mask.size(1) != features.size(1)) {
            return features;
        }
        INDArray result = features.dup();
        for (long example = 0; example < mask.size(0); example++) {
            for (long t = 0; t < mask.size(1); t++) {
                if (mask.getDouble(example, t) == 0) {
                    result.get(
                                    NDArrayIndex.point(example),
                                    last ? NDArrayIndex.all() : NDArrayIndex.point(t),
                                    last ? NDArrayIndex.point(t) : NDArrayIndex.all())
                            .assign(0);
                }
            }
        }
        return result;
    }

    /**
     * Where one of these is missing DL4J M2.1 fails without a name, or trains.
     *
     * @throws IllegalArgumentException if arrays are missing or empty, labels are no numbers, or a features mask does
     *     not fit
     */
    private static void require(MultiDataSet batch) {
        INDArray[] features = batch.getFeatures();
        requireArrays("features", features);
        if (Arrays.stream(features).anyMatch(Objects::isNull)) {
            throw new IllegalArgumentException("features: expected an array for every input, got " + shapes(features));
        }
        INDArray[] labels = batch.getLabels();
        requireArrays("labels", labels);
        for (INDArray array : labels) {
            if (array != null && !array.dataType().isNumerical()) {
                throw new IllegalArgumentException("labels: expected numbers, got " + shape(array));
            }
        }
        INDArray[] masks = batch.getFeaturesMaskArrays();
        for (int i = 0; masks != null && i < masks.length; i++) {
            if (masks[i] != null) {
                requireMask(masks[i], features[i]);
            }
        }
    }

    private static void requireArrays(String name, INDArray[] arrays) {
        if (arrays == null || arrays.length == 0) {
            throw new IllegalArgumentException(name + ": expected at least one array, got none");
        }
        if (Stream.of(arrays).anyMatch(array -> array != null && array.isEmpty())) {
            throw new IllegalArgumentException(name + ": expected at least one example, got " + shapes(arrays));
        }
    }

    /** Stock layers take what they find of a mask of another shape. */
    private static void requireMask(INDArray mask, INDArray features) {
        boolean fits = mask.rank() > 0 && mask.size(0) == features.size(0);
        if (features.rank() == 2) {
            fits &= mask.rank() <= 2 && (mask.length() == features.size(0) || mask.length() == features.length());
        } else if (features.rank() == 3) {
            // Time is the last axis, or the middle one in NWC; an axis of 1 is that of class ids.
            boolean last = features.size(2) > 1 || features.size(1) == 1;
            boolean middle = features.size(1) > 1 || features.size(2) == 1;
            fits &= mask.rank() == 2
                    && (last && mask.size(1) == features.size(2) || middle && mask.size(1) == features.size(1));
        }
        if (!fits) {
            throw new IllegalArgumentException("features mask: expected a weight for every time step of features of "
                    + shape(features) + ", got " + shape(mask));
        }
        for (double weight : mask.dup('c').reshape(mask.length()).toDoubleVector()) {
            if (!(weight >= 0) || Double.isInfinite(weight)) {
                throw new IllegalArgumentException(
                        "features mask: expected finite numbers of at least 0, got " + weight + " in " + shape(mask));
            }
        }
    }

    static String shapes(INDArray[] arrays) {
        return Arrays.stream(arrays)
                .map(array -> array == null ? "null" : shape(array))
                .toList()
                .toString();
    }

    private static String shape(INDArray array) {
        return array.dataType() + " of shape " + Arrays.toString(array.shape());
    }
}
