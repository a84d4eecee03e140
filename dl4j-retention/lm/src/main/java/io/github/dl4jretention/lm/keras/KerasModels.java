package io.github.dl4jretention.lm.keras;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.activations.impl.ActivationSoftmax;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/**
 * Loads language models that Keras 2 saved as HDF5 ({@code .h5}).
 *
 * <pre>{@code
 * MultiLayerNetwork imported = KerasModels.sequential(Path.of("char_lstm.h5"));
 * MultiLayerNetwork pretrained = KerasModels.withRnnOutput(imported);  // can be a teacher and a student
 * }</pre>
 *
 * <p>Sequences keep Keras' axes: features are {@code [batch, time, features]}, and with an RnnOutputLayer labels and
 * probabilities are {@code [batch, time, V]}. Gates go where DL4J wants them: Keras stores an LSTM's as input, forget,
 * cell, output, DL4J as cell, forget, output, input.
 *
 * <p>The file's training configuration (its loss and optimizer) stays behind: give the network an updater by
 * {@code Retention.withUpdater}.
 *
 * <p>What can't be loaded is refused by an {@link IOException} whose message names the file and says what to do.
 */
public final class KerasModels {

    private KerasModels() {}

    /**
     * Loads a {@code Sequential} model.
     *
     * @param file written by {@code model.save("model.h5")} in Keras 2
     * @return the network, which ends in a DenseLayer; see {@link #withRnnOutput}
     * @throws IOException if the file is missing, isn't such a file, or holds what DL4J can't import
     */
    public static MultiLayerNetwork sequential(Path file) throws IOException {
        return new KerasFile(file, null).sequential();
    }

    /**
     * Loads a {@code Sequential} model whose weights are in a file of their own.
     *
     * @param json    what {@code model.to_json()} returned in Keras 2
     * @param weights written by {@code model.save_weights("weights.h5")} of the same model
     * @return the network, which ends in a DenseLayer; see {@link #withRnnOutput}
     * @throws IOException if a file is missing, isn't such a file, or holds what DL4J can't import, or if a layer has no
     *     weights in the file
     */
    public static MultiLayerNetwork sequential(Path json, Path weights) throws IOException {
        return new KerasFile(weights, json).sequential();
    }

    /**
     * Loads a model of the functional API.
     *
     * @param file written by {@code model.save("model.h5")} in Keras 2
     * @return the graph, whose outputs are DenseLayers; see {@link #withRnnOutputs}
     * @throws IOException if the file is missing, isn't such a file, or holds what DL4J can't import
     */
    public static ComputationGraph functional(Path file) throws IOException {
        return new KerasFile(file, null).functional();
    }

    /**
     * Loads a model of the functional API whose weights are in a file of their own.
     *
     * @param json    what {@code model.to_json()} returned in Keras 2
     * @param weights written by {@code model.save_weights("weights.h5")} of the same model
     * @return the graph, whose outputs are DenseLayers; see {@link #withRnnOutputs}
     * @throws IOException if a file is missing, isn't such a file, or holds what DL4J can't import, or if a layer has no
     *     weights in the file
     */
    public static ComputationGraph functional(Path json, Path weights) throws IOException {
        return new KerasFile(weights, json).functional();
    }

    /**
     * Copies a network and puts an RnnOutputLayer (softmax, MCXENT, {@code [batch, time, V]}) with the same weights in
     * place of the DenseLayer at its end. The import's own DenseLayer isn't an output layer, and gives one row per
     * token, ordered by time: it can't be trained, nor be a student.
     *
     * @param imported a network from {@link #sequential(Path)}; stays as it is
     * @return the copy
     * @throws IllegalArgumentException if the last layer isn't a DenseLayer, or its activation is neither softmax nor
     *     linear (a model that was trained on logits)
     */
    public static MultiLayerNetwork withRnnOutput(MultiLayerNetwork imported) {
        MultiLayerConfiguration conf = imported.getLayerWiseConfigurations().clone();
        int last = imported.getnLayers() - 1;
        conf.getConf(last).setLayer(rnnOutput(conf.getConf(last).getLayer()));
        conf.getInputPreProcessors().remove(last);
        MultiLayerNetwork network = new MultiLayerNetwork(conf);
        network.init(imported.params().dup(), false);
        return network;
    }

    /**
     * Copies a graph and puts RnnOutputLayers in place of the DenseLayers that are outputs, as {@link #withRnnOutput}
     * does.
     *
     * @param imported a graph from {@link #functional(Path)}; stays as it is
     * @return the copy
     * @throws IllegalArgumentException if an output isn't a DenseLayer, or its activation is neither softmax nor linear
     */
    public static ComputationGraph withRnnOutputs(ComputationGraph imported) {
        ComputationGraphConfiguration conf = imported.getConfiguration().clone();
        Map<String, GraphVertex> vertices = conf.getVertices();
        for (String output : conf.getNetworkOutputs()) {
            if (!(Objects.requireNonNull(vertices.get(output), output) instanceof LayerVertex vertex)) {
                throw new IllegalArgumentException("expected a DenseLayer at the end, got "
                        + Objects.requireNonNull(vertices.get(output), output)
                                .getClass()
                                .getSimpleName() + " \"" + output + "\"");
            }
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
        IActivation activation = dense.getActivationFn();
        if (!(activation instanceof ActivationSoftmax || activation instanceof ActivationIdentity)) {
            throw new IllegalArgumentException("expected softmax or linear as the activation of DenseLayer \""
                    + dense.getLayerName() + "\", got " + activation);
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
