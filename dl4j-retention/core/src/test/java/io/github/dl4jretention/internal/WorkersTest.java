package io.github.dl4jretention.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class WorkersTest {

    private static final int PARTS = 1000;

    @Test
    void every_part_ends_before_a_failure_is_thrown() {
        for (Throwable failure :
                new Throwable[] {new OutOfMemoryError("first"), new IllegalArgumentException("first")}) {
            AtomicInteger ended = new AtomicInteger();
            Throwable thrown = assertThrows(
                    failure.getClass(),
                    () -> Workers.run(PARTS, part -> {
                        if (part == 3) {
                            throwUnchecked(failure);
                        } else if (part == 700) {
                            throw new IllegalStateException("second");
                        }
                        ended.incrementAndGet();
                    }));
            assertSame(failure, thrown);
            assertEquals(PARTS - 2, ended.get());
        }
    }

    /** From several threads at once, and from within parts, where no helper may be free. */
    @Test
    void every_part_runs_once_whoever_asks() {
        AtomicIntegerArray calls = new AtomicIntegerArray(PARTS);
        Workers.run(
                10,
                outer -> Workers.run(
                        10,
                        middle -> Workers.run(10, inner -> {
                            calls.incrementAndGet(100 * outer + 10 * middle + inner);
                        })));
        IntStream.range(0, PARTS).parallel().forEach(i -> Workers.run(3, part -> calls.incrementAndGet(i)));
        for (int i = 0; i < PARTS; i++) {
            assertEquals(4, calls.get(i), "part " + i);
        }
    }

    @Test
    void an_interrupt_stays_pending() {
        Thread.currentThread().interrupt();
        AtomicInteger ended = new AtomicInteger();
        Workers.run(2, part -> {
            LockSupport.parkNanos(2_000_000);
            ended.incrementAndGet();
        });
        assertTrue(Thread.interrupted());
        assertEquals(2, ended.get());
    }

    private static void throwUnchecked(Throwable failure) {
        if (failure instanceof Error error) {
            throw error;
        }
        throw (RuntimeException) failure;
    }

    @Test
    void a_checked_exception_that_no_signature_names_is_thrown_too() {
        IOException failure = new IOException("sneaked");
        AtomicInteger ended = new AtomicInteger();
        Throwable thrown = assertTimeoutPreemptively(
                Duration.ofMinutes(1),
                () -> assertThrows(
                        IOException.class,
                        () -> Workers.run(PARTS, part -> {
                            if (part == 3) {
                                WorkersTest.<RuntimeException>sneak(failure);
                            }
                            ended.incrementAndGet();
                        })));
        assertSame(failure, thrown);
        assertEquals(PARTS - 1, ended.get());
    }

    @SuppressWarnings("unchecked")
    private static <E extends Throwable> void sneak(Throwable failure) throws E {
        throw (E) failure;
    }

    @Test
    void where_no_more_threads_can_be_started_there_are_fewer_helpers() {
        List<Workers.Helper> started = Workers.started(5, index -> {
            if (index == 2) {
                throw new OutOfMemoryError("unable to create native thread");
            }
            return new Workers.Helper(index);
        });
        assertEquals(2, started.size());
        assertTrue(started.stream().allMatch(Thread::isAlive));
    }
}
