package io.github.dl4jretention.teacher;

import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.impl.ActivationSoftmax;
import org.nd4j.linalg.lossfunctions.ILossFunction;
import org.nd4j.linalg.lossfunctions.impl.LossMCXENT;

/** Which networks a teacher can be made of and retention attached to: those that end in softmax cross-entropy. */
public final class SoftmaxOutput {

    private SoftmaxOutput() {}

    /**
     * The network's last layer, which is an {@link OutputLayer} or an {@link RnnOutputLayer} with softmax and MCXENT,
     * NEGATIVELOGLIKELIHOOD or SPARSE_MCXENT, without class weights and without weight noise.
     *
     * @throws IllegalArgumentException if it is not; the message names the layer and what was expected
     */
    public static BaseOutputLayer require(MultiLayerNetwork network) {
        int index = network.getnLayers() - 1;
        Layer layer = network.getLayerWiseConfigurations().getConf(index).getLayer();
        String found = layer.getClass().getSimpleName() + " \"" + layer.getLayerName() + "\" (index " + index + ")";
        if (layer.getClass() != OutputLayer.class && layer.getClass() != RnnOutputLayer.class) {
            throw refused(found, "");
        }
        BaseOutputLayer output = (BaseOutputLayer) layer;
        if (!(output.getActivationFn() instanceof ActivationSoftmax)) {
            throw refused(found, " with activation " + output.getActivationFn());
        }
        ILossFunction loss = output.getLossFn();
        if (!(loss instanceof LossMCXENT crossEntropy)) {
            throw refused(found, " with loss " + loss);
        }
        if (crossEntropy.getWeights() != null) {
            throw refused(found, " with class weights");
        }
        if (output.getWeightNoise() != null) {
            throw refused(found, " with weight noise");
        }
        return output;
    }

    private static IllegalArgumentException refused(String layer, String property) {
        return new IllegalArgumentException(
                "model: expected a last layer OutputLayer or RnnOutputLayer with activation "
                        + "softmax and loss MCXENT, NEGATIVELOGLIKELIHOOD or SPARSE_MCXENT, without class weights or weight "
                        + "noise, got " + layer + property);
    }
}
