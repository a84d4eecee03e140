package io.github.dl4jretention.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.cache.CacheParts;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.spark.api.java.JavaRDD;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.MultiDataSet;

/** Caches built by partitions on two executors against those of one process. */
class SparkTeacherCacheTest {

    private static final int PARTITIONS = 4;

    @TempDir
    private Path folder;

    private final MultiLayerNetwork network = Networks.lstm(TestSweeps.TYPE, 1);
    private final List<DataSet> batches = batches();

    /** The last minibatch is the first again: its sequences are written once. */
    private static List<DataSet> batches() {
        List<DataSet> batches = TestSweeps.batches(9, 10, 0);
        batches.add(batches.get(0));
        return batches;
    }

    private static TeacherCache.Builder cache(Path folder) {
        return TeacherCache.builder()
                .folder(folder)
                .data("ten minibatches")
                .shardBytes(600)
                .seed(3);
    }

    private TeacherCache local(Path place) throws IOException {
        return cache(place)
                .pretrained(network)
                .build(new MultiDataSetIteratorAdapter(new ExistingDataSetIterator(batches)));
    }

    private JavaRDD<DataSet> rdd() {
        return TestCluster.shared().parallelize(batches, PARTITIONS);
    }

    private static TreeMap<String, byte[]> files(Path place) throws IOException {
        TreeMap<String, byte[]> files = new TreeMap<>();
        try (Stream<Path> all = Files.walk(place)) {
            for (Path file : all.filter(Files::isRegularFile).toList()) {
                if (!file.toString().endsWith(".lock") && !file.toString().endsWith(".crc")) {
                    files.put(place.relativize(file).toString(), Files.readAllBytes(file));
                }
            }
        }
        return files;
    }

    private static void assertSameFiles(Path expected, Path found) throws IOException {
        TreeMap<String, byte[]> there = files(expected);
        TreeMap<String, byte[]> here = files(found);
        assertEquals(there.keySet(), here.keySet());
        there.forEach((name, bytes) -> assertArrayEquals(bytes, here.get(name), name));
    }

    @Test
    void four_partitions_write_the_bytes_of_one_process_and_mend_a_shard_as_it_does() throws Exception {
        Path one = folder.resolve("one");
        Path many = folder.resolve("many");
        local(one).close();
        assertTrue(files(one).size() > 4, files(one).keySet().toString());
        TeacherCache built = SparkTeacherCache.on(TestCluster.shared(), network).build(cache(many), rdd());
        assertEquals(27, built.statistics().sequences());
        assertSameFiles(one, many);
        for (Path place : List.of(one, many)) {
            Path shard = place.resolve(built.folder().getFileName()).resolve("00001.shard");
            byte[] bytes = Files.readAllBytes(shard);
            bytes[bytes.length / 2] ^= 1;
            Files.write(shard, bytes);
        }
        assertThrows(IOException.class, () -> cache(many).pretrained(network).open());
        local(one).close();
        SparkTeacherCache.on(TestCluster.shared(), network).build(cache(many), rdd());
        assertSameFiles(one, many);
        cache(many).pretrained(network).open().close();
    }

    @Test
    void a_cache_on_a_shared_file_system_is_fetched_by_others() throws Exception {
        Path one = folder.resolve("one");
        local(one).close();
        String shared = folder.resolve("shared").toUri().toString();
        SparkTeacherCache.on(TestCluster.shared(), network)
                .shared(shared)
                .build(cache(folder.resolve("driver")), rdd());
        assertSameFiles(one, folder.resolve("shared"));
        Path other = folder.resolve("other");
        SparkTeacherCache.open(shared, cache(other).pretrained(network)).close();
        assertSameFiles(one, other);
    }

    /** A name node and a data node in this JVM. */
    @Test
    void a_cache_on_hdfs_has_the_bytes_of_one_machine_and_is_mended_there() throws Exception {
        Path one = folder.resolve("one");
        local(one).close();
        Configuration hadoop = new Configuration();
        hadoop.set(MiniDFSCluster.HDFS_MINIDFS_BASEDIR, folder.resolve("hdfs").toString());
        try (MiniDFSCluster hdfs = new MiniDFSCluster.Builder(hadoop).build()) {
            String shared = hdfs.getURI() + "/caches";
            String name = SparkTeacherCache.on(TestCluster.shared(), network)
                    .shared(shared)
                    .build(cache(folder.resolve("driver")), rdd())
                    .folder()
                    .getFileName()
                    .toString();
            copy(hdfs, folder.resolve("copied"));
            assertSameFiles(one, folder.resolve("copied"));
            SparkTeacherCache.open(shared, cache(folder.resolve("other")).pretrained(network))
                    .close();
            assertSameFiles(one, folder.resolve("other"));
            org.apache.hadoop.fs.Path shard = new org.apache.hadoop.fs.Path(shared + "/" + name, "00001.shard");
            try (OutputStream out = hdfs.getFileSystem().create(shard, true)) {
                out.write(new byte[] {1, 2, 3});
            }
            SparkTeacherCache.on(TestCluster.shared(), network)
                    .shared(shared)
                    .build(cache(folder.resolve("another driver")), rdd())
                    .close();
            copy(hdfs, folder.resolve("mended"));
            assertSameFiles(one, folder.resolve("mended"));
        }
    }

    private static void copy(MiniDFSCluster hdfs, Path place) throws IOException {
        hdfs.getFileSystem()
                .copyToLocalFile(
                        new org.apache.hadoop.fs.Path("/caches"), new org.apache.hadoop.fs.Path(place.toUri()));
    }

    /** Left by an earlier start: Hadoop notices one itself, if it has a checksum of its own. */
    @Test
    void damaged_parts_are_encoded_again() throws Exception {
        Path one = folder.resolve("one");
        Path many = folder.resolve("many");
        local(one).close();
        CacheParts common = cache(many).pretrained(network).assembly().parts();
        Path parts = many.resolve(common.name() + "-parts");
        List<Path> bad = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            List<MultiDataSet> own =
                    TestCluster.shared().parallelize(batches, PARTITIONS).glom().collect().get(i).stream()
                            .map(DataSet::toMultiDataSet)
                            .toList();
            String name = "%05d-%s.part".formatted(i, common.digest(own.iterator()));
            SharedFolder.of(parts.toUri().toString().replaceAll("/+$", ""), new Configuration())
                    .write(name, out -> common.encode(own.iterator(), Teacher.of(network), new long[0], out));
            bad.add(parts.resolve(name));
        }
        for (int i = 0; i < 2; i++) {
            byte[] bytes = Files.readAllBytes(bad.get(i));
            bytes[bytes.length / 2] ^= 1;
            Files.write(bad.get(i), bytes);
        }
        Files.delete(parts.resolve("." + bad.get(0).getFileName() + ".crc"));
        Files.delete(parts.resolve("." + bad.get(2).getFileName() + ".crc"));
        Files.write(bad.get(2), new byte[] {1, 2, 3});
        SparkTeacherCache.on(TestCluster.shared(), network)
                .build(cache(many), rdd())
                .close();
        assertSameFiles(one, many);
    }

    /** Relative to the working directory of each process. */
    @Test
    void a_folder_that_executors_cannot_see_is_named_with_their_host() {
        String message = assertThrows(
                        IllegalStateException.class, () -> SparkTeacherCache.on(TestCluster.shared(), network)
                                .shared("target/driver-only")
                                .build(cache(folder.resolve("driver")), rdd()))
                .getMessage();
        assertTrue(
                message.matches("executor \\d on host .*: folder: expected one that all machines see, got .*"),
                message);
        assertFalse(message.contains("\n"), message);
    }
}
