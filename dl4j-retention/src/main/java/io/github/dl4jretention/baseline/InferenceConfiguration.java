package io.github.dl4jretention.baseline;

import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.FrozenVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.RnnLossLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.nd4j.linalg.lossfunctions.impl.LossMCXENT;

/** Makes configurations that compute gradients as a network in inference mode would. */
final class InferenceConfiguration {

    private InferenceConfiguration() {}

    /**
     * Turns dropout and weight noise off and thaws what is frozen, inside of wrappers too.
     *
     * @param layer changed
     * @return the layer, or what is in it if it is frozen
     * @throws IllegalArgumentException for batch normalisation, which in a gradient pass normalises by the single
     *     example
     */
    static Layer of(Layer layer) {
        if (layer instanceof BatchNormalization) {
            throw new IllegalArgumentException(
                    "model: expected one without batch normalisation, whose gradient of a single example is not that of "
                            + "inference, got layer \"" + layer.getLayerName() + "\"");
        }
        if (layer instanceof FrozenLayer frozen) {
            return of(frozen.getLayer());
        }
        if (layer instanceof FrozenLayerWithBackprop frozen) {
            return of(frozen.getUnderlying());
        }
        layer.setIDropout(null);
        if (layer instanceof BaseWrapperLayer wrapper) {
            wrapper.setUnderlying(of(wrapper.getUnderlying()));
        } else if (layer instanceof Bidirectional both) {
            of(both.getFwd());
            of(both.getBwd());
        } else if (layer instanceof BaseLayer base) {
            base.setWeightNoise(null);
        }
        return layer;
    }

    /** As of a layer. */
    static GraphVertex of(GraphVertex vertex) {
        if (vertex instanceof FrozenVertex frozen) {
            return of(frozen.getUnderlying());
        }
        if (vertex instanceof LayerVertex layer) {
            NeuralNetConfiguration conf = layer.getLayerConf();
            conf.setLayer(of(conf.getLayer()));
        }
        return vertex;
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
