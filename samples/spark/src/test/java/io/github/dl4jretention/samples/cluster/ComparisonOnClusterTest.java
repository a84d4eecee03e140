package io.github.dl4jretention.samples.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.dl4jretention.samples.comparison.ComparisonRun;
import io.github.dl4jretention.samples.comparison.Plan;
import io.github.dl4jretention.samples.comparison.TrialWorker;
import io.github.dl4jretention.samples.text.Corpus;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A comparison whose trials are tasks of Spark's against one that runs them one after the other. */
class ComparisonOnClusterTest {

    private static final String PLAN =
            """
            {"models": ["TRANSFORMER"],
             "pairs": [{"target": "KOTLIN", "sources": ["PROSE"]}],
             "learningRates": [0.001], "seeds": [1, 2],
             "steps": 2, "batch": 4, "evaluationBatches": 1, "importanceExamples": 2,
             "methods": [{"method": "PLAIN", "stops": [1], "merges": [{"merge": "WISE_FT", "strengths": [0.5]}]},
               {"method": "RETENTION", "strengths": [1]}]}""";
    private static final Path CORPUS = Path.of("..", "target", "corpus");
    private static final Path CHECKPOINTS = Path.of("..", "checkpoints");

    @TempDir
    private Path folder;

    /** Rows without the time of a step, in any order. */
    private static List<String> rows(Path results) throws IOException {
        List<String> lines = Files.readAllLines(results);
        int time = Arrays.asList(lines.get(0).split(",")).indexOf("step_ms");
        return lines.stream()
                .map(line -> {
                    String[] cells = line.split(",", -1);
                    cells[time] = "";
                    return String.join(",", cells);
                })
                .sorted()
                .collect(Collectors.toList());
    }

    private static ComparisonRun run(Plan plan, Path out) throws IOException {
        return new ComparisonRun(plan, Corpus.read(CORPUS), ComparisonRun.samples(plan, CHECKPOINTS), out, 1, 1);
    }

    @Test
    void results_are_those_of_one_machine_and_missing_trials_are_run() throws IOException {
        Plan plan = Plan.read(Files.writeString(folder.resolve("plan.json"), PLAN));
        Path local = folder.resolve("local");
        Path cluster = folder.resolve("cluster");
        run(plan, local).run();
        try (JavaSparkContext spark = new JavaSparkContext(
                new SparkConf().setMaster("local[2]").setAppName("test").set("spark.ui.enabled", "false"))) {
            TrialWorker worker = new TrialWorker(plan, CORPUS.toString(), CHECKPOINTS.toString());
            run(plan, cluster).on(ComparisonOnCluster.executor(spark, worker)).run();
            List<String> all = rows(local.resolve("results.csv"));
            assertEquals(
                    1 + 1 + 2 * 4, all.size(), "names, the base, and of each seed two methods, a stop and a merge");
            assertEquals(all, rows(cluster.resolve("results.csv")));
            List<String> lines = Files.readAllLines(cluster.resolve("results.csv"));
            Files.write(cluster.resolve("results.csv"), lines.subList(0, lines.size() - 1));
            run(plan, cluster).on(ComparisonOnCluster.executor(spark, worker)).run();
            assertEquals(all, rows(cluster.resolve("results.csv")));
        }
    }
}
