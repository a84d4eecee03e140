package io.github.dl4jretention;

import io.github.dl4jretention.loss.RetentionOutputLayer;
import java.util.Map;
import java.util.TreeMap;
import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.samediff.AbstractSameDiffLayer;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.schedule.MapSchedule;
import org.nd4j.linalg.schedule.ScheduleType;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Sets updaters in layer configurations, wrapped layers included. */
final class LayerUpdaters {

    private static final Logger LOG = LoggerFactory.getLogger(LayerUpdaters.class);

    private static final int WARM_UP_LEVELS = 100;

    /** An iteration or epoch that no training comes to. */
    private static final int FAR = 1_000_000_000;

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

    /**
     * A copy of an updater whose learning rate rises to its own. A MapSchedule, since DL4J can't read a RampSchedule back
     * from JSON.
     */
    static IUpdater warmedUp(IUpdater updater, int steps) {
        if (steps < 0) {
            throw new IllegalArgumentException("warmUp: expected at least 0 steps, got " + steps);
        }
        if (steps == 0) {
            return updater;
        }
        double rate = updater.hasLearningRate() ? updater.getLearningRate(0, 0) : Double.NaN;
        if (!(rate > 0)
                || rate != updater.getLearningRate(steps, 0)
                || rate != updater.getLearningRate(FAR, 0)
                || rate != updater.getLearningRate(0, FAR)) {
            throw new IllegalArgumentException("updater: expected one with a constant learning rate above 0, got "
                    + updater + "; put the warm-up into its schedule");
        }
        int levels = Math.min(steps, WARM_UP_LEVELS);
        Map<Integer, Double> rates = new TreeMap<>();
        for (int level = 0; level < levels; level++) {
            rates.put((int) ((long) level * steps / levels), rate * (level + 1) / levels);
        }
        IUpdater warmed = updater.clone();
        warmed.setLrAndSchedule(rate, new MapSchedule(ScheduleType.ITERATION, rates));
        return warmed;
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
