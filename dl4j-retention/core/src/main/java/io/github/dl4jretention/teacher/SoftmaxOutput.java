package io.github.dl4jretention.teacher;

import io.github.dl4jretention.internal.FrozenBase;
import io.github.dl4jretention.loss.AdaptedOutputLayer;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.loss.TiedOutputLayer;
import io.github.dl4jretention.loss.UnbiasedOutputLayer;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnLossLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.impl.ActivationSoftmax;
import org.nd4j.linalg.lossfunctions.ILossFunction;
import org.nd4j.linalg.lossfunctions.impl.LossMCXENT;

/**
 * Which outputs a teacher can be made of and retention attached to: layers that compute softmax cross-entropy. These
 * are OutputLayer, RnnOutputLayer, LossLayer and RnnLossLayer with activation softmax and loss MCXENT,
 * NEGATIVELOGLIKELIHOOD or SPARSE_MCXENT, without class weights and without weight noise.
 */
public final class SoftmaxOutput {

    private static final List<Class<?>> LAYERS = List.of(
            OutputLayer.class,
            RnnOutputLayer.class,
            LossLayer.class,
            RnnLossLayer.class,
            AdaptedOutputLayer.class,
            TiedOutputLayer.class,
            UnbiasedOutputLayer.class);

    private SoftmaxOutput() {}

    /**
     * {@return the configuration of a network's last layer, the network's own}
     *
     * @param network an initialised network
     * @throws IllegalArgumentException if it computes no softmax cross-entropy or is not initialised; the message names
     *     the layer and what was expected
     */
    public static FeedForwardLayer require(MultiLayerNetwork network) {
        int index = network.getnLayers() - 1;
        Layer layer = network.getLayerWiseConfigurations().getConf(index).getLayer();
        FeedForwardLayer output = require(layer, "last layer", layer.getLayerName() + "\" (index " + index + ")");
        if (FrozenBase.whole(network.getLayerWiseConfigurations()) == null) {
            requireInitialised(network);
        }
        return output;
    }

    /**
     * {@return the configuration of the layer of an output of a graph, the graph's own}
     *
     * @param graph  an initialised graph
     * @param output its name
     * @throws IllegalArgumentException if the graph has no such output, or the output is no layer that computes softmax
     *     cross-entropy, another vertex takes its activations, or the graph is not initialised; the message names it
     *     and what was expected
     */
    public static FeedForwardLayer require(ComputationGraph graph, String output) {
        ComputationGraphConfiguration conf = graph.getConfiguration();
        if (!conf.getNetworkOutputs().contains(output)) {
            throw new IllegalArgumentException(
                    "outputs: expected names out of " + conf.getNetworkOutputs() + ", got \"" + output + "\"");
        }
        GraphVertex vertex = Objects.requireNonNull(conf.getVertices().get(output), output);
        if (!(vertex instanceof LayerVertex layerVertex)) {
            throw new IllegalArgumentException("model: expected output \"" + output + "\" to be a layer, got a "
                    + vertex.getClass().getSimpleName() + ", which hides the logits; name the outputs to attach to if "
                    + "the model has others");
        }
        conf.getVertexInputs().forEach((name, inputs) -> {
            if (inputs.contains(output)) {
                throw new IllegalArgumentException("model: expected output \"" + output
                        + "\" to be used by no other vertex, got \"" + name + "\" which takes its activations");
            }
        });
        FeedForwardLayer layer = require(layerVertex.getLayerConf().getLayer(), "output", output + "\"");
        requireInitialised(graph);
        return layer;
    }

    /**
     * {@return the outputs that are meant: those named, or all of the graph's if none is}
     *
     * @param graph   an initialised graph
     * @param outputs names; none for all
     * @throws IllegalArgumentException as {@link #require(ComputationGraph, String)} does
     */
    public static List<String> require(ComputationGraph graph, String... outputs) {
        List<String> names =
                outputs.length == 0 ? graph.getConfiguration().getNetworkOutputs() : Arrays.asList(outputs);
        names.forEach(name -> require(graph, name));
        return names;
    }

    /**
     * {@return whether a layer is one of these}
     *
     * @param layer of a network
     */
    public static boolean isOne(Layer layer) {
        try {
            require(layer, "layer", "\"");
            return true;
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    /**
     * {@return the axis on which the layer's classes lie: 1, or 2 for sequences in NWC layout}
     *
     * @param layer as {@link #require(MultiLayerNetwork)} gives it
     */
    public static int classAxis(FeedForwardLayer layer) {
        RNNFormat format = layer instanceof RnnOutputLayer rnn
                ? rnn.getRnnDataFormat()
                : layer instanceof RnnLossLayer rnn ? rnn.getRnnDataFormat() : null;
        return format == RNNFormat.NWC ? 2 : 1;
    }

    private static void requireInitialised(Model model) {
        if (model.params() == null || model.params().isEmpty()) {
            throw new IllegalArgumentException("model: expected an initialised network, got one without parameters; "
                    + "call init() or load it from a file");
        }
    }

    private static FeedForwardLayer require(Layer layer, String what, String name) {
        String found = layer.getClass().getSimpleName() + " \"" + name;
        if (layer instanceof RetentionOutputLayer) {
            throw new IllegalArgumentException("model: expected a network without retention, got the student's " + found
                    + "; take the pretrained network, or Retention.detach");
        }
        if (!LAYERS.contains(layer.getClass())) {
            throw refused(what, found, "");
        }
        FeedForwardLayer output = (FeedForwardLayer) layer;
        if (!(output.getActivationFn() instanceof ActivationSoftmax)) {
            throw refused(what, found, " with activation " + output.getActivationFn());
        }
        ILossFunction loss = loss(output);
        if (!(loss instanceof LossMCXENT crossEntropy)) {
            throw refused(what, found, " with loss " + loss);
        }
        if (crossEntropy.getWeights() != null) {
            throw refused(what, found, " with class weights");
        }
        if (output.getClass() == RnnOutputLayer.class && !((RnnOutputLayer) output).hasBias()) {
            throw refused(what, found, " without a bias, whose output M2.1 cannot compute; use UnbiasedOutputLayer");
        }
        if (output.getWeightNoise() != null) {
            throw refused(what, found, " with weight noise");
        }
        return output;
    }

    private static ILossFunction loss(FeedForwardLayer layer) {
        if (layer instanceof BaseOutputLayer output) {
            return output.getLossFn();
        }
        return layer instanceof LossLayer output ? output.getLossFn() : ((RnnLossLayer) layer).getLossFn();
    }

    private static IllegalArgumentException refused(String what, String layer, String property) {
        return new IllegalArgumentException("model: expected as " + what
                + " an OutputLayer, RnnOutputLayer, LossLayer or RnnLossLayer with activation softmax and loss MCXENT, "
                + "NEGATIVELOGLIKELIHOOD or SPARSE_MCXENT, without class weights or weight noise, got " + layer
                + property);
    }
}
