package io.github.dl4jretention.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.dl4jretention.eval.ParetoFront;
import io.github.dl4jretention.sweep.Sweep;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.space.Search;
import io.github.dl4jretention.sweep.task.CurvePoint;
import io.github.dl4jretention.sweep.task.FinetuneResult;
import io.github.dl4jretention.sweep.task.Losses;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/** The numbers of docs/spark.md, which need a quiet machine: {@code -Dpace=STEPS}, of each candidate. */
@EnabledIfSystemProperty(named = "pace", matches = "\\d+")
class SparkPaceTest {

    private static final int STEPS = Integer.getInteger("pace", 0);
    private static final int CANDIDATES = 12;
    private static final int ROUNDS = 3;

    @TempDir
    private Path folder;

    private static Sweep.Builder sweep(Path folder) {
        return TestSweeps.grid(folder).search(Search.grid(CANDIDATES)).space(TestSweeps.space(STEPS));
    }

    @Test
    void twelve_candidates_on_two_executors_and_on_two_threads() throws IOException {
        JavaSparkContext spark = TestCluster.shared();
        double[] threads = new double[ROUNDS];
        double[] executors = new double[ROUNDS];
        // Those before the first are the start: each executor has trained as many candidates then as this JVM.
        for (int round = -2; round < ROUNDS; round++) {
            Sweep onThreads = sweep(folder.resolve("local" + round)).build();
            Sweep onExecutors = sweep(folder.resolve("cluster" + round)).build();
            long started = System.nanoTime();
            SweepOutcome local = round == -2 ? null : onThreads.run();
            double first = (System.nanoTime() - started) / 1e9;
            started = System.nanoTime();
            SweepOutcome cluster = SparkSweep.on(spark, onExecutors).run();
            double second = (System.nanoTime() - started) / 1e9;
            if (local != null) {
                assertEquals(TestSweeps.essence(local), TestSweeps.essence(cluster));
            }
            if (round >= 0) {
                threads[round] = first;
                executors[round] = second;
                print("round %d: two threads %.2f s, two executors %.2f s".formatted(round + 1, first, second));
            }
        }
        Arrays.sort(threads);
        Arrays.sort(executors);
        print("%d candidates of %d steps, medians of %d: two threads %.2f s, two executors %.2f s, ratio %.3f"
                .formatted(
                        CANDIDATES,
                        STEPS,
                        ROUNDS,
                        threads[ROUNDS / 2],
                        executors[ROUNDS / 2],
                        executors[ROUNDS / 2] / threads[ROUNDS / 2]));
    }

    /** As Spark counts them, models included. */
    @Test
    void bytes_that_twelve_candidates_send_to_the_driver() throws IOException, InterruptedException {
        JavaSparkContext spark = TestCluster.shared();
        List<Long> bytes = new ArrayList<>();
        spark.sc().addSparkListener(new SparkListener() {
            @Override
            public void onTaskEnd(SparkListenerTaskEnd end) {
                bytes.add(end.taskMetrics().resultSize());
            }
        });
        SparkSweep.on(spark, sweep(folder.resolve("counted")).build()).run();
        // Its last events are told when it stops.
        TestCluster.stop();
        assertEquals(CANDIDATES, bytes.size());
        print("answers of %d candidates of %d steps, with their models: %s bytes".formatted(CANDIDATES, STEPS, bytes));
    }

