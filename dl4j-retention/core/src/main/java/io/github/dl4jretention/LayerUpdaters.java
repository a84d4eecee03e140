package io.github.dl4jretention;

import io.github.dl4jretention.loss.RetentionOutputLayer;
import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.samediff.AbstractSameDiffLayer;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.learning.config.IUpdater;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Sets updaters in layer configurations, wrapped layers included. */
final class LayerUpdaters {

    private static final Logger LOG = LoggerFactory.getLogger(LayerUpdaters.class);

    private LayerUpdaters() {}

    static void set(Layer layer, IUpdater updater) {
        if (layer instanceof FrozenLayer frozen) {
            set(frozen.getLayer(), updater);
        } else if (layer instanceof BaseWrapperLayer wrapper) {
            set(wrapper.getUnderlying(), updater);
        } else if (layer instanceof Bidirectional both) {
            set(both.getFwd(), updater);
            set(both.getBwd(), updater);
        } else if (layer instanceof BaseLayer base) {
            base.setIUpdater(updater.clone());
            base.setBiasUpdater(null);
        } else if (layer instanceof AbstractSameDiffLayer sameDiff) {
            sameDiff.setUpdater(updater.clone());
            sameDiff.setBiasUpdater(null);
        }
    }

    /** With iteration 0, the schedule of a student's coefficient begins again too. */
    static void startAnew(Layer layer) {
        if (layer instanceof RetentionOutputLayer head) {
            head.startAt(0, 0);
        }
    }

    /** An updater without state at a high iteration count, as after loading without it, makes first steps too long. */
    static void warnWithoutState(@Nullable Updater updater, int iterationCount) {
        if (iterationCount > 0 && updater == null) {
            LOG.warn(
                    "The network has been trained for {} iterations and comes without its updater: the first steps of Adam "
                            + "and its kind will be several times too long. Give it a fresh updater by Retention.withUpdater, or load it with its own.",
                    iterationCount);
        }
    }

    /** Whether there is state to copy. */
    static boolean hasState(@Nullable Updater updater) {
        return updater != null && updater.getStateViewArray() != null;
    }
}
