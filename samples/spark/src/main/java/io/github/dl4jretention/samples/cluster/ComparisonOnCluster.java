package io.github.dl4jretention.samples.cluster;

import io.github.dl4jretention.samples.Errors;
import io.github.dl4jretention.samples.comparison.ComparisonRun;
import io.github.dl4jretention.samples.comparison.Plan;
import io.github.dl4jretention.samples.comparison.Result;
import io.github.dl4jretention.samples.comparison.Summary;
import io.github.dl4jretention.samples.comparison.TrialExecutor;
import io.github.dl4jretention.samples.comparison.TrialWorker;
import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.spark.SparkComparison;
import io.github.dl4jretention.spark.TrialJournal;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/**
 * Compares finetuning methods by a plan, as {@link io.github.dl4jretention.samples.Comparison} does, with the trials on a
 * Spark cluster: the same results in the same files.
 */
@Command(
        name = "comparison-on-cluster",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false,
        description = "Runs the trials of a plan that are missing on Spark's executors, as many at once as they have"
                + " cores, then writes summary.md, comparison.csv and pictures of the curves.")
public final class ComparisonOnCluster implements Callable<Integer> {

    @Spec
    private CommandSpec spec;

    @Option(names = "--plan", paramLabel = "FILE", description = "What to compare, as JSON.")
    private Path plan = Path.of("samples", "comparisons", "reduced.json");

    @Option(
            names = "--out",
            paramLabel = "FOLDER",
            description =
                    "Where the results go, on the driver. If there are some, the trials that are missing are run.")
    private Path out = Path.of("out", "comparison");

    @Option(names = "--corpus", paramLabel = "FOLDER", description = "The texts' folder, which all machines see.")
    private Path corpus = Path.of("samples", "target", "corpus");

    @Option(names = "--checkpoints", paramLabel = "FOLDER", description = "The models' folder, which all machines see.")
    private Path checkpoints = Path.of("samples", "checkpoints");

    /** @param args see {@code --help} */
    public static void main(String[] args) {
        Console.prepare(1);
        System.exit(Errors.asLines(new CommandLine(new ComparisonOnCluster())).execute(args));
    }

    @Override
    public Integer call() throws IOException {
        Errors.require(spec, Files.isReadable(plan), "--plan: expected a readable file, got " + plan);
        // spark-submit sets the master.
        try (JavaSparkContext spark = new JavaSparkContext(
                new SparkConf().setIfMissing("spark.master", "local[*]").setAppName("comparison"))) {
            Plan read = Plan.read(plan);
            new ComparisonRun(read, Corpus.read(corpus), ComparisonRun.samples(read, checkpoints), out, 1, 1)
                    .on(executor(spark, new TrialWorker(read, absolute(corpus), absolute(checkpoints))))
                    .run();
        }
        Summary.of(out).write(out);
        System.out.println("wrote summary.md, comparison.csv and pictures to " + out.toAbsolutePath());
        return CommandLine.ExitCode.OK;
    }

    private static String absolute(Path folder) {
        return folder.toAbsolutePath().normalize().toString();
    }

    /** Runs trials on a cluster. */
    static TrialExecutor executor(JavaSparkContext spark, TrialWorker worker) {
        return (trials, results) -> SparkComparison.on(spark).run(trials, worker::run, new TrialJournal<Result[]>() {
            @Override
            public boolean holds(String key) {
                return false;
            }

            @Override
            public void put(String key, Result[] trial) throws IOException {
                results.put(List.of(trial));
            }
        });
    }
}
