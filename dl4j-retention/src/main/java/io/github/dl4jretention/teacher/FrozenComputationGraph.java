package io.github.dl4jretention.teacher;

import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Log-probabilities of chosen outputs of a ComputationGraph, by retention layers in place of its output layers. */
record FrozenComputationGraph(ComputationGraph graph, String sha256, List<TeacherOutput> outputs)
        implements FrozenNetwork {

    static FrozenComputationGraph of(ComputationGraph pretrained, String... names) {
        List<String> all = pretrained.getConfiguration().getNetworkOutputs();
        List<TeacherOutput> outputs = SoftmaxOutput.require(pretrained, names).stream()
                .map(name -> new TeacherOutput(
                        name, all.indexOf(name), SoftmaxOutput.classAxis(SoftmaxOutput.require(pretrained, name))))
                .toList();
        ComputationGraphConfiguration conf = ComputationGraphConfiguration.fromJson(
                pretrained.getConfiguration().toJson());
        for (TeacherOutput output : outputs) {
            NeuralNetConfiguration layer = ((LayerVertex) conf.getVertices().get(output.name())).getLayerConf();
            layer.setLayer(LogActivation.replacing((FeedForwardLayer) layer.getLayer()));
        }
        ComputationGraph graph = new ComputationGraph(conf);
        graph.init(pretrained.params().dup(), false);
        outputs.forEach(output -> LogActivation.enter(graph.getLayer(output.name())));
        return new FrozenComputationGraph(graph, NetworkIdentity.sha256(pretrained), outputs);
    }

    @Override
    public INDArray[] logProbabilities(INDArray[] features, INDArray[] featuresMasks) {
        INDArray[] all = graph.output(false, features, featuresMasks, null);
        return outputs.stream().map(output -> all[output.index()]).toArray(INDArray[]::new);
    }

    @Override
    public Map<String, INDArray> parameters() {
        return Map.of(PARAMS, graph.params());
    }
}
