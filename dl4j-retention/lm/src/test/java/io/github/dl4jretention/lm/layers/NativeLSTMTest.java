package io.github.dl4jretention.lm.layers;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;
import net.jqwik.api.constraints.IntRange;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.ops.transforms.Transforms;

/** An LSTM at native speed against DL4J's own, which knows nothing of it. */
class NativeLSTMTest {

    private static final int INPUTS = 5;
    private static final int UNITS = 7;
    private static final int CLASSES = 6;

    private static NeuralNetConfiguration.ListBuilder list(DataType type) {
        return new NeuralNetConfiguration.Builder()
                .seed(3)
                .dataType(type)
                .updater(new Adam(0.01))
                .l2(1e-3)
                .activation(Activation.TANH)
                .list();
    }

    private static MultiLayerNetwork network(DataType type, Layer... hidden) {
        NeuralNetConfiguration.ListBuilder layers = list(type);
        for (Layer layer : hidden) {
            layers.layer(layer);
        }
        layers.layer(new RnnOutputLayer.Builder()
                        .activation(Activation.SOFTMAX)
                        .nOut(CLASSES)
                        .build())
                .setInputType(InputType.recurrent(INPUTS));
        return init(layers);
    }

    private static MultiLayerNetwork init(NeuralNetConfiguration.ListBuilder layers) {
        MultiLayerNetwork network = new MultiLayerNetwork(layers.build());
        network.init();
        network.params().muli(1.5);
        return network;
    }

    private static LSTM lstm(int units) {
        return new LSTM.Builder().nOut(units).forgetGateBiasInit(1).build();
    }

    private static LSTM lstm() {
        return lstm(UNITS);
    }

    private static MultiLayerNetwork nativeOf(MultiLayerNetwork stock) {
        MultiLayerNetwork faster = NativeLayers.of(stock);
        assertTrue(faster.getLayerWiseConfigurations().toJson().contains("NativeLSTM"));
        return faster;
    }

    private static DataSet batch(DataType type, int batch, int time, long seed) {
        Random random = new Random(seed);
        return new DataSet(Networks.normal(type, random, batch, INPUTS, time), labels(type, batch, time, random));
    }

    private static INDArray labels(DataType type, int batch, int time, Random random) {
        INDArray labels = Nd4j.zeros(type, batch, CLASSES, time);
        for (int b = 0; b < batch; b++) {
            for (int t = 0; t < time; t++) {
                labels.putScalar(new int[] {b, random.nextInt(CLASSES), t}, 1);
            }
        }
        return labels;
    }

    /** As factors they would make states a million times as large. */
    @Test
    void numbersOfDocumentsAreRefused() {
        MultiLayerNetwork faster = nativeOf(network(DataType.FLOAT, lstm()));
        setMasks(faster, Nd4j.createFromArray(new float[][] {{DecoderBlock.FIRST_DOCUMENT, 0, 1}}));
        String message = assertThrows(
                        IllegalArgumentException.class,
                        () -> faster.output(batch(DataType.FLOAT, 1, 3, 1).getFeatures()))
                .getMessage();
        assertTrue(message.contains("packed(false)"), message);
    }

    private static double tolerance(DataType type) {
        return type == DataType.FLOAT ? 1e-5 : 1e-12;
    }

    private static void assertSame(MultiLayerNetwork stock, MultiLayerNetwork faster, DataSet batch, double tolerance) {
        INDArray mask = batch.getFeaturesMaskArray();
        gradient(stock, batch, mask);
        gradient(faster, batch, mask);
        assertEquals(stock.score(), faster.score(), tolerance * 10);
        stock.gradient()
                .gradientForVariable()
                .forEach((name, gradient) ->
                        assertClose(gradient, faster.gradient().getGradientFor(name), tolerance * 10));
        assertClose(output(stock, batch, mask), output(faster, batch, mask), tolerance);
    }

    /** DL4J gives LSTMs no mask, except from MaskZeroLayer and LastTimeStep; they take one. */
    private static void setMasks(MultiLayerNetwork network, INDArray mask) {
        for (int i = 0; mask != null && i < network.getnLayers() - 1; i++) {
            network.getLayer(i).setMaskArray(mask.dup());
        }
    }

    private static INDArray output(MultiLayerNetwork network, DataSet batch, INDArray mask) {
        setMasks(network, mask);
        INDArray output = network.output(batch.getFeatures());
        network.clearLayerMaskArrays();
        return output;
    }

