package io.github.dl4jretention.loss.fused;

import java.util.function.IntConsumer;
import java.util.stream.IntStream;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Runs parts of one piece of work on the common pool and the caller's thread.
 *
 * @param rows     parts for what is computed in Java
 * @param products parts for matrix products: 1 where the native library brings threads of its own, which would be more
 *     threads than processors
 */
record Workers(int rows, int products) {

    private static final int MOST = 16;

    /** As many as there are processors, at most 16. */
    static Workers ofMachine() {
        int processors = Math.min(Runtime.getRuntime().availableProcessors(), MOST);
        int nativeThreads = Math.max(
                Nd4j.getEnvironment().maxThreads(), Nd4j.factory().blas().getMaxThreads());
        return new Workers(processors, nativeThreads == 1 ? processors : 1);
    }

    /**
     * Calls the work for every part, each once, and returns when all have ended.
     *
     * @throws RuntimeException of the first part, in their order, that failed
     * @throws Error            likewise
     */
    static void run(int parts, IntConsumer work) {
        if (parts == 1) {
            work.accept(0);
            return;
        }
        Throwable[] failures = new Throwable[parts];
        IntStream.range(0, parts).parallel().forEach(part -> {
            try {
                work.accept(part);
            } catch (RuntimeException | Error e) {
                failures[part] = e;
            }
        });
        for (Throwable failure : failures) {
            if (failure instanceof Error error) {
                throw error;
            }
            if (failure != null) {
                throw (RuntimeException) failure;
            }
        }
    }

    /** Where a part of {@code length} elements begins; the last part ends at {@code start(length, parts, parts)}. */
    static int start(int length, int parts, int part) {
        return (int) ((long) length * part / parts);
    }
}
