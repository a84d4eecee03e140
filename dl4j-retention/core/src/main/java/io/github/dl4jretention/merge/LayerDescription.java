package io.github.dl4jretention.merge;

import io.github.dl4jretention.internal.HeldBatchNormalization;
import io.github.dl4jretention.internal.ThawedLayer;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import java.util.Iterator;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.nd4j.shade.jackson.databind.JsonNode;

/**
 * What a layer or vertex computes, by its configuration, without what acts in training only and without names.
 *
 * @param name     which one it is, with its inputs in a graph
 * @param kind     of layer or vertex
 * @param settings by their path in the configuration
 */
record LayerDescription(String name, String kind, SortedMap<String, String> settings) {

    static final LayerDescription NONE = new LayerDescription("none", "", new TreeMap<>());

    /** Training, first values, the choice of an implementation, what is worked out later, and names. */
    private static final Set<String> LEFT_OUT =
            Set.of(("biasInit biasUpdater constraints corruptionLevel cudnnAlgoMode cudnnAllowFallback "
                            + "cudnnBwdDataAlgo cudnnBwdFilterAlgo cudnnFwdAlgo dataType decay defaultValueOverriden "
                            + "defaultValueOverridden forgetGateBiasInit gainInit gradientNormalization "
                            + "gradientNormalizationThreshold helperAllowFallback iUpdater idropout iDropout isMinibatch "
                            + "iupdater layerName layerParams lossFn lossFunction minibatch modified name paramWeightInit "
                            + "regularization regularizationBias sparsity timeDistributedFormat updater vertexParams "
                            + "visibleBiasInit weightInit weightInitFn weightInitFnRecurrent weightNoise")
                    .split(" "));

    /** The same, of names that others compute with, by class. */
    private static final Map<String, Set<String>> LEFT_OUT_OF = Map.of(
            "BatchNormalization",
            Set.of("gamma", "beta"),
            "CenterLossOutputLayer",
            Set.of("alpha", "lambda", "gradientCheck"),
            "EmbeddingSequenceLayer",
            Set.of("inputLength", "inferInputLength"),
            "NativeEmbeddingSequenceLayer",
            Set.of("inputLength", "inferInputLength"),
            "OCNNOutputLayer",
            Set.of("configureR", "initialRValue", "lastEpochSinceRUpdated", "nu", "windowSize"),
            "VariationalAutoencoder",
            Set.of("numSamples"),
            "Yolo2OutputLayer",
            Set.of("lambdaCoord", "lambdaNoObj", "lossClassPredictions", "lossPositionScale"));

    /** Wrappers that change nothing of what is computed, wherever they are, and the name of what is in them. */
    private static final Map<String, String> FROZEN = Map.of(
            "org.deeplearning4j.nn.conf.layers.misc.FrozenLayer", "layer",
            "org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop", "underlying");

    /**
     * A student's layer counts as the layer that it stands in for, a frozen layer as what is frozen.
     *
     * @param preProcessor null for none
     */
    static LayerDescription of(String name, Layer layer, InputPreProcessor preProcessor) {
        Layer plain = HeldBatchNormalization.stock(ThawedLayer.of(layer));
        if (plain instanceof RetentionOutputLayer retention) {
            plain = retention.toStockLayer();
        }
        SortedMap<String, String> settings = settings(plain);
        if (preProcessor != null) {
            add(settings, "preProcessor", NeuralNetConfiguration.mapper().valueToTree(preProcessor));
        }
        return new LayerDescription(name, plain.getClass().getSimpleName(), settings);
    }

    static LayerDescription of(String name, GraphVertex vertex) {
        return new LayerDescription(name, vertex.getClass().getSimpleName(), settings(vertex));
    }

    private static SortedMap<String, String> settings(Object configuration) {
        SortedMap<String, String> settings = new TreeMap<>();
        add(settings, "", NeuralNetConfiguration.mapper().valueToTree(configuration));
        return settings;
    }

    private static void add(SortedMap<String, String> settings, String path, JsonNode node) {
        String inside = FROZEN.get(node.path("@class").asText());
        if (inside != null) {
            add(settings, path, node.get(inside));
        } else if (node.isArray()) {
            for (int i = 0; i < node.size(); i++) {
                add(settings, path + "[" + i + "]", node.get(i));
            }
        } else if (node.isObject()) {
            Set<String> leftOutHere = leftOutOf(node);
            for (Iterator<String> names = node.fieldNames(); names.hasNext(); ) {
                String name = names.next();
                if (!LEFT_OUT.contains(name) && !leftOutHere.contains(name)) {
                    add(settings, path.isEmpty() ? name : path + "." + name, node.get(name));
                }
            }
        } else if (!node.isNull()) {
            settings.put(path, node.asText());
        }
    }

    private static Set<String> leftOutOf(JsonNode node) {
        String type = node.path("@class").asText();
        // Locked, gamma and beta are no parameters but what the layer computes with.
        return node.path("lockGammaBeta").asBoolean()
                ? Set.of()
                : LEFT_OUT_OF.getOrDefault(type.substring(type.lastIndexOf('.') + 1), Set.of());
    }

    /** Name and kind, with the settings that are not another's if the other is of the same name and kind. */
    String apartFrom(LayerDescription other) {
        String text = kind.isEmpty() ? name : name + ": " + kind;
        if (!name.equals(other.name) || !kind.equals(other.kind)) {
            return text;
        }
        SortedMap<String, String> own = new TreeMap<>(settings);
        own.entrySet().removeAll(other.settings.entrySet());
        return text + " " + own;
    }
}
