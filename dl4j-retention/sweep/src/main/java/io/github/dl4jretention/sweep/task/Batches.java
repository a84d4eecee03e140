package io.github.dl4jretention.sweep.task;

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
}
