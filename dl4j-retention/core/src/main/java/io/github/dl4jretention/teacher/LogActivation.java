package io.github.dl4jretention.teacher;

import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;

/** Makes an output layer give log-probabilities: no probability ever underflows, and none is computed. */
final class LogActivation {

    private LogActivation() {}

    /** The layer that stands in for an output layer, with parameters of the same shapes in the same places. */
    static RetentionOutputLayer replacing(FeedForwardLayer output) {
        return RetentionOutputLayer.replacing(
                output, RetentionConfiguration.builder().build(), null);
    }

    /** Switches the initialised layer over. */
    static void enter(Layer layer) {
        Layer output = layer instanceof BaseWrapperLayer placed ? placed.getUnderlying() : layer;
        ((RetentionOutputLayerRuntime) output).setLogActivation(true);
    }
}
