package io.github.dl4jretention.teacher;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/**
 * Prepares the next batch on a thread of its own while the student trains on the last one. What fails on the
 * way is thrown by the {@code next()} that would have returned the batch. For one caller's thread at a time.
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
    private final UnaryOperator<B> teaching;
    private final boolean fetchHere;
    private boolean enabled;
    private CompletableFuture<B> prepared;

    /**
     * @param source    gives plain batches
     * @param hasNext   whether it has one more
     * @param teaching  adds the teacher
     * @param fetchHere whether plain batches must come from the caller's thread
     */
    Prefetch(Supplier<B> source, BooleanSupplier hasNext, UnaryOperator<B> teaching, boolean fetchHere) {
        this.source = source;
        this.hasNext = hasNext;
        this.teaching = teaching;
        this.fetchHere = fetchHere;
    }

    void setEnabled(boolean enabled) {
        this.enabled = enabled;
    }

    boolean hasNext() {
        return prepared != null || hasNext.getAsBoolean();
    }

    B next() {
        B batch = prepared == null ? teaching.apply(source.get()) : take();
        if (enabled) {
            try {
                prepared = hasNext.getAsBoolean() ? prepare() : null;
            } catch (RuntimeException | Error e) {
                prepared = CompletableFuture.failedFuture(e);
            }
        }
        return batch;
    }

    private CompletableFuture<B> prepare() {
        if (fetchHere) {
            B plain = source.get();
            return CompletableFuture.supplyAsync(() -> teaching.apply(plain), THREADS);
        }
        return CompletableFuture.supplyAsync(() -> teaching.apply(source.get()), THREADS);
    }

    /** The prepared batch; null if there is none. */
    B take() {
        if (prepared == null) {
            return null;
        }
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
