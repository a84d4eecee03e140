package io.github.dl4jretention.teacher;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.FixedTeacher;
import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.loss.RetentionConfiguration;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Supplier;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

/** Closed teachers have freed what was theirs and say so; what they were made of stays. */
class ClosedTeacherTest {

    @TempDir
    Path folder;

    private static SameDiff sameDiff() {
        SameDiff sd = SameDiff.create();
        sd.placeHolder("features", DataType.FLOAT, -1, Networks.INPUTS)
                .mmul(sd.var("w", Networks.normal(DataType.FLOAT, new Random(1), Networks.INPUTS, Networks.VOCABULARY)))
                .rename("logits");
        return sd;
    }

    @Test
    void a_closed_teacher_says_so_and_its_network_goes_on() {
        MultiLayerNetwork network = Networks.lstm(DataType.FLOAT, 1);
        MultiLayerNetwork halves = Networks.lstm(DataType.FLOAT16, 1);
        ComputationGraph graph = Networks.graph(DataType.FLOAT, 2);
        SameDiff sd = sameDiff();
        INDArray features = Networks.sequences(DataType.FLOAT, 2, 3).getFeatures();
        INDArray row = Networks.normal(DataType.FLOAT, new Random(2), 2, Networks.INPUTS);
        INDArray[] ofGraph = Networks.graphBatch(DataType.FLOAT, 2, 3).getFeatures();
        INDArray before = network.output(features).dup();
        Map<Supplier<Teacher>, INDArray[]> teachers = Map.of(
                () -> Teacher.of(network), new INDArray[] {features},
                () -> Teacher.of(graph, "text"), ofGraph,
                () -> Teacher.of(sd, "logits", "features"), new INDArray[] {row},
                () -> Teacher.ofHalf(network), new INDArray[] {features},
                () -> Teacher.ofHalf(graph, "text"), ofGraph,
                () -> Teacher.movingAverage(network, 0.9), new INDArray[] {features},
                () -> Teacher.movingAverage(halves, 0.9), new INDArray[] {features.castTo(DataType.FLOAT16)},
                () -> Teacher.weighted(List.of(Teacher.of(network), Teacher.ofHalf(network)), 1, 2),
                        new INDArray[] {features},
                () -> Teacher.of(network).corrected(0.1), new INDArray[] {features});
        teachers.forEach((maker, inputs) -> {
            Teacher teacher = maker.get();
            assertFalse(teacher.logProbabilities(inputs, null)[0].wasClosed());
            String sha256 = teacher.sha256();
            teacher.close();
            teacher.close();
            assertEquals(sha256, teacher.sha256());
            String message = assertThrows(IllegalStateException.class, () -> teacher.logProbabilities(inputs, null))
                    .getMessage();
            assertTrue(message.startsWith("teacher: ") && message.contains("closed"), message);
        });
        assertClose(before, network.output(features), 0);
        assertFalse(sd.getVariable("w").getArr().wasClosed());
    }

