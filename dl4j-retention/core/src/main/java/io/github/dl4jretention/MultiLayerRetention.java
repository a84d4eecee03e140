package io.github.dl4jretention;

import io.github.dl4jretention.internal.Configurations;
import io.github.dl4jretention.internal.DetachedNetwork;
import io.github.dl4jretention.internal.HeldBatchNormalization;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.teacher.NetworkIdentity;
import io.github.dl4jretention.teacher.SoftmaxOutput;
import java.util.Objects;
import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.learning.config.IUpdater;

/** {@link Retention} of MultiLayerNetworks. */
final class MultiLayerRetention {

    private MultiLayerRetention() {}

    /** @param teacher SHA-256; null for the pretrained network's own */
    static MultiLayerNetwork attach(
            MultiLayerNetwork pretrained, RetentionConfiguration configuration, @Nullable String teacher) {
        Objects.requireNonNull(configuration, "configuration");
        SoftmaxOutput.require(pretrained);
        if (pretrained.numParams() == 0) {
            throw new IllegalArgumentException(
                    "pretrained: expected parameters that can be trained, got a network whose"
                            + " weights are all frozen; give it adapters first, by LowRankAdapters.attach");
        }
        LayerUpdaters.warnWithoutState(pretrained.getUpdater(false), pretrained.getIterationCount());
        String identity = teacher == null ? NetworkIdentity.sha256(pretrained) : teacher;
        MultiLayerConfiguration conf = Configurations.copy(pretrained.getLayerWiseConfigurations());
        NeuralNetConfiguration last = conf.getConf(pretrained.getnLayers() - 1);
        RetentionOutputLayer head =
                RetentionOutputLayer.replacing((FeedForwardLayer) last.getLayer(), configuration, identity);
        head.startAt(pretrained.getIterationCount(), pretrained.getEpochCount());
        last.setLayer(head);
        HeldBatchNormalization.hold(conf);
        return copyOf(pretrained, conf, true);
    }

    static MultiLayerNetwork detach(MultiLayerNetwork student) {
        return copyOf(student, DetachedNetwork.configuration(student), true);
    }

    static MultiLayerNetwork withUpdater(MultiLayerNetwork network, IUpdater updater) {
        MultiLayerConfiguration conf = Configurations.copy(network.getLayerWiseConfigurations());
        conf.setIterationCount(0);
        conf.setEpochCount(0);
        for (int i = 0; i < network.getnLayers(); i++) {
            LayerUpdaters.set(conf.getConf(i).getLayer(), updater);
            LayerUpdaters.startAnew(conf.getConf(i).getLayer());
        }
        return copyOf(network, conf, false);
    }

    private static MultiLayerNetwork copyOf(
            MultiLayerNetwork source, MultiLayerConfiguration conf, boolean withUpdaterState) {
        MultiLayerNetwork copy = new MultiLayerNetwork(conf);
        copy.init(source.params().dup(), false);
        Updater updater = source.getUpdater(false);
        if (withUpdaterState && LayerUpdaters.hasState(updater)) {
            copy.getUpdater().setStateViewArray(copy, updater.getStateViewArray(), false);
        }
        return copy;
    }
}
