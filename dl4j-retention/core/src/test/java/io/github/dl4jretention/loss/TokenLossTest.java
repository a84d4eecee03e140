package io.github.dl4jretention.loss;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.teacher.Teacher;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/**
 * What each sum is divided by, worked by hand. The student says (1/4, 3/4) of every token and the teacher (1/2, 1/2);
 * labels are class 0, so that a token's cross-entropy is ln 4 and its divergence ln(4 / 3) / 2.
 */
class TokenLossTest {

    private static final double CROSS_ENTROPY = Math.log(4);
    private static final double DIVERGENCE = Math.log(4 / 3.0) / 2;

    private static INDArray logs(double first, double second) {
        return Nd4j.createFromArray(Math.log(first), Math.log(second));
    }

    @Test
    void each_mean_is_over_its_own_weights() {
        TokenLoss loss = TokenLoss.of(
                new double[] {1, 0.5, 0},
                new double[] {2, 4, Double.NaN},
                new double[] {0, 1, 3},
                new double[] {Double.NaN, 0.5, 0.1},
                8,
                new double[] {Double.NaN, 1, 0},
                4);
        assertEquals(1.5, loss.tokens());
        assertEquals(4, loss.divergenceTokens());
        assertEquals(4 / 1.5, loss.crossEntropy(), 1e-15);
        assertEquals(0.2, loss.divergence(), 1e-15);
        assertEquals(0.25, loss.agreement());
        assertEquals(4 / 1.5 + 8 * 0.2, loss.total(), 1e-15);
        assertEquals(4 + 8 * 0.8, loss.sum(), 1e-15);
        assertTrue(loss.hasTeacher());
    }

    /** Three of four tokens are learned, two are held near the teacher; DL4J's score is over the four examples. */
    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE"})
    void a_score_is_over_examples_and_means_are_over_tokens(DataType type) {
        MultiLayerNetwork network = Networks.stacked(
                type,
                1,
                new OutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(1)
                        .nOut(2)
                        .activation(Activation.SOFTMAX)
                        .build());
        network.getLayer(0).getParam("W").assign(0);
        network.getLayer(0).getParam("b").assign(logs(0.25, 0.75));
        MultiLayerNetwork student = Retention.attach(
                network, RetentionConfiguration.builder().coefficient(3).build());
        INDArray mask = Nd4j.createFromArray(1.0, 1, 0, 1).castTo(type).reshape(4, 1);
        INDArray weights = Nd4j.createFromArray(0.0, 1, 1, 0).castTo(type).reshape(4, 1);
        INDArray labels = PackedLabels.pack(
                Nd4j.zeros(type, 4, 1),
                mask,
                Nd4j.valueArrayOf(new long[] {4, 2}, Math.log(0.5), type),
                weights,
                1,
                Teacher.of(network).sha256());
        DataSet batch = new DataSet(Nd4j.ones(type, 4, 1), labels, null, mask);
        double tolerance = type == DataType.FLOAT ? 1e-6 : 1e-12;
        assertEquals((3 * CROSS_ENTROPY + 3 * 2 * DIVERGENCE) / 4, student.score(batch), tolerance);
        TokenLoss loss = Networks.lastLoss(student);
        assertEquals(CROSS_ENTROPY, loss.crossEntropy(), tolerance);
        assertEquals(DIVERGENCE, loss.divergence(), tolerance);
        assertEquals(3, loss.tokens());
        assertEquals(2, loss.divergenceTokens());
        assertEquals(CROSS_ENTROPY + 3 * DIVERGENCE, loss.total(), tolerance);
    }

    /** A features mask without a labels mask, or a labels mask; both of two tokens of five. */
    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE"})
    void an_evaluation_divides_by_the_tokens_that_count(DataType type) {
        MultiLayerNetwork model = sequences(type, 0.25, 0.75);
        MultiLayerNetwork other = sequences(type, 0.5, 0.5);
        INDArray mask = Nd4j.createFromArray(1.0, 0, 1, 0, 0).castTo(type).reshape(1, 5);
        double tolerance = type == DataType.FLOAT ? 1e-6 : 1e-12;
        for (boolean ofFeatures : new boolean[] {true, false}) {
            DataSet batch = new DataSet(
                    Nd4j.ones(type, 1, 1, 5),
                    Nd4j.zeros(type, 1, 1, 5),
                    ofFeatures ? mask : null,
                    ofFeatures ? null : mask);
            TokenEvaluation found =
                    TokenEvaluation.of(model, Teacher.of(other), new ExistingDataSetIterator(List.of(batch)));
            assertEquals(CROSS_ENTROPY, found.crossEntropy(), tolerance);
            assertEquals(DIVERGENCE, found.divergence(), tolerance);
            assertEquals(ofFeatures ? 5 : 2, found.tokens());
        }
    }

    private static MultiLayerNetwork sequences(DataType type, double first, double second) {
        MultiLayerNetwork network = Networks.stacked(
                type,
                1,
                new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(1)
                        .nOut(2)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(RNNFormat.NCW)
                        .build());
        network.getLayer(0).getParam("W").assign(0);
        network.getLayer(0).getParam("b").assign(logs(first, second));
        return network;
    }
}