    @Test
    void what_a_teacher_holds_is_freed_and_what_a_student_shares_is_not() {
        NetworkTeacher teacher = (NetworkTeacher) Teacher.of(Networks.lstm(DataType.FLOAT, 4));
        INDArray params = teacher.parameters().get(NetworkTeacher.PARAMS);
        teacher.close();
        assertTrue(params.wasClosed());
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 5);
        MultiLayerNetwork student = Retention.attach(
                new TransferLearning.Builder(pretrained).setFeatureExtractor(0).build(),
                RetentionConfiguration.builder().build());
        INDArray features = Networks.sequences(DataType.FLOAT, 2, 6).getFeatures();
        INDArray before = student.output(features).dup();
        Teacher sharing = Teacher.sharing(pretrained, student);
        sharing.close();
        assertThrows(IllegalStateException.class, () -> sharing.logProbabilities(features, null));
        assertFalse(student.params().wasClosed());
        assertClose(before, student.output(features), 0);
    }

    @Test
    void a_closed_moving_average_neither_moves_nor_saves() {
        MultiLayerNetwork network = Networks.lstm(DataType.FLOAT, 7);
        MovingAverageTeacher teacher = Teacher.movingAverage(network, 0.5);
        teacher.close();
        assertThrows(IllegalStateException.class, teacher::params);
        assertThrows(IllegalStateException.class, () -> teacher.save(folder.resolve("average")));
        assertThrows(IllegalStateException.class, () -> teacher.restore(network.params()));
        assertThrows(IllegalStateException.class, () -> teacher.listener().iterationDone(network, 1, 0));
    }

    /** Whoever reads or moves the average has the lock; those of HALF networks are arrays of their own. */
    @Test
    void an_average_is_not_closed_while_it_is_used() throws InterruptedException {
        for (DataType type : List.of(DataType.FLOAT, DataType.FLOAT16)) {
            MultiLayerNetwork network = Networks.lstm(type, 7);
            MovingAverageTeacher teacher = Teacher.movingAverage(network, 0.5);
            INDArray held = teacher.averages().get(NetworkTeacher.PARAMS);
            Thread closing = new Thread(teacher::close);
            synchronized (teacher.model()) {
                closing.start();
                while (closing.getState() != Thread.State.BLOCKED && closing.getState() != Thread.State.TERMINATED) {
                    Thread.onSpinWait();
                }
                assertFalse(held.wasClosed());
                teacher.listener().iterationDone(network, 1, 0);
                assertEquals(network.numParams(), teacher.params().length());
            }
            closing.join();
            assertTrue(held.wasClosed());
        }
    }

    @Test
    void a_mixture_frees_what_its_teachers_gave() {
        List<INDArray> given = new ArrayList<>();
        Teacher inner = Teacher.of(Networks.lstm(DataType.FLOAT, 8));
        Teacher watched = new Teacher() {
            @Override
            public String sha256() {
                return inner.sha256();
            }

            @Override
            public List<TeacherOutput> outputs() {
                return inner.outputs();
            }

            @Override
            public INDArray[] logProbabilities(INDArray[] features, INDArray[] featuresMasks) {
                INDArray[] arrays = inner.logProbabilities(features, featuresMasks);
                given.addAll(List.of(arrays));
                return arrays;
            }
        };
        INDArray features = Networks.sequences(DataType.FLOAT, 2, 9).getFeatures();
        INDArray mixed = Teacher.weighted(List.of(watched, watched), 1, 3).logProbabilities(features, null);
        assertEquals(2, given.size());
        assertTrue(given.stream().allMatch(INDArray::wasClosed));
        assertClose(inner.logProbabilities(features, null), mixed, 1e-5);
    }

    @Test
    void a_closed_cache_says_so_and_the_given_teacher_goes_on() throws IOException {
        Teacher teacher = Teacher.of(Networks.lstm(DataType.FLOAT, 10));
        List<org.nd4j.linalg.dataset.DataSet> batches = Networks.batches(DataType.FLOAT, 3, true);
        TeacherCache cache =
                TeacherCache.builder().teacher(teacher).folder(folder).build(new ExistingDataSetIterator(batches));
        INDArray features = batches.get(0).getFeatures();
        INDArray mask = batches.get(0).getFeaturesMaskArray();
        assertFalse(cache.logProbabilities(features, mask).wasClosed());
        cache.close();
        cache.close();
        String message = assertThrows(IllegalStateException.class, () -> cache.logProbabilities(features, mask))
                .getMessage();
        assertTrue(message.startsWith("cache: ") && message.contains("closed"), message);
        teacher.logProbabilities(features, mask);
        try (TeacherCache again =
                TeacherCache.builder().teacher(teacher).folder(folder).build(new ExistingDataSetIterator(batches))) {
            assertEquals(0, again.statistics().computed());
        }
    }

    /** Gives one array, and doesn't close. */
    private static Teacher failing(INDArray values) {
        return new FixedTeacher(() -> values) {
            @Override
            public void close() {
                throw new IllegalStateException("stays open");
            }
        };
    }

    @Test
    void a_mixture_closes_all_its_teachers_even_if_one_fails() {
        INDArray features = Networks.sequences(DataType.FLOAT, 2, 12).getFeatures();
        Teacher last = Teacher.of(Networks.lstm(DataType.FLOAT, 11));
        Teacher first = failing(Nd4j.scalar(1f));
        Teacher mixture = Teacher.weighted(List.of(first, first, last), 1, 1, 1);
        IllegalStateException thrown = assertThrows(IllegalStateException.class, mixture::close);
        assertEquals("stays open", thrown.getMessage());
        assertThrows(IllegalStateException.class, () -> last.logProbabilities(features, null));
    }

    @Test
    void values_are_freed_when_the_labels_do_not_fit_them() {
        for (boolean corrected : new boolean[] {true, false}) {
            INDArray values = Nd4j.zeros(DataType.FLOAT, 2, Networks.VOCABULARY);
            Teacher given = failing(values);
            Teacher teacher = corrected ? given.corrected(0.1) : given;
            DataSet batch = new DataSet(Nd4j.ones(DataType.FLOAT, 2, Networks.INPUTS), Nd4j.ones(DataType.FLOAT, 2, 3));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> new TeacherIterator(new ExistingDataSetIterator(List.of(batch)), teacher).next());
            assertTrue(values.wasClosed());
        }
    }

    @Test
    void logits_that_are_a_model_s_input_or_variable_stay() {
        SameDiff sd = SameDiff.create();
        SDVariable features = sd.placeHolder("features", DataType.FLOAT, -1, Networks.VOCABULARY);
        sd.identity("copied", features);
        sd.identity("constant", sd.var("w", Nd4j.ones(DataType.FLOAT, 2, Networks.VOCABULARY)));
        sd.identity("again", sd.getVariable("constant"));
        sd.reshape("reshaped", features, 2, Networks.VOCABULARY);
        INDArray row = Networks.normal(DataType.FLOAT, new Random(3), 2, Networks.VOCABULARY);
        for (String logits : List.of("copied", "constant", "again", "reshaped", "features", "w")) {
            Teacher teacher = Teacher.of(sd, logits, "features");
            INDArray first = teacher.logProbabilities(row, null);
            assertFalse(row.wasClosed(), logits);
            assertClose(first, teacher.logProbabilities(row, null), 0);
        }
    }
}