    /** What travels beside model and texts: no clock is read, so any machine will do. */
    @Test
    void bytes_of_a_thousand_candidates() throws IOException {
        List<CurvePoint> curve = new ArrayList<>();
        for (int i = 0; i < 128; i++) {
            curve.add(new CurvePoint(i + 1, 1.0 / (i + 1), 1.0 / (i + 2)));
        }
        FinetuneResult result = new FinetuneResult(new Losses(1, 2), 128, 128, 1, 1, curve, List.of());
        Random random = new Random(1);
        List<Losses> independent = new ArrayList<>();
        List<Losses> tradeOff = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            double target = 1 + random.nextDouble();
            independent.add(new Losses(target, 1 + random.nextDouble()));
            tradeOff.add(new Losses(target, 3 - target + 0.1 * random.nextDouble()));
        }
        print("an answer without a model %d bytes; the losses of 1,000 candidates that a call has with it %d bytes"
                .formatted(
                        ParcelRunner.serialized(new CandidateAnswer(result, 3.0, null, null)).length,
                        ParcelRunner.serialized(new ArrayList<>(independent)).length));
        print(
                "models that come to the driver of 1,000 candidates, 50 at once: %d if gain and forgetting have nothing to"
                                .formatted(sent(independent, 50))
                        + " do with each other, %d if forgetting is the price of gain to a tenth"
                                .formatted(sent(tradeOff, 50)));
    }

    /** Those that none is better than of all that had ended when they began, as {@link CandidateCall} decides it. */
    private static long sent(List<Losses> losses, int parallelism) {
        Losses base = new Losses(2, 1);
        long count = 0;
        for (int i = 0; i < losses.size(); i++) {
            Losses own = losses.get(i);
            List<Losses> all = new ArrayList<>(List.of(own));
            all.addAll(losses.subList(0, Math.max(0, i - parallelism + 1)));
            if (ParetoFront.<Losses>of(all, one -> one.gain(base), one -> one.forgetting(base)).points().stream()
                    .anyMatch(one -> one == own)) {
                count++;
            }
        }
        return count;
    }

    /** A driver whose 1,000 candidates come back at once: what the driver does is all that's left. */
    @Test
    void a_driver_with_a_thousand_candidates() throws IOException {
        int candidates = Integer.getInteger("pace.candidates", 1000);
        MultiLayerNetwork plain = io.github.dl4jretention.Networks.lstm(TestSweeps.TYPE, 1);
        Sweep sweep = sweep(folder.resolve("many"))
                .search(Search.random())
                .candidates(candidates)
                .parallelism(50)
                .build();
        long before = heap();
        long started = System.nanoTime();
        List<Double> seconds = new ArrayList<>();
        SweepOutcome outcome = sweep.run(observer -> TestTasks.of(candidate -> {
            // Random numbers of seeds in a row resemble each other.
            Random random = new Random(0x9E3779B97F4A7C15L * (candidate.getIndex() + 1));
            double loss = 1 + random.nextDouble();
            FinetuneConfiguration configuration = (FinetuneConfiguration) candidate.getValue();
            List<CurvePoint> curve = new ArrayList<>();
            for (int i = 0; i < 128; i++) {
                curve.add(new CurvePoint(i + 1, loss + 1.0 / (i + 1), loss / (i + 2)));
            }
            FinetuneResult result = new FinetuneResult(
                    new Losses(loss, 3 - loss + 0.1 * random.nextDouble()), 128, 128, 1, 1, curve, List.of());
            observer.onResult(candidate.getIndex(), configuration, result, 3.0, plain);
            synchronized (seconds) {
                seconds.add((System.nanoTime() - started) / 1e9);
            }
        }));
        print(
                "%d candidates: %.1f s of the driver; the last fifty %.0f ms each; sweep.json %d bytes, candidates.csv %d bytes, report.html %d bytes"
                        .formatted(
                                candidates,
                                seconds.get(seconds.size() - 1),
                                20 * (seconds.get(candidates - 1) - seconds.get(candidates - 51)),
                                Files.size(folder.resolve("many/sweep.json")),
                                Files.size(folder.resolve("many/candidates.csv")),
                                Files.size(folder.resolve("many/report.html"))));
        print("heap of %d candidates' results: %.1f MB"
                .formatted(outcome.candidates().size(), (heap() - before) / 1e6));
    }

    private static long heap() {
        System.gc();
        return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
    }

    private static void print(String line) throws IOException {
        Files.writeString(
                Path.of(System.getProperty("java.io.tmpdir"), "pace.txt"),
                line + "\n",
                java.nio.file.StandardOpenOption.CREATE,
                java.nio.file.StandardOpenOption.APPEND);
        System.out.println(line);
    }
}
