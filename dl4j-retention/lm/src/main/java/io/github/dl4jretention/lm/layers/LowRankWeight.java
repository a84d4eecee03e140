package io.github.dl4jretention.lm.layers;

import io.github.dl4jretention.internal.LowRank;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * An adapter of a layer at work.
 *
 * @param weight   name of the weight that it's beside
 * @param settings of it
 * @param down     D {@code [nIn, rank]} in 'f' order
 * @param up       U {@code [rank, nOut]} in 'f' order
 */
record LowRankWeight(String weight, LowRank settings, INDArray down, INDArray up) {

    String downName() {
        return weight + LowRank.DOWN;
    }

    String upName() {
        return weight + LowRank.UP;
    }
}
