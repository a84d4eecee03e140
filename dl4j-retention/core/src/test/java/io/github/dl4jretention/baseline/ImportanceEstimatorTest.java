package io.github.dl4jretention.baseline;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** By hand: two classes with logits (log 3) x and 0, one feature x; for x = 1 the probabilities are 3/4 and 1/4. */
class ImportanceEstimatorTest {

    private static OutputLayer output() {
        return new OutputLayer.Builder(LossFunction.MCXENT)
                .nIn(1)
                .nOut(2)
                .hasBias(false)
                .activation(Activation.SOFTMAX)
                .build();
    }

    private static final double[] WEIGHTS = {Math.log(3), 0};

    private static MultiLayerNetwork twoClasses() {
        MultiLayerNetwork network = Networks.stacked(DataType.DOUBLE, 1, output());
        network.setParams(Nd4j.createFromArray(WEIGHTS).reshape(1, 2));
        return network;
    }

    private static ComputationGraph twoClassesGraph() {
        ComputationGraph graph = new ComputationGraph(new NeuralNetConfiguration.Builder()
                .dataType(DataType.DOUBLE)
                .graphBuilder()
                .addInputs("x")
                .addLayer("y", output(), "x")
                .setOutputs("y")
                .build());
        graph.init();
        graph.setParams(Nd4j.createFromArray(WEIGHTS).reshape(1, 2));
        return graph;
    }

    private static SameDiff twoClassesSameDiff() {
        SameDiff sd = SameDiff.create();
        SDVariable x = sd.placeHolder("x", DataType.DOUBLE, -1, 1);
        x.mmul(sd.var("w", Nd4j.createFromArray(WEIGHTS).reshape(1, 2))).rename("logits");
        sd.var("unused", Nd4j.ones(DataType.DOUBLE, 3));
        return sd;
    }

    /** Batches of three examples with x = 1 and labels 0, 0, 1. */
    private static DataSetIterator labelled() {
        INDArray labels = Nd4j.createFromArray(new double[][] {{1, 0}, {1, 0}, {0, 1}});
        return new ExistingDataSetIterator(List.of(new DataSet(Nd4j.ones(DataType.DOUBLE, 3, 1), labels)));
    }

    private static List<INDArray> all(Function<ImportanceEstimator, Importance> estimate) {
        return List.of(
                estimate.apply(ImportanceEstimator.of(twoClasses())).values("params"),
                estimate.apply(ImportanceEstimator.of(twoClassesGraph())).values("params"),
                estimate.apply(ImportanceEstimator.of(twoClassesSameDiff(), "logits", "x"))
                        .values("w")
                        .reshape(2));
    }

    @Test
    void the_empirical_Fisher_is_the_mean_of_squared_gradients_of_examples() {
        // Gradients p - y: (-1/4, 1/4) twice, then (3/4, -3/4). The squared mean, (1/12)^2, would be something else.
        double expected = (1 / 16.0 + 1 / 16.0 + 9 / 16.0) / 3;
        for (INDArray found : all(estimator -> estimator.empiricalFisher(labelled()))) {
            assertClose(Nd4j.createFromArray(expected, expected), found, 1e-14);
        }
        for (INDArray found : all(estimator -> estimator.examples(2).empiricalFisher(labelled()))) {
            assertClose(Nd4j.createFromArray(1 / 16.0, 1 / 16.0), found, 1e-14);
        }
    }

    @Test
    void the_Fisher_draws_labels_from_the_model() {
        // Expected: 3/4 (1/4)^2 + 1/4 (3/4)^2 = 3/16.
        int n = 600;
        DataSet data = new DataSet(Nd4j.ones(DataType.DOUBLE, n, 1), Nd4j.zeros(DataType.DOUBLE, n, 2));
        double deviation = Math.sqrt(3 / 16.0) / 2 / Math.sqrt(n);
        for (INDArray found : all(estimator -> estimator.fisher(new ExistingDataSetIterator(List.of(data)), 3))) {
            assertEquals(3 / 16.0, found.getDouble(0), 5 * deviation);
            assertEquals(found.getDouble(0), found.getDouble(1), 1e-12);
        }
        ImportanceEstimator estimator = ImportanceEstimator.of(twoClasses()).examples(40);
        INDArray first =
                estimator.fisher(new ExistingDataSetIterator(List.of(data)), 3).values("params");
        INDArray again =
                estimator.fisher(new ExistingDataSetIterator(List.of(data)), 3).values("params");
        assertClose(first, again, 0);
    }

