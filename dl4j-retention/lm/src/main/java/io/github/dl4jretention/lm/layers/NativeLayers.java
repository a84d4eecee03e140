package io.github.dl4jretention.lm.layers;

import io.github.dl4jretention.internal.ThawedLayer;
import java.util.List;
import java.util.stream.Collectors;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.updater.graph.ComputationGraphUpdater;
import org.nd4j.linalg.activations.impl.ActivationSigmoid;
import org.nd4j.linalg.activations.impl.ActivationTanH;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Copies of networks whose LSTMs, whose embedding of sequences and whose updater {@link Adam} run at native speed.
 *
 * <pre>{@code
 * MultiLayerNetwork faster = NativeLayers.of(network);   // same parameters, same results
 * MultiLayerNetwork stock = NativeLayers.stock(faster);  // DL4J's own layers again
 * }</pre>
 *
 * <p>Every {@link LSTM} with tanh activations and sigmoid gates is replaced, alone or inside Bidirectional, LastTimeStep,
 * MaskZeroLayer and frozen layers. What else the layer is set to (dropout, weight noise, regularisation, updaters, data
 * format, truncated backpropagation) stays as it is. Recurrent layers that don't fit stay DL4J's; one log line names
 * them. {@link NativeEmbeddingSequenceLayer} takes the place of DL4J's, {@link NativeAdam} that of Adam. Parameters keep their
 * names and order, so {@code params()}, updater state and files from ModelSerializer fit either kind; a saved copy loads wherever this jar is on the class path.
 *
 * <p>Layers run at native speed in FLOAT and, for checks, DOUBLE, on nd4j-native; elsewhere they run DL4J's code. Set
 * OMP_NUM_THREADS=1: threads of this library's own call OpenBLAS, each for its own sequences.
 *
 * <p>Results are DL4J's to about 1e-6 in FLOAT. As in DL4J, an LSTM sees no features mask, except from MaskZeroLayer and
 * LastTimeStep: there a masked token resets the state. With one difference: DL4J then lets gradients flow through masked
 * tokens that stand before others; here nothing flows through them, and what they hold (NaN too) counts nowhere.
 */
public final class NativeLayers {

    private static final Logger LOG = LoggerFactory.getLogger(NativeLayers.class);

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String CLASS = "@class";
    private static final String ACTIVATION = "activationFn";
    private static final String GATES = "gateActivationFn";
    private static final List<String> OTHER_RECURRENT = List.of(
            "org.deeplearning4j.nn.conf.layers.GravesLSTM",
            "org.deeplearning4j.nn.conf.layers.GravesBidirectionalLSTM",
            SimpleRnn.class.getName());

    private NativeLayers() {}

    /**
     * Copies a network and puts layers at native speed in the place of those that fit.
     *
     * @param network stays as it is
     * @return a copy with its own parameters and updater state; listeners don't go along
     */
    public static MultiLayerNetwork of(MultiLayerNetwork network) {
        return copy(network, toNative(network.getLayerWiseConfigurations().toJson()));
    }

    /**
     * Copies a graph and puts layers at native speed in the place of those that fit.
     *
     * @param graph stays as it is
     * @return a copy with its own parameters and updater state; listeners don't go along
     */
    public static ComputationGraph of(ComputationGraph graph) {
        return copy(graph, toNative(graph.getConfiguration().toJson()));
    }

    /**
     * Copies a network and puts DL4J's layers in the place of those of {@link #of(MultiLayerNetwork)}.
     *
     * @param network stays as it is
     * @return a copy with its own parameters and updater state, which loads without this jar; listeners don't go along
     */
    public static MultiLayerNetwork stock(MultiLayerNetwork network) {
        return copy(network, toStock(network.getLayerWiseConfigurations().toJson()));
    }

    /**
     * Copies a graph and puts DL4J's layers in the place of those of {@link #of(ComputationGraph)}.
     *
     * @param graph stays as it is
     * @return a copy with its own parameters and updater state, which loads without this jar; listeners don't go along
     */
    public static ComputationGraph stock(ComputationGraph graph) {
        return copy(graph, toStock(graph.getConfiguration().toJson()));
    }

