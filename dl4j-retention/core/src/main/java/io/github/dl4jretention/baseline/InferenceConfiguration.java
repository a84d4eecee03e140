package io.github.dl4jretention.baseline;

import io.github.dl4jretention.internal.ThawedLayer;
import io.github.dl4jretention.loss.RetentionOutputLayer;
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
     *     example, and for a retention layer, whose loss has the divergence too
     */
    static Layer of(Layer layer) {
        if (layer instanceof BatchNormalization) {
            throw new IllegalArgumentException(
                    "model: expected one without batch normalisation, whose gradient of a single example is not that of "
                            + "inference, got layer \"" + layer.getLayerName() + "\"");
        }
        if (layer instanceof RetentionOutputLayer) {
            throw new IllegalArgumentException("model: expected a network without retention, got the student's "
                    + layer.getClass().getSimpleName() + " \"" + layer.getLayerName()
                    + "\"; take the pretrained network, or Retention.detach");
        }
        Layer thawed = ThawedLayer.of(layer);
        if (thawed != layer) {
            return of(thawed);
        }
        layer.setIDropout(null);
        if (layer instanceof BaseWrapperLayer wrapper) {
            wrapper.setUnderlying(of(wrapper.getUnderlying()));
        } else if (layer instanceof Bidirectional both) {
            both.setFwd(of(both.getFwd()));
            both.setBwd(of(both.getBwd()));
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
