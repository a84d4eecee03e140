package io.github.dl4jretention.spark;

import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.function.Supplier;
import org.apache.spark.SparkException;
import org.apache.spark.api.java.JavaFutureAction;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.serializer.JavaSerializer;

/** Runs calls on a cluster, each as a task of its own. Safe for several threads. */
final class Cluster {

    private static final String SERIALIZER = "spark.serializer";

    private final JavaSparkContext spark;
    private final String versions = ParcelRunner.versions();

    /** @throws IllegalArgumentException if what travels wouldn't go through Java's serialisation */
    Cluster(JavaSparkContext spark) {
        String java = JavaSerializer.class.getName();
        String serializer = spark.getConf().get(SERIALIZER, java);
        if (!serializer.equals(java)) {
            throw new IllegalArgumentException(SERIALIZER + ": expected " + java + ", got " + serializer
                    + ", which reads neither records nor ND4J's arrays: start the application with --conf " + SERIALIZER
                    + "=" + java);
        }
        this.spark = spark;
    }

    <T> Broadcast<T> broadcast(T value) {
        return spark.broadcast(value);
    }

    /** How many tasks run at once, as far as Spark knows now. */
    int slots() {
        return spark.defaultParallelism();
    }

    /**
     * Compares the libraries of executors with the driver's, before elements of an RDD are unpacked there, where Spark would
     * say it in words of its own.
     *
     * @throws IllegalStateException if an executor has others, or no backend for ND4J: the message names its host
     * @throws InterruptedException  if the thread is interrupted
     */
    void requireSameLibraries() throws IOException, InterruptedException {
        run("libraries of the executors", Collections.nCopies(slots(), new Nothing()));
    }

    /** Libraries are compared before each call. */
    private record Nothing() implements ClusterCall<String> {

        @Override
        public String call() {
            return "";
        }
    }

    /**
     * Runs calls at once, and waits for all of them.
     *
     * @param name  of the job in Spark's pages
     * @param calls whose results come back in the same order
     * @throws IllegalStateException if one fails: the message names the executor's host
     * @throws InterruptedException  if the thread is interrupted; the job is cancelled then
     */
    <R extends Serializable> List<R> run(String name, List<? extends ClusterCall<R>> calls)
            throws IOException, InterruptedException {
        List<Parcel> parcels = new ArrayList<>();
        for (ClusterCall<R> call : calls) {
            parcels.add(parcel(call));
        }
        return collect(name, spark.parallelize(parcels, parcels.size()).map(new ParcelRunner()));
    }

    /**
     * Runs a call on each partition, and waits for all of them.
     *
     * @param name of the job in Spark's pages
     * @return what comes back, in the order of the partitions
     * @throws IllegalStateException if one fails: the message names the executor's host
     * @throws InterruptedException  if the thread is interrupted; the job is cancelled then
     */
    <T, R extends Serializable> List<R> run(String name, JavaRDD<T> partitions, PartitionCall<T, R> call)
            throws IOException, InterruptedException {
        Parcel parcel = parcel(call);
        return collect(
                name,
                partitions.mapPartitionsWithIndex((partition, elements) -> answer(parcel, partition, elements), true));
    }

    /**
     * Runs a round of a training on each partition, and adds what comes back, in a tree: the driver holds the sums of a few
     * workers, not those of all.
     *
     * @param name of the job in Spark's pages
     * @throws IllegalStateException if Spark has tried a part too often; the message names the host
     */
    RoundSum reduce(String name, JavaRDD<byte[]> partitions, TrainingRound round) throws IOException {
        Parcel parcel = parcel(round);
        return named(name, () -> partitions
                .mapPartitionsWithIndex((partition, elements) -> answer(parcel, partition, elements), true)
                .map(RoundSum::of)
                .setName(name)
                .treeReduce(RoundSum::plus, 2));
    }

    /**
     * Lets Spark run jobs under a name.
     *
     * @param name of the jobs in Spark's pages
     * @throws IllegalStateException if one fails: the message names the host
     */
    <R> R named(String name, Supplier<R> jobs) {
        spark.setJobGroup(UUID.randomUUID().toString(), name, true);
        try {
            return jobs.get();
        } catch (Exception e) {
            // Spark's methods throw it undeclared.
            if (e instanceof SparkException) {
                throw failed(new ExecutionException(e));
            }
            throw e;
        } finally {
            spark.clearJobGroup();
        }
    }

    @SuppressWarnings("unchecked")
    private static <T> Iterator<Parcel> answer(Parcel call, int partition, Iterator<T> elements)
            throws IOException, InterruptedException {
        return List.of(ParcelRunner.run(call, content -> ((PartitionCall<T, ?>) content).call(partition, elements)))
                .iterator();
    }

    private Parcel parcel(Serializable call) throws IOException {
        return new Parcel(versions, "driver", "", ParcelRunner.serialized(call));
    }

    private <R extends Serializable> List<R> collect(String name, JavaRDD<Parcel> answers)
            throws IOException, InterruptedException {
        spark.setJobGroup(UUID.randomUUID().toString(), name, true);
        try {
            JavaFutureAction<List<Parcel>> job = answers.setName(name).collectAsync();
            try {
                return opened(job.get());
            } catch (InterruptedException e) {
                job.cancel(true);
                throw e;
            } catch (ExecutionException e) {
                throw failed(e);
            }
        } finally {
            spark.clearJobGroup();
        }
    }

    @SuppressWarnings("unchecked")
    private static <R extends Serializable> List<R> opened(List<Parcel> answers) throws IOException {
        List<R> results = new ArrayList<>();
        for (Parcel answer : answers) {
            if (!answer.refusal().isEmpty()) {
                throw new IllegalStateException(answer.host() + ": " + answer.refusal());
            }
            try {
                results.add((R) ParcelRunner.deserialized(answer.content()));
            } catch (ClassNotFoundException e) {
                throw new IOException(answer.host() + ": sent an object of an unknown class", e);
            }
        }
        return results;
    }

    /** Spark's message names the host, before the executor's stack trace. */
    private static IllegalStateException failed(ExecutionException e) {
        Throwable cause = e.getCause() instanceof SparkException ? e.getCause() : e;
        String message = String.valueOf(cause.getMessage());
        int end = message.indexOf("\n\tat ");
        return new IllegalStateException("cluster: " + (end < 0 ? message : message.substring(0, end)), cause);
    }
}
