package io.github.dl4jretention.internal;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Those features of a network that are ids of an embedding. DL4J's EmbeddingLayer and EmbeddingSequenceLayer look up
 * whatever number an array of floating point made of them: 2048 for 2049 in HALF, 0 for NaN, 2 for 2.7.
 */
public final class EmbeddedIds {

    private final List<Lookup> lookups = new ArrayList<>();

    /**
     * @param input      place of the features
     * @param vocabulary of the embedding
     */
    private record Lookup(int input, long vocabulary) {}

    private EmbeddedIds() {}

    /**
     * {@return those of a MultiLayerNetwork}
     *
     * @param conf left as it is
     */
    public static EmbeddedIds of(MultiLayerConfiguration conf) {
        EmbeddedIds ids = new EmbeddedIds();
        ids.add(0, conf.getConf(0).getLayer());
        return ids;
    }

    /**
     * {@return those of a ComputationGraph, where an embedding takes an input as it is}
     *
     * @param conf left as it is
     */
    public static EmbeddedIds of(ComputationGraphConfiguration conf) {
        EmbeddedIds ids = new EmbeddedIds();
        for (Map.Entry<String, List<String>> vertex : conf.getVertexInputs().entrySet()) {
            int input = conf.getNetworkInputs().indexOf(vertex.getValue().get(0));
            if (input >= 0 && conf.getVertices().get(vertex.getKey()) instanceof LayerVertex layer) {
                ids.add(input, layer.getLayerConf().getLayer());
            }
        }
        return ids;
    }

    private void add(int input, Layer layer) {
        Layer innermost = ThawedLayer.innermost(layer);
        if (innermost instanceof EmbeddingLayer || innermost instanceof EmbeddingSequenceLayer) {
            lookups.add(new Lookup(input, ((FeedForwardLayer) innermost).getNIn()));
        }
    }

    /**
     * Refuses features that would be looked up as other ids than they are, or than they may have been.
     *
     * @param features of all inputs
     * @param masks    what's at 0 in them may be anything; null for none
     * @throws IllegalArgumentException if an id is no whole number, isn't the embedding's, or the array's type may have
     *     rounded it
     */
    public void require(INDArray[] features, INDArray @Nullable [] masks) {
        for (Lookup lookup : lookups) {
            if (lookup.input < features.length) {
                require(features[lookup.input], masks == null ? null : masks[lookup.input], lookup.vocabulary);
            }
        }
    }

    private static void require(INDArray features, @Nullable INDArray mask, long vocabulary) {
        String where = features.dataType() + " of shape " + Arrays.toString(features.shape());
        double[] ids = flat(features);
        double[] weights = mask == null || mask.length() != ids.length ? null : flat(mask);
        for (int i = 0; i < ids.length; i++) {
            if (weights != null && weights[i] == 0) {
                continue;
            }
            if (!(ids[i] >= 0 && ids[i] < vocabulary) || ids[i] != Math.rint(ids[i])) {
                throw new IllegalArgumentException("features: expected whole ids from 0 to " + (vocabulary - 1)
                        + ", got " + ids[i] + " in " + where + "; padding has a 0 in the features mask");
            }
            WholeNumbers.requireExact(ids[i], features.dataType(), vocabulary, "features", where);
        }
    }

    private static double[] flat(INDArray array) {
        return array.castTo(DataType.DOUBLE).dup('c').reshape(array.length()).toDoubleVector();
    }
}
