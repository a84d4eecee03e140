package io.github.dl4jretention.samples.console;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.nativeblas.NativeOpsHolder;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What every sample program sets before it starts: the number of threads, and a screen without DL4J's inner notes. */
public final class Console {

    private static final String NOISE = "Added differentiated op";
    private static final Logger LOG = LoggerFactory.getLogger(Console.class);

    private Console() {}

    /**
     * Sets the number of threads that ND4J and OpenBLAS use, unless the environment variable {@code OMP_NUM_THREADS} does, and
     * keeps the lines that SameDiff prints for each differentiated operation off standard output.
     *
     * @param threads native threads; docs/benchmarks.md says why one is the default
     */
    public static void prepare(int threads) {
        System.setOut(new PrintStream(System.out, true, StandardCharsets.UTF_8) {
            @Override
            public void println(String line) {
                if (line == null || !line.startsWith(NOISE)) {
                    super.println(line);
                }
            }
        });
        Locale.setDefault(Locale.ROOT);
        if (System.getenv("OMP_NUM_THREADS") == null) {
            // The environment must come first: it loads the backend that the native operations belong to.
            Nd4j.getEnvironment().setMaxMasterThreads(threads);
            NativeOpsHolder.getInstance().getDeviceNativeOps().setOmpNumThreads(threads);
            // OpenBLAS counts for itself. With threads of its own, student and teacher wait for each other's products.
            Nd4j.factory().blas().setMaxThreads(threads);
        }
        LOG.debug("native threads: {}", Nd4j.factory().blas().getMaxThreads());
    }
}