    /** Both also after the given steps of Adam. */
    private static void assertTrainsAlike(MultiLayerNetwork stock, DataSet batch, int steps, double tolerance) {
        MultiLayerNetwork faster = nativeOf(stock);
        for (int step = 0; step < steps; step++) {
            setMasks(stock, batch.getFeaturesMaskArray());
            stock.fit(batch);
            setMasks(faster, batch.getFeaturesMaskArray());
            faster.fit(batch);
        }
        assertClose(stock.params(), faster.params(), tolerance);
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE"})
    void values_and_gradients_are_those_of_DL4J(DataType type) {
        MultiLayerNetwork stock = network(type, lstm(), lstm(4));
        MultiLayerNetwork faster = nativeOf(stock);
        for (int batch : new int[] {1, 2, 3, 8}) {
            assertSame(stock, faster, batch(type, batch, 1 + 3 * (batch % 3), batch), tolerance(type));
        }
    }

    @Property(tries = 40, shrinking = ShrinkingMode.OFF)
    void any_size_is_that_of_DL4J(
            @ForAll @IntRange(min = 1, max = 9) int units,
            @ForAll @IntRange(min = 1, max = 17) int batch,
            @ForAll @IntRange(min = 1, max = 9) int time,
            @ForAll boolean isDouble) {
        DataType type = isDouble ? DataType.DOUBLE : DataType.FLOAT;
        MultiLayerNetwork stock = network(type, lstm(units), lstm(3));
        assertSame(stock, nativeOf(stock), batch(type, batch, time, units + 100L * time), tolerance(type));
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE"})
    void training_goes_where_that_of_DL4J_goes(DataType type) {
        assertTrainsAlike(network(type, lstm(), lstm()), batch(type, 5, 6, 1), 20, tolerance(type));
    }

    @Test
    void the_gradient_of_the_input_is_that_of_DL4J() {
        for (DataType type : new DataType[] {DataType.FLOAT, DataType.DOUBLE}) {
            MultiLayerNetwork stock = network(type, lstm());
            INDArray input = Networks.normal(type, new Random(1), 3, INPUTS, 4);
            INDArray epsilon = Networks.normal(type, new Random(2), 3, UNITS, 4);
            assertClose(epsilonOf(stock, input, epsilon), epsilonOf(nativeOf(stock), input, epsilon), tolerance(type));
        }
    }

    private static INDArray epsilonOf(MultiLayerNetwork network, INDArray input, INDArray epsilon) {
        LayerWorkspaceMgr none = LayerWorkspaceMgr.noWorkspaces();
        network.initGradientsView();
        network.getLayer(0).activate(input.dup(), true, none);
        Pair<Gradient, INDArray> first = network.getLayer(0).backpropGradient(epsilon.dup(), none);
        INDArray again =
                network.getLayer(0).backpropGradient(epsilon.dup(), none).getSecond();
        assertClose(first.getSecond(), again, 0);
        return again;
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE"})
    void suffix_masks_and_wholly_masked_rows_are_those_of_DL4J(DataType type) {
        DataSet batch = batch(type, 4, 6, 7);
        INDArray mask = Nd4j.ones(type, 4, 6);
        mask.putRow(1, Nd4j.createFromArray(1, 1, 1, 0, 0, 0).castTo(type));
        mask.putRow(2, Nd4j.createFromArray(1, 0, 0, 0, 0, 0).castTo(type));
        mask.putRow(3, Nd4j.zeros(type, 6));
        batch.setFeaturesMaskArray(mask);
        batch.setLabelsMaskArray(mask.dup());
        MultiLayerNetwork stock = network(type, lstm(), lstm(4));
        assertSame(stock, nativeOf(stock), batch, tolerance(type));
        assertTrainsAlike(stock, batch, 20, tolerance(type));
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE"})
    void values_under_any_mask_are_those_of_DL4J(DataType type) {
        MultiLayerNetwork stock = network(type, lstm(), lstm(4));
        MultiLayerNetwork faster = nativeOf(stock);
        Random random = new Random(5);
        for (int round = 0; round < 10; round++) {
            DataSet batch = batch(type, 4, 6, round);
            INDArray mask = Nd4j.zeros(type, 4, 6);
            for (int i = 0; i < 24; i++) {
                mask.putScalar(i / 6, i % 6, new double[] {0, 1, 1, 0.5}[random.nextInt(4)]);
            }
            assertClose(output(stock, batch, mask), output(faster, batch, mask), tolerance(type));
        }
    }

    /** A masked token resets the state, so what stands on its two sides are two sequences. */
    @Test
    void gradients_around_masked_tokens_are_those_of_the_sequences_between() {
        DataType type = DataType.DOUBLE;
        MultiLayerNetwork stock = network(type, lstm(), lstm(4));
        MultiLayerNetwork faster = nativeOf(stock);
        DataSet whole = batch(type, 2, 7, 9);
        INDArray mask = Nd4j.createFromArray(new double[][] {{0, 0, 1, 1, 1, 1, 1}, {1, 1, 0, 1, 1, 1, 0}});
        for (int[] hole : new int[][] {{0, 0}, {0, 1}, {1, 2}, {1, 6}}) {
            whole.getFeatures()
                    .tensorAlongDimension(hole[1], 0, 1)
                    .getRow(hole[0])
                    .assign(Double.NaN);
        }
        INDArray gradient = gradient(faster, whole, mask);
        INDArray expected = Nd4j.zeros(type, gradient.shape());
        for (int[] part : new int[][] {{0, 2, 7}, {1, 0, 2}, {1, 3, 6}}) {
            DataSet sequence = new DataSet(sequence(whole.getFeatures(), part), sequence(whole.getLabels(), part));
            expected.addi(gradient(stock, sequence, null));
        }
        assertClose(expected, gradient, 1e-12);
    }

    private static INDArray sequence(INDArray sequences, int[] part) {
        INDArray result = Nd4j.create(sequences.dataType(), 1, sequences.size(1), part[2] - part[1]);
        for (int n = 0; n < sequences.size(1); n++) {
            for (int t = part[1]; t < part[2]; t++) {
                result.putScalar(new int[] {0, n, t - part[1]}, sequences.getDouble(part[0], n, t));
            }
        }
        return result;
    }

    /** Summed over tokens, before the updater. */
    private static INDArray gradient(MultiLayerNetwork network, DataSet batch, INDArray mask) {
        network.setInput(batch.getFeatures());
        network.setLabels(batch.getLabels());
        network.setLayerMaskArrays(null, mask == null ? null : mask.neq(0).castTo(mask.dataType()));
        setMasks(network, mask);
        network.computeGradientAndScore();
        network.clearLayerMaskArrays();
        return network.getFlattenedGradients().dup();
    }

    @Test
    void gradients_are_central_differences_under_any_mask() {
        MultiLayerNetwork faster = nativeOf(init(list(DataType.DOUBLE)
                .layer(new Bidirectional(Bidirectional.Mode.CONCAT, lstm(3)))
                .layer(lstm(4))
                .layer(new RnnOutputLayer.Builder()
                        .activation(Activation.SOFTMAX)
                        .nOut(CLASSES)
                        .build())
                .setInputType(InputType.recurrent(INPUTS))));
        DataSet batch = batch(DataType.DOUBLE, 3, 5, 4);
        INDArray mask = Nd4j.createFromArray(new double[][] {{1, 1, 0, 1, 1}, {0, 1, 1, 1, 0}, {1, 0.5, 1, 1, 1}});
        batch.setFeaturesMaskArray(mask);
        INDArray gradient = gradient(faster, batch, mask);
        double step = 1e-5;
        for (int i = 0; i < faster.numParams(); i++) {
            double value = faster.params().getDouble(i);
            faster.params().putScalar(i, value + step);
            double above = dataLoss(faster, batch);
            faster.params().putScalar(i, value - step);
            double below = dataLoss(faster, batch);
            faster.params().putScalar(i, value);
            assertEquals((above - below) / (2 * step), gradient.getDouble(i), 1e-7, "parameter " + i);
        }
    }

    private static double dataLoss(MultiLayerNetwork network, DataSet batch) {
        INDArray mask = batch.getFeaturesMaskArray();
        INDArray losses = Transforms.log(output(network, batch, mask)).mul(batch.getLabels());
        return -losses.sum(1)
                .mul(mask.neq(0).castTo(mask.dataType()))
                .sumNumber()
                .doubleValue();
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE"})
    void wrapped_layers_train_alike(DataType type) {
        DataSet batch = batch(type, 4, 5, 2);
        for (Bidirectional.Mode mode : Bidirectional.Mode.values()) {
            assertTrainsAlike(network(type, new Bidirectional(mode, lstm()), lstm()), batch, 5, tolerance(type));
        }
        assertTrainsAlike(network(type, new MaskZeroLayer(lstm(), 0)), batch, 5, tolerance(type));
        MultiLayerNetwork last = init(list(type)
                .layer(lstm())
                .layer(new LastTimeStep(lstm()))
                .layer(new OutputLayer.Builder()
                        .activation(Activation.SOFTMAX)
                        .nOut(CLASSES)
                        .build())
                .setInputType(InputType.recurrent(INPUTS)));
        INDArray labels = labels(type, 4, 1, new Random(1)).reshape(4, CLASSES);
        assertTrainsAlike(last, new DataSet(batch.getFeatures(), labels), 5, tolerance(type));
    }

    @ParameterizedTest
    @EnumSource(RNNFormat.class)
    void both_data_formats_train_alike(RNNFormat format) {
        MultiLayerNetwork stock = init(list(DataType.FLOAT)
                .layer(new LSTM.Builder().nOut(UNITS).dataFormat(format).build())
                .layer(new LSTM.Builder().nOut(UNITS).dataFormat(format).build())
                .layer(new RnnOutputLayer.Builder()
                        .nOut(CLASSES)
                        .dataFormat(format)
                        .build())
                .setInputType(InputType.recurrent(INPUTS, 6, format)));
        DataSet batch = batch(DataType.FLOAT, 3, 6, 8);
        if (format == RNNFormat.NWC) {
            batch = new DataSet(
                    batch.getFeatures().permute(0, 2, 1).dup('c'),
                    batch.getLabels().permute(0, 2, 1).dup('c'));
        }
        assertTrainsAlike(stock, batch, 10, 1e-5);
    }

    @Test
    void dropout_is_that_of_DL4J() {
        MultiLayerNetwork stock = network(
                DataType.FLOAT, new LSTM.Builder().nOut(UNITS).dropOut(0.5).build(), lstm());
        MultiLayerNetwork faster = nativeOf(stock);
        DataSet batch = batch(DataType.FLOAT, 3, 4, 8);
        // Seed 0 would be another one each time.
        for (int seed = 1; seed < 10; seed++) {
            Nd4j.getRandom().setSeed(seed);
            INDArray expected = gradient(stock, batch, null);
            Nd4j.getRandom().setSeed(seed);
            assertClose(expected, gradient(faster, batch, null), 1e-5);
            double score = faster.score();
            gradient(faster, batch, null);
            assertNotEquals(score, faster.score());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 4})
    void truncated_backpropagation_is_that_of_DL4J(int backward) {
        for (DataType type : new DataType[] {DataType.FLOAT, DataType.DOUBLE}) {
            NeuralNetConfiguration.ListBuilder layers = list(type)
                    .layer(lstm())
                    .layer(lstm(4))
                    .layer(new RnnOutputLayer.Builder()
                            .activation(Activation.SOFTMAX)
                            .nOut(CLASSES)
                            .build())
                    .setInputType(InputType.recurrent(INPUTS));
            layers.backpropType(BackpropType.TruncatedBPTT);
            layers.tBPTTForwardLength(4);
            layers.tBPTTBackwardLength(backward);
            MultiLayerNetwork stock = init(layers);
            assertTrainsAlike(stock, batch(type, 3, 11, 6), 7, tolerance(type));
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE"})
    void stored_state_is_that_of_DL4J(DataType type) {
        MultiLayerNetwork stock = network(type, lstm(), lstm(4));
        MultiLayerNetwork faster = nativeOf(stock);
        for (int step = 0; step < 5; step++) {
            INDArray input = Networks.normal(type, new Random(step), 3, INPUTS, 1 + step % 2);
            assertClose(stock.rnnTimeStep(input), faster.rnnTimeStep(input), tolerance(type));
            for (int layer = 0; layer < 2; layer++) {
                Map<String, INDArray> state = faster.rnnGetPreviousState(layer);
                stock.rnnGetPreviousState(layer)
                        .forEach((name, value) -> assertClose(value, state.get(name), tolerance(type)));
            }
        }
        // Either takes the other's.
        faster.rnnSetPreviousState(0, stock.rnnGetPreviousState(0));
        INDArray next = Networks.normal(type, new Random(9), 3, INPUTS, 2);
        assertClose(stock.rnnTimeStep(next), faster.rnnTimeStep(next), tolerance(type));
        faster.rnnClearPreviousState();
        INDArray other = Networks.normal(type, new Random(9), 2, INPUTS, 2);
        assertClose(faster.output(other), faster.rnnTimeStep(other), 0);
        assertThrows(IllegalStateException.class, () -> faster.rnnTimeStep(next));
    }

    @Test
    void other_types_run_the_code_of_DL4J() {
        MultiLayerNetwork stock = network(DataType.FLOAT, lstm()).convertDataType(DataType.FLOAT16);
        MultiLayerNetwork faster = nativeOf(stock);
        INDArray input = Networks.normal(DataType.FLOAT16, new Random(1), 2, INPUTS, 3);
        assertClose(stock.output(input), faster.output(input), 0);
    }

    @Test
    void bad_input_is_refused_with_its_shape() {
        MultiLayerNetwork faster = nativeOf(network(DataType.FLOAT, lstm()));
        String message = assertThrows(
                        DL4JInvalidInputException.class,
                        () -> faster.output(Nd4j.zeros(DataType.FLOAT, 2, INPUTS + 1, 3)))
                .getMessage();
        assertTrue(message.contains("input: expected [batch, 5, time], got [2, 6, 3]"), message);
        faster.getLayer(0).setMaskArray(Nd4j.ones(DataType.FLOAT, 2, 4));
        IllegalArgumentException mask = assertThrows(
                IllegalArgumentException.class, () -> faster.output(Nd4j.zeros(DataType.FLOAT, 2, INPUTS, 3)));
        assertTrue(mask.getMessage().contains("featuresMask: expected [2, 3], got [2, 4]"), mask.getMessage());
        assertTrue(faster.getLayer(0) instanceof RecurrentLayer);
    }
}
