package io.github.dl4jretention.spark;

import io.github.dl4jretention.cache.CacheAssembly;
import io.github.dl4jretention.cache.CacheParts;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.internal.FolderLock;
import io.github.dl4jretention.teacher.Teacher;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Set;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.ChecksumException;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.api.DataSet;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Builds a {@link TeacherCache} on a cluster: executors ask the teacher, each for the sequences of its partitions, and the
 * driver puts the shards together, with the same key, checksums and bytes as one machine writes.
 *
 * <pre>{@code
 * TeacherCache cache = SparkTeacherCache.on(sparkContext, pretrained)
 *         .build(TeacherCache.builder().folder(Path.of("/shared/cache")).data("tickets of May"), batches);
 * }</pre>
 *
 * <p>What executors encode goes into files of a folder that all machines see, by default beside the cache, and is deleted
 * when the cache is complete. It may be one of any file system that Hadoop knows, see {@link #shared}. If the driver is
 * killed, run it again: partitions that were encoded aren't encoded again, unless their file is damaged.
 */
public final class SparkTeacherCache {

    private static final Logger LOG = LoggerFactory.getLogger(SparkTeacherCache.class);
    private static final String KNOWN = "known";
    private static final String PART = ".part";

    private final JavaSparkContext spark;
    private final Cluster cluster;
    private final @Nullable MultiLayerNetwork network;
    private final @Nullable ComputationGraph graph;
    private final String[] outputs;
    private @Nullable String shared;

    private SparkTeacherCache(
            JavaSparkContext spark,
            @Nullable MultiLayerNetwork network,
            @Nullable ComputationGraph graph,
            String... outputs) {
        this.spark = Objects.requireNonNull(spark, "spark");
        this.cluster = new Cluster(spark);
        this.network = network;
        this.graph = graph;
        this.outputs = outputs.clone();
    }

    /**
     * {@return a builder of caches on a cluster}
     *
     * @param spark      the cluster; stays open
     * @param pretrained the teacher
     */
    public static SparkTeacherCache on(JavaSparkContext spark, MultiLayerNetwork pretrained) {
        return new SparkTeacherCache(spark, Objects.requireNonNull(pretrained, "pretrained"), null);
    }

    /**
     * {@return a builder of caches on a cluster}
     *
     * @param spark      the cluster; stays open
     * @param pretrained the teacher
     * @param outputs    as in {@link Teacher#of(ComputationGraph, String...)}; default: all
     */
    public static SparkTeacherCache on(JavaSparkContext spark, ComputationGraph pretrained, String... outputs) {
        return new SparkTeacherCache(spark, null, Objects.requireNonNull(pretrained, "pretrained"), outputs);
    }

    /**
     * Names a folder for the cache that isn't one of the driver's disk. The cache's own folder is the driver's copy then;
     * other machines read it by {@link #open}.
     *
     * @param uri of a folder that all machines see, such as {@code hdfs://namenode/caches}; default: the cache's own
     * @return this
     */
    public SparkTeacherCache shared(String uri) {
        shared = Objects.requireNonNull(uri, "uri");
        return this;
    }

    /**
     * Opens the cache. If it is not complete, executors are asked for the sequences that are missing.
     *
     * @param cache   folder, descriptions, codec and seed; its teacher is set here
     * @param batches the training data in minibatches, which are those of one machine if bytes are to be the same
     * @return the complete cache
     * @throws IOException           if a file can't be read or written, or the thread is interrupted
     * @throws IllegalStateException if an executor can't encode its part; the message names its host
     */
    public TeacherCache build(TeacherCache.Builder cache, JavaRDD<? extends DataSet> batches) throws IOException {
        return buildMultiDataSets(cache, batches.map(DataSet::toMultiDataSet));
    }

    /**
     * As {@link #build}, of any inputs and outputs.
     *
     * @param cache   folder, descriptions, codec and seed; its teacher is set here
     * @param batches the training data in minibatches
     * @return the complete cache
     * @throws IOException           if a file can't be read or written, or the thread is interrupted
     * @throws IllegalStateException if an executor can't encode its part; the message names its host
     */
    public TeacherCache buildMultiDataSets(TeacherCache.Builder cache, JavaRDD<? extends MultiDataSet> batches)
            throws IOException {
        TeacherCache.Builder builder =
                network == null ? cache.pretrained(Objects.requireNonNull(graph), outputs) : cache.pretrained(network);
        CacheAssembly assembly = builder.assembly();
        CacheParts common = assembly.parts();
        String root = shared == null
                ? Objects.requireNonNull(assembly.path().getParent()).toUri().toString()
                : shared;
        SharedFolder top = SharedFolder.of(root.replaceAll("/+$", ""), spark.hadoopConfiguration());
        SharedFolder place = top.in(common.name());
        if (shared != null) {
            place.fetch(assembly.path());
        }
        if (assembly.isComplete()) {
            return builder.open();
        }
        SharedFolder parts = top.in(common.name() + "-parts");
        try {
            List<CacheParts.Part> encoded = encode(assembly, common, parts, batches);
            TeacherCache complete = assembly.build(encoded);
            if (shared != null) {
                place.publish(complete.folder(), ".shard", ".txt");
            }
            parts.deleteAll();
            return complete;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            InterruptedIOException interrupted =
                    new InterruptedIOException("cache: interrupted before it was complete");
            interrupted.initCause(e);
            throw interrupted;
        }
    }

    /**
     * Copies a complete cache from a shared file system to this machine, where it isn't yet, and opens it.
     *
     * @param shared uri of the folder, as in {@link #shared}
     * @param cache  the teacher and this machine's folder; descriptions, codec and seed as when it was built
     * @return the complete cache
     * @throws IOException if there is no complete cache, or it can't be read or written
     */
    public static TeacherCache open(String shared, TeacherCache.Builder cache) throws IOException {
        Path place = cache.assembly().path();
        Files.createDirectories(place);
        // Executors of one machine share its folder.
        try (FolderLock lock = FolderLock.await(place, "fetch")) {
            SharedFolder.of(shared.replaceAll("/+$", ""), new Configuration())
                    .in(place.getFileName().toString())
                    .fetch(place);
        }
        return cache.open();
    }

    private List<CacheParts.Part> encode(
            CacheAssembly assembly, CacheParts common, SharedFolder parts, JavaRDD<? extends MultiDataSet> batches)
            throws IOException, InterruptedException {
        cluster.requireSameLibraries();
        long[] known = known(assembly.known(), parts);
        String token = "driver-" + UUID.randomUUID();
        parts.write(token, out -> {});
        String id = UUID.randomUUID().toString();
        Broadcast<long[]> left = cluster.broadcast(known);
        SharedNetwork sent = network == null
                ? SharedNetwork.of(cluster, id, Objects.requireNonNull(graph))
                : SharedNetwork.of(cluster, id, network);
        try {
            JavaRDD<MultiDataSet> data = batches.map(batch -> batch);
            List<String> digests =
                    cluster.run("teacher cache " + common.name() + ": sequences", data, new Digest(common));
            List<String> names = new ArrayList<>();
            for (int i = 0; i < digests.size(); i++) {
                names.add(String.format(Locale.ROOT, "%05d-%s%s", i, digests.get(i), PART));
            }
            Encoding encoding = new Encoding(common, sent, outputs, left, parts, token, names.toArray(String[]::new));
            List<Long> counts = cluster.run("teacher cache " + common.name() + ": teacher", data, encoding);
            LOG.info(
                    "cache {}: {} sequences were encoded in {} partitions",
                    common.name(),
                    counts.stream().mapToLong(Long::longValue).sum(),
                    counts.size());
            List<CacheParts.Part> found = new ArrayList<>();
            for (String name : names) {
                if (!parts.has(name)) {
                    throw new IllegalStateException("folder: expected one that all machines see, got " + parts.uri()
                            + ", where the driver doesn't see what an executor wrote, " + name);
                }
                found.add(() -> parts.open(name));
            }
            return found;
        } finally {
            parts.delete(token);
            left.destroy();
            sent.file().destroy();
        }
    }

    /**
     * Sequences to leave out. Parts of an earlier start left out those of then: they are of use as long as these are
     * still there.
     */
    private static long[] known(long[] now, SharedFolder parts) throws IOException {
        if (parts.has(KNOWN)) {
            long[] then;
            try (DataInputStream in = new DataInputStream(parts.open(KNOWN))) {
                then = new long[in.readInt()];
                for (int i = 0; i < then.length; i++) {
                    then[i] = in.readLong();
                }
            }
            if (pairs(now).containsAll(pairs(then))) {
                return then;
            }
            parts.deleteAll();
        }
        parts.write(KNOWN, out -> {
            DataOutputStream data = new DataOutputStream(new BufferedOutputStream(out));
            data.writeInt(now.length);
            for (long number : now) {
                data.writeLong(number);
            }
            data.flush();
        });
        return now;
    }

    private static Set<List<Long>> pairs(long[] ids) {
        Set<List<Long>> pairs = new HashSet<>();
        for (int i = 0; i < ids.length; i += 2) {
            pairs.add(List.of(ids[i], ids[i + 1]));
        }
        return pairs;
    }

    /** Which sequences a partition has. */
    private record Digest(CacheParts common) implements PartitionCall<MultiDataSet, String> {

        @Override
        public String call(int partition, Iterator<MultiDataSet> batches) {
            return common.digest(batches);
        }
    }

    /** Asks the teacher for a partition, unless that was done. */
    private record Encoding(
            CacheParts common,
            SharedNetwork network,
            String[] outputs,
            Broadcast<long[]> known,
            SharedFolder folder,
            String token,
            String[] names)
            implements PartitionCall<MultiDataSet, Long> {

        @Override
        public Long call(int partition, Iterator<MultiDataSet> batches) throws Exception {
            if (!folder.has(token)) {
                throw new IllegalStateException("folder: expected one that all machines see, got " + folder.uri()
                        + ", where this one doesn't see the driver's files");
            }
            String name = names[partition];
            if (folder.has(name)) {
                if (isWhole(name)) {
                    return 0L;
                }
                LOG.warn("{}/{} is damaged: it's encoded again", folder.uri(), name);
            }
            Teacher teacher = SharedObjects.get(
                    network.id(),
                    () -> network.graph() ? Teacher.of(network.asGraph(), outputs) : Teacher.of(network.network()));
            long[] count = new long[1];
            folder.write(name, out -> {
                BufferedOutputStream buffered = new BufferedOutputStream(out, 1 << 16);
                count[0] = common.encode(batches, teacher, known.value(), buffered);
                buffered.flush();
            });
            return count[0];
        }

        private boolean isWhole(String name) throws IOException {
            try {
                return common.isWhole(() -> folder.open(name));
            } catch (ChecksumException e) {
                LOG.debug("Hadoop's own checksum is wrong", e);
                return false;
            }
        }
    }
}
