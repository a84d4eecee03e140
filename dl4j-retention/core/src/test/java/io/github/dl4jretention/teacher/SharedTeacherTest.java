package io.github.dl4jretention.teacher;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.CacheCodec;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.loss.RetentionConfiguration;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** A teacher leaves no trace in the students that it teaches, nor in each other's. */
class SharedTeacherTest {

    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().build();

    private static INDArray trained(MultiLayerNetwork base, Teacher teacher, List<DataSet> batches) {
        MultiLayerNetwork student = Retention.attach(base, CONF);
        student.fit(new TeacherIterator(new ExistingDataSetIterator(batches), teacher), 3);
        return student.params();
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE"})
    void two_students_in_two_threads_learn_what_they_learn_in_turn(DataType type) throws Exception {
        MultiLayerNetwork base = Networks.lstm(type, 1);
        Teacher teacher = Teacher.of(base);
        List<List<DataSet>> texts = List.of(
                Networks.batches(type, 6, true),
                Networks.batches(type, 12, true).subList(6, 12));
        List<INDArray> expected = new ArrayList<>();
        for (List<DataSet> text : texts) {
            expected.add(trained(base, teacher, text));
        }
        Networks.assertMoved(expected.get(0), expected.get(1), 1e-4);
        ExecutorService threads = Executors.newFixedThreadPool(2);
        try {
            for (int round = 0; round < 3; round++) {
                List<Future<INDArray>> found = new ArrayList<>();
                for (List<DataSet> text : texts) {
                    MultiLayerNetwork own = base.clone();
                    found.add(threads.submit(() -> trained(own, teacher, text)));
                }
                for (int i = 0; i < 2; i++) {
                    assertClose(expected.get(i), found.get(i).get(), 0, "student " + i);
                }
            }
        } finally {
            threads.shutdown();
        }
    }

    /** The other thread is inside, or waits for the lock: both can be seen. */
    @Test
    void a_teacher_is_asked_by_one_thread_at_a_time() throws InterruptedException {
        Object model = new Object();
        AtomicReference<Thread> second = new AtomicReference<>();
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        AtomicReference<NetworkTeacher> teacher = new AtomicReference<>();
        teacher.set(new NetworkTeacher(
                model,
                "0".repeat(64),
                List.of(new TeacherOutput("output", 0, 1)),
                Map.of(),
                (features, masks, destinations) -> {
                    int now = inside.incrementAndGet();
                    most.accumulateAndGet(now, Math::max);
                    Thread other = new Thread(() -> teacher.get().logProbabilities(features, masks));
                    if (second.compareAndSet(null, other)) {
                        other.start();
                        while (other.getState() != Thread.State.BLOCKED
                                && other.getState() != Thread.State.TERMINATED) {
                            Thread.onSpinWait();
                        }
                    }
                    inside.decrementAndGet();
                    return new INDArray[] {Nd4j.zeros(DataType.FLOAT, 1, 2)};
                },
                () -> {}));
        teacher.get().logProbabilities(Nd4j.ones(DataType.FLOAT, 1, 1), null);
        second.get().join();
        assertEquals(1, most.get());
    }

    /** Else a student's dropout would depend on where its teacher's values come from. */
    @Test
    void a_teacher_draws_no_random_numbers(@TempDir Path folder) throws IOException {
        MultiLayerNetwork base = Networks.lstm(DataType.FLOAT, 1, LossFunction.MCXENT, 0.5);
        List<DataSet> batches = Networks.batches(DataType.FLOAT, 4, true);
        Teacher live = Teacher.of(base);
        Nd4j.getRandom().setSeed(7);
        double expected = Nd4j.getRandom().nextDouble();
        Nd4j.getRandom().setSeed(7);
        live.logProbabilities(batches.get(0).getFeatures(), null);
        assertEquals(expected, Nd4j.getRandom().nextDouble());
        TeacherCache cache = TeacherCache.builder()
                .teacher(live)
                .folder(folder)
                .codec(CacheCodec.half())
                .build(new ExistingDataSetIterator(batches));
        List<INDArray> students = new ArrayList<>();
        for (Teacher teacher : List.of(live, cache)) {
            for (boolean prefetch : new boolean[] {false, true}) {
                MultiLayerNetwork student = Retention.attach(base, CONF);
                Nd4j.getRandom().setSeed(7);
                student.fit(
                        new TeacherIterator(new ExistingDataSetIterator(batches), teacher).setPrefetch(prefetch), 1);
                students.add(student.params());
            }
        }
        assertClose(students.get(0), students.get(1), 0, "live");
        assertClose(students.get(2), students.get(3), 0, "cached");
        // The codec rounds; another dropout moves parameters by the learning rate.
        assertClose(students.get(0), students.get(2), 2e-3, "live and cached");
        MultiLayerNetwork other = Retention.attach(base, CONF);
        Nd4j.getRandom().setSeed(8);
        other.fit(new TeacherIterator(new ExistingDataSetIterator(batches), live), 1);
        Networks.assertMoved(students.get(0), other.params(), 5e-3);
    }
}
