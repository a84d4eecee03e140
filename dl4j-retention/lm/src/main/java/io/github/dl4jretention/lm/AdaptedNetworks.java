package io.github.dl4jretention.lm;

import static java.util.Objects.requireNonNull;

import io.github.dl4jretention.internal.Configurations;
import io.github.dl4jretention.internal.FrozenBase;
import io.github.dl4jretention.internal.FrozenProjection;
import io.github.dl4jretention.internal.HeldBatchNormalization;
import io.github.dl4jretention.internal.LowRank;
import io.github.dl4jretention.internal.ThawedLayer;
import io.github.dl4jretention.lm.huggingface.AdapterFolder;
import io.github.dl4jretention.lm.layers.LowRankLayer;
import io.github.dl4jretention.loss.AdaptedOutputLayer;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.loss.TiedOutputLayer;
import io.github.dl4jretention.teacher.NetworkIdentity;
import io.github.dl4jretention.teacher.SoftmaxOutput;
import java.util.LinkedHashMap;
import java.util.Map;
import org.deeplearning4j.nn.api.layers.IOutputLayer;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Puts adapted layers in the place of a network's, and takes them out again. */
final class AdaptedNetworks {

    private static final String OUTPUT_WEIGHT = DefaultParamInitializer.WEIGHT_KEY;

    /** No adapters. */
    private static final AdapterFolder.Source NONE = new AdapterFolder.Source() {

        @Override
        public Map<String, LowRank> adapters(String place, Layer layer, boolean isOutput) {
            return Map.of();
        }

        @Override
        public void requireUsed() {
            // None was asked for.
        }

        @Override
        public void start(String place, String weight, INDArray down, INDArray up) {
            throw new IllegalStateException("adapters: expected none, got one of " + weight);
        }
    };

    private AdaptedNetworks() {}

    /** Layers of a network by their places, its configuration's own. */
    private static Map<String, Layer> layers(MultiLayerConfiguration conf) {
        Map<String, Layer> layers = new LinkedHashMap<>();
        for (int i = 0; i < conf.getConfs().size(); i++) {
            layers.put(Integer.toString(i), conf.getConf(i).getLayer());
        }
        return layers;
    }

    private static Map<String, Layer> layers(ComputationGraph graph) {
        Map<String, Layer> layers = new LinkedHashMap<>();
        for (int index : graph.topologicalSortOrder()) {
            String name = graph.getVertices()[index].getVertexName();
            if (graph.getConfiguration().getVertices().get(name) instanceof LayerVertex vertex) {
                layers.put(name, vertex.getLayerConf().getLayer());
            }
        }
        return layers;
    }

    private static void requirePlain(MultiLayerNetwork base) {
        layers(base.getLayerWiseConfigurations()).forEach(AdaptedNetworks::requirePlain);
    }

    private static void requirePlain(ComputationGraph base) {
        layers(base).forEach(AdaptedNetworks::requirePlain);
        for (GraphVertex vertex : base.getVertices()) {
            if (!vertex.hasLayer() && vertex.numParams() > 0) {
                throw new IllegalArgumentException("base: expected layers alone to have parameters, got vertex \""
                        + vertex.getVertexName() + "\", a " + vertex.getClass().getSimpleName());
            }
        }
    }

    /** The base that adapters of a network belong to: the network itself, or what it's the frozen layers of. */
    static FrozenBase base(MultiLayerNetwork network) {
        FrozenBase frozen = FrozenBase.whole(network.getLayerWiseConfigurations());
        if (frozen != null) {
            return frozen;
        }
        requirePlain(network);
        return FrozenBase.of(network, NetworkIdentity.sha256(network));
    }

    static FrozenBase base(ComputationGraph graph) {
        requirePlain(graph);
        return FrozenBase.of(graph, NetworkIdentity.sha256(graph));
    }

