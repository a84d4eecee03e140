package io.github.dl4jretention.teacher;

import io.github.dl4jretention.internal.Configurations;
import io.github.dl4jretention.loss.RetentionLabels;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Log-probabilities of a MultiLayerNetwork, by a retention layer in place of its output layer. */
record FrozenMultiLayerNetwork(MultiLayerNetwork network, String sha256, List<TeacherOutput> outputs)
        implements FrozenNetwork {

    static FrozenMultiLayerNetwork of(MultiLayerNetwork pretrained) {
        return of(pretrained, NetworkIdentity.sha256(pretrained), slots -> LayerParameters.COPIED);
    }

    /** With parameters in half precision; the identity says so. */
    static FrozenMultiLayerNetwork ofHalf(MultiLayerNetwork pretrained) {
        return of(
                pretrained,
                HalfParameters.identity(NetworkIdentity.sha256(pretrained)),
                slots -> new HalfParameters(slots, pretrained.params()));
    }

    /** With the student's parameters in layers that are frozen in it. */
    static FrozenMultiLayerNetwork sharing(MultiLayerNetwork pretrained, MultiLayerNetwork student) {
        return of(
                pretrained,
                NetworkIdentity.sha256(pretrained),
                slots -> new SharedParameters(
                        LayerSlot.of(student.getLayerWiseConfigurations()), pretrained.params(), student.params()));
    }

    private static FrozenMultiLayerNetwork of(
            MultiLayerNetwork pretrained, String identity, Function<List<LayerSlot>, LayerParameters> parameters) {
        FeedForwardLayer output = SoftmaxOutput.require(pretrained);
        MultiLayerConfiguration conf = Configurations.copy(pretrained.getLayerWiseConfigurations());
        conf.getConf(pretrained.getnLayers() - 1).setLayer(FrozenNetwork.head(output));
        MultiLayerNetwork network = new MultiLayerNetwork(conf);
        List<LayerSlot> slots = LayerSlot.of(conf);
        network.init(parameters.apply(slots).apply(slots, pretrained.params()), false);
        return new FrozenMultiLayerNetwork(
                network, identity, List.of(new TeacherOutput("output", 0, SoftmaxOutput.classAxis(output))));
    }

    @Override
    public INDArray[] logProbabilities(INDArray[] features, INDArray[] featuresMasks, RetentionLabels... destinations) {
        INDArray mask = featuresMasks == null ? null : featuresMasks[0];
        RetentionOutputLayerRuntime head = FrozenNetwork.runtime(network.getOutputLayer());
        head.setDestination(destinations.length == 0 ? null : destinations[0]);
        return new INDArray[] {network.output(features[0], false, mask, null)};
    }

    @Override
    public Map<String, INDArray> parameters() {
        return Map.of(PARAMS, network.params());
    }
}
