package io.github.dl4jretention.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.concurrent.atomic.AtomicInteger;
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

    private static void throwUnchecked(Throwable failure) {
        if (failure instanceof Error error) {
            throw error;
        }
        throw (RuntimeException) failure;
    }
}
