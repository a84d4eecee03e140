package io.github.dl4jretention.loss.fused;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.internal.Workers;
import io.github.dl4jretention.loss.Divergence;
import io.github.dl4jretention.loss.LabelKind;
import io.github.dl4jretention.loss.LossPath;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionLabels;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.loss.TokenLosses;
import io.github.dl4jretention.loss.TokenRows;
import io.github.dl4jretention.loss.samediff.SameDiffLossPath;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.RnnLossLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** The fused path against SameDiff's autodiff on the same inputs. */
class FusedLossTest {

    private static final double TOLERANCE = 1e-5;
    private static final int CASES = 60;

    /** One random case: everything that the loss depends on. */
    private static final class Case {

        private final Random random;
        private final int batch;
        private final int time;
        private final int inputs;
        private final int vocabulary;
        private final boolean parameters;
        private final RetentionConfiguration configuration;
        private final LabelKind kind;
        private final double factor;
        private final boolean impossibles;
        private final INDArray input;
        private final TokenRows rows;

        Case(long seed) {
            random = new Random(seed);
            batch = 1 + random.nextInt(9);
            time = 1 + random.nextInt(9);
            inputs = 1 + random.nextInt(12);
            vocabulary = 3 + random.nextInt(seed % 10 == 0 ? 700 : 40);
            parameters = random.nextInt(4) > 0;
            kind = LabelKind.values()[random.nextInt(LabelKind.values().length)];
            double temperature = random.nextInt(3) > 0 ? 1 : 0.5 + 3 * random.nextDouble();
            configuration = RetentionConfiguration.builder()
                    .divergence(Divergence.values()[random.nextInt(3)])
                    .beta(0.1 + 0.8 * random.nextDouble())
                    .temperature(temperature)
                    .labelSmoothing(random.nextInt(3) > 0 ? 0 : 0.3 * random.nextDouble())
                    .build();
            factor = 3 * random.nextDouble();
            impossibles = configuration.getDivergence() == Divergence.FORWARD_KL || random.nextInt(3) == 0;
            int width = parameters ? inputs : vocabulary;
            INDArray sequences = Networks.normal(DataType.FLOAT, random, batch, width, time);
            if (!parameters && random.nextBoolean()) {
                sequences.muli(20);
                sequences.putScalar(
                        new int[] {random.nextInt(batch), random.nextInt(vocabulary), random.nextInt(time)},
                        random.nextBoolean() ? Double.NEGATIVE_INFINITY : 1e4);
            }
            input = RetentionLabels.rows(sequences, 1);
            rows = TokenRows.of(sequences, labels(), mask(), vocabulary, 1);
        }

        private INDArray labels() {
            boolean sideBySide = random.nextBoolean();
            INDArray labels = sideBySide
                    ? Nd4j.create(DataType.FLOAT, time, batch, kind.size(vocabulary))
                            .permute(1, 2, 0)
                    : Nd4j.create(DataType.FLOAT, batch, kind.size(vocabulary), time);
            for (int b = 0; b < batch; b++) {
                for (int t = 0; t < time; t++) {
                    label(labels, b, t);
                }
            }
            return labels;
        }

        private void label(INDArray labels, int b, int t) {
            int from = (int) kind.targetSize(vocabulary);
            if (kind.isClassId()) {
                labels.putScalar(b, 0, t, random.nextInt(vocabulary));
            } else {
                for (int i = 0; i < 3; i++) {
                    labels.putScalar(b, random.nextInt(vocabulary), t, random.nextDouble());
                }
            }
            for (int v = 0; kind.hasTeacher() && v < vocabulary; v++) {
                boolean impossible = impossibles && v > 0 && v % 5 == 0;
                labels.putScalar(b, from + v, t, impossible ? Double.NEGATIVE_INFINITY : 3 * random.nextGaussian() - 5);
            }
            if (kind.hasWeight()) {
                labels.putScalar(b, kind.size(vocabulary) - 1, t, random.nextInt(3) * random.nextDouble());
            }
        }