    private static void requirePlain(String place, Layer layer) {
        if (layer instanceof RetentionOutputLayer) {
            throw new IllegalArgumentException("base: expected a network without retention, got a student;"
                    + " take the pretrained network, or Retention.detach");
        }
        if (isAdapted(layer)) {
            throw new IllegalArgumentException("base: expected a network without adapters, got layer \"" + place
                    + "\" that has them or is frozen for them; LowRankAdapters.merge puts them into the weights");
        }
    }

    /** The frozen layers of a network with parameters in half precision; of others an ordinary network. */
    static MultiLayerNetwork network(MultiLayerConfiguration conf, INDArray parameters) {
        if (parameters.dataType() == conf.getDataType()) {
            MultiLayerNetwork made = new MultiLayerNetwork(conf);
            made.init(parameters, false);
            return made;
        }
        String sha256 = NetworkIdentity.sha256(conf, parameters);
        return network(FrozenBase.ofHalves(conf, parameters, LowRankLayer::isWidenedOnce, sha256));
    }

    /** Layers of a base, none of which has adapters. */
    static MultiLayerNetwork network(FrozenBase held) {
        return held.isHalf() ? attach(held.configuration(), held, NONE) : held.network();
    }

    static MultiLayerNetwork attach(MultiLayerNetwork base, FrozenBase held, AdapterFolder.Source source) {
        MultiLayerConfiguration conf =
                held.isHalf() ? held.configuration() : Configurations.copy(base.getLayerWiseConfigurations());
        return attach(conf, held, source);
    }

    private static MultiLayerNetwork attach(
            MultiLayerConfiguration conf, FrozenBase held, AdapterFolder.Source source) {
        conf.setIterationCount(0);
        conf.setEpochCount(0);
        HeldBatchNormalization.hold(conf);
        int last = conf.getConfs().size() - 1;
        for (int i = 0; i <= last; i++) {
            boolean isOutput = i == last && ThawedLayer.of(conf.getConf(i).getLayer()) instanceof BaseOutputLayer;
            replace(conf.getConf(i), Integer.toString(i), isOutput, held, source);
        }
        source.requireUsed();
        MultiLayerNetwork adapted = new MultiLayerNetwork(conf);
        adapted.init(parameters(conf), false);
        for (int i = 0; i < adapted.getnLayers(); i++) {
            start(source, Integer.toString(i), adapted.getLayer(i).paramTable());
        }
        return adapted;
    }

    private static @Nullable INDArray parameters(MultiLayerConfiguration conf) {
        long numbers = 0;
        for (NeuralNetConfiguration layer : conf.getConfs()) {
            numbers += layer.getLayer().initializer().numParams(layer);
        }
        return numbers == 0 ? null : Nd4j.createUninitialized(conf.getDataType(), numbers);
    }

    static ComputationGraph attach(ComputationGraph base, FrozenBase held, AdapterFolder.Source source) {
        ComputationGraphConfiguration conf = Configurations.copy(base.getConfiguration());
        conf.setIterationCount(0);
        conf.setEpochCount(0);
        HeldBatchNormalization.hold(conf);
        long numbers = 0;
        for (String name : layers(base).keySet()) {
            NeuralNetConfiguration layer =
                    ((LayerVertex) requireNonNull(conf.getVertices().get(name))).getLayerConf();
            replace(layer, name, base.getLayer(name) instanceof IOutputLayer, held, source);
            numbers += layer.getLayer().initializer().numParams(layer);
        }
        source.requireUsed();
        ComputationGraph adapted = new ComputationGraph(conf);
        adapted.init(Nd4j.createUninitialized(base.params().dataType(), numbers), false);
        for (String name : layers(base).keySet()) {
            start(source, name, adapted.getLayer(name).paramTable());
        }
        return adapted;
    }

