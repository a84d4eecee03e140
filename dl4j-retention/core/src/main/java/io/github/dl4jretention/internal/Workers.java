package io.github.dl4jretention.internal;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.IntConsumer;
import java.util.function.IntFunction;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Runs the parts of one piece of work on the caller's thread and on helpers, one for each processor but the caller's.
 *
 * @param rows     parts for what is computed in Java
 * @param products parts for matrix products: 1 if OpenBLAS brings threads of its own, because both together would be more
 *     threads than there are processors. Set OMP_NUM_THREADS=1 to get as many as for rows
 */
public record Workers(int rows, int products) {

    private static final int MOST = 16;

    /** {@return as many as there are processors, at most 16} */
    public static Workers ofMachine() {
        return new Workers(processors(), Nd4j.factory().blas().getMaxThreads() == 1 ? processors() : 1);
    }

    private static int processors() {
        return Math.min(Runtime.getRuntime().availableProcessors(), MOST);
    }

    /** Threads that wait for work; made when the first work comes. */
    private static final class Helpers {

        private static final List<Helper> ALL = started(processors() - 1, Helper::new);

        private Helpers() {}
    }

    /**
     * Starts helpers, fewer if the machine gives no more threads.
     *
     * @param wanted how many there are to be
     * @param maker  is given the number of a helper, from 0
     */
    static List<Helper> started(int wanted, IntFunction<Helper> maker) {
        List<Helper> started = new ArrayList<>();
        try {
            while (started.size() < wanted) {
                Helper helper = maker.apply(started.size());
                helper.start();
                started.add(helper);
            }
        } catch (OutOfMemoryError e) {
            // What Java throws when it can't start a thread. The caller's does what no helper takes.
        }
        return List.copyOf(started);
    }

    /**
     * Calls the work for every part, each once, and returns when all have ended. Parts for which no helper is free run
     * on the caller's thread, so that work may be run from several threads and from within a part.
     *
     * @param parts how many there are
     * @param work  is given the number of its part, from 0
     * @throws RuntimeException of the first part, in their order, that failed
     * @throws Error            likewise
     */
    public static void run(int parts, IntConsumer work) {
        if (parts == 1) {
            work.accept(0);
            return;
        }
        SharedWork shared = new SharedWork(parts, work);
        int wanted = parts - 1;
        for (int i = 0; i < Helpers.ALL.size() && wanted > 0; i++) {
            if (Helpers.ALL.get(i).take(shared)) {
                wanted--;
            }
        }
        shared.help();
        shared.await();
        for (Throwable failure : shared.failures()) {
            if (failure != null) {
                Workers.<RuntimeException>rethrow(failure);
            }
        }
    }

    /** Work on a part of some elements. */
    @FunctionalInterface
    public interface Part {

        /**
         * Does it.
         *
         * @param part number of the part, from 0
         * @param from index of its first element
         * @param to   index after its last
         */
        void run(int part, int from, int to);
    }

    /**
     * Calls the work for every part of {@code length} elements, as {@link #run} does.
     *
     * @param length of the whole
     * @param parts  how many there are
     * @param work   is given which elements are its part's
     */
    public static void split(int length, int parts, Part work) {
        run(parts, part -> work.run(part, start(length, parts, part), start(length, parts, part + 1)));
    }

    /**
     * {@return a time in which this thread's pieces of work follow each other closely, until it's closed} It, and the threads
     * that help it, look for twenty times as long before they sleep. For a token that is being computed: its hundred pieces
     * are shorter than it takes to wake a thread.
     */
    public static Burst burst() {
        return new Burst();
    }

    /** See {@link #burst()}. */
    public static final class Burst implements AutoCloseable {

        private static final ThreadLocal<Integer> OPEN = ThreadLocal.withInitial(() -> 0);

        private Burst() {
            OPEN.set(OPEN.get() + 1);
        }

        /** Once, on the same thread. */
        @Override
        public void close() {
            OPEN.set(OPEN.get() - 1);
        }
    }

    /** Throws what a part threw as it is. */
    @SuppressWarnings("unchecked")
    private static <E extends Throwable> void rethrow(Throwable failure) throws E {
        throw (E) failure;
    }

    /**
     * {@return where a part of {@code length} elements begins} The last part ends at
     * {@code start(length, parts, parts)}.
     *
     * @param length of the whole
     * @param parts  how many there are
     * @param part   which of them, from 0
     */
    public static int start(int length, int parts, int part) {
        return (int) ((long) length * part / parts);
    }

    /** A thread that helps whoever asks first. */
    static final class Helper extends Thread {

        private final AtomicReference<SharedWork> current = new AtomicReference<>();

        Helper(int index) {
            super("dl4j-retention-helper-" + index);
            setDaemon(true);
            setContextClassLoader(Helper.class.getClassLoader());
        }

        /** {@return whether it was free, and helps} */
        boolean take(SharedWork work) {
            boolean free = current.compareAndSet(null, work);
            if (free) {
                LockSupport.unpark(this);
            }
            return free;
        }

        @Override
        public void run() {
            long spin = SharedWork.SPIN;
            while (true) {
                SharedWork.waitFor(() -> current.get() != null, spin);
                SharedWork work = Objects.requireNonNull(current.get());
                spin = work.spin;
                work.help();
                current.set(null);
            }
        }
    }

    /** Work in parts that several threads take from one pile. */
    static final class SharedWork {

        /**
         * How long a thread looks for what it waits for before it sleeps. A training step has dozens of pieces of work of a
         * fraction of a millisecond, less than it takes some machines to wake a thread.
         */
        private static final long SPIN = TimeUnit.MICROSECONDS.toNanos(100);

        private static final int BURST = 20;

        private final IntConsumer work;
        private final Throwable[] failures;
        private final AtomicInteger next = new AtomicInteger();
        private final AtomicInteger ended = new AtomicInteger();
        private final Thread owner = Thread.currentThread();
        private final long spin = Burst.OPEN.get() > 0 ? BURST * SPIN : SPIN;

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
            waitFor(() -> ended.get() == failures.length, spin);
        }

        Throwable[] failures() {
            return failures;
        }

        /** Looks for a while, then sleeps until it's woken and the condition holds. An interrupt stays pending. */
        static void waitFor(BooleanSupplier condition, long spin) {
            long start = System.nanoTime();
            boolean interrupted = false;
            while (!condition.getAsBoolean()) {
                if (System.nanoTime() - start < spin) {
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
}
