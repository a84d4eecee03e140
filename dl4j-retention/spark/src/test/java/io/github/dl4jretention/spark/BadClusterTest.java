package io.github.dl4jretention.spark;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.sweep.Sweep;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.dropout.Dropout;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.schedule.FixedSchedule;
import org.nd4j.linalg.schedule.RampSchedule;

/** What's wrong with an executor is said in one line on the driver, with the executor's host. */
class BadClusterTest {

    private static final String ONE_EXECUTOR = "local-cluster[1,1,1024]";

    @TempDir
    private Path folder;

    @AfterAll
    static void stop() {
        TestCluster.stop();
    }

    private String message(JavaSparkContext spark, Sweep sweep) {
        try {
            String message = assertThrows(IllegalStateException.class, () -> SparkSweep.on(spark, sweep)
                            .run())
                    .getMessage();
            assertTrue(message.matches("candidate: \\d, .*: executor \\d on host [^ ]+: .*"), message);
            assertFalse(message.contains("\n"), message);
            return message;
        } finally {
            spark.stop();
        }
    }

    @Test
    void other_versions_of_the_libraries() throws Exception {
        Path maven = folder.resolve("old/META-INF/maven/io.github.dl4jretention/dl4j-retention");
        Files.createDirectories(maven);
        Files.writeString(maven.resolve("pom.properties"), "version=0.0.9");
        JavaSparkContext spark = TestCluster.start(
                ONE_EXECUTOR,
                Map.of("spark.executor.extraClassPath", folder.resolve("old").toString()));
        String message = message(spark, TestSweeps.grid(folder.resolve("sweep")).build());
        assertTrue(message.contains("libraries: expected those of the driver, dl4j-retention "), message);
        assertTrue(message.contains("got dl4j-retention 0.0.9, DL4J 1.0.0-M2.1"), message);
    }

    @Test
    void no_native_library() throws Exception {
        JavaSparkContext spark = TestCluster.start(
                ONE_EXECUTOR,
                Map.of("spark.executor.extraJavaOptions", "-Dorg.bytedeco.javacpp.platform=solaris-sparc"));
        String message = message(spark, TestSweeps.grid(folder.resolve("sweep")).build());
        assertTrue(message.contains("nd4j: expected a backend with its native library"), message);
    }

    /** Spark unpacks their minibatches, which are ND4J's arrays, before anything of ours runs. */
    @Test
    void no_native_library_for_minibatches() {
        JavaSparkContext spark = TestCluster.start(
                ONE_EXECUTOR,
                Map.of("spark.executor.extraJavaOptions", "-Dorg.bytedeco.javacpp.platform=solaris-sparc"));
        MultiLayerNetwork network = Networks.lstm(TestSweeps.TYPE, 1);
        JavaRDD<DataSet> batches = spark.parallelize(TestSweeps.batches(2, 10, 0), 2);
        try {
            List<Executable> all = List.of(
                    () -> SparkTeacherCache.on(spark, network)
                            .build(TeacherCache.builder().folder(folder.resolve("cache")), batches),
                    () -> SparkFinetuning.on(spark, network).fit(batches, 1));
            for (Executable one : all) {
                String message = assertThrows(IllegalStateException.class, one).getMessage();
                assertTrue(
                        message.matches(
                                "executor \\d on host [^ ]+: nd4j: expected a backend with its native library.*"),
                        message);
            }
        } finally {
            spark.stop();
        }
    }

    /** DL4J can't read a RampSchedule. */
    @Test
    void a_model_that_does_not_serialise() throws Exception {
        MultiLayerNetwork network = Networks.stacked(
                TestSweeps.TYPE,
                1,
                new LSTM.Builder()
                        .nIn(Networks.INPUTS)
                        .nOut(7)
                        .dropOut(new Dropout(new RampSchedule(new FixedSchedule(0.5), 10)))
                        .build(),
                new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(7)
                        .nOut(Networks.VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(RNNFormat.NCW)
                        .build());
        Sweep sweep = TestSweeps.grid(folder.resolve("sweep"))
                .model(FinetuneModel.of(network))
                .build();
        String message = message(TestCluster.start(ONE_EXECUTOR, Map.of()), sweep);
        assertTrue(message.contains("model: expected one that can be written and read again"), message);
    }

    /** Kryo can't read Java's records, nor ND4J's arrays. */
    @Test
    void kryo() throws Exception {
        JavaSparkContext spark =
                TestCluster.start("local[1]", Map.of("spark.serializer", "org.apache.spark.serializer.KryoSerializer"));
        Sweep sweep = TestSweeps.grid(folder.resolve("sweep")).build();
        try {
            List<Executable> all = List.of(
                    () -> SparkSweep.on(spark, sweep),
                    () -> SparkComparison.on(spark),
                    () -> SparkTeacherCache.on(spark, Networks.lstm(TestSweeps.TYPE, 1)),
                    () -> SparkFinetuning.on(spark, Networks.lstm(TestSweeps.TYPE, 1)));
            for (Executable one : all) {
                String message =
                        assertThrows(IllegalArgumentException.class, one).getMessage();
                assertTrue(
                        message.startsWith(
                                "spark.serializer: expected org.apache.spark.serializer.JavaSerializer, got org.apache.spark.serializer.KryoSerializer"),
                        message);
                assertFalse(message.contains("\n"), message);
            }
        } finally {
            spark.stop();
        }
    }
}
