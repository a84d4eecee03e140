package io.github.dl4jretention.samples.benchmark;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/**
 * An output layer alone, behind a layer that does nothing: projection, loss and all gradients, in DL4J's workspaces.
 *
 * @param network the two layers
 * @param input   {@code [batch, 256, time]}
 * @param labels  as the kind of layer takes them
 */
public record OutputHead(MultiLayerNetwork network, INDArray input, INDArray labels) {

    private static final int INPUT_SIZE = 256;
    private static final int TIME = 64;

    /** Which output layer. */
    public enum Kind {
        /** DL4J's RnnOutputLayer with MCXENT on one-hot labels. */
        STOCK,
        /** The retention layer at coefficient 1, with the same weights and the labels of a teacher. */
        RETENTION
    }

    /** @param tokens a multiple of 64 */
    public static OutputHead of(Kind kind, int vocabulary, int tokens) {
        OutputHead stock = stock(vocabulary, tokens);
        return kind == Kind.STOCK ? stock : stock.retention();
    }

    private static OutputHead stock(int vocabulary, int tokens) {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .seed(1)
                .updater(new NoOp())
                .list()
                .layer(new ActivationLayer.Builder()
                        .activation(Activation.IDENTITY)
                        .build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(INPUT_SIZE)
                        .nOut(vocabulary)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(RNNFormat.NCW)
                        .build())
                .build());
        network.init();
        int batch = tokens / TIME;
        Nd4j.getRandom().setSeed(1);
        INDArray input = Nd4j.randn(DataType.FLOAT, batch, INPUT_SIZE, TIME);
        INDArray oneHot =
                new BenchmarkShape(vocabulary, batch, TIME).tokens(1, 1).get(0).getLabels();
        return new OutputHead(network, input, oneHot);
    }

    private OutputHead retention() {
        TeacherIterator taught = new TeacherIterator(
                new ExistingDataSetIterator(List.of(new DataSet(input, labels))), Teacher.of(network));
        MultiLayerNetwork student =
                Retention.attach(network, RetentionConfiguration.builder().build());
        return new OutputHead(student, input, taught.next().getLabels());
    }

    /** Computes loss and gradients of the minibatch, and returns the loss. */
    public double run() {
        network.setInput(input);
        network.setLabels(labels);
        network.computeGradientAndScore();
        return network.score();
    }
}