        private INDArray mask() {
            if (random.nextBoolean()) {
                return null;
            }
            INDArray mask = Nd4j.create(DataType.FLOAT, batch, time);
            for (int i = 0; i < mask.length(); i++) {
                mask.putScalar(i, random.nextInt(3) * 0.7);
            }
            return mask;
        }

        private Map<String, INDArray> arrays(boolean values) {
            Map<String, INDArray> arrays = new LinkedHashMap<>();
            if (parameters) {
                Random own = new Random(values ? 1 : 2);
                arrays.put(
                        DefaultParamInitializer.WEIGHT_KEY,
                        Networks.normal(DataType.FLOAT, own, inputs, vocabulary).dup('f'));
                arrays.put(DefaultParamInitializer.BIAS_KEY, Networks.normal(DataType.FLOAT, own, 1, vocabulary));
            }
            return arrays;
        }

        private RetentionOutputLayer layer() {
            return parameters
                    ? new RetentionOutputLayer.Builder(configuration)
                            .nIn(inputs)
                            .nOut(vocabulary)
                            .build()
                    : RetentionOutputLayer.replacing(new RnnLossLayer.Builder().build(), configuration, null);
        }
    }

    private record Result(TokenLosses values, INDArray back, Map<String, INDArray> gradients) {}

