package io.github.dl4jretention.baseline;

import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.RnnLossLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.nd4j.linalg.lossfunctions.impl.LossMCXENT;

/** Makes configurations that compute gradients as a network in inference mode would. */
final class InferenceConfiguration {

    private InferenceConfiguration() {}

    /**
     * Turns dropout and weight noise off, inside of wrappers too.
     *
     * @throws IllegalArgumentException for batch normalisation, which in a gradient pass normalises by the single example
     */
    static void apply(Layer layer) {
        if (layer instanceof BatchNormalization) {
            throw new IllegalArgumentException(
                    "model: expected one without batch normalisation, whose gradient of a single example is not that of "
                            + "inference, got layer \"" + layer.getLayerName() + "\"");
        }
        layer.setIDropout(null);
        if (layer instanceof FrozenLayer frozen) {
            apply(frozen.getLayer());
        } else if (layer instanceof BaseWrapperLayer wrapper) {
            apply(wrapper.getUnderlying());
        } else if (layer instanceof Bidirectional both) {
            apply(both.getFwd());
            apply(both.getBwd());
        } else if (layer instanceof BaseLayer base) {
            base.setWeightNoise(null);
        }
    }

    static void apply(GraphVertex vertex) {
        if (vertex instanceof LayerVertex layer) {
            apply(layer.getLayerConf().getLayer());
        }
    }

    /** One-hot or other distributions as labels, where the layer took class ids. */
    static void takeDistributions(Layer layer) {
        if (layer instanceof BaseOutputLayer output) {
            output.setLossFn(new LossMCXENT());
        } else if (layer instanceof LossLayer output) {
            output.setLossFn(new LossMCXENT());
        } else if (layer instanceof RnnLossLayer output) {
            output.setLossFn(new LossMCXENT());
        }
    }
}
