package io.github.dl4jretention;

import io.github.dl4jretention.internal.Configurations;
import io.github.dl4jretention.internal.HeldBatchNormalization;
import io.github.dl4jretention.internal.RetentionLayers;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.teacher.NetworkIdentity;
import io.github.dl4jretention.teacher.SoftmaxOutput;
import java.util.List;
import java.util.Objects;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.updater.graph.ComputationGraphUpdater;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.learning.config.IUpdater;

/** {@link Retention} of ComputationGraphs. */
final class GraphRetention {

    private GraphRetention() {}

    /** @param teacher SHA-256; null for the pretrained graph's own */
    static ComputationGraph attach(
            ComputationGraph pretrained,
            RetentionConfiguration configuration,
            @Nullable String teacher,
            String... outputs) {
        Objects.requireNonNull(configuration, "configuration");
        List<String> names = SoftmaxOutput.require(pretrained, outputs);
        LayerUpdaters.warnWithoutState(pretrained.getUpdater(false), pretrained.getIterationCount());
        String identity = teacher == null ? NetworkIdentity.sha256(pretrained) : teacher;
        ComputationGraphConfiguration conf = Configurations.copy(pretrained.getConfiguration());
        for (String name : names) {
            NeuralNetConfiguration output = layerConf(conf, name);
            RetentionOutputLayer head =
                    RetentionOutputLayer.replacing((FeedForwardLayer) output.getLayer(), configuration, identity);
            head.startAt(pretrained.getIterationCount(), pretrained.getEpochCount());
            output.setLayer(head);
        }
        HeldBatchNormalization.hold(conf);
        return copyOf(pretrained, conf, true);
    }

    static ComputationGraph detach(ComputationGraph student) {
        ComputationGraphConfiguration conf = Configurations.copy(student.getConfiguration());
        for (String name : RetentionLayers.of(student).keySet()) {
            NeuralNetConfiguration output = layerConf(conf, name);
            output.setLayer(((RetentionOutputLayer) output.getLayer()).toStockLayer());
        }
        HeldBatchNormalization.release(conf);
        return copyOf(student, conf, true);
    }

    static ComputationGraph withUpdater(ComputationGraph graph, IUpdater updater) {
        ComputationGraphConfiguration conf = Configurations.copy(graph.getConfiguration());
        conf.setIterationCount(0);
        conf.setEpochCount(0);
        conf.getVertices().values().forEach(vertex -> {
            if (vertex instanceof LayerVertex layer) {
                LayerUpdaters.set(layer.getLayerConf().getLayer(), updater);
                LayerUpdaters.startAnew(layer.getLayerConf().getLayer());
            } else if (vertex instanceof SameDiffVertex sameDiff) {
                sameDiff.setUpdater(updater.clone());
                sameDiff.setBiasUpdater(null);
            }
        });
        return copyOf(graph, conf, false);
    }

    private static NeuralNetConfiguration layerConf(ComputationGraphConfiguration conf, String output) {
        LayerVertex vertex =
                (LayerVertex) Objects.requireNonNull(conf.getVertices().get(output), output);
        return vertex.getLayerConf();
    }

    private static ComputationGraph copyOf(
            ComputationGraph source, ComputationGraphConfiguration conf, boolean withUpdaterState) {
        ComputationGraph copy = new ComputationGraph(conf);
        copy.init(source.params().dup(), false);
        ComputationGraphUpdater updater = source.getUpdater(false);
        if (withUpdaterState && LayerUpdaters.hasState(updater)) {
            copy.getUpdater().setStateViewArray(updater.getStateViewArray());
        }
        return copy;
    }
}
