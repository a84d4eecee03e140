package io.github.dl4jretention.samples.benchmark;

import io.github.dl4jretention.teacher.TeacherIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

/**
 * A network in training.
 *
 * @param network  the network
 * @param batches  without end
 * @param prefetch whether the next batch is prepared while the network trains on the last
 */
public record Training(MultiLayerNetwork network, DataSetIterator batches, boolean prefetch) {

    /** One minibatch. */
    public void step() {
        network.fit(batches.next());
    }

    /** Waits for a batch that is being prepared, so that nothing goes on beside what is measured next. */
    public void pause() {
        if (prefetch && batches instanceof TeacherIterator taught) {
            taught.setPrefetch(false);
            taught.next();
            taught.setPrefetch(true);
        }
    }
}
