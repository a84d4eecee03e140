package io.github.dl4jretention.samples.model;

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

/** The byte-level language models of the samples: both embed bytes and end in the same softmax output layer. */
public enum ModelKind {
    /** Two LSTM layers of 200 units, as in DL4J's GenerateTxtModel example. */
    LSTM {
        @Override
        void addBody(NeuralNetConfiguration.ListBuilder layers) {
            for (int i = 0; i < LSTM_LAYERS; i++) {
                layers.layer(new LSTM.Builder()
                        .nOut(LSTM_SIZE)
                        .activation(Activation.TANH)
                        .build());
            }
        }
    },
    /** Three causal pre-norm transformer blocks of width 128 with four heads, context {@value #CONTEXT}. */
    TRANSFORMER {
        @Override
        void addBody(NeuralNetConfiguration.ListBuilder layers) {
            layers.layer(new PositionEmbeddingLayer(WIDTH, CONTEXT));
            for (int i = 0; i < BLOCKS; i++) {
                layers.layer(new CausalSelfAttentionBlock(WIDTH, HEADS));
            }
            layers.layer(new LayerNormLayer(WIDTH));
        }
    };

    /** Bytes that a sample model sees at once. */
    public static final int CONTEXT = 64;

    private static final int WIDTH = 128;
    private static final int HEADS = 4;
    private static final int BLOCKS = 3;
    private static final int LSTM_LAYERS = 2;
    private static final int LSTM_SIZE = 200;

    abstract void addBody(NeuralNetConfiguration.ListBuilder layers);

    /** A new network of this kind with random weights. */
    public MultiLayerNetwork create(IUpdater updater, long seed) {
        NeuralNetConfiguration.ListBuilder layers = new NeuralNetConfiguration.Builder()
                .seed(seed)
                .weightInit(WeightInit.XAVIER)
                .updater(updater)
                .list()
                .layer(new EmbeddingSequenceLayer.Builder()
                        .nIn(ByteWindowIterator.VOCABULARY)
                        .nOut(WIDTH)
                        .inputLength(CONTEXT)
                        .inferInputLength(true)
                        .build());
        addBody(layers);
        MultiLayerConfiguration conf = layers.layer(new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nOut(ByteWindowIterator.VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .build())
                .setInputType(InputType.recurrent(ByteWindowIterator.VOCABULARY))
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
