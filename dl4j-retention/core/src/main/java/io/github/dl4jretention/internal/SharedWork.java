package io.github.dl4jretention.internal;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.IntConsumer;

/** Work in parts that several threads take from one pile. */
final class SharedWork {

    /**
     * How long a thread looks for what it waits for before it sleeps. A training step has dozens of pieces of work of a
     * fraction of a millisecond, less than it takes some machines to wake a thread.
     */
    private static final long SPIN = TimeUnit.MICROSECONDS.toNanos(100);

    private final IntConsumer work;
    private final Throwable[] failures;
    private final AtomicInteger next = new AtomicInteger();
    private final AtomicInteger ended = new AtomicInteger();
    private final Thread owner = Thread.currentThread();

    SharedWork(int parts, IntConsumer work) {
        this.work = work;
        failures = new Throwable[parts];
    }

    /** Does parts until none is left. */
    void help() {
        for (int part = next.getAndIncrement(); part < failures.length; part = next.getAndIncrement()) {
            try {
                work.accept(part);
            } catch (Throwable e) {
                // Checked exceptions too, which some languages throw without a signature that says so.
                failures[part] = e;
            } finally {
                if (ended.incrementAndGet() == failures.length) {
                    LockSupport.unpark(owner);
                }
            }
        }
    }

    /** Returns when all parts have ended, those of other threads too. */
    void await() {
        waitFor(() -> ended.get() == failures.length);
    }

    Throwable[] failures() {
        return failures;
    }

    /** Looks for a while, then sleeps until it's woken and the condition holds. An interrupt stays pending. */
    static void waitFor(BooleanSupplier condition) {
        long start = System.nanoTime();
        boolean interrupted = false;
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() - start < SPIN) {
                Thread.onSpinWait();
            } else {
                LockSupport.park();
                interrupted |= Thread.interrupted();
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
