package example;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ClusterSweepTest {

    @Test
    void the_published_jar_sweeps(@TempDir Path folder) throws IOException {
        try (JavaSparkContext spark = new JavaSparkContext(new SparkConf()
                .setMaster("local[2]")
                .setAppName("test")
                .set("spark.ui.enabled", "false"))) {
            SweepOutcome outcome = ClusterSweep.run(spark, folder, 2);
            assertEquals(2, outcome.complete().size());
            assertTrue(Files.exists(folder.resolve("report.html")));
        }
    }
}
