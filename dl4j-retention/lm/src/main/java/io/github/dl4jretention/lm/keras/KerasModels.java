package io.github.dl4jretention.lm.keras;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.modelimport.keras.KerasModel;
import org.deeplearning4j.nn.modelimport.keras.exceptions.InvalidKerasConfigurationException;
import org.deeplearning4j.nn.modelimport.keras.exceptions.UnsupportedKerasConfigurationException;
import org.deeplearning4j.nn.modelimport.keras.utils.KerasModelBuilder;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Imports Keras 2 language models; {@code [batch, time, vocabulary]} in and, with an RnnOutputLayer, out. */
public final class KerasModels {

    private KerasModels() {}

    public static MultiLayerNetwork sequential(Path file)
            throws IOException, InvalidKerasConfigurationException, UnsupportedKerasConfigurationException {
        return builder(file).buildSequential().getMultiLayerNetwork();
    }

    public static ComputationGraph functional(Path file)
            throws IOException, InvalidKerasConfigurationException, UnsupportedKerasConfigurationException {
        return builder(file).buildModel().getComputationGraph();
    }

    /**
     * Draws starting weights, which those of the file replace, by another initializer than Keras' default for recurrent
     * weights: Orthogonal needs an SVD that in FLOAT often never returns.
     */
    private static KerasModelBuilder builder(Path file)
            throws IOException, InvalidKerasConfigurationException, UnsupportedKerasConfigurationException {
        KerasModelBuilder builder = new KerasModel()
                .modelBuilder()
                .modelHdf5Filename(file.toString())
                .enforceTrainingConfig(false);
        return builder.modelJson(builder.getModelJson().replace("\"Orthogonal\"", "\"GlorotUniform\""));
    }

    /** A copy with an RnnOutputLayer in place of the DenseLayer at the end. */
    public static MultiLayerNetwork withRnnOutput(MultiLayerNetwork imported) {
        MultiLayerConfiguration conf = imported.getLayerWiseConfigurations().clone();
        int last = imported.getnLayers() - 1;
        conf.getConf(last).setLayer(rnnOutput(conf.getConf(last).getLayer()));
        conf.getInputPreProcessors().remove(last);
        MultiLayerNetwork network = new MultiLayerNetwork(conf);
        network.init(imported.params().dup(), false);
        return network;
    }

    /** A copy with RnnOutputLayers in place of the DenseLayers that are outputs. */
    public static ComputationGraph withRnnOutputs(ComputationGraph imported) {
        ComputationGraphConfiguration conf = imported.getConfiguration().clone();
        Map<String, GraphVertex> vertices = conf.getVertices();
        for (String output : conf.getNetworkOutputs()) {
            LayerVertex vertex = (LayerVertex) vertices.get(output);
            vertex.getLayerConf().setLayer(rnnOutput(vertex.getLayerConf().getLayer()));
            vertex.setPreProcessor(null);
        }
        ComputationGraph graph = new ComputationGraph(conf);
        graph.init(imported.params().dup(), false);
        return graph;
    }

    private static RnnOutputLayer rnnOutput(Layer last) {
        if (!(last instanceof DenseLayer dense)) {
            throw new IllegalArgumentException("expected a DenseLayer at the end, got "
                    + last.getClass().getSimpleName() + " \"" + last.getLayerName() + "\"");
        }
        RnnOutputLayer output = new RnnOutputLayer.Builder(LossFunction.MCXENT)
                .name(dense.getLayerName())
                .nIn(dense.getNIn())
                .nOut(dense.getNOut())
                .hasBias(dense.hasBias())
                .activation(Activation.SOFTMAX)
                .weightInit(dense.getWeightInitFn())
                .updater(dense.getIUpdater())
                .dataFormat(RNNFormat.NWC)
                .build();
        output.setRegularization(dense.getRegularization());
        output.setRegularizationBias(dense.getRegularizationBias());
        return output;
    }
}
