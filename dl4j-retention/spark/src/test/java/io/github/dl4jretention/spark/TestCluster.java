package io.github.dl4jretention.spark;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;

/**
 * Real clusters of executor JVMs on this machine. Spark starts them from an installation; without one, its own tests let
 * executors take the driver's class path, which {@code spark.testing} asks for.
 */
final class TestCluster {

    static final String TWO_EXECUTORS = "local-cluster[2,1,1024]";

    private static JavaSparkContext shared;

    private TestCluster() {}

    /** Two executors of one core each, started for the first test that asks. */
    static synchronized JavaSparkContext shared() {
        if (shared == null || shared.sc().isStopped()) {
            return start(TWO_EXECUTORS, Map.of());
        }
        return shared;
    }

    /** Stops the shared one: a JVM has one context at a time. */
    static synchronized void stop() {
        if (shared != null) {
            shared.stop();
            shared = null;
        }
    }

    /** Starts another in place of the shared one. */
    static synchronized JavaSparkContext start(String master, Map<String, String> settings) {
        stop();
        Path home = Path.of(System.getProperty("java.io.tmpdir"), "spark-home");
        try {
            Files.createDirectories(home.resolve("jars"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        System.setProperty("spark.testing", "true");
        System.setProperty("spark.test.home", home.toString());
        SparkConf conf = new SparkConf()
                .setMaster(master)
                .setAppName("dl4j-retention tests")
                .set("spark.ui.enabled", "false")
                .set("spark.executor.extraJavaOptions", "-Dtest.log=" + System.getProperty("test.log", "error"))
                .set("spark.task.maxFailures", "4");
        settings.forEach(conf::set);
        shared = new JavaSparkContext(conf);
        return shared;
    }
}
