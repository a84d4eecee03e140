package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.loss.TokenLoss;
import org.nd4j.linalg.dataset.api.MultiDataSet;

/** A candidate in training. */
interface Student {

    /**
     * One update.
     *
     * @param batch with the teacher's values, but for plain finetuning
     * @param epoch from 0
     * @return the loss before the update
     */
    TokenLoss fit(MultiDataSet batch, int epoch);

    /** The network in training, for listeners. */
    Object network();

    /** A copy without any part of this library: the stock network with the tuned weights. */
    Object plain();
}
