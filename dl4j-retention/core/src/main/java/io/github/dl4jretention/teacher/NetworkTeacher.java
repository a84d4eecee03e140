package io.github.dl4jretention.teacher;

import io.github.dl4jretention.internal.Configurations;
import io.github.dl4jretention.internal.EmbeddedIds;
import io.github.dl4jretention.loss.LabelArrays;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionLabels;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.graph.vertex.impl.FrozenVertex;
import org.deeplearning4j.nn.layers.samediff.SameDiffGraphVertex;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;

/**
 * One frozen network. A retention layer stands in for each of its output layers and gives log-probabilities: no
 * probability ever underflows, and none is computed.
 */
class NetworkTeacher extends Teacher {

    /** The one name under which networks have all their parameters in one vector. */
    static final String PARAMS = "params";

    private final Object model;
    private final String sha256;
    private final List<TeacherOutput> outputs;
    private final Map<String, INDArray> parameters;
    private final Network network;
    private final Runnable free;
    private boolean closed;

    /** A copy of a network that's only ever asked for its log-probabilities, by one thread at a time. */
    interface Network {

        /**
         * Log-probabilities in inference mode, one array for each output; FLOAT for HALF networks.
         *
         * @param destinations labels that they're written into, one for each output; none to make arrays
         */
        INDArray[] logProbabilities(
                INDArray[] features, INDArray @Nullable [] featuresMasks, RetentionLabels... destinations);
    }

    /**
     * @param model      the frozen copy, which its users lock
     * @param sha256     of the network that was copied
     * @param parameters the copy's own arrays by name, in a fixed order
     * @param network    asks the copy
     * @param free       frees the copy
     */
    NetworkTeacher(
            Object model,
            String sha256,
            List<TeacherOutput> outputs,
            Map<String, INDArray> parameters,
            Network network,
            Runnable free) {
        this.model = model;
        this.sha256 = sha256;
        this.outputs = outputs;
        this.parameters = parameters;
        this.network = network;
        this.free = free;
    }

    /** A teacher of the same network. */
    NetworkTeacher(NetworkTeacher other) {
        this(other.model, other.sha256, other.outputs, other.parameters, other.network, other.free);
    }

    /** @param parameters says where the copy's layers have theirs */
    static NetworkTeacher of(MultiLayerNetwork pretrained, Function<List<LayerSlot>, LayerParameters> parameters) {
        FeedForwardLayer output = SoftmaxOutput.require(pretrained);
        MultiLayerConfiguration conf = Configurations.copy(pretrained.getLayerWiseConfigurations());
        conf.getConf(pretrained.getnLayers() - 1).setLayer(head(output));
        MultiLayerNetwork copy = new MultiLayerNetwork(conf);
        List<LayerSlot> slots = LayerSlot.of(conf);
        LayerParameters places = parameters.apply(slots);
        copy.init(places.apply(slots, pretrained.params()), false);
        EmbeddedIds ids = EmbeddedIds.of(conf);
        return new NetworkTeacher(
                copy,
                places.identity(NetworkIdentity.sha256(pretrained)),
                List.of(new TeacherOutput("output", 0, SoftmaxOutput.classAxis(output))),
                Map.of(PARAMS, copy.params()),
                (features, featuresMasks, destinations) -> {
                    ids.require(features, featuresMasks);
                    write(copy.getOutputLayer(), destinations, 0);
                    INDArray mask = featuresMasks == null ? null : featuresMasks[0];
                    return new INDArray[] {copy.output(features[0], false, mask, null)};
                },
                () -> free(copy.params(), places));
    }

    /** @param parameters says where the copy's layers have theirs; vertices that are no layers have copies */
    static NetworkTeacher of(
            ComputationGraph pretrained, Function<List<LayerSlot>, LayerParameters> parameters, String... names) {
        List<String> all = pretrained.getConfiguration().getNetworkOutputs();
        List<TeacherOutput> outputs = SoftmaxOutput.require(pretrained, names).stream()
                .map(name -> new TeacherOutput(
                        name, all.indexOf(name), SoftmaxOutput.classAxis(SoftmaxOutput.require(pretrained, name))))
                .toList();
        ComputationGraphConfiguration conf = Configurations.copy(pretrained.getConfiguration());
        for (TeacherOutput output : outputs) {
            LayerVertex vertex =
                    (LayerVertex) Objects.requireNonNull(conf.getVertices().get(output.name()));
            NeuralNetConfiguration layer = vertex.getLayerConf();
            layer.setLayer(head((FeedForwardLayer) layer.getLayer()));
        }
        ComputationGraph copy = new ComputationGraph(conf);
        List<LayerSlot> slots = LayerSlot.of(conf, pretrained);
        LayerParameters places = parameters.apply(slots);
        copy.init(places.apply(slots, pretrained.params()), false);
        EmbeddedIds ids = EmbeddedIds.of(conf);
        return new NetworkTeacher(
                copy,
                places.identity(NetworkIdentity.sha256(pretrained)),
                outputs,
                Map.of(PARAMS, copy.params()),
                (features, featuresMasks, destinations) -> {
                    ids.require(features, featuresMasks);
                    return ofGraph(copy, outputs, features, featuresMasks, destinations);
                },
                () -> free(copy.params(), places));
    }

