package io.github.dl4jretention.teacher;

import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Log-probabilities of a MultiLayerNetwork, by a retention layer in place of its output layer. */
record FrozenMultiLayerNetwork(MultiLayerNetwork network, String sha256, List<TeacherOutput> outputs)
        implements FrozenNetwork {

    static FrozenMultiLayerNetwork of(MultiLayerNetwork pretrained) {
        FeedForwardLayer output = SoftmaxOutput.require(pretrained);
        MultiLayerConfiguration conf = MultiLayerConfiguration.fromJson(
                pretrained.getLayerWiseConfigurations().toJson());
        conf.getConf(pretrained.getnLayers() - 1).setLayer(LogActivation.replacing(output));
        MultiLayerNetwork network = new MultiLayerNetwork(conf);
        network.init(pretrained.params().dup(), false);
        LogActivation.enter(network.getOutputLayer());
        return new FrozenMultiLayerNetwork(
                network,
                NetworkIdentity.sha256(pretrained),
                List.of(new TeacherOutput("output", 0, SoftmaxOutput.classAxis(output))));
    }

    @Override
    public INDArray[] logProbabilities(INDArray[] features, INDArray[] featuresMasks) {
        INDArray mask = featuresMasks == null ? null : featuresMasks[0];
        return new INDArray[] {network.output(features[0], false, mask, null)};
    }

    @Override
    public Map<String, INDArray> parameters() {
        return Map.of(PARAMS, network.params());
    }
}
