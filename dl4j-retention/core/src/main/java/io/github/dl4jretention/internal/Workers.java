package io.github.dl4jretention.internal;

import java.util.function.IntConsumer;
import java.util.stream.IntStream;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Runs the parts of one piece of work on the common pool and the caller's thread.
 *
 * @param rows     parts for what is computed in Java
 * @param products parts for matrix products: 1 if the native library brings threads of its own, because both together
 *     would be more threads than there are processors. Set OMP_NUM_THREADS=1 to get as many as for rows
 */
public record Workers(int rows, int products) {

    private static final int MOST = 16;

    /** {@return as many as there are processors, at most 16} */
    public static Workers ofMachine() {
        int processors = Math.min(Runtime.getRuntime().availableProcessors(), MOST);
        int nativeThreads = Math.max(
                Nd4j.getEnvironment().maxThreads(), Nd4j.factory().blas().getMaxThreads());
        return new Workers(processors, nativeThreads == 1 ? processors : 1);
    }

    /**
     * Calls the work for every part, each once, and returns when all have ended.
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
}
