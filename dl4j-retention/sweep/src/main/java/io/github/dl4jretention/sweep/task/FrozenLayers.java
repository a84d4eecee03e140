package io.github.dl4jretention.sweep.task;

import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.FrozenVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;

/**
 * Freezes what is in a configuration, as stock TransferLearning does; M2.1's own loses the network's backpropagation
 * type and modes, and makes FLOAT graphs of DOUBLE ones.
 */
final class FrozenLayers {

    private FrozenLayers() {}

    static void freeze(NeuralNetConfiguration conf) {
        Layer layer = conf.getLayer();
        if (!(layer instanceof FrozenLayer)) {
            FrozenLayer frozen = new FrozenLayer(layer);
            frozen.setLayerName(layer.getLayerName());
            conf.setLayer(frozen);
        }
    }

    /** What is to stand in place of a vertex: nothing goes back to it, so one without parameters is frozen too. */
    static GraphVertex frozen(GraphVertex vertex) {
        if (vertex instanceof LayerVertex layer) {
            freeze(layer.getLayerConf());
            return layer;
        }
        return vertex instanceof FrozenVertex ? vertex : new FrozenVertex(vertex);
    }
}
