package io.github.dl4jretention.spark;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletionService;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.spark.api.java.JavaSparkContext;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs the trials of a comparison on a cluster: those that its journal doesn't hold, each as a task. Results come back one
 * by one into the journal, so that a driver that was killed picks up where it stopped.
 *
 * <pre>{@code
 * SparkComparison.on(sparkContext).run(trials, trial -> measured(trial), journal);
 * }</pre>
 *
 * <p>What trials share, such as a model, is best loaded once in an executor: keep it in a static field of the function's
 * class.
 */
public final class SparkComparison {

    private static final Logger LOG = LoggerFactory.getLogger(SparkComparison.class);

    private final Cluster cluster;
    private int parallelism;

    private SparkComparison(JavaSparkContext spark) {
        cluster = new Cluster(spark);
        parallelism = cluster.slots();
    }

    /**
     * {@return a comparison that runs as many trials at once as the cluster has cores}
     *
     * @param spark the cluster; stays open
     */
    public static SparkComparison on(JavaSparkContext spark) {
        return new SparkComparison(Objects.requireNonNull(spark, "spark"));
    }

    /** @param trials how many run at once, at least 1; default: as many as the cluster has cores
     * @return this */
    public SparkComparison parallelism(int trials) {
        if (trials < 1) {
            throw new IllegalArgumentException("parallelism: expected at least 1, got " + trials);
        }
        parallelism = trials;
        return this;
    }

    /**
     * Runs what the journal doesn't hold. If a trial fails, no other is begun, and those in work come to their end: the
     * journal has their results before this throws.
     *
     * @param trials   by their keys, in the order in which they are begun
     * @param function runs one
     * @param journal  of the driver
     * @param <T>      trials
     * @param <R>      results
     * @throws IOException           if the journal can't keep a result, or the thread is interrupted
     * @throws IllegalStateException if a trial fails; the message has its key and the executor's host. Other failures are
     *     suppressed exceptions
     */
    public <T extends Serializable, R extends Serializable> void run(
            Map<String, T> trials, TrialFunction<T, R> function, TrialJournal<R> journal) throws IOException {
        List<String> missing = new ArrayList<>(trials.keySet());
        missing.removeIf(journal::holds);
        LOG.info("{} of {} trials are there", trials.size() - missing.size(), trials.size());
        ExecutorService threads = Executors.newFixedThreadPool(parallelism);
        try {
            AtomicBoolean failed = new AtomicBoolean();
            CompletionService<Ended<R>> ended = new ExecutorCompletionService<>(threads);
            for (String key : missing) {
                TrialCall<T, R> call = new TrialCall<>(Objects.requireNonNull(trials.get(key), key), function);
                ended.submit(() -> ended(key, call, failed));
            }
            IllegalStateException failure = null;
            for (int i = 0; i < missing.size(); i++) {
                Ended<R> one = ended.take().get();
                if (one.result() != null) {
                    journal.put(one.key(), one.result());
                    LOG.info("trial {}: done, {} are left", one.key(), missing.size() - i - 1);
                } else if (failure == null) {
                    failure = one.failure();
                } else if (one.failure() != null) {
                    failure.addSuppressed(one.failure());
                }
            }
            if (failure != null) {
                throw failure;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            InterruptedIOException interrupted =
                    new InterruptedIOException("trials: interrupted before the last ended");
            interrupted.initCause(e);
            throw interrupted;
        } catch (ExecutionException e) {
            throw new IllegalStateException("trial: " + e.getCause(), e);
        } finally {
            threads.shutdownNow();
        }
    }

    /** @param failed set where a trial fails, and none is begun then */
    private <T extends Serializable, R extends Serializable> Ended<R> ended(
            String key, TrialCall<T, R> call, AtomicBoolean failed) throws InterruptedException {
        if (failed.get()) {
            return new Ended<>(key, null, null);
        }
        try {
            return new Ended<>(key, cluster.run("trial " + key, List.of(call)).get(0), null);
        } catch (IOException | RuntimeException e) {
            failed.set(true);
            LOG.error("trial {}: failed, no other is begun", key, e);
            return new Ended<>(key, null, new IllegalStateException("trial: " + key + ": " + e.getMessage(), e));
        }
    }

    /** Without a result or a failure if it wasn't begun. */
    private record Ended<R>(String key, @Nullable R result, @Nullable IllegalStateException failure) {}

    private record TrialCall<T extends Serializable, R extends Serializable>(T trial, TrialFunction<T, R> function)
            implements ClusterCall<R> {

        @Override
        public R call() throws Exception {
            return Objects.requireNonNull(function.run(trial), "result: expected one of the trial, got null");
        }
    }
}