    /**
     * Says for all decoder blocks of a network, one that was loaded say, whether they keep what the backward pass needs;
     * see {@link DecoderBlock.Builder#recompute}. It changes the network itself, and goes along when the network is
     * copied, saved or made a student.
     *
     * @param network   with decoder blocks, or without
     * @param recompute whether to keep a block's input alone, and compute the rest once more
     */
    public static void recompute(MultiLayerNetwork network, boolean recompute) {
        recompute(network.getLayers(), recompute);
    }

    /**
     * The same as {@link #recompute(MultiLayerNetwork, boolean)}, for a graph.
     *
     * @param graph     with decoder blocks, or without
     * @param recompute whether to keep a block's input alone, and compute the rest once more
     */
    public static void recompute(ComputationGraph graph, boolean recompute) {
        recompute(graph.getLayers(), recompute);
    }

    private static void recompute(Layer[] layers, boolean recompute) {
        for (Layer layer : layers) {
            if (ThawedLayer.innermost(layer.conf().getLayer()) instanceof DecoderSettings block) {
                block.recompute(recompute);
            }
        }
    }

    private static MultiLayerNetwork copy(MultiLayerNetwork network, String json) {
        MultiLayerNetwork copy = new MultiLayerNetwork(MultiLayerConfiguration.fromJson(json));
        copy.init(network.params().dup(), false);
        Updater updater = network.getUpdater(false);
        if (updater != null && updater.getStateViewArray() != null) {
            copy.getUpdater().setStateViewArray(copy, updater.getStateViewArray(), false);
        }
        return copy;
    }

    private static ComputationGraph copy(ComputationGraph graph, String json) {
        ComputationGraph copy = new ComputationGraph(ComputationGraphConfiguration.fromJson(json));
        copy.init(graph.params().dup(), false);
        ComputationGraphUpdater updater = graph.getUpdater(false);
        if (updater != null && updater.getStateViewArray() != null) {
            copy.getUpdater().setStateViewArray(updater.getStateViewArray());
        }
        return copy;
    }

    private static String toNative(String configuration) {
        String others = others(configuration);
        if (!others.isEmpty()) {
            LOG.info("These layers stay DL4J's: {}", others);
        }
        JsonNode tree = read(configuration);
        layers(tree).stream().filter(NativeLayers::fits).forEach(layer -> layer.put(CLASS, NativeLSTM.class.getName()));
        return tree.toString()
                .replace(quoted(EmbeddingSequenceLayer.class), quoted(NativeEmbeddingSequenceLayer.class))
                .replace(quoted(Adam.class), quoted(NativeAdam.class));
    }

    private static boolean fits(ObjectNode layer) {
        return layer.path(CLASS).asText().equals(LSTM.class.getName())
                && layer.path(ACTIVATION).path(CLASS).asText().equals(ActivationTanH.class.getName())
                && layer.path(GATES).path(CLASS).asText().equals(ActivationSigmoid.class.getName());
    }

    /** The recurrent layers that don't fit, each with what it is. */
    static String others(String configuration) {
        return layers(read(configuration)).stream()
                .filter(layer -> !fits(layer))
                .map(layer -> layer.path("layerName").asText() + " (" + simpleName(layer)
                        + (layer.has(GATES)
                                ? " with " + simpleName(layer.path(ACTIVATION)) + " and "
                                        + simpleName(layer.path(GATES))
                                : "")
                        + ")")
                .collect(Collectors.joining(", "));
    }

    private static String simpleName(JsonNode node) {
        String name = node.path(CLASS).asText();
        return name.substring(name.lastIndexOf('.') + 1);
    }

    /** Recurrent layers of DL4J, wherever they stand in the configuration. */
    private static List<ObjectNode> layers(JsonNode tree) {
        return tree.findParents(CLASS).stream()
                .map(ObjectNode.class::cast)
                .filter(node -> node.path(CLASS).asText().equals(LSTM.class.getName())
                        || OTHER_RECURRENT.contains(node.path(CLASS).asText()))
                .toList();
    }

    private static String toStock(String configuration) {
        return configuration
                .replace(quoted(NativeLSTM.class), quoted(LSTM.class))
                .replace(quoted(NativeEmbeddingSequenceLayer.class), quoted(EmbeddingSequenceLayer.class))
                .replace(quoted(NativeAdam.class), quoted(Adam.class));
    }

    private static String quoted(Class<?> type) {
        return "\"" + type.getName() + "\"";
    }

    private static JsonNode read(String configuration) {
        try {
            return JSON.readTree(configuration);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("network: its configuration isn't JSON", e);
        }
    }
}
