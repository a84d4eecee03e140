package io.github.dl4jretention.teacher;

import io.github.dl4jretention.loss.RetentionLabels;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.function.Supplier;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Gives taught batches: prepares the next one on a thread of its own while the student trains on the last, and frees the
 * labels of the last when the thread that trained on it takes the next. What fails on the way is thrown by the {@code next()} that would have
 * returned the batch. For one caller's thread at a time.
 *
 * @param <B> kind of batch
 */
final class Prefetch<B> {

    private static final ExecutorService THREADS = Executors.newCachedThreadPool(work -> {
        Thread thread = new Thread(work, "teacher-prefetch");
        thread.setDaemon(true);
        return thread;
    });

    private final Supplier<B> source;
    private final BooleanSupplier hasNext;
    private final Function<B, Taught<B>> teaching;
    private final boolean fetchHere;
    private boolean enabled;
    private CompletableFuture<Taught<B>> prepared;
    private boolean releases = true;
    private List<INDArray> last = List.of();

    /**
     * A batch with its teacher.
     *
     * @param batch for the student
     * @param made  arrays of it to be freed
     */
    record Taught<B>(B batch, List<INDArray> made) {}

    /**
     * @param source    gives plain batches
     * @param hasNext   whether it has one more
     * @param teaching  adds the teacher
     * @param fetchHere whether plain batches must come from the caller's thread
     */
    Prefetch(Supplier<B> source, BooleanSupplier hasNext, Function<B, Taught<B>> teaching, boolean fetchHere) {
        this.source = source;
        this.hasNext = hasNext;
        this.teaching = teaching;
        this.fetchHere = fetchHere;
    }

    void setEnabled(boolean enabled) {
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
        B batch = taken(prepared == null ? teaching.apply(source.get()) : take());
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
        return taken(prepared == null ? teaching.apply(other.get()) : take());
    }

    private B taken(Taught<B> taught) {
        last.stream().filter(RetentionLabels::isUsedHere).forEach(RetentionLabels::release);
        last = releases ? taught.made() : List.of();
        return taught.batch();
    }

    private CompletableFuture<Taught<B>> prepare() {
        if (fetchHere) {
            B plain = source.get();
            return CompletableFuture.supplyAsync(() -> teaching.apply(plain), THREADS);
        }
        return CompletableFuture.supplyAsync(() -> teaching.apply(source.get()), THREADS);
    }

    private Taught<B> take() {
        try {
            return prepared.join();
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
            prepared.handle((batch, failure) -> null).join();
            prepared = null;
        }
    }
}
