package io.github.dl4jretention.teacher;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * A part of a network's vector of parameters.
 *
 * @param name   of the layer, its index or the vertex
 * @param conf   the configuration that holds the layer; null for a vertex that is none
 * @param from   where the part begins
 * @param length parameters of the part, more than 0
 */
record LayerSlot(String name, @Nullable NeuralNetConfiguration conf, long from, long length) {

    /** The parts in their order. */
    static List<LayerSlot> of(MultiLayerConfiguration network) {
        List<LayerSlot> slots = new ArrayList<>();
        long from = 0;
        for (int i = 0; i < network.getConfs().size(); i++) {
            NeuralNetConfiguration conf = network.getConf(i);
            long length = conf.getLayer().initializer().numParams(conf);
            if (length > 0) {
                slots.add(new LayerSlot(Integer.toString(i), conf, from, length));
            }
            from += length;
        }
        return slots;
    }

    /**
     * The parts in their order.
     *
     * @param conf  a configuration of the graph
     * @param graph whose order of vertices the parameters lie in
     */
    static List<LayerSlot> of(ComputationGraphConfiguration conf, ComputationGraph graph) {
        List<LayerSlot> slots = new ArrayList<>();
        long from = 0;
        for (int index : graph.topologicalSortOrder()) {
            String name = graph.getVertices()[index].getVertexName();
            GraphVertex vertex = conf.getVertices().get(name);
            long length = vertex == null ? 0 : vertex.numParams(true);
            if (length > 0) {
                NeuralNetConfiguration layer = vertex instanceof LayerVertex held ? held.getLayerConf() : null;
                slots.add(new LayerSlot(name, layer, from, length));
            }
            from += length;
        }
        return slots;
    }

    /** The configuration of a slot that is a layer. */
    NeuralNetConfiguration layerConf() {
        return Objects.requireNonNull(conf, name);
    }

    /** The part of a vector, a view. */
    INDArray of(INDArray parameters) {
        return parameters.reshape(parameters.length()).get(NDArrayIndex.interval(from, from + length));
    }
}
