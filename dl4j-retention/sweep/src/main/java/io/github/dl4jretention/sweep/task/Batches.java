package io.github.dl4jretention.sweep.task;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.Supplier;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

/**
 * A text in batches. Several threads read it, each with an iterator of its own, and all iterators give the same batches
 * in the same order. Labels are one-hot, distributions or class ids.
 */
@FunctionalInterface
public interface Batches {

    /** {@return a new iterator at the first batch} */
    MultiDataSetIterator iterator();

    /**
     * {@return a text of one input and one output}
     *
     * @param iterators a new iterator at each call
     */
    static Batches of(Supplier<? extends DataSetIterator> iterators) {
        Objects.requireNonNull(iterators, "iterators");
        return () -> new MultiDataSetIteratorAdapter(iterators.get());
    }

    /**
     * {@return a text of any inputs and outputs}
     *
     * @param iterators a new iterator at each call
     */
    static Batches ofMultiDataSets(Supplier<? extends MultiDataSetIterator> iterators) {
        Objects.requireNonNull(iterators, "iterators");
        return iterators::get;
    }

    /**
     * {@return a text in memory}
     *
     * @param iterator is reset, and read into memory at once
     */
    static Batches of(DataSetIterator iterator) {
        List<DataSet> batches = new ArrayList<>();
        iterator.reset();
        iterator.forEachRemaining(batches::add);
        return of(() -> new ExistingDataSetIterator(batches));
    }

    /**
     * {@return this text, on which a network is measured by something else than its cross-entropy} As a held-out text of
     * {@link SweepData} it makes a sweep choose by that: gain and forgetting are the measure's. A task's share of wrong
     * answers is one, of {@code dl4j-retention-tasks}:
     *
     * <pre>{@code
     * Batches source = text.measuredBy("wrong answers in mmlu", network -> {
     *     try (TaskModel model = TaskModel.of((MultiLayerNetwork) network, tokenizer, context)) {
     *         return 1 - suite.run(model, "candidate").task("mmlu").estimate().value();
     *     }
     * });
     * }</pre>
     *
     * @param name    what is measured, and on which questions: a sweep's folder refuses to go on with a measure of another
     *     name
     * @param measure of a network of the model's class; the less the better, and finite for the pretrained model. It must
     *     leave the network as it is, and may be asked from several threads at once
     * @throws IllegalArgumentException if the name is blank
     */
    default Batches measuredBy(String name, Measure measure) {
        if (Objects.requireNonNull(name, "name").isBlank()) {
            throw new IllegalArgumentException("name: expected what is measured, got a blank text");
        }
        return new Measured(this, name, Objects.requireNonNull(measure, "measure"));
    }

    /** Says how bad a network is. */
    @FunctionalInterface
    interface Measure {

        /**
         * {@return how bad a network is; the less the better}
         *
         * @param network a MultiLayerNetwork, ComputationGraph or SameDiff without any part of this library
         * @throws IOException if a file that it needs can't be read
         */
        double of(Object network) throws IOException;
    }

    /**
     * A text with a measure of its own.
     *
     * @param text    its batches
     * @param name    of the measure
     * @param measure instead of the cross-entropy
     */
    record Measured(Batches text, String name, Measure measure) implements Batches {

        @Override
        public MultiDataSetIterator iterator() {
            return text.iterator();
        }

        double of(Object network) {
            try {
                return measure.of(network);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
