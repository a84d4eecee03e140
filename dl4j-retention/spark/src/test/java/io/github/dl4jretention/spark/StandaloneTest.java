package io.github.dl4jretention.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import java.lang.management.ManagementFactory;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A master and workers that were started on their own: {@code -Pstandalone}. */
@Tag("standalone")
class StandaloneTest {

    @TempDir
    private Path folder;

    @Test
    void a_standalone_cluster_finds_what_one_machine_does() throws Exception {
        SweepOutcome local = TestSweeps.grid(folder.resolve("local")).build().run();
        int port;
        try (ServerSocket free = new ServerSocket(0)) {
            port = free.getLocalPort();
        }
        List<String> command = new ArrayList<>(List.of(
                Path.of("src/test/scripts/standalone").toAbsolutePath().toString(),
                System.getProperty("java.class.path"),
                folder.resolve("cluster").toString(),
                String.valueOf(port)));
        ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
                .filter(argument -> argument.startsWith("--add-opens"))
                .forEach(command::add);
        Process script = new ProcessBuilder(command)
                .inheritIO()
                .redirectInput(ProcessBuilder.Redirect.PIPE)
                .start();
        try {
            // Spark asks the master again until it's there.
            SweepOutcome cluster = SparkSweep.on(
                            TestCluster.start(
                                    "spark://127.0.0.1:" + port,
                                    Map.of("spark.executor.memory", "1g", "spark.driver.host", "127.0.0.1")),
                            TestSweeps.grid(folder.resolve("sweep")).build())
                    .run();
            assertEquals(TestSweeps.essence(local), TestSweeps.essence(cluster));
        } finally {
            script.getOutputStream().close();
            script.waitFor();
            TestCluster.stop();
        }
    }
}