    private static Result backprop(LossPath path, Case of) {
        Map<String, INDArray> gradients = of.arrays(false);
        LossPath.Backprop result =
                path.backprop(of.input, of.rows, of.factor, true, gradients, LayerWorkspaceMgr.noWorkspaces());
        return new Result(result.values(), result.inputRows(), gradients);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3})
    void values_and_gradients_are_those_of_autodiff(int part) {
        for (int i = 0; i < CASES; i++) {
            Case of = new Case(CASES * part + i);
            int chunk = 1 + of.random.nextInt(20);
            Workers workers = new Workers(1 + of.random.nextInt(3), 1 + of.random.nextInt(3));
            Map<String, INDArray> parameters = of.arrays(true);
            LossPath fused = new FusedLoss(of.configuration, parameters, of.vocabulary, chunk, workers);
            LossPath graph = new SameDiffLossPath(of.layer(), DataType.FLOAT, parameters, of.vocabulary);
            Result expected = backprop(graph, of);
            Result actual = backprop(fused, of);
            String what = "case " + (CASES * part + i) + " " + of.kind + " " + of.configuration;
            assertTokens(expected.values.crossEntropy(), actual.values.crossEntropy(), of.rows.weights(), what);
            if (of.kind.hasTeacher()) {
                double[] weights = of.rows.divergenceWeights();
                assertTokens(expected.values.divergence(), actual.values.divergence(), weights, what);
                assertTokens(expected.values.agreement(), actual.values.agreement(), weights, what);
            }
            assertRelative(expected.back, actual.back, what);
            expected.gradients.forEach(
                    (name, gradient) -> assertRelative(gradient, actual.gradients.get(name), what + " " + name));
            TokenLosses forward = fused.forward(of.input, of.rows, of.factor, false);
            assertArrayEquals(actual.values.crossEntropy(), forward.crossEntropy(), what);
            assertArrayEquals(actual.values.divergence(), forward.divergence(), what);
            assertNull(forward.agreement());
        }
    }

    private static void assertTokens(double[] expected, double[] actual, double[] weights, String what) {
        for (int i = 0; i < weights.length; i++) {
            if (weights[i] > 0) {
                double scale = Math.max(1, Math.abs(expected[i]));
                assertEquals(expected[i], actual[i], TOLERANCE * scale, what + " token " + i);
            }
        }
    }

    /** Relative to the larger of 1 and the largest element. */
    private static void assertRelative(INDArray expected, INDArray actual, String what) {
        double scale = Math.max(1, expected.amaxNumber().doubleValue());
        assertEquals(0, expected.sub(actual).amaxNumber().doubleValue(), TOLERANCE * scale, what);
    }

    @Test
    void chunks_and_threads_change_nothing_but_rounding() {
        Case of = new Case(12);
        Map<String, INDArray> parameters = of.arrays(true);
        Result whole =
                backprop(new FusedLoss(of.configuration, parameters, of.vocabulary, 1000, new Workers(1, 1)), of);
        Result parts = backprop(new FusedLoss(of.configuration, parameters, of.vocabulary, 1, new Workers(3, 2)), of);
        assertClose(whole.back, parts.back, TOLERANCE);
        assertEquals(2, whole.gradients.size());
        whole.gradients.forEach((name, gradient) -> assertRelative(gradient, parts.gradients.get(name), name));
        assertArrayEquals(whole.values.crossEntropy(), parts.values.crossEntropy(), TOLERANCE);
    }

    @Test
    void chunks_are_bounded_by_logits_and_by_gradients_of_the_input() {
        INDArray narrow = Nd4j.create(DataType.FLOAT, 100, 1000);
        INDArray wide = Nd4j.create(DataType.FLOAT, 1000, 100);
        assertEquals(1000, FusedProjection.tokens(null, 1000, 1, 1_000_000));
        assertEquals(1000, FusedProjection.tokens(narrow, 1000, 1, 1_000_000));
        // Three more parts of 1000 values a token, a quarter of them.
        assertEquals(1333, FusedProjection.tokens(wide, 100, 4, 1_000_000));
        assertEquals(10_000, FusedProjection.tokens(wide, 100, 1, 1_000_000));
    }

    @Test
    void a_distribution_of_an_infinite_logit_is_none() {
        MultiLayerNetwork network = Networks.lstm(DataType.FLOAT, 1);
        MultiLayerNetwork student =
                Retention.attach(network, RetentionConfiguration.builder().build());
        INDArray features = Networks.sequences(DataType.FLOAT, 2, 1).getFeatures();
        for (MultiLayerNetwork diverged : List.of(network, student)) {
            diverged.getOutputLayer().getParam("b").putScalar(2, Double.POSITIVE_INFINITY);
            assertTrue(diverged.output(features).isNaN().all(), diverged.toString());
        }
    }

    @Test
    void cross_entropy_over_a_large_vocabulary_is_that_of_the_stock_layer() {
        int large = 5000;
        MultiLayerNetwork stock = Networks.stacked(
                DataType.FLOAT,
                3,
                new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(Networks.INPUTS)
                        .nOut(large)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(RNNFormat.NCW)
                        .build());
        MultiLayerNetwork student =
                Retention.attach(stock, RetentionConfiguration.builder().build());
        Random random = new Random(4);
        INDArray features = Networks.normal(DataType.FLOAT, random, 3, Networks.INPUTS, Networks.TIME);
        INDArray labels = Nd4j.zeros(DataType.FLOAT, 3, large, Networks.TIME);
        for (int token = 0; token < 3 * Networks.TIME; token++) {
            labels.putScalar(new int[] {token % 3, random.nextInt(large), token / 3}, 1);
        }
        DataSet batch = new DataSet(features, labels);
        assertClose(Networks.gradient(stock, batch), Networks.gradient(student, batch), TOLERANCE);
        assertEquals(stock.score(batch), student.score(batch), TOLERANCE * stock.score(batch));
        assertClose(stock.output(features), student.output(features), 1e-7);
    }

    @Test
    void two_runs_give_the_same_bits() {
        Case of = new Case(30);
        Map<String, INDArray> parameters = of.arrays(true);
        Result first = backprop(new FusedLoss(of.configuration, parameters, of.vocabulary), of);
        Result second = backprop(new FusedLoss(of.configuration, parameters, of.vocabulary), of);
        assertClose(first.back, second.back, 0);
        first.gradients.forEach((name, gradient) -> assertClose(gradient, second.gradients.get(name), 0));
    }
}
