package io.github.dl4jretention.samples.benchmark;

import io.github.dl4jretention.lm.layers.DecoderBlock;
import io.github.dl4jretention.lm.layers.FeedForward;
import io.github.dl4jretention.lm.layers.NativeAdam;
import io.github.dl4jretention.lm.layers.NativeLayers;
import io.github.dl4jretention.lm.layers.Norm;
import io.github.dl4jretention.lm.layers.NormLayer;
import io.github.dl4jretention.lm.layers.RotaryPositions;
import io.github.dl4jretention.lm.layers.TokenEmbedding;
import io.github.dl4jretention.loss.TiedOutputLayer;
import io.github.dl4jretention.samples.model.ModelKind;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.stream.IntStream;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Networks that PeerBenchmark builds here as {@code samples/peers} does for other libraries. */
public enum PeerShape {
    /** Two LSTM layers of 256 units, V = 2000. */
    LSTM(2000),
    /** Four blocks of width 128, V = 2000. */
    TRANSFORMER(2000),
    /** 135 million parameters: 30 blocks of width 576 with grouped-query attention, V = 49,152, tied. */
    LARGE(49_152);

    private static final double LEARNING_RATE = 1e-4;

    private final int vocabulary;

    PeerShape(int vocabulary) {
        this.vocabulary = vocabulary;
    }

    /**
     * {@return a network with random weights}
     *
     * @param stock of DL4J's own layers, or of this project's, to be run as SameDiff operations
     * @param batch sequences of a minibatch
     * @param time  tokens of a sequence
     */
    public MultiLayerNetwork network(boolean stock, int batch, int time) {
        return switch (this) {
            case LSTM -> {
                MultiLayerNetwork network = new BenchmarkShape(vocabulary, batch, time).network(ModelKind.LSTM);
                yield stock ? network : NativeLayers.of(network);
            }
            case TRANSFORMER -> {
                MultiLayerNetwork network = decoder(
                        TokenEmbedding.builder().width(128).positions(time),
                        4,
                        DecoderBlock.builder().heads(4).feedForward(FeedForward.GELU),
                        NormLayer.builder(),
                        new RnnOutputLayer.Builder(LossFunction.MCXENT)
                                .nOut(vocabulary)
                                .activation(Activation.SOFTMAX)
                                .build());
                yield stock ? NativeLayers.stock(network) : network;
            }
            case LARGE -> decoder(
                    TokenEmbedding.builder().width(576),
                    30,
                    DecoderBlock.builder()
                            .heads(9)
                            .keyValueHeads(3)
                            .hidden(1536)
                            .norm(Norm.RMS_NORM, 1e-5)
                            .feedForward(FeedForward.SWIGLU)
                            .rotary(RotaryPositions.base(10_000))
                            .biases(false),
                    NormLayer.builder().norm(Norm.RMS_NORM, 1e-5),
                    new TiedOutputLayer(vocabulary));
        };
    }

    private MultiLayerNetwork decoder(
            TokenEmbedding.Builder embedding,
            int blocks,
            DecoderBlock.Builder block,
            NormLayer.Builder norm,
            Layer output) {
        NeuralNetConfiguration.ListBuilder layers = new NeuralNetConfiguration.Builder()
                .seed(1)
                .weightInit(WeightInit.XAVIER)
                .updater(new NativeAdam(LEARNING_RATE))
                .list()
                .layer(embedding.vocabulary(vocabulary).build());
        for (int i = 0; i < blocks; i++) {
            layers.layer(block.build());
        }
        MultiLayerNetwork network = new MultiLayerNetwork(layers.layer(norm.build())
                .layer(output)
                .setInputType(InputType.recurrent(vocabulary))
                .build());
        network.init();
        return network;
    }

    /**
     * {@return minibatches of random tokens: ids {@code [batch, 1, time]} as features and as labels}
     *
     * @param count how many
     * @param batch sequences of each
     * @param time  tokens of a sequence
     */
    public List<DataSet> tokens(int count, int batch, int time) {
        Random random = new Random(1);
        return IntStream.range(0, count)
                .mapToObj(i -> new DataSet(ids(random, batch, time), ids(random, batch, time)))
                .toList();
    }

    private INDArray ids(Random random, int batch, int time) {
        float[] ids = new float[batch * time];
        for (int i = 0; i < ids.length; i++) {
            ids[i] = random.nextInt(vocabulary);
        }
        return Nd4j.createFromArray(ids).reshape(batch, 1, time);
    }

    /** {@return the vocabulary's size} */
    public int vocabulary() {
        return vocabulary;
    }

    /** {@return the shape's name in tables and on the command line} */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
