package io.github.dl4jretention.internal;

import io.github.dl4jretention.loss.RetentionOutputLayer;
import java.util.LinkedHashMap;
import java.util.Map;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

/** Finds the retention layers of students. */
public final class RetentionLayers {

    /** What the output of a MultiLayerNetwork is called. */
    public static final String OUTPUT = "output";

    private RetentionLayers() {}

    /**
     * {@return the configuration of a network's last layer, the network's own}
     *
     * @param student a network with retention attached
     * @throws IllegalArgumentException if the last layer is another one
     */
    public static RetentionOutputLayer of(MultiLayerNetwork student) {
        Layer last = student.getLayerWiseConfigurations()
                .getConf(student.getnLayers() - 1)
                .getLayer();
        if (last instanceof RetentionOutputLayer head) {
            return head;
        }
        throw new IllegalArgumentException("student: expected a last layer RetentionOutputLayer, got "
                + last.getClass().getSimpleName() + " \"" + last.getLayerName() + "\"");
    }

    /**
     * {@return the configurations of a graph's retention layers, the graph's own, by the names of their outputs}
     *
     * @param student a graph with retention attached to an output at least
     * @throws IllegalArgumentException if there is none
     */
    public static Map<String, RetentionOutputLayer> of(ComputationGraph student) {
        Map<String, RetentionOutputLayer> heads = new LinkedHashMap<>();
        ComputationGraphConfiguration conf = student.getConfiguration();
        for (String name : conf.getNetworkOutputs()) {
            if (conf.getVertices().get(name) instanceof LayerVertex vertex
                    && vertex.getLayerConf().getLayer() instanceof RetentionOutputLayer head) {
                heads.put(name, head);
            }
        }
        if (heads.isEmpty()) {
            throw new IllegalArgumentException(
                    "student: expected an output with a RetentionOutputLayer, got outputs " + conf.getNetworkOutputs());
        }
        return heads;
    }
}
