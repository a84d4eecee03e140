package io.github.dl4jretention.teacher;

import io.github.dl4jretention.internal.Configurations;
import io.github.dl4jretention.loss.RetentionLabels;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.graph.vertex.impl.FrozenVertex;
import org.deeplearning4j.nn.layers.samediff.SameDiffGraphVertex;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Log-probabilities of chosen outputs of a ComputationGraph, by retention layers in place of its output layers. */
record FrozenComputationGraph(ComputationGraph graph, String sha256, List<TeacherOutput> outputs)
        implements FrozenNetwork {

    static FrozenComputationGraph of(ComputationGraph pretrained, String... names) {
        return of(pretrained, NetworkIdentity.sha256(pretrained), slots -> LayerParameters.COPIED, names);
    }

    /** With parameters in half precision; the identity says so. Vertices that are no layers have copies. */
    static FrozenComputationGraph ofHalf(ComputationGraph pretrained, String... names) {
        return of(
                pretrained,
                HalfParameters.identity(NetworkIdentity.sha256(pretrained)),
                slots -> new HalfParameters(slots, pretrained.params()),
                names);
    }

    /** With the student's parameters in layers that are frozen in it. */
    static FrozenComputationGraph sharing(ComputationGraph pretrained, ComputationGraph student, String... names) {
        return of(
                pretrained,
                NetworkIdentity.sha256(pretrained),
                slots -> new SharedParameters(
                        LayerSlot.of(student.getConfiguration(), student), pretrained.params(), student.params()),
                names);
    }

    private static FrozenComputationGraph of(
            ComputationGraph pretrained,
            String identity,
            Function<List<LayerSlot>, LayerParameters> parameters,
            String... names) {
        List<String> all = pretrained.getConfiguration().getNetworkOutputs();
        List<TeacherOutput> outputs = SoftmaxOutput.require(pretrained, names).stream()
                .map(name -> new TeacherOutput(
                        name, all.indexOf(name), SoftmaxOutput.classAxis(SoftmaxOutput.require(pretrained, name))))
                .toList();
        ComputationGraphConfiguration conf = Configurations.copy(pretrained.getConfiguration());
        for (TeacherOutput output : outputs) {
            NeuralNetConfiguration layer = ((LayerVertex) conf.getVertices().get(output.name())).getLayerConf();
            layer.setLayer(FrozenNetwork.head((FeedForwardLayer) layer.getLayer()));
        }
        ComputationGraph graph = new ComputationGraph(conf);
        List<LayerSlot> slots = LayerSlot.of(conf, pretrained);
        graph.init(parameters.apply(slots).apply(slots, pretrained.params()), false);
        return new FrozenComputationGraph(graph, identity, outputs);
    }

    @Override
    public INDArray[] logProbabilities(INDArray[] features, INDArray[] featuresMasks, RetentionLabels... destinations) {
        for (int i = 0; i < outputs.size(); i++) {
            FrozenNetwork.runtime(graph.getLayer(outputs.get(i).name()))
                    .setDestination(destinations.length == 0 ? null : destinations[i]);
        }
        try {
            return graph.output(outputs.stream().map(TeacherOutput::name).toList(), false, features, featuresMasks);
        } finally {
            if (featuresMasks != null) {
                clearMasksOfVertices();
            }
        }
    }

    /** M2.1 clears masks of layers alone: an attention vertex would use these for the next batch without any. */
    private void clearMasksOfVertices() {
        for (GraphVertex vertex : graph.getVertices()) {
            if (vertex instanceof SameDiffGraphVertex || vertex instanceof FrozenVertex) {
                vertex.feedForwardMaskArrays(null, MaskState.Active, 0);
            }
        }
    }

    @Override
    public Map<String, INDArray> parameters() {
        return Map.of(PARAMS, graph.params());
    }
}
