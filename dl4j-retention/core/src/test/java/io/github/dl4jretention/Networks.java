package io.github.dl4jretention;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.loss.TokenLoss;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Small networks and batches for tests. */
public final class Networks {

    public static final int INPUTS = 4;
    public static final int VOCABULARY = 6;
    public static final int TIME = 5;

    private Networks() {}

    public static MultiLayerNetwork lstm(DataType type, long seed) {
        return lstm(type, seed, LossFunction.MCXENT, 1.0);
    }

    public static MultiLayerNetwork lstm(DataType type, long seed, LossFunction loss, double retainProbability) {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .dataType(type)
                .seed(seed)
                .updater(new Adam(0.01))
                .l2(1e-3)
                .list()
                .layer(new LSTM.Builder()
                        .nIn(INPUTS)
                        .nOut(7)
                        .activation(Activation.TANH)
                        .dropOut(retainProbability)
                        .build())
                .layer(new RnnOutputLayer.Builder(loss)
                        .nIn(7)
                        .nOut(VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(RNNFormat.NCW)
                        .build())
                .build());
        network.init();
        return network;
    }

    public static MultiLayerNetwork dense(DataType type, long seed, boolean bias) {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .dataType(type)
                .seed(seed)
                .updater(new Adam(0.01))
                .list()
                .layer(new DenseLayer.Builder()
                        .nIn(INPUTS)
                        .nOut(7)
                        .activation(Activation.TANH)
                        .build())
                .layer(new OutputLayer.Builder(LossFunction.NEGATIVELOGLIKELIHOOD)
                        .nIn(7)
                        .nOut(VOCABULARY)
                        .hasBias(bias)
                        .activation(Activation.SOFTMAX)
                        .build())
                .build());
        network.init();
        return network;
    }

    /** Two inputs that are merged, a language model's output "text" and a regression's output "other". */
    public static ComputationGraph graph(DataType type, long seed) {
        ComputationGraph graph = new ComputationGraph(new NeuralNetConfiguration.Builder()
                .dataType(type)
                .seed(seed)
                .updater(new Adam(0.01))
                .l2(1e-3)
                .graphBuilder()
                .addInputs("left", "right")
                .addLayer("lstm", new LSTM.Builder().nIn(INPUTS).nOut(5).build(), "left")
                .addLayer("second", new LSTM.Builder().nIn(INPUTS).nOut(3).build(), "right")
                .addVertex("merged", new MergeVertex(), "lstm", "second")
                .addLayer(
                        "text",
                        new RnnOutputLayer.Builder(LossFunction.MCXENT)
                                .nIn(8)
                                .nOut(VOCABULARY)
                                .activation(Activation.SOFTMAX)
                                .dataFormat(RNNFormat.NCW)
                                .build(),
                        "merged")
                .addLayer(
                        "other",
                        new RnnOutputLayer.Builder(LossFunction.MSE)
                                .nIn(8)
                                .nOut(2)
                                .activation(Activation.IDENTITY)
                                .dataFormat(RNNFormat.NCW)
                                .build(),
                        "merged")
                .setOutputs("other", "text")
                .build());
        graph.init();
        return graph;
    }

    public static MultiDataSet graphBatch(DataType type, int batch, long seed) {
        Random random = new Random(seed);
        return new MultiDataSet(
                new INDArray[] {normal(type, random, batch, INPUTS, TIME), normal(type, random, batch, INPUTS, TIME)},
                new INDArray[] {normal(type, random, batch, 2, TIME), oneHot(type, batch, TIME, random)});
    }

    /** Attention of two heads over a sequence of some values, with parameters. */
    public static AttentionVertex attention(int nIn, int nOut) {
        return new AttentionVertex.Builder()
                .nInKeys(nIn)
                .nInQueries(nIn)
                .nInValues(nIn)
                .nOut(nOut)
                .nHeads(2)
                .projectInput(true)
                .build();
    }

    /** Any layers in a row, on sequences of INPUTS values or, with a dense first layer, on rows. */
    public static MultiLayerNetwork stacked(DataType type, long seed, Layer... layers) {
        NeuralNetConfiguration.ListBuilder list = new NeuralNetConfiguration.Builder()
                .dataType(type)
                .seed(seed)
                .updater(new Adam(0.01))
                .list();
        for (Layer layer : layers) {
            list.layer(layer);
        }
        MultiLayerNetwork network = new MultiLayerNetwork(list.build());
        network.init();
        return network;
    }

    /** A recurrent language model of one-hot tokens, with distributions that are far from even. */
    public static MultiLayerNetwork languageModel(DataType type, long seed) {
        MultiLayerNetwork network = stacked(
                type,
                seed,
                new LSTM.Builder().nIn(VOCABULARY).nOut(9).build(),
                new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(9)
                        .nOut(VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(RNNFormat.NCW)
                        .build());
        network.params().muli(3);
        return network;
    }

    /** Tokens and the tokens that follow them, one-hot. */
    public static DataSet text(DataType type, int rows, int time, long seed) {
        Random random = new Random(seed);
        INDArray tokens = oneHot(type, rows, time + 1, random);
        return new DataSet(
                tokens.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.interval(0, time))
                        .dup('c'),
                tokens.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.interval(1, time + 1))
                        .dup('c'));
    }

    public static INDArray oneHot(DataType type, int batch, int time, Random random) {
        INDArray labels = Nd4j.zeros(type, batch, VOCABULARY, time);
        for (int b = 0; b < batch; b++) {
            for (int t = 0; t < time; t++) {
                labels.putScalar(new int[] {b, random.nextInt(VOCABULARY), t}, 1);
            }
        }
        return labels;
    }

    public static DataSet sequences(DataType type, int batch, long seed) {
        Random random = new Random(seed);
        return new DataSet(normal(type, random, batch, INPUTS, TIME), oneHot(type, batch, TIME, random));
    }

    public static DataSet rows(DataType type, int batch, long seed) {
        Random random = new Random(seed);
        INDArray labels = oneHot(type, batch, 1, random).reshape(batch, VOCABULARY);
        return new DataSet(normal(type, random, batch, INPUTS), labels);
    }

    public static List<DataSet> batches(DataType type, int count, boolean sequences) {
        List<DataSet> batches = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            batches.add(sequences ? sequences(type, 3, i) : rows(type, 3, i));
        }
        return batches;
    }

    public static INDArray normal(DataType type, Random random, long... shape) {
        INDArray array = Nd4j.create(type, shape);
        for (long i = 0; i < array.length(); i++) {
            array.putScalar(i, random.nextGaussian());
        }
        return array;
    }

    /** A copy whose parameters are moved by Gaussian noise. */
    public static MultiLayerNetwork moved(MultiLayerNetwork network, double deviation, long seed) {
        MultiLayerNetwork copy = network.clone();
        Random random = new Random(seed);
        INDArray params = copy.params().dup();
        for (long i = 0; i < params.length(); i++) {
            params.putScalar(i, params.getDouble(i) + deviation * random.nextGaussian());
        }
        copy.setParams(params);
        return copy;
    }

    /** Score and flat gradient of one batch, in training mode. */
    public static INDArray gradient(MultiLayerNetwork network, DataSet data) {
        network.setInput(data.getFeatures());
        network.setLabels(data.getLabels());
        network.setLayerMaskArrays(data.getFeaturesMaskArray(), data.getLabelsMaskArray());
        network.computeGradientAndScore();
        network.clearLayerMaskArrays();
        return network.getFlattenedGradients().dup();
    }

    /**
     * Checks every seventh number of a gradient by central differences of {@link #lastLoss}: DL4J's score has L2, its
     * gradient view doesn't.
     */
    public static void assertGradientOfScore(INDArray gradient, MultiLayerNetwork student, DataSet data) {
        INDArray parameters = student.params().dup();
        double step = 1e-5;
        for (int i = 0; i < parameters.length(); i += 7) {
            double[] losses = new double[2];
            for (int side = 0; side < 2; side++) {
                student.setParams(parameters.dup().putScalar(i, parameters.getDouble(i) + (side == 0 ? step : -step)));
                student.score(data, false);
                losses[side] = lastLoss(student).sum();
            }
            assertEquals((losses[0] - losses[1]) / (2 * step), gradient.getDouble(i), 1e-6, "parameter " + i);
        }
    }

    public static TokenLoss lastLoss(MultiLayerNetwork student) {
        return ((RetentionOutputLayerRuntime) student.getOutputLayer()).lastTokenLoss();
    }

    /** The one way in which tests compare arrays: same shape, every element within the tolerance, none NaN. */
    public static void assertClose(INDArray expected, INDArray actual, double tolerance) {
        assertClose(expected, actual, tolerance, "");
    }

    /** As without {@code what}, which begins the message. */
    public static void assertClose(INDArray expected, INDArray actual, double tolerance, String what) {
        assertArrayEquals(expected.shape(), actual.shape(), what + " shape");
        double[] want = expected.dup('c').reshape(expected.length()).toDoubleVector();
        double[] got = actual.dup('c').reshape(actual.length()).toDoubleVector();
        for (int i = 0; i < want.length; i++) {
            String element = what + " element " + i + " of " + want.length;
            assertFalse(Double.isNaN(want[i]) || Double.isNaN(got[i]), element + " is NaN");
            assertEquals(want[i], got[i], tolerance, element);
        }
    }

    /** The opposite: some element is farther away than the tolerance, and none is NaN. */
    public static void assertMoved(INDArray from, INDArray to, double tolerance) {
        double largest = largestDifference(from, to);
        assertTrue(largest > tolerance, "largest difference " + largest);
    }

    /** The largest difference of two elements in the same place; fails on NaN, which ND4J's maxima pass over. */
    public static double largestDifference(INDArray one, INDArray two) {
        assertArrayEquals(one.shape(), two.shape(), "shape");
        double[] ones = one.dup('c').reshape(one.length()).toDoubleVector();
        double[] twos = two.dup('c').reshape(two.length()).toDoubleVector();
        double largest = 0;
        for (int i = 0; i < ones.length; i++) {
            double difference = Math.abs(ones[i] - twos[i]);
            assertFalse(Double.isNaN(difference), "element " + i + " is NaN");
            largest = Math.max(largest, difference);
        }
        return largest;
    }
}