    private static void start(AdapterFolder.Source source, String place, @Nullable Map<String, INDArray> table) {
        if (table == null) {
            return;
        }
        for (String name : table.keySet()) {
            if (name.endsWith(LowRank.DOWN)) {
                String weight = name.substring(0, name.length() - LowRank.DOWN.length());
                source.start(
                        place, weight, requireNonNull(table.get(name)), requireNonNull(table.get(weight + LowRank.UP)));
            }
        }
    }

    private static void replace(
            NeuralNetConfiguration conf, String place, boolean isOutput, FrozenBase held, AdapterFolder.Source source) {
        Layer layer = ThawedLayer.of(conf.getLayer());
        if (isOutput && layer instanceof BaseOutputLayer output) {
            requireSoftmax(output, place);
            LowRank adapter = source.adapters(place, layer, true).get(OUTPUT_WEIGHT);
            boolean tied = output instanceof TiedOutputLayer;
            if (!tied || adapter != null) {
                conf.setLayer(new AdaptedOutputLayer(output, new FrozenProjection(held, tied ? null : place, adapter)));
            }
        } else if (layer.initializer().numParams(layer) > 0) {
            if (isOutput) {
                throw refused(layer, place);
            }
            conf.setLayer(new LowRankLayer(layer, held, place, source.adapters(place, layer, false)));
        }
        conf.clearVariables();
    }

    private static void requireSoftmax(BaseOutputLayer layer, String place) {
        if (!SoftmaxOutput.isOne(layer)) {
            throw refused(layer, place);
        }
    }

    private static IllegalArgumentException refused(Layer layer, String place) {
        return new IllegalArgumentException("base: expected output layers that are softmax with cross-entropy, got "
                + layer.getClass().getSimpleName() + " \"" + place + "\"");
    }

    private static boolean isAdapted(Layer layer) {
        return layer instanceof LowRankLayer || projection(layer) != null;
    }

    private static boolean hasAdapters(Layer layer) {
        return !adapters(layer).isEmpty();
    }

    private static @Nullable FrozenProjection projection(Layer layer) {
        return layer instanceof AdaptedOutputLayer output
                ? output.frozen()
                : layer instanceof RetentionOutputLayer output ? output.frozen() : null;
    }

    static boolean isAdapted(MultiLayerNetwork network) {
        return layers(network.getLayerWiseConfigurations()).values().stream().anyMatch(AdaptedNetworks::hasAdapters);
    }

    static boolean isAdapted(ComputationGraph graph) {
        return layers(graph).values().stream().anyMatch(AdaptedNetworks::hasAdapters);
    }

    static FrozenBase requireBase(MultiLayerNetwork adapted) {
        return requireBase(layers(adapted.getLayerWiseConfigurations()));
    }

    static FrozenBase requireBase(ComputationGraph adapted) {
        return requireBase(layers(adapted));
    }

    private static FrozenBase requireBase(Map<String, Layer> layers) {
        for (Layer layer : layers.values()) {
            if (layer instanceof LowRankLayer adapted) {
                return adapted.base();
            }
            FrozenProjection frozen = projection(layer);
            if (frozen != null) {
                return frozen.held();
            }
        }
        throw new IllegalArgumentException("adapted: expected a network with low-rank adapters, got one without");
    }

    static void requireSame(FrozenBase of, FrozenBase given) {
        if (!of.sha256().equals(given.sha256())) {
            throw new IllegalStateException("base: expected the network with SHA-256 " + of.sha256()
                    + ", which the adapters belong to, got " + given.sha256());
        }
    }

    /** The adapters of a layer, by the names of their weights. */
    private static Map<String, LowRank> adapters(Layer layer) {
        if (layer instanceof LowRankLayer adapted) {
            return adapted.adapters();
        }
        FrozenProjection frozen = projection(layer);
        return frozen == null || frozen.adapter() == null ? Map.of() : Map.of(OUTPUT_WEIGHT, frozen.adapter());
    }

