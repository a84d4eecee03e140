package io.github.dl4jretention.samples.console;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.internal.Workers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.factory.Nd4j;

class ConsoleTest {

    @TempDir
    Path folder;

    /** In a process of its own: the tests' environment has OMP_NUM_THREADS. */
    @Test
    @Timeout(value = 2, unit = TimeUnit.MINUTES)
    void without_the_environment_variable_products_have_one_native_thread_too() throws Exception {
        Path out = folder.resolve("out.txt");
        ProcessBuilder builder = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-cp",
                        System.getProperty("java.class.path"),
                        Threads.class.getName())
                .redirectErrorStream(true)
                .redirectOutput(out.toFile());
        builder.environment().remove("OMP_NUM_THREADS");
        assertEquals(0, builder.start().waitFor(), Files.readString(out));
        List<String> lines = Files.readAllLines(out);
        assertTrue(lines.contains("BLAS 1, operations 1, products share the processors true"), lines.toString());
    }

    static final class Threads {

        private Threads() {}

        public static void main(String[] args) {
            Console.prepare(1);
            System.out.printf(
                    "BLAS %d, operations %d, products share the processors %s%n",
                    Nd4j.factory().blas().getMaxThreads(),
                    Nd4j.getEnvironment().maxMasterThreads(),
                    Workers.ofMachine().products() == Workers.ofMachine().rows());
        }
    }
}
