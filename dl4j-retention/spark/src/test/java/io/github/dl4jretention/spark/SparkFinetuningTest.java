package io.github.dl4jretention.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.AdaptiveCoefficient;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.api.java.JavaRDD;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Sgd;

class SparkFinetuningTest {

    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().coefficient(1).build();

    private final List<DataSet> batches = TestSweeps.batches(7, 10, 0);

    @TempDir
    private Path folder;

    private static MultiLayerNetwork pretrained(IUpdater updater) {
        return Retention.withUpdater(Networks.lstm(TestSweeps.TYPE, 1), updater);
    }

    private static MultiLayerNetwork fit(MultiLayerNetwork pretrained, List<DataSet> batches, int epochs) {
        Teacher teacher = Teacher.of(pretrained);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        student.fit(new TeacherIterator(new ExistingDataSetIterator(batches), teacher), epochs);
        return student;
    }

    private SparkFinetuning finetuning(MultiLayerNetwork pretrained) {
        return SparkFinetuning.on(TestCluster.shared(), pretrained).configuration(CONF);
    }

    private JavaRDD<DataSet> rdd() {
        return TestCluster.shared().parallelize(batches, 3);
    }

    private static double[] params(MultiLayerNetwork network) {
        double[] params = network.params().dup().toDoubleVector();
        for (double value : params) {
            assertTrue(Double.isFinite(value));
        }
        return params;
    }

    @Test
    void one_worker_trains_as_fit_does() throws Exception {
        MultiLayerNetwork expected = fit(pretrained(new Adam(0.01)), batches, 2);
        MultiLayerNetwork found = finetuning(pretrained(new Adam(0.01)))
                .workers(1)
                .averagingFrequency(3)
                .fit(rdd(), 2);
        assertArrayEquals(params(expected), params(found));
        assertEquals(
                expected.getUpdater().getStateViewArray(), found.getUpdater().getStateViewArray());
        assertEquals(expected.getIterationCount(), found.getIterationCount());
        assertEquals(expected.getEpochCount(), found.getEpochCount());
        assertEquals(14, taught(expected));
        assertEquals(14, taught(found));
    }

    private static long taught(MultiLayerNetwork student) {
        return ((RetentionOutputLayerRuntime) student.getOutputLayer())
                .layerConf()
                .getTaughtMinibatches();
    }

    /** And an executor is killed in the midst of it. */
    @Test
    void two_workers_that_average_every_step_train_on_joined_minibatches() throws Exception {
        List<DataSet> joined = new ArrayList<>();
        for (int i = 0; i < 6; i += 2) {
            joined.add(DataSet.merge(List.of(batches.get(i), batches.get(i + 1))));
        }
        MultiLayerNetwork expected = fit(pretrained(new Sgd(0.5)), joined, 2);
        String mark = folder.resolve("killed").toString();
        MultiLayerNetwork found = finetuning(pretrained(new Sgd(0.5)))
                .workers(2)
                .averagingFrequency(1)
                .teacher(pretrained -> SparkSweepTest.killedOnce(mark, pretrained))
                .fit(TestCluster.shared().parallelize(batches.subList(0, 6), 3), 2);
        assertTrue(Files.exists(Path.of(mark)));
        assertArrayEquals(params(expected), params(found), 1e-6);
        double moved = 0;
        double[] start = params(pretrained(new Sgd(0.5)));
        for (int i = 0; i < start.length; i++) {
            moved = Math.max(moved, Math.abs(start[i] - params(found)[i]));
        }
        assertTrue(moved > 1e-3, "moved by " + moved);
        assertEquals(expected.getIterationCount(), found.getIterationCount());
    }

    /** The seventh minibatch is trained by one of two workers. */
    @Test
    void a_round_averages_the_workers_that_have_minibatches() throws Exception {
        MultiLayerNetwork found = finetuning(pretrained(new Adam(0.01)))
                .workers(2)
                .averagingFrequency(10)
                .fit(rdd(), 1);
        List<DataSet> even = new ArrayList<>();
        List<DataSet> odd = new ArrayList<>();
        for (int i = 0; i < batches.size(); i++) {
            (i % 2 == 0 ? even : odd).add(batches.get(i));
        }
        double[] one = params(fit(pretrained(new Adam(0.01)), even, 1));
        double[] other = params(fit(pretrained(new Adam(0.01)), odd, 1));
        double[] mean = new double[one.length];
        for (int i = 0; i < mean.length; i++) {
            mean[i] = (float) ((one[i] + other[i]) / 2);
        }
        assertArrayEquals(mean, params(found));
        assertEquals(4, found.getIterationCount());
        assertEquals(7, taught(found));
    }

    @Test
    void no_minibatch_is_refused() {
        JavaRDD<DataSet> none = TestCluster.shared().parallelize(List.of(), 1);
        assertThrows(
                IllegalArgumentException.class,
                () -> finetuning(pretrained(new Sgd(0.1))).workers(1).fit(none, 1));
    }

    /** Each worker would steer by its own minibatches. */
    @Test
    void an_adaptive_coefficient_is_refused() {
        RetentionConfiguration adaptive = RetentionConfiguration.builder()
                .coefficient(AdaptiveCoefficient.toward(0.05))
                .build();
        SparkFinetuning finetuning = finetuning(pretrained(new Sgd(0.1)));
        String message = assertThrows(IllegalArgumentException.class, () -> finetuning.configuration(adaptive))
                .getMessage();
        assertTrue(message.startsWith("coefficient: expected a number or a schedule, got "), message);
    }
}
