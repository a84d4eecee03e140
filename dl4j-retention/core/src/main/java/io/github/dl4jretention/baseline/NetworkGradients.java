package io.github.dl4jretention.baseline;

import io.github.dl4jretention.internal.Configurations;
import io.github.dl4jretention.internal.EmbeddedIds;
import io.github.dl4jretention.teacher.SoftmaxOutput;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;

/** Of a copy of a MultiLayerNetwork. */
final class NetworkGradients implements ExampleGradients {

    private final MultiLayerNetwork network;
    private final EmbeddedIds ids;
    private final int classAxis;

    /** @param ownLabels whether labels will be given in place of the examples' */
    NetworkGradients(MultiLayerNetwork original, boolean ownLabels) {
        MultiLayerConfiguration conf = Configurations.copy(original.getLayerWiseConfigurations());
        for (int i = 0; i < conf.getConfs().size(); i++) {
            NeuralNetConfiguration layer = conf.getConf(i);
            layer.setLayer(InferenceConfiguration.of(layer.getLayer()));
        }
        conf.setBackpropType(BackpropType.Standard);
        int axis = 1;
        if (ownLabels) {
            FeedForwardLayer output = SoftmaxOutput.require(original);
            axis = SoftmaxOutput.classAxis(output);
            Layer last = conf.getConf(conf.getConfs().size() - 1).getLayer();
            InferenceConfiguration.takeDistributions(last);
        }
        classAxis = axis;
        ids = EmbeddedIds.of(conf);
        network = new MultiLayerNetwork(conf);
        network.init(original.params().dup(), false);
    }

    @Override
    public Map<String, INDArray> parameters() {
        return ParameterArrays.of(network);
    }

    @Override
    public INDArray[] probabilities(MultiDataSet example) {
        return new INDArray[] {network.output(example.getFeatures(0), false, example.getFeaturesMaskArray(0), null)};
    }

    @Override
    public int classAxis(int output, int rank) {
        return rank == 2 ? 1 : classAxis;
    }

    @Override
    public Map<String, INDArray> gradients(MultiDataSet example, @Nullable List<INDArray> labels) {
        ids.require(example.getFeatures(), example.getFeaturesMaskArrays());
        network.setInput(example.getFeatures(0));
        network.setLabels(labels == null ? example.getLabels(0) : labels.get(0));
        network.setLayerMaskArrays(example.getFeaturesMaskArray(0), example.getLabelsMaskArray(0));
        network.computeGradientAndScore();
        network.clearLayerMaskArrays();
        INDArray gradient = network.getGradientsViewArray();
        return Map.of(ParameterArrays.PARAMS, gradient.reshape(gradient.length()));
    }
}
