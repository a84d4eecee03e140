package io.github.dl4jretention.teacher;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.WrappingTeacher;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionLabels;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;

class TaughtBatchesTest {

    private final MultiLayerNetwork network = Networks.lstm(DataType.FLOAT, 1);
    private final Teacher teacher = Teacher.of(network);

    private static TaughtBatches<Integer> numbers(
            int count, List<Thread> fetched, List<Thread> taught, boolean fetchHere) {
        Iterator<Integer> source = IntStream.range(0, count).iterator();
        TaughtBatches<Integer> prefetch = new TaughtBatches<>(
                true,
                () -> {
                    fetched.add(Thread.currentThread());
                    return source.next();
                },
                source::hasNext,
                (number, memory) -> {
                    taught.add(Thread.currentThread());
                    if (number == 3) {
                        throw new IllegalArgumentException("three");
                    }
                    return new TaughtBatches.Taught<>(number * 10, List.of());
                },
                fetchHere);
        return prefetch;
    }

    @Test
    void batches_come_in_order_and_a_failure_at_its_own() {
        TaughtBatches<Integer> prefetch = numbers(6, new ArrayList<>(), new ArrayList<>(), false);
        for (int expected : new int[] {0, 10, 20}) {
            assertEquals(expected, prefetch.next());
        }
        assertTrue(prefetch.hasNext());
        assertEquals(
                "three",
                assertThrows(IllegalArgumentException.class, prefetch::next).getMessage());
        assertEquals(40, prefetch.next());
        assertEquals(50, prefetch.next());
        assertFalse(prefetch.hasNext());
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void a_failure_of_the_source_is_thrown_at_its_own_batch(boolean fetchHere) {
        Iterator<Integer> source = List.of(0, 1, 2).iterator();
        TaughtBatches<Integer> prefetch = new TaughtBatches<>(
                true,
                () -> {
                    int number = source.next();
                    if (number == 1) {
                        throw new IllegalStateException("one");
                    }
                    return number;
                },
                source::hasNext,
                (number, memory) -> new TaughtBatches.Taught<>(number, List.of()),
                fetchHere);
        assertEquals(0, prefetch.next());
        assertTrue(prefetch.hasNext());
        assertEquals(
                "one", assertThrows(IllegalStateException.class, prefetch::next).getMessage());
        assertEquals(2, prefetch.next());
        assertFalse(prefetch.hasNext());
    }

    @Test
    void an_error_is_thrown_as_it_is() {
        OutOfMemoryError error = new OutOfMemoryError("no memory");
        Iterator<Integer> source = List.of(0, 1).iterator();
        TaughtBatches<Integer> prefetch = new TaughtBatches<>(
                true,
                source::next,
                source::hasNext,
                (number, memory) -> {
                    if (number == 1) {
                        throw error;
                    }
                    return new TaughtBatches.Taught<>(number, List.of());
                },
                false);
        prefetch.next();
        assertSame(error, assertThrows(OutOfMemoryError.class, prefetch::next));
    }

    @Test
    void the_teacher_works_on_another_thread_and_the_source_where_it_may() {
        for (boolean fetchHere : new boolean[] {false, true}) {
            List<Thread> fetched = new ArrayList<>();
            List<Thread> taught = new ArrayList<>();
            TaughtBatches<Integer> prefetch = numbers(2, fetched, taught, fetchHere);
            prefetch.next();
            prefetch.next();
            assertNotSame(Thread.currentThread(), taught.get(1));
            assertEquals(fetchHere, fetched.get(1) == Thread.currentThread());
        }
    }

    @Test
    void epochs_with_and_without_are_the_same() {
        List<DataSet> batches = Networks.batches(DataType.FLOAT, 4, true);
        TeacherIterator ahead = new TeacherIterator(new ExistingDataSetIterator(batches), teacher);
        TeacherIterator plain = new TeacherIterator(new ExistingDataSetIterator(batches), teacher).setPrefetch(false);
        for (int epoch = 0; epoch < 2; epoch++) {
            int count = 0;
            while (plain.hasNext()) {
                DataSet expected = plain.next();
                DataSet actual = ahead.next();
                assertSame(batches.get(count).getFeatures(), actual.getFeatures());
                assertClose(expected.getLabels(), actual.getLabels(), 0);
                count++;
            }
            assertEquals(4, count);
            assertFalse(ahead.hasNext());
            ahead.reset();
            plain.reset();
        }
        ahead.next();
        ahead.reset();
        assertSame(batches.get(0).getFeatures(), ahead.next().getFeatures());
    }

    @Test
    void labels_are_freed_once_their_thread_has_trained_on_them_and_training_is_the_same() throws Exception {
        MultiLayerNetwork kept =
                Retention.attach(network, RetentionConfiguration.builder().build());
        MultiLayerNetwork released = kept.clone();
        List<DataSet> batches = Networks.batches(DataType.FLOAT, 4, true);
        kept.fit(new TeacherIterator(new ExistingDataSetIterator(batches), teacher).setReleaseLabels(false), 3);
        TeacherIterator iterator = new TeacherIterator(new ExistingDataSetIterator(batches), teacher);
        released.fit(iterator, 3);
        assertClose(kept.params(), released.params(), 0);
        assertFalse(batches.get(0).getLabels().wasClosed());

        iterator.reset();
        DataSet trained = iterator.next();
        released.fit(trained);
        assertFalse(trained.getLabels().data().wasClosed());
        DataSet collected = iterator.next();
        assertTrue(trained.getLabels().data().wasClosed());
        DataSet elsewhere = iterator.next();
        assertFalse(collected.getLabels().data().wasClosed());
        CompletableFuture.runAsync(() -> released.fit(elsewhere)).get();
        iterator.next();
        assertFalse(elsewhere.getLabels().data().wasClosed());

        iterator.reset();
        iterator.setReleaseLabels(false);
        DataSet again = iterator.next();
        released.fit(again);
        iterator.next();
        assertFalse(again.getLabels().data().wasClosed());
    }

    @Test
    void a_teacher_that_follows_its_student_is_asked_when_its_turn_comes() {
        MovingAverageTeacher average = Teacher.movingAverage(network, 0.5);
        TeacherIterator batches =
                new TeacherIterator(new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 3, true)), average);
        batches.next();
        average.restore(average.params().mul(2));
        DataSet after = batches.next();
        TeacherIterator again =
                new TeacherIterator(new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 3, true)), average);
        again.next();
        assertClose(again.next().getLabels(), after.getLabels(), 0);
        assertThrows(IllegalArgumentException.class, () -> batches.setPrefetch(true));
        assertFalse(average.corrected(0.1).isFrozen());
        assertFalse(Teacher.weighted(List.of(teacher, average), 1, 1).isFrozen());
    }

    @Test
    void a_batch_that_was_prepared_and_not_taken_is_freed() {
        List<INDArray> made = new ArrayList<>();
        TaughtBatches<Integer> prefetch = new TaughtBatches<>(
                true,
                () -> 1,
                () -> true,
                (number, memory) -> {
                    INDArray array = Nd4j.scalar(number);
                    made.add(array);
                    return new TaughtBatches.Taught<>(number, List.of(array));
                },
                false);
        prefetch.next();
        prefetch.clear();
        assertEquals(2, made.size());
        assertFalse(made.get(0).wasClosed());
        assertTrue(made.get(1).wasClosed());
    }

    @Test
    void labels_that_a_teacher_fails_to_fill_are_freed() {
        List<INDArray> made = new ArrayList<>();
        Teacher failing = new WrappingTeacher(teacher) {
            @Override
            protected void teach(MultiDataSet batch, RetentionLabels[] outputs) {
                super.teach(batch, outputs);
                made.add(outputs[0].packed());
                throw new IllegalStateException("late");
            }
        };
        TeacherIterator batches =
                new TeacherIterator(new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 1, true)), failing);
        assertThrows(IllegalStateException.class, batches::next);
        assertTrue(made.get(0).data().wasClosed());
    }

    @Test
    void one_batch_after_another_uses_the_same_memory_and_a_batch_that_is_kept_has_its_own() {
        MultiLayerNetwork student =
                Retention.attach(network, RetentionConfiguration.builder().build());
        List<DataSet> batches = Networks.batches(DataType.FLOAT, 12, true);
        try (TeacherIterator iterator = new TeacherIterator(new ExistingDataSetIterator(batches), teacher)) {
            DataSet kept = iterator.next();
            INDArray before = kept.getLabels().dup();
            Set<Long> addresses = new HashSet<>();
            DataSet last = kept;
            while (iterator.hasNext()) {
                last = iterator.next();
                addresses.add(last.getLabels().data().addressPointer().address());
                student.fit(last);
            }
            assertEquals(2, addresses.size());
            assertFalse(
                    addresses.contains(kept.getLabels().data().addressPointer().address()));
            assertClose(before, kept.getLabels(), 0);
            iterator.close();
            INDArray freed = last.getLabels();
            assertTrue(freed.data().wasClosed());
            assertThrows(IllegalStateException.class, freed::sumNumber);
            assertTrue(assertThrows(IllegalStateException.class, iterator::next)
                    .getMessage()
                    .startsWith("iterator: "));
        }
    }

    @Test
    void finetuning_frees_its_labels_and_leaves_the_callers() {
        MultiLayerNetwork student =
                Retention.attach(network, RetentionConfiguration.builder().build());
        List<INDArray> seen = new ArrayList<>();
        student.setListeners(new BaseTrainingListener() {
            @Override
            public void onGradientCalculation(Model model) {
                seen.add(((MultiLayerNetwork) model).getLabels());
            }
        });
        List<DataSet> batches = Networks.batches(DataType.FLOAT, 4, true);
        Retention.finetune(student, teacher, new ExistingDataSetIterator(batches), 2);
        assertEquals(8, seen.size());
        seen.forEach(labels -> assertTrue(labels.data().wasClosed()));
        batches.forEach(batch -> assertFalse(batch.getLabels().wasClosed()));
    }
}