    static MultiLayerNetwork merge(MultiLayerNetwork adapted) {
        MultiLayerNetwork merged = requireBase(adapted).copy();
        layers(adapted.getLayerWiseConfigurations()).forEach((place, layer) -> {
            int index = Integer.parseInt(place);
            add(
                    place,
                    layer,
                    adapted.getLayer(index).paramTable(),
                    merged.getLayer(index).paramTable());
        });
        return merged;
    }

    static ComputationGraph merge(ComputationGraph adapted) {
        FrozenBase base = requireBase(adapted);
        ComputationGraph shared = base.graph();
        ComputationGraph merged = new ComputationGraph(shared.getConfiguration());
        merged.init(shared.params().dup(), false);
        layers(adapted)
                .forEach((place, layer) -> add(
                        place,
                        layer,
                        adapted.getLayer(place).paramTable(),
                        merged.getLayer(place).paramTable()));
        return merged;
    }

    private static void add(
            String place, Layer layer, Map<String, INDArray> adapters, @Nullable Map<String, INDArray> weights) {
        adapters(layer).forEach((name, settings) -> {
            INDArray weight = weights == null ? null : weights.get(name);
            if (weight == null) {
                throw new IllegalArgumentException("adapted: expected an output layer \"" + place
                        + "\" with weights of its own, got the embedding's, which its adapter can't be merged into");
            }
            try (INDArray product = requireNonNull(adapters.get(name + LowRank.DOWN))
                    .mmul(requireNonNull(adapters.get(name + LowRank.UP)))) {
                weight.addi(product.muli(settings.scale()));
            }
        });
    }

    /** The adapters of a network, called by place and weight. */
    static Map<String, AdapterFolder.Adapter> adapters(MultiLayerNetwork adapted) {
        Map<String, AdapterFolder.Adapter> found = new LinkedHashMap<>();
        layers(adapted.getLayerWiseConfigurations())
                .forEach((place, layer) -> addAdapters(
                        found,
                        place,
                        layer,
                        adapted.getLayer(Integer.parseInt(place)).paramTable()));
        return found;
    }

    static Map<String, AdapterFolder.Adapter> adapters(ComputationGraph adapted) {
        Map<String, AdapterFolder.Adapter> found = new LinkedHashMap<>();
        layers(adapted)
                .forEach((place, layer) ->
                        addAdapters(found, place, layer, adapted.getLayer(place).paramTable()));
        return found;
    }

    private static void addAdapters(
            Map<String, AdapterFolder.Adapter> found, String place, Layer layer, Map<String, INDArray> table) {
        adapters(layer)
                .forEach((weight, settings) -> found.put(
                        place + "." + weight,
                        new AdapterFolder.Adapter(
                                settings,
                                requireNonNull(table.get(weight + LowRank.DOWN)),
                                requireNonNull(table.get(weight + LowRank.UP)))));
    }

    /** The weights of a network that can have adapters, by place and weight. */
    static Map<String, long[]> shapes(FrozenBase base) {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        Map<String, Layer> layers = layers(base.configuration());
        String last = Integer.toString(layers.size() - 1);
        layers.forEach((place, layer) -> addShapes(shapes, place, layer, place.equals(last)));
        return shapes;
    }

    static Map<String, long[]> shapes(ComputationGraph base) {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        layers(base)
                .forEach((place, layer) ->
                        addShapes(shapes, place, layer, base.getLayer(place) instanceof IOutputLayer));
        return shapes;
    }

    private static void addShapes(Map<String, long[]> shapes, String place, Layer layer, boolean isOutput) {
        Layer thawed = ThawedLayer.of(layer);
        if (isOutput && thawed instanceof BaseOutputLayer output) {
            shapes.put(place + "." + OUTPUT_WEIGHT, new long[] {output.getNIn(), output.getNOut()});
        } else {
            LowRankLayer.weights(thawed).forEach((weight, shape) -> shapes.put(place + "." + weight, shape));
        }
    }
}
