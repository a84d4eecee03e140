package io.github.dl4jretention.teacher;

import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionLabels;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * A copy of a network that is only ever asked for its log-probabilities. Implementations are not safe for several
 * threads.
 */
interface FrozenNetwork {

    /** The one name under which networks have all their parameters in one vector. */
    String PARAMS = "params";

    /** SHA-256 of the network that was copied, see {@link NetworkIdentity}. */
    String sha256();

    /** The outputs that log-probabilities are given for. */
    List<TeacherOutput> outputs();

    /**
     * Log-probabilities in inference mode, one array for each output; FLOAT for HALF networks.
     *
     * @param destinations labels that they are written into, one for each output; none to make arrays
     */
    INDArray[] logProbabilities(INDArray[] features, INDArray[] featuresMasks, RetentionLabels... destinations);

    /** The layer that stands in for an output layer, with parameters of the same shapes in the same places. */
    static RetentionOutputLayer head(FeedForwardLayer output) {
        return RetentionOutputLayer.replacing(
                output, RetentionConfiguration.builder().build(), null);
    }

    /** What computes the head's log-probabilities: no probability ever underflows, and none is computed. */
    static RetentionOutputLayerRuntime runtime(Layer layer) {
        Layer head = layer instanceof BaseWrapperLayer placed ? placed.getUnderlying() : layer;
        ((RetentionOutputLayerRuntime) head).setLogActivation(true);
        return (RetentionOutputLayerRuntime) head;
    }

    /** The copy's own parameter arrays by name, in a fixed order: one vector "params", or the variables of a graph. */
    Map<String, INDArray> parameters();
}