    private static void free(INDArray copied, LayerParameters places) {
        if (copied != null && !copied.isEmpty()) {
            LabelArrays.release(copied);
        }
        places.close();
    }

    private static INDArray[] ofGraph(
            ComputationGraph copy,
            List<TeacherOutput> outputs,
            INDArray[] features,
            INDArray @Nullable [] featuresMasks,
            RetentionLabels... destinations) {
        for (int i = 0; i < outputs.size(); i++) {
            write(copy.getLayer(outputs.get(i).name()), destinations, i);
        }
        try {
            return copy.output(outputs.stream().map(TeacherOutput::name).toList(), false, features, featuresMasks);
        } finally {
            if (featuresMasks != null) {
                clearMasksOfVertices(copy);
            }
        }
    }

    /** M2.1 clears masks of layers alone: an attention vertex would use these for the next batch without any. */
    private static void clearMasksOfVertices(ComputationGraph graph) {
        for (GraphVertex vertex : graph.getVertices()) {
            if (vertex instanceof SameDiffGraphVertex || vertex instanceof FrozenVertex) {
                vertex.feedForwardMaskArrays(null, MaskState.Active, 0);
            }
        }
    }

    /** The layer that stands in for an output layer, with parameters of the same shapes in the same places. */
    private static RetentionOutputLayer head(FeedForwardLayer output) {
        return RetentionOutputLayer.replacing(
                output, RetentionConfiguration.builder().build(), null);
    }

    /** Has a head write log-probabilities into the labels of its output, if there are any. */
    private static void write(Layer layer, RetentionLabels[] destinations, int output) {
        Layer unplaced = layer instanceof BaseWrapperLayer placed ? placed.getUnderlying() : layer;
        ((RetentionOutputLayerRuntime) unplaced)
                .giveLogProbabilities(destinations.length == 0 ? null : destinations[output]);
    }

    Object model() {
        return model;
    }

    Map<String, INDArray> parameters() {
        return parameters;
    }

    @Override
    public String sha256() {
        return sha256;
    }

    @Override
    public boolean isFrozen() {
        return true;
    }

    @Override
    public List<TeacherOutput> outputs() {
        return outputs;
    }

    @Override
    public INDArray[] logProbabilities(INDArray[] features, INDArray @Nullable [] featuresMasks) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            return ask(features, featuresMasks);
        }
    }

    /** The network's heads write straight into the labels. */
    @Override
    protected void teach(MultiDataSet batch, RetentionLabels[] labels) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            ask(batch.getFeatures(), batch.getFeaturesMaskArrays(), labels);
            for (RetentionLabels written : labels) {
                if (!written.isFinite()) {
                    throw notFinite(batch.getFeatures());
                }
            }
        }
    }

    private static IllegalArgumentException notFinite(INDArray[] features) {
        return new IllegalArgumentException(
                "features: expected finite numbers, the teacher's logits are not finite for features of shapes "
                        + Arrays.stream(features)
                                .map(array -> Arrays.toString(array.shape()))
                                .toList());
    }

    private INDArray[] ask(INDArray[] features, INDArray @Nullable [] featuresMasks, RetentionLabels... destinations) {
        synchronized (model) {
            requireOpen();
            try {
                return network.logProbabilities(features, featuresMasks, destinations);
            } catch (IllegalArgumentException | ChangedParametersException e) {
                throw e;
            } catch (RuntimeException e) {
                throw new IllegalArgumentException(
                        "features: expected what the teacher's network takes, got " + TaughtBatches.shapes(features)
                                + ": " + e.getMessage(),
                        e);
            }
        }
    }

    /** @throws IllegalStateException if the teacher is closed */
    void requireOpen() {
        if (closed) {
            throw new IllegalStateException(
                    "teacher: expected one that is open, it was closed; close a teacher after its last batch");
        }
    }

    @Override
    public void close() {
        synchronized (model) {
            if (!closed) {
                closed = true;
                free.run();
            }
        }
    }
}
