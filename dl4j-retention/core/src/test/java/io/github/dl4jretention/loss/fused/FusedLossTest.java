package io.github.dl4jretention.loss.fused;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.internal.Workers;
import io.github.dl4jretention.loss.Divergence;
import io.github.dl4jretention.loss.LossPath;
import io.github.dl4jretention.loss.Objective;
import io.github.dl4jretention.loss.PackedLabels;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.TokenBatch;
import io.github.dl4jretention.loss.TokenWeight;
import io.github.dl4jretention.loss.samediff.SameDiffLossPath;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;
import org.deeplearning4j.nn.conf.RNNFormat;
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
import org.nd4j.linalg.cpu.nativecpu.bindings.Nd4jCpu;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** The fused path in FLOAT against SameDiff's autodiff in DOUBLE on the same inputs. */
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
        private final boolean classIds;
        private final boolean taught;
        private final boolean weighted;
        private final double factor;
        private final boolean impossibles;
        private final INDArray input;
        private final INDArray sequences;
        private final INDArray labels;
        private final INDArray mask;

        Case(long seed) {
            random = new Random(seed);
            batch = 1 + random.nextInt(9);
            time = 1 + random.nextInt(9);
            inputs = 1 + random.nextInt(12);
            vocabulary = 3 + random.nextInt(seed % 10 == 0 ? 700 : 40);
            parameters = random.nextInt(4) > 0;
            classIds = random.nextBoolean();
            taught = random.nextInt(3) > 0;
            weighted = random.nextBoolean();
            double temperature = random.nextInt(3) > 0 ? 1 : 0.5 + 3 * random.nextDouble();
            configuration = RetentionConfiguration.builder()
                    .divergence(Divergence.values()[random.nextInt(3)])
                    .beta(0.1 + 0.8 * random.nextDouble())
                    .temperature(temperature)
                    .labelSmoothing(random.nextInt(3) > 0 ? 0 : 0.3 * random.nextDouble())
                    .tokenWeight(tokenWeight())
                    .build();
            factor = 3 * random.nextDouble();
            // Reverse KL holds an impossible class at -1e9: no FLOAT gradient of it has five digits.
            impossibles = configuration.getDivergence() == Divergence.FORWARD_KL
                    || configuration.getDivergence() == Divergence.JENSEN_SHANNON && random.nextInt(3) == 0;
            int width = parameters ? inputs : vocabulary;
            INDArray sequences = Networks.normal(DataType.FLOAT, random, batch, width, time);
            if (!parameters && random.nextBoolean()) {
                sequences.muli(20);
                sequences.putScalar(
                        new int[] {random.nextInt(batch), random.nextInt(vocabulary), random.nextInt(time)},
                        random.nextBoolean() ? Double.NEGATIVE_INFINITY : 1e4);
            }
            this.sequences = sequences;
            input = sequences.permute(2, 0, 1).reshape('c', (long) time * batch, width);
            labels = labels();
            mask = mask();
        }

        private TokenWeight tokenWeight() {
            return switch (random.nextInt(8)) {
                case 0 -> TokenWeight.eaft(2 + random.nextInt(vocabulary - 1));
                case 1 -> TokenWeight.dft();
                case 2 -> TokenWeight.talr(0.1 + 5 * random.nextDouble());
                case 3 -> TokenWeight.selective(1 + 2.0 * vocabulary * random.nextDouble());
                case 4 -> TokenWeight.flow(0.1 + 5 * random.nextDouble());
                default -> null;
            };
        }

        private INDArray labels() {
            boolean sideBySide = random.nextBoolean();
            INDArray target = Nd4j.create(DataType.FLOAT, batch, classIds ? 1 : vocabulary, time);
            INDArray teacher = Nd4j.create(DataType.FLOAT, batch, vocabulary, time);
            INDArray weights = Nd4j.create(DataType.FLOAT, batch, 1, time);
            for (int b = 0; b < batch; b++) {
                for (int t = 0; t < time; t++) {
                    label(target, b, t);
                    for (int v = 0; v < vocabulary; v++) {
                        boolean impossible = impossibles && v > 0 && v % 5 == 0;
                        double value = impossible ? Double.NEGATIVE_INFINITY : 3 * random.nextGaussian() - 5;
                        teacher.putScalar(b, v, t, value);
                    }
                    weights.putScalar(b, 0, t, random.nextInt(3) * random.nextDouble());
                }
            }
            INDArray labels = taught ? PackedLabels.of(target, teacher, weighted ? weights : null) : target;
            return sideBySide ? labels.permute(2, 0, 1).dup('c').permute(1, 2, 0) : labels;
        }

        /** A tenth of the distributions are all zero: padding. */
        private void label(INDArray labels, int b, int t) {
            if (classIds) {
                labels.putScalar(b, 0, t, random.nextInt(vocabulary));
            } else if (random.nextInt(10) > 0) {
                for (int i = 0; i < 3; i++) {
                    labels.putScalar(b, random.nextInt(vocabulary), t, random.nextDouble());
                }
            }
        }

        private TokenBatch tokens(boolean agreement) {
            TokenBatch tokens = new TokenBatch(sequences, labels, mask, vocabulary, 1, factor, agreement);
            TokenWeight weight = configuration.getTokenWeight();
            if (weight != null && weight.needsTeacher()) {
                Objective.weighByTeacher(tokens, weight);
            }
            return tokens;
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
    }

    private record Result(TokenBatch values, INDArray back, Map<String, INDArray> gradients) {}

    private static Map<String, INDArray> doubles(Map<String, INDArray> arrays) {
        Map<String, INDArray> cast = new LinkedHashMap<>();
        arrays.forEach((name, array) -> cast.put(name, array.castTo(DataType.DOUBLE)));
        return cast;
    }

    private static Result backprop(LossPath path, Case of, DataType type) {
        Map<String, INDArray> gradients = type == DataType.DOUBLE ? doubles(of.arrays(false)) : of.arrays(false);
        TokenBatch tokens = of.tokens(true);
        INDArray back = path.backprop(of.input.castTo(type), tokens, gradients, LayerWorkspaceMgr.noWorkspaces());
        return new Result(tokens, back, gradients);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3})
    void values_and_gradients_are_those_of_autodiff(int part) {
        for (int i = 0; i < CASES; i++) {
            Case of = new Case(CASES * part + i);
            int chunk = 1 + of.random.nextInt(20);
            Workers workers = new Workers(1 + of.random.nextInt(3), 1 + of.random.nextInt(3));
            Map<String, INDArray> parameters = of.arrays(true);
            LossPath fused = new FusedLoss(of.configuration, parameters, of.vocabulary, 1, chunk, workers);
            LossPath sameDiff =
                    new SameDiffLossPath(of.configuration, DataType.DOUBLE, doubles(parameters), of.vocabulary, 1);
            Result expected = backprop(sameDiff, of, DataType.DOUBLE);
            Result actual = backprop(fused, of, DataType.FLOAT);
            String what = "case " + (CASES * part + i) + " " + expected.values.layout() + " " + of.configuration;
            TokenBatch tokens = of.tokens(false);
            assertTokens(expected.values.crossEntropy, actual.values.crossEntropy, tokens::weight, what);
            assertTokens(weights(expected), weights(actual), tokens::weight, what + " token weights");
            if (of.taught) {
                assertTokens(expected.values.divergence, actual.values.divergence, tokens::divergenceWeight, what);
                assertTokens(expected.values.agreement, actual.values.agreement, tokens::divergenceWeight, what);
            }
            assertRelative(expected.back, actual.back, what);
            expected.gradients.forEach(
                    (name, gradient) -> assertRelative(gradient, actual.gradients.get(name), what + " " + name));
            fused.forward(of.input, tokens);
            assertArrayEquals(actual.values.crossEntropy, tokens.crossEntropy, what);
            assertArrayEquals(actual.values.divergence, tokens.divergence, what);
            assertNull(tokens.agreement);
        }
    }

    private static double[] weights(Result result) {
        return IntStream.range(0, result.values.size())
                .mapToDouble(result.values::tokenWeight)
                .toArray();
    }

    private static void assertTokens(double[] expected, double[] actual, IntToDoubleFunction weights, String what) {
        for (int i = 0; i < expected.length; i++) {
            if (weights.applyAsDouble(i) > 0) {
                double scale = Math.max(1, Math.abs(expected[i]));
                assertEquals(expected[i], actual[i], TOLERANCE * scale, what + " token " + i);
            }
        }
    }

    /** Relative to the larger of 1 and the largest element. */
    private static void assertRelative(INDArray expected, INDArray actual, String what) {
        double scale = Math.max(1, expected.amaxNumber().doubleValue());
        assertClose(expected, actual, TOLERANCE * scale, what);
    }

    @Test
    void chunks_and_threads_change_nothing_but_rounding() {
        Case of = new Case(12);
        Map<String, INDArray> parameters = of.arrays(true);
        Result whole = backprop(
                new FusedLoss(of.configuration, parameters, of.vocabulary, 1, 1000, new Workers(1, 1)),
                of,
                DataType.FLOAT);
        Result parts = backprop(
                new FusedLoss(of.configuration, parameters, of.vocabulary, 1, 1, new Workers(3, 2)),
                of,
                DataType.FLOAT);
        assertRelative(whole.back, parts.back, "back");
        assertEquals(2, whole.gradients.size());
        whole.gradients.forEach((name, gradient) -> assertRelative(gradient, parts.gradients.get(name), name));
        assertArrayEquals(whole.values.crossEntropy, parts.values.crossEntropy, TOLERANCE);
    }

    @Test
    void chunks_are_bounded_by_logits_and_by_gradients_of_the_input() {
        INDArray narrow = Nd4j.create(DataType.FLOAT, 100, 1000);
        INDArray wide = Nd4j.create(DataType.FLOAT, 1000, 100);
        assertEquals(1000, FusedLoss.tokens(null, 1000, 1, 1_000_000));
        assertEquals(1000, FusedLoss.tokens(narrow, 1000, 1, 1_000_000));
        // Three more parts of 1000 values a token, a quarter of them.
        assertEquals(1333, FusedLoss.tokens(wide, 100, 4, 1_000_000));
        assertEquals(10_000, FusedLoss.tokens(wide, 100, 1, 1_000_000));
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
        Result first = backprop(new FusedLoss(of.configuration, parameters, of.vocabulary, 1), of, DataType.FLOAT);
        Result second = backprop(new FusedLoss(of.configuration, parameters, of.vocabulary, 1), of, DataType.FLOAT);
        assertClose(first.back, second.back, 0);
        first.gradients.forEach((name, gradient) -> assertClose(gradient, second.gradients.get(name), 0));
    }

    @Test
    void a_bias_in_half_precision_and_an_input_in_f_order_are_widened_and_copied_without_a_trace() {
        Random random = new Random(1);
        INDArray weights = Networks.normal(DataType.FLOAT, random, 4, 50).castTo(DataType.FLOAT16);
        INDArray bias = Networks.normal(DataType.FLOAT, random, 1, 50).castTo(DataType.FLOAT16);
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        FusedLoss half = new FusedLoss(conf, parameters(weights, bias), 50, 1);
        FusedLoss wide =
                new FusedLoss(conf, parameters(weights.castTo(DataType.FLOAT), bias.castTo(DataType.FLOAT)), 50, 1);
        INDArray input = Networks.normal(DataType.FLOAT, random, 6, 4);
        INDArray logits = input.mmul(weights.castTo(DataType.FLOAT)).addiRowVector(bias.castTo(DataType.FLOAT));
        INDArray expected = Nd4j.nn().logSoftmax(logits, 1).reshape(6, 1, 50);
        INDArray output = Nd4j.create(DataType.FLOAT, 6, 1, 50);
        wide.activate(input, true, output);
        assertClose(expected, output, TOLERANCE);
        output.assign(Double.NaN);
        INDArray columns = input.dup('f');
        half.activate(columns, true, output);
        assertClose(expected, output, TOLERANCE);
        long before = Nd4jCpu.Environment.getInstance().getDeviceCounter(0);
        for (int i = 0; i < 10; i++) {
            half.activate(columns, true, output);
        }
        long after = Nd4jCpu.Environment.getInstance().getDeviceCounter(0);
        assertTrue(after <= before, before + " bytes of arrays before, " + after + " after");
    }

    @Test
    void an_output_of_other_axes_is_refused() {
        Random random = new Random(1);
        FusedLoss loss = new FusedLoss(
                RetentionConfiguration.builder().build(),
                parameters(
                        Networks.normal(DataType.FLOAT, random, 4, 50), Networks.normal(DataType.FLOAT, random, 1, 50)),
                50,
                1);
        INDArray input = Networks.normal(DataType.FLOAT, random, 6, 4);
        for (INDArray output : List.of(
                Nd4j.create(DataType.FLOAT, 6, 50),
                Nd4j.create(DataType.FLOAT, 50, 1, 6).permute(2, 1, 0))) {
            assertThrows(IllegalArgumentException.class, () -> loss.activate(input, true, output));
        }
    }

    /** Frozen ones, with an adapter: more parts than threads, and several chunks. */
    @ParameterizedTest
    @ValueSource(strings = {"HALF", "BFLOAT16"})
    void weights_in_half_precision_give_the_gradients_of_the_same_ones_in_float(DataType type) {
        int vocabulary = 9000;
        Random random = new Random(2);
        INDArray half = Networks.normal(DataType.FLOAT, random, 5, vocabulary).castTo(type);
        Map<String, INDArray> adapter = Map.of(
                LossPath.DOWN, Networks.normal(DataType.FLOAT, random, 5, 2).dup('f'),
                LossPath.UP,
                        Networks.normal(DataType.FLOAT, random, 2, vocabulary).dup('f'));
        INDArray input = Networks.normal(DataType.FLOAT, random, 300, 5);
        INDArray labels = Nd4j.zeros(DataType.FLOAT, 1, 1, 300);
        for (int i = 0; i < 300; i++) {
            labels.putScalar(i, random.nextInt(vocabulary));
        }
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        List<Map<String, INDArray>> results = new ArrayList<>();
        for (INDArray weights : List.of(half.castTo(DataType.FLOAT), half)) {
            Map<String, INDArray> parameters = new LinkedHashMap<>(adapter);
            parameters.put(DefaultParamInitializer.WEIGHT_KEY, weights.dup('f'));
            Map<String, INDArray> result = new LinkedHashMap<>();
            adapter.forEach((name, array) -> result.put(name, Nd4j.create(DataType.FLOAT, array.shape(), 'f')));
            INDArray sequences = input.reshape('c', 1, 300, 5).permute(0, 2, 1);
            TokenBatch tokens = new TokenBatch(sequences, labels, null, vocabulary, 1, 0, false);
            INDArray back = new FusedLoss(conf, parameters, vocabulary, 0.5)
                    .backprop(input, tokens, result, LayerWorkspaceMgr.noWorkspaces());
            result.put("input", back);
            result.put("losses", Nd4j.createFromArray(tokens.crossEntropy));
            results.add(result);
        }
        results.get(0).forEach((name, expected) -> {
            double scale = expected.castTo(DataType.DOUBLE).amaxNumber().doubleValue();
            assertTrue(scale > 0, name);
            assertClose(expected, results.get(1).get(name), 1e-5 * scale);
        });
    }

    private static Map<String, INDArray> parameters(INDArray weights, INDArray bias) {
        return Map.of(DefaultParamInitializer.WEIGHT_KEY, weights.dup('f'), DefaultParamInitializer.BIAS_KEY, bias);
    }
}
