package io.github.dl4jretention.sweep.task;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.sweep.SweepTexts;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.space.FinetuneMethod;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.CacheMode;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** What is frozen, and that the rest of the model stays as it is. */
class FrozenCandidatesTest {

    private static final double RATE = 0.01;

    private static FinetuneConfiguration plain(int frozenUpTo) {
        return new FinetuneConfiguration(FinetuneMethod.PLAIN, null, RATE, 1, 0, frozenUpTo);
    }

    private static LSTM lstm(int inputs) {
        return new LSTM.Builder()
                .nIn(inputs)
                .nOut(7)
                .activation(Activation.TANH)
                .build();
    }

    private static RnnOutputLayer output() {
        return new RnnOutputLayer.Builder(LossFunction.MCXENT)
                .nIn(7)
                .nOut(Networks.VOCABULARY)
                .activation(Activation.SOFTMAX)
                .dataFormat(RNNFormat.NCW)
                .build();
    }

    @Test
    void a_network_keeps_its_backpropagation_and_modes() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 1);
        MultiLayerConfiguration conf = pretrained.getLayerWiseConfigurations();
        conf.setBackpropType(BackpropType.TruncatedBPTT);
        conf.setTbpttFwdLength(2);
        conf.setTbpttBackLength(2);
        conf.setTrainingWorkspaceMode(WorkspaceMode.NONE);
        conf.setInferenceWorkspaceMode(WorkspaceMode.NONE);
        conf.setCacheMode(CacheMode.HOST);
        FinetuneProblem problem = new FinetuneProblem(FinetuneModel.of(pretrained), SweepTexts.data(DataType.DOUBLE));
        MultiLayerNetwork tuned = (MultiLayerNetwork) problem.finetune(plain(0));

        MultiLayerConfiguration found = tuned.getLayerWiseConfigurations();
        assertEquals(BackpropType.TruncatedBPTT, found.getBackpropType());
        assertEquals(2, found.getTbpttFwdLength());
        assertEquals(2, found.getTbpttBackLength());
        assertEquals(WorkspaceMode.NONE, found.getTrainingWorkspaceMode());
        assertEquals(WorkspaceMode.NONE, found.getInferenceWorkspaceMode());
        assertEquals(CacheMode.HOST, found.getCacheMode());

        MultiLayerNetwork stock = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .dataType(DataType.DOUBLE)
                .updater(new Adam(RATE))
                .l2(1e-3)
                .list()
                .layer(new FrozenLayer(lstm(Networks.INPUTS)))
                .layer(output())
                .backpropType(BackpropType.TruncatedBPTT)
                .tBPTTLength(2)
                .build());
        stock.init(pretrained.params().dup(), false);
        for (MultiDataSetIterator text = problem.data().training().iterator(); text.hasNext(); ) {
            MultiDataSet batch = text.next();
            stock.fit(batch.getFeatures(0), batch.getLabels(0));
        }
        assertClose(stock.params(), tuned.params(), 1e-9);
        assertClose(pretrained.getLayer(0).params(), tuned.getLayer(0).params(), 0);
    }

    @Test
    void a_network_s_layer_that_is_frozen_already_is_frozen_once() {
        MultiLayerNetwork pretrained =
                Networks.stacked(DataType.DOUBLE, 1, new FrozenLayer(lstm(Networks.INPUTS)), lstm(7), output());
        FinetuneProblem problem = new FinetuneProblem(FinetuneModel.of(pretrained), SweepTexts.data(DataType.DOUBLE));
        MultiLayerNetwork tuned = (MultiLayerNetwork) problem.finetune(plain(1));
        for (int layer = 0; layer < 2; layer++) {
            FrozenLayer frozen = (FrozenLayer)
                    tuned.getLayerWiseConfigurations().getConf(layer).getLayer();
            assertTrue(frozen.getLayer() instanceof LSTM, frozen.toString());
            assertClose(
                    pretrained.getLayer(layer).params(), tuned.getLayer(layer).params(), 0);
        }
        assertTrue(pretrained.getLayer(2).params().distance2(tuned.getLayer(2).params()) > 1e-3);
    }

    /** Attention, which has parameters and is no layer, a sum without parameters, then layers. */
    private static ComputationGraph attention() {
        ComputationGraph graph = new ComputationGraph(new NeuralNetConfiguration.Builder()
                .dataType(DataType.FLOAT)
                .seed(1)
                .updater(new Adam(RATE))
                .graphBuilder()
                .addInputs("in")
                .setInputTypes(InputType.recurrent(Networks.INPUTS, Networks.TIME, RNNFormat.NCW))
                .addVertex("attention", Networks.attention(Networks.INPUTS, Networks.INPUTS), "in", "in", "in")
                .addVertex("sum", new ElementWiseVertex(ElementWiseVertex.Op.Add), "in", "attention")
                .addLayer("lstm", lstm(Networks.INPUTS), "sum")
                .addLayer("out", output(), "lstm")
                .setOutputs("out")
                .build());
        graph.init();
        return graph;
    }

    @Test
    void vertices_before_a_frozen_layer_are_frozen_as_stock_transfer_learning_does() {
        ComputationGraph pretrained = attention();
        int last = 0;
        while (!pretrained.getLayer(last).conf().getLayer().getLayerName().equals("lstm")) {
            last++;
        }
        FinetuneProblem problem = new FinetuneProblem(FinetuneModel.of(pretrained), SweepTexts.data(DataType.FLOAT));
        ComputationGraph tuned = (ComputationGraph) problem.finetune(plain(last));

        ComputationGraph stock = new TransferLearning.GraphBuilder(pretrained)
                .fineTuneConfiguration(new FineTuneConfiguration.Builder()
                        .updater(new Adam(RATE))
                        .build())
                .setFeatureExtractor("lstm")
                .build();
        for (MultiDataSetIterator text = problem.data().training().iterator(); text.hasNext(); ) {
            stock.fit(text.next());
        }
        assertClose(stock.params(), tuned.params(), 1e-6);
        assertClose(
                pretrained.getVertex("attention").params(),
                tuned.getVertex("attention").params(),
                0);
        assertTrue(pretrained
                        .getLayer("out")
                        .params()
                        .distance2(tuned.getLayer("out").params())
                > 1e-3);
    }
}
