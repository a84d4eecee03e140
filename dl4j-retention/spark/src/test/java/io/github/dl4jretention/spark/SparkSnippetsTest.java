package io.github.dl4jretention.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.sweep.Sweep;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Sgd;

/** What docs/spark.md shows; the samples' DocsTest compares the two. */
class SparkSnippetsTest {

    @TempDir
    private Path folder;

    private final JavaSparkContext sparkContext = TestCluster.shared();
    private final MultiLayerNetwork pretrained = Retention.withUpdater(Networks.lstm(TestSweeps.TYPE, 1), new Sgd(0.1));
    private final List<DataSet> minibatches = TestSweeps.batches(4, 10, 0);

    private static double accuracyOf(double coefficient) {
        return 1 / (1 + coefficient);
    }

    @Test
    void a_sweep_with_a_cache() throws Exception {
        FinetuneModel model = FinetuneModel.of(pretrained);
        JavaRDD<DataSet> batches = sparkContext.parallelize(minibatches, 2);
        String shared = folder.resolve("cache").toString();
        // snippet
        TeacherCache cache = SparkTeacherCache.on(sparkContext, pretrained)
                .build(TeacherCache.builder().folder(Path.of(shared)).data("tickets of May"), batches);
        // end
        Sweep.Builder settings = TestSweeps.grid(folder.resolve("sweep")).model(model);
        // snippet
        Sweep sweep = settings.teacher(cache).parallelism(2).build(); // as many candidates as there are cores
        SweepOutcome outcome = SparkSweep.on(sparkContext, sweep)
                .teacher(network -> TeacherCache.builder() // on each executor
                        .teacher(network)
                        .folder(Path.of(shared))
                        .data("tickets of May")
                        .open())
                .run();
        // end
        assertEquals(4, outcome.complete().size());
    }

    @Test
    void a_training() throws Exception {
        // snippet
        JavaRDD<DataSet> batches = sparkContext.parallelize(minibatches, 2);
        MultiLayerNetwork student = SparkFinetuning.on(sparkContext, pretrained)
                .configuration(RetentionConfiguration.builder().coefficient(1).build())
                .workers(2)
                .averagingFrequency(10)
                .fit(batches, 3);
        MultiLayerNetwork tuned = Retention.detach(student);
        // end
        assertTrue(tuned.params().distance2(pretrained.params()) > 0);
    }

    @Test
    void a_comparison() throws Exception {
        Path file = folder.resolve("results.csv");
        // snippet
        Map<String, Double> trials = new LinkedHashMap<>(); // what to run, by a key
        for (double coefficient : new double[] {0.1, 1, 10}) {
            trials.put("retention " + coefficient, coefficient);
        }
        List<String> lines = new ArrayList<>(Files.exists(file) ? Files.readAllLines(file) : List.of());
        SparkComparison.on(sparkContext).run(trials, SparkSnippetsTest::accuracyOf, new TrialJournal<Double>() {
            @Override
            public boolean holds(String key) {
                return lines.stream().anyMatch(line -> line.startsWith(key + ","));
            }

            @Override
            public void put(String key, Double result) throws IOException {
                lines.add(key + "," + result);
                Files.write(file, lines);
            }
        });
        // end
        assertEquals(3, Files.readAllLines(file).size());
    }
}
