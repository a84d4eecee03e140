package io.github.dl4jretention.tasks;

import io.github.dl4jretention.lm.layers.DecoderBlock;
import io.github.dl4jretention.lm.layers.RotaryPositions;
import io.github.dl4jretention.lm.layers.TokenEmbedding;
import java.util.Arrays;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;

/** Models of bytes with random weights, large enough that they have opinions. */
final class ByteModels {

    static final int BYTES = 256;

    private ByteModels() {}

    /** Two decoder blocks. */
    static MultiLayerNetwork decoder(DataType type, long seed) {
        DecoderBlock block = DecoderBlock.builder()
                .heads(2)
                .headSize(8)
                .hidden(32)
                .rotary(RotaryPositions.base(1000))
                .build();
        return network(
                type, seed, TokenEmbedding.builder().vocabulary(BYTES).width(16).build(), block, block.clone());
    }

    /** Of one-hot bytes. */
    static MultiLayerNetwork lstm(DataType type, long seed) {
        return network(type, seed, new LSTM.Builder().nOut(8).build());
    }

    private static RnnOutputLayer output() {
        return new RnnOutputLayer.Builder()
                .nOut(BYTES)
                .activation(Activation.SOFTMAX)
                .build();
    }

    private static MultiLayerNetwork network(DataType type, long seed, Layer... layers) {
        NeuralNetConfiguration.ListBuilder list = new NeuralNetConfiguration.Builder()
                .seed(seed)
                .dataType(type)
                .weightInit(WeightInit.XAVIER)
                .list();
        Arrays.stream(layers).forEach(list::layer);
        MultiLayerNetwork network = new MultiLayerNetwork(
                list.layer(output()).setInputType(InputType.recurrent(BYTES)).build());
        network.init();
        network.params().muli(2);
        return network;
    }

    /** A graph of a network's layers, with its parameters. */
    static ComputationGraph graph(MultiLayerNetwork network) {
        ComputationGraphConfiguration.GraphBuilder builder = new NeuralNetConfiguration.Builder()
                .dataType(network.params().dataType())
                .graphBuilder()
                .addInputs("tokens")
                .setInputTypes(InputType.recurrent(BYTES));
        MultiLayerConfiguration conf = network.getLayerWiseConfigurations();
        String before = "tokens";
        for (int i = 0; i < network.getnLayers(); i++) {
            builder.addLayer("layer" + i, conf.getConf(i).getLayer().clone(), before);
            before = "layer" + i;
        }
        ComputationGraph graph = new ComputationGraph(builder.setOutputs(before).build());
        graph.init(network.params().dup(), false);
        return graph;
    }

    /** Next bytes that depend on the last byte and the mean of those so far, of one-hot bytes. */
    static SameDiff sameDiff(int time) {
        SameDiff sd = SameDiff.create();
        SDVariable tokens = sd.placeHolder("tokens", DataType.DOUBLE, -1, BYTES, time < 0 ? -1 : time);
        Nd4j.getRandom().setSeed(4);
        SDVariable weights = sd.var("w", Nd4j.randn(DataType.DOUBLE, BYTES, BYTES));
        SDVariable sums = sd.cumsum(tokens, false, false, 2).mul(0.3);
        SDVariable rows = sd.reshape(sd.permute(tokens.add(sums), 0, 2, 1), -1, BYTES);
        sd.mmul("logits", rows, weights);
        return sd;
    }
}
