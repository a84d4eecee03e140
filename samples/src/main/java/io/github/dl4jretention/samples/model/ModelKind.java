package io.github.dl4jretention.samples.model;

import io.github.dl4jretention.lm.layers.DecoderBlock;
import io.github.dl4jretention.lm.layers.FeedForward;
import io.github.dl4jretention.lm.layers.NormLayer;
import io.github.dl4jretention.lm.layers.TokenEmbedding;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import java.util.Locale;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** The language models of the samples: both embed tokens and end in the same softmax output layer. */
public enum ModelKind {
    /** LSTM layers; of the samples' size two of 200 units, as in DL4J's GenerateTxtModel example. */
    LSTM(new ModelSize(ByteWindowIterator.VOCABULARY, ModelKind.CONTEXT, 128, 2, 200)) {
        @Override
        void addBody(NeuralNetConfiguration.ListBuilder layers, ModelSize size) {
            layers.layer(new EmbeddingSequenceLayer.Builder()
                    .nIn(size.vocabulary())
                    .nOut(size.embedding())
                    .inputLength(size.context())
                    .inferInputLength(true)
                    .build());
            for (int i = 0; i < size.layers(); i++) {
                layers.layer(new LSTM.Builder()
                        .nOut(size.units())
                        .activation(Activation.TANH)
                        .build());
            }
        }
    },
    /** Decoder blocks with four heads and ReLU at native speed; of the samples' size three of width 128. */
    TRANSFORMER(new ModelSize(ByteWindowIterator.VOCABULARY, ModelKind.CONTEXT, 128, 3, 128)) {
        @Override
        void addBody(NeuralNetConfiguration.ListBuilder layers, ModelSize size) {
            if (size.units() != size.embedding()) {
                throw new IllegalArgumentException("size: expected units = embedding for a transformer, got " + size);
            }
            layers.layer(TokenEmbedding.builder()
                    .vocabulary(size.vocabulary())
                    .width(size.units())
                    .positions(size.context())
                    .build());
            for (int i = 0; i < size.layers(); i++) {
                layers.layer(DecoderBlock.builder()
                        .heads(HEADS)
                        .feedForward(FeedForward.RELU)
                        .queryKeyValueBias(false)
                        .projectionBias(false)
                        .build());
            }
            layers.layer(NormLayer.builder().build());
        }
    };

    /** Bytes that a sample model sees at once. */
    public static final int CONTEXT = 64;

    private static final int HEADS = 4;

    private final ModelSize byteLevel;

    ModelKind(ModelSize byteLevel) {
        this.byteLevel = byteLevel;
    }

    abstract void addBody(NeuralNetConfiguration.ListBuilder layers, ModelSize size);

    /** A new byte-level network of this kind, of the samples' size, with random weights. */
    public MultiLayerNetwork create(IUpdater updater, long seed) {
        return create(byteLevel, updater, seed);
    }

    /** A new network of this kind with random weights. */
    public MultiLayerNetwork create(ModelSize size, IUpdater updater, long seed) {
        NeuralNetConfiguration.ListBuilder layers = new NeuralNetConfiguration.Builder()
                .seed(seed)
                .weightInit(WeightInit.XAVIER)
                .updater(updater)
                .list();
        addBody(layers, size);
        MultiLayerConfiguration conf = layers.layer(new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nOut(size.vocabulary())
                        .activation(Activation.SOFTMAX)
                        .build())
                .setInputType(InputType.recurrent(size.vocabulary()))
                .build();
        MultiLayerNetwork network = new MultiLayerNetwork(conf);
        network.init();
        return network;
    }

    /** The kind's name in file names and on the command line. */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