    @Test
    void memory_aware_synapses_follow_the_squared_norm_of_the_outputs() {
        // ||p||^2 = 10/16; its gradient at the logits 2 p (p - ||p||^2): 2 3/4 1/8 and minus the same.
        double expected = 2 * 0.75 * 0.125;
        for (INDArray found : all(estimator -> estimator.memoryAwareSynapses(labelled()))) {
            assertClose(Nd4j.createFromArray(expected, expected), found, 1e-14);
        }
    }

    @Test
    void gradients_of_the_norm_agree_with_central_differences() {
        MultiLayerNetwork network = Networks.lstm(DataType.DOUBLE, 3);
        DataSet example = Networks.sequences(DataType.DOUBLE, 1, 4);
        INDArray found = ImportanceEstimator.of(network)
                .memoryAwareSynapses(new ExistingDataSetIterator(List.of(example)))
                .values("params");
        INDArray params = network.params();
        double step = 1e-5;
        for (int i = 0; i < params.length(); i += 7) {
            double value = params.getDouble(i);
            params.putScalar(i, value + step);
            double up = network.output(example.getFeatures()).norm2Number().doubleValue();
            params.putScalar(i, value - step);
            double down = network.output(example.getFeatures()).norm2Number().doubleValue();
            params.putScalar(i, value);
            assertEquals(Math.abs(up * up - down * down) / (2 * step), found.getDouble(i), 1e-7, "parameter " + i);
        }
    }

