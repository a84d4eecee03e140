package io.github.dl4jretention.sweep.task;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.sweep.SweepTexts;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.GradientNormalization;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.constraint.MaxNormConstraint;
import org.deeplearning4j.nn.conf.dropout.Dropout;
import org.deeplearning4j.nn.conf.graph.FrozenVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.weightnoise.DropConnect;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.learning.regularization.L1Regularization;
import org.nd4j.linalg.learning.regularization.L2Regularization;
import org.nd4j.linalg.learning.regularization.Regularization;
import org.nd4j.linalg.learning.regularization.WeightDecay;
import org.nd4j.linalg.lossfunctions.impl.LossMSE;

class ModelSettingsTest {

    private static final DataType TYPE = DataType.DOUBLE;

    @TempDir
    private Path folder;

    /** The same weights with another configuration. */
    private static MultiLayerNetwork changed(Consumer<MultiLayerConfiguration> change) {
        MultiLayerNetwork network = Networks.lstm(TYPE, 1);
        MultiLayerConfiguration conf = MultiLayerConfiguration.fromJson(
                network.getLayerWiseConfigurations().toJson());
        change.accept(conf);
        MultiLayerNetwork copy = new MultiLayerNetwork(conf);
        copy.init(network.params().dup(), false);
        return copy;
    }

    private static MultiLayerNetwork regularized(Regularization regularization) {
        return changed(conf -> base(conf).getRegularization().add(regularization));
    }

    private static BaseLayer base(MultiLayerConfiguration conf) {
        return (BaseLayer) conf.getConf(0).getLayer();
    }

    private static Map<String, MultiLayerNetwork> trainedInAnotherWay() {
        Map<String, MultiLayerNetwork> others = new LinkedHashMap<>();
        others.put("dropout", changed(conf -> base(conf).setIDropout(new Dropout(0.5))));
        others.put("weight noise", changed(conf -> base(conf).setWeightNoise(new DropConnect(0.5))));
        others.put("l1", regularized(new L1Regularization(0.1)));
        others.put("l2", regularized(new L2Regularization(0.1)));
        others.put("weight decay", regularized(new WeightDecay(0.1, true)));
        others.put("constraint", changed(conf -> base(conf).setConstraints(List.of(new MaxNormConstraint(1, 1)))));
        others.put("gradient normalization", changed(conf -> base(conf)
                .setGradientNormalization(GradientNormalization.ClipL2PerLayer)));
        others.put("truncated backpropagation", changed(conf -> conf.setBackpropType(BackpropType.TruncatedBPTT)));
        others.put("segments", changed(conf -> {
            conf.setBackpropType(BackpropType.TruncatedBPTT);
            conf.setTbpttFwdLength(3);
        }));
        others.put("miniBatch", changed(conf -> conf.getConf(1).setMiniBatch(false)));
        others.put("frozen", changed(conf -> {
            Layer layer = conf.getConf(0).getLayer();
            conf.getConf(0).setLayer(new FrozenLayer(layer));
        }));
        return others;
    }

    @Test
    void whatever_acts_in_training_counts() {
        FinetuneModel model = FinetuneModel.of(Networks.lstm(TYPE, 1));
        Map<String, String> found = new HashMap<>(Map.of(model.settings(), "none"));
        trainedInAnotherWay().forEach((change, network) -> {
            FinetuneModel other = FinetuneModel.of(network);
            assertEquals(model.sha256(), other.sha256(), change);
            String same = found.putIfAbsent(other.settings(), change);
            assertEquals(null, same, change);
        });
    }

    @Test
    void what_a_sweep_sets_itself_does_not_count() throws IOException {
        MultiLayerNetwork network = Networks.lstm(TYPE, 1);
        String settings = FinetuneModel.of(network).settings();
        Path file = folder.resolve("model.zip");
        network.save(file.toFile());
        MultiLayerNetwork loaded = MultiLayerNetwork.load(file.toFile(), true);
        loaded.getLayerWiseConfigurations().setIterationCount(7);
        loaded.setEpochCount(3);
        assertEquals(settings, FinetuneModel.of(loaded).settings());
        assertEquals(
                settings,
                FinetuneModel.of(Retention.withUpdater(network, new Sgd(3))).settings());
    }

    private static FinetuneModel changedGraph(Consumer<Map<String, GraphVertex>> change) {
        ComputationGraph graph = Networks.graph(TYPE, 1);
        ComputationGraphConfiguration conf =
                ComputationGraphConfiguration.fromJson(graph.getConfiguration().toJson());
        change.accept(conf.getVertices());
        ComputationGraph copy = new ComputationGraph(conf);
        copy.init(graph.params().dup(), false);
        return FinetuneModel.of(copy, "text");
    }

    @Test
    void a_graph_s_settings_count() {
        ComputationGraph graph = Networks.graph(TYPE, 1);
        FinetuneModel model = FinetuneModel.of(graph, "text");
        FinetuneModel frozen =
                changedGraph(vertices -> vertices.put("merged", new FrozenVertex(vertices.get("merged"))));
        FinetuneModel weighted = changedGraph(vertices -> ((RnnOutputLayer)
                        ((LayerVertex) vertices.get("other")).getLayerConf().getLayer())
                .setLossFn(new LossMSE(Nd4j.createFromArray(1.0, 2))));
        for (FinetuneModel other : List.of(frozen, weighted)) {
            assertEquals(model.sha256(), other.sha256());
            assertNotEquals(model.settings(), other.settings());
        }
        assertEquals(
                model.settings(),
                FinetuneModel.of(Retention.withUpdater(graph, new Sgd(3)), "text")
                        .settings());
    }

    private static SameDiff dropped(double probability) {
        SameDiff graph = SameDiff.create();
        SDVariable features = graph.placeHolder("features", TYPE, -1, 4);
        SDVariable w = graph.var("w", Nd4j.ones(TYPE, 4, 6));
        graph.nn().dropout(features, probability).mmul(w).rename("logits");
        graph.placeHolder("labels", DataType.INT32, -1);
        return graph;
    }

    @Test
    void a_samediff_graph_s_kinds_of_variables_and_dropout_count() {
        FinetuneModel model = of(SweepTexts.graph(TYPE));
        SameDiff constant = SweepTexts.graph(TYPE);
        constant.getVariable("w").convertToConstant();
        FinetuneModel other = of(constant);
        assertEquals(model.sha256(), other.sha256());
        assertNotEquals(model.settings(), other.settings());
        assertEquals(model.settings(), of(SweepTexts.graph(TYPE)).settings());
        assertEquals(of(dropped(0.5)).sha256(), of(dropped(0.25)).sha256());
        assertNotEquals(of(dropped(0.5)).settings(), of(dropped(0.25)).settings());
        assertTrue(model.settings().matches("[0-9a-f]{64}"), model.settings());
    }

    private static FinetuneModel of(SameDiff graph) {
        return FinetuneModel.of(graph, "logits", "labels", "features");
    }
}