    @Test
    void examples_are_squared_one_by_one_masks_and_all() {
        MultiLayerNetwork network = Retention.withUpdater(Networks.lstm(DataType.DOUBLE, 1), new Sgd(1));
        DataSet batch = Networks.sequences(DataType.DOUBLE, 4, 2);
        INDArray mask = Nd4j.ones(DataType.DOUBLE, 4, Networks.TIME);
        mask.putScalar(1, 3, 0);
        mask.putScalar(2, 0, 0);
        batch.setLabelsMaskArray(mask);
        INDArray expected = Nd4j.zeros(DataType.DOUBLE, network.numParams());
        for (int i = 0; i < 4; i++) {
            INDArray gradient = Networks.gradient(network.clone(), one(batch, i));
            expected.addi(gradient.mul(gradient).reshape(network.numParams()).div(4));
        }
        INDArray found = ImportanceEstimator.of(network)
                .empiricalFisher(new ExistingDataSetIterator(List.of(batch)))
                .values("params");
        assertClose(expected, found, 1e-14);
        List<DataSet> single = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            single.add(one(batch, i));
        }
        assertClose(
                expected,
                ImportanceEstimator.of(network)
                        .empiricalFisher(new ExistingDataSetIterator(single))
                        .values("params"),
                1e-14);
    }

    private static DataSet one(DataSet batch, int index) {
        var example = ExampleRows.of(batch.toMultiDataSet(), index, index + 1);
        return new DataSet(example.getFeatures(0), example.getLabels(0), null, example.getLabelsMaskArray(0));
    }

    @Test
    void the_pass_changes_nothing_in_the_model() {
        MultiLayerNetwork network = Networks.lstm(DataType.FLOAT, 1, LossFunction.MCXENT, 0.5);
        DataSet batch = Networks.sequences(DataType.FLOAT, 3, 1);
        network.fit(batch);
        INDArray params = network.params().dup();
        INDArray state = network.getUpdater().getStateViewArray().dup();
        INDArray gradient = network.getFlattenedGradients().dup();
        String json = network.getLayerWiseConfigurations().toJson();
        double score = network.score();
        ImportanceEstimator estimator = ImportanceEstimator.of(network);
        INDArray first = estimator
                .empiricalFisher(new ExistingDataSetIterator(List.of(batch)))
                .values("params");
        estimator.fisher(new ExistingDataSetIterator(List.of(batch)), 1);
        estimator.memoryAwareSynapses(new ExistingDataSetIterator(List.of(batch)));
        assertClose(params, network.params(), 0);
        assertClose(state, network.getUpdater().getStateViewArray(), 0);
        assertClose(gradient, network.getFlattenedGradients(), 0);
        assertEquals(json, network.getLayerWiseConfigurations().toJson());
        assertEquals(score, network.score());
        // Dropout is off: twice the same, and that of the network without dropout.
        MultiLayerNetwork without = Networks.lstm(DataType.FLOAT, 1);
        without.setParams(params);
        assertClose(
                ImportanceEstimator.of(without)
                        .empiricalFisher(new ExistingDataSetIterator(List.of(batch)))
                        .values("params"),
                first,
                0);

        SameDiff sd = twoClassesSameDiff();
        ImportanceEstimator.of(sd, "logits", "x").fisher(labelled(), 1);
        assertFalse(sd.hasVariable("importance_loss"));
        assertTrue(sd.getLossVariables().isEmpty());
        assertClose(
                Nd4j.createFromArray(WEIGHTS).reshape(1, 2), sd.getVariable("w").getArr(), 0);
        assertClose(
                Nd4j.zeros(DataType.DOUBLE, 3),
                ImportanceEstimator.of(sd, "logits", "x")
                        .empiricalFisher(labelled())
                        .values("unused"),
                0);
    }

    @Test
    void class_ids_and_masks_count_in_SameDiff_too() {
        SameDiff sd = twoClassesSameDiff();
        DataSet masked = new DataSet(
                Nd4j.ones(DataType.DOUBLE, 3, 1), Nd4j.createFromArray(0, 0, 1).reshape(3, 1));
        INDArray expected = ImportanceEstimator.of(sd, "logits", "x")
                .empiricalFisher(labelled())
                .values("w");
        assertClose(
                expected,
                ImportanceEstimator.of(sd, "logits", "x")
                        .empiricalFisher(new ExistingDataSetIterator(List.of(masked)))
                        .values("w"),
                1e-15);
        masked.setLabelsMaskArray(Nd4j.createFromArray(1.0, 1, 0).reshape(3, 1));
        assertClose(
                Nd4j.valueArrayOf(new long[] {1, 2}, 2 / 16.0 / 3, DataType.DOUBLE),
                ImportanceEstimator.of(sd, "logits", "x")
                        .empiricalFisher(new ExistingDataSetIterator(List.of(masked)))
                        .values("w"),
                1e-15);
    }

    /** Of three tokens the last is masked: 2/16 over three examples. */
    @Test
    void labels_under_a_mask_may_hold_anything_and_others_must_be_ids() {
        ImportanceEstimator estimator = ImportanceEstimator.of(twoClassesSameDiff(), "logits", "x");
        INDArray x = Nd4j.ones(DataType.DOUBLE, 3, 1);
        INDArray mask = Nd4j.createFromArray(1.0, 1, 0).reshape(3, 1);
        INDArray expected = Nd4j.valueArrayOf(new long[] {1, 2}, 2 / 16.0 / 3, DataType.DOUBLE);
        for (INDArray junk : List.of(
                Nd4j.createFromArray(0, 0, Double.NaN).reshape(3, 1),
                Nd4j.createFromArray(0.0, 0, -100).reshape(3, 1),
                Nd4j.createFromArray(new double[][] {{1, 0}, {1, 0}, {Double.NaN, -1}}))) {
            DataSet masked = new DataSet(x, junk, null, mask);
            assertClose(
                    expected,
                    estimator
                            .empiricalFisher(new ExistingDataSetIterator(List.of(masked)))
                            .values("w"),
                    1e-15);
            DataSet whole = new DataSet(x, junk);
            assertThrows(
                    IllegalArgumentException.class,
                    () -> estimator.empiricalFisher(new ExistingDataSetIterator(List.of(whole))));
        }
        for (double id : new double[] {0.5, 2, -1, Double.NaN}) {
            DataSet wrong = new DataSet(x, Nd4j.createFromArray(0, 0, id).reshape(3, 1));
            String message = assertThrows(
                            IllegalArgumentException.class,
                            () -> estimator.empiricalFisher(new ExistingDataSetIterator(List.of(wrong))))
                    .getMessage();
            assertEquals("labels: expected whole class ids from 0 to 1, got " + id, message);
        }
        SameDiff large = SameDiff.create();
        large.placeHolder("x", DataType.FLOAT, -1, 1)
                .mmul(large.var("w", Nd4j.zeros(DataType.FLOAT, 1, 2051)))
                .rename("logits");
        DataSet rounded = new DataSet(
                Nd4j.ones(DataType.FLOAT, 1, 1),
                Nd4j.createFromArray(2049).castTo(DataType.FLOAT16).reshape(1, 1));
        String message = assertThrows(IllegalArgumentException.class, () -> ImportanceEstimator.of(large, "logits", "x")
                        .empiricalFisher(new ExistingDataSetIterator(List.of(rounded))))
                .getMessage();
        assertTrue(message.contains("below 2048, which HALF holds exactly, got 2048"), message);
    }

    @Test
    void sparse_labels_have_the_importance_of_one_hot_labels() {
        MultiLayerNetwork dense = Networks.lstm(DataType.DOUBLE, 1);
        MultiLayerNetwork sparse = Networks.lstm(DataType.DOUBLE, 1, LossFunction.SPARSE_MCXENT, 1);
        DataSet batch = Networks.sequences(DataType.DOUBLE, 2, 3);
        DataSetIterator oneHot = new ExistingDataSetIterator(List.of(batch));
        INDArray ids = Nd4j.argMax(batch.getLabels(), 1).castTo(DataType.DOUBLE).reshape(2, 1, Networks.TIME);
        INDArray expected =
                ImportanceEstimator.of(dense).empiricalFisher(oneHot).values("params");
        assertTrue(expected.meanNumber().doubleValue() > 1e-3);
        assertClose(
                expected,
                ImportanceEstimator.of(sparse)
                        .empiricalFisher(new ExistingDataSetIterator(List.of(new DataSet(batch.getFeatures(), ids))))
                        .values("params"),
                1e-14);
        assertClose(
                ImportanceEstimator.of(dense).fisher(oneHot, 4).values("params"),
                ImportanceEstimator.of(sparse).fisher(oneHot, 4).values("params"),
                1e-15);
    }

    @Test
    void the_losses_of_all_outputs_of_a_graph_are_added() {
        ComputationGraph graph = Networks.graph(DataType.DOUBLE, 1);
        MultiDataSet batch = Networks.graphBatch(DataType.DOUBLE, 2, 1);
        INDArray expected = Nd4j.zeros(DataType.DOUBLE, graph.numParams());
        for (int i = 0; i < 2; i++) {
            var example = ExampleRows.of(batch, i, i + 1);
            ComputationGraph copy = graph.clone();
            copy.setInputs(example.getFeatures());
            copy.setLabels(example.getLabels());
            copy.computeGradientAndScore();
            INDArray gradient = copy.getFlattenedGradients().reshape(graph.numParams());
            expected.addi(gradient.mul(gradient).div(2));
        }
        assertTrue(expected.meanNumber().doubleValue() > 1e-3);
        var batches = new SingletonMultiDataSetIterator(batch);
        assertClose(
                expected, ImportanceEstimator.of(graph).empiricalFisher(batches).values("params"), 1e-14);
        assertThrows(
                IllegalArgumentException.class,
                () -> ImportanceEstimator.of(graph).fisher(batches, 1),
                "one output is a regression");
    }

    @Test
    void importance_is_saved_and_loaded(@TempDir Path folder) throws IOException {
        Importance fisher =
                ImportanceEstimator.of(twoClassesSameDiff(), "logits", "x").empiricalFisher(labelled());
        Path file = folder.resolve("fisher.bin");
        fisher.save(file);
        Importance loaded = Importance.load(file);
        for (String name : List.of("w", "unused")) {
            assertClose(fisher.values(name), loaded.values(name), 0);
        }
        assertThrows(IllegalArgumentException.class, () -> loaded.values("other"));
    }

    @Test
    void a_damaged_file_is_refused(@TempDir Path folder) throws IOException {
        Path file = folder.resolve("fisher.bin");
        ImportanceEstimator.of(twoClasses()).empiricalFisher(labelled()).save(file);
        byte[] whole = Files.readAllBytes(file);
        for (int bit = 0; bit < 8 * whole.length; bit += 7) {
            byte[] flipped = whole.clone();
            flipped[bit / 8] ^= (byte) (1 << bit % 8);
            assertRefused(file, flipped);
        }
        for (int length = 0; length < whole.length; length += 5) {
            assertRefused(file, Arrays.copyOf(whole, length));
        }
        assertRefused(file, Arrays.copyOf(whole, whole.length + 1));
        assertRefused(file, new byte[whole.length]);
        Files.delete(file);
        assertThrows(IOException.class, () -> Importance.load(file));
    }

    private static void assertRefused(Path file, byte[] content) throws IOException {
        Files.write(file, content);
        String message =
                assertThrows(IOException.class, () -> Importance.load(file)).getMessage();
        assertTrue(message.startsWith("file: expected a saved Importance, got " + file), message);
    }

    @ParameterizedTest
    @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY, -1e-9})
    void importance_is_finite_and_at_least_0(double value) {
        INDArray values = Nd4j.createFromArray(1.0, value, 0);
        String message = assertThrows(IllegalArgumentException.class, () -> new Importance(Map.of("w", values)))
                .getMessage();
        assertEquals("importance: expected finite values of at least 0, got " + value + " in \"w\"", message);
    }
}
