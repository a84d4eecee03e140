package io.github.dl4jretention.baseline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import java.util.List;
import java.util.Random;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

class RefusedImportanceTest {

    private static DataSetIterator sequences() {
        return new ExistingDataSetIterator(List.of(Networks.sequences(DataType.DOUBLE, 3, 1)));
    }

    private static String refused(Executable call) {
        return assertThrows(IllegalArgumentException.class, call).getMessage();
    }

    @Test
    void batch_normalisation_has_no_gradient_of_an_example() {
        MultiLayerNetwork network = Networks.stacked(
                DataType.DOUBLE,
                1,
                new BatchNormalization.Builder()
                        .nIn(Networks.INPUTS)
                        .nOut(Networks.INPUTS)
                        .build(),
                new OutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(Networks.INPUTS)
                        .nOut(Networks.VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .build());
        DataSetIterator rows = new ExistingDataSetIterator(List.of(Networks.rows(DataType.DOUBLE, 3, 1)));
        String message = refused(() -> ImportanceEstimator.of(network).empiricalFisher(rows));
        assertTrue(message.startsWith("model: expected one without batch normalisation"), message);
    }

    /** Their gradient is that of cross-entropy and divergence. */
    @Test
    void students_are_refused() {
        MultiLayerNetwork student = Retention.attach(
                Networks.lstm(DataType.DOUBLE, 1),
                RetentionConfiguration.builder().build());
        ComputationGraph graph = Retention.attach(
                Networks.graph(DataType.DOUBLE, 1),
                RetentionConfiguration.builder().build(),
                "text");
        var batches = new SingletonMultiDataSetIterator(Networks.graphBatch(DataType.DOUBLE, 2, 1));
        for (Executable call : List.<Executable>of(
                () -> ImportanceEstimator.of(student).empiricalFisher(sequences()),
                () -> ImportanceEstimator.of(student).fisher(sequences(), 1),
                () -> ImportanceEstimator.of(student).memoryAwareSynapses(sequences()),
                () -> ImportanceEstimator.of(graph).empiricalFisher(batches))) {
            String message = refused(call);
            assertTrue(message.startsWith("model: expected a network without retention, got the student's"), message);
        }
    }

    @Test
    void weights_that_are_not_numbers_are_refused() {
        MultiLayerNetwork network = Networks.lstm(DataType.DOUBLE, 1);
        network.getParam("1_b").putScalar(2, Double.NaN);
        ImportanceEstimator estimator = ImportanceEstimator.of(network);
        String expected =
                "importance: expected finite probabilities, got NaN as the sum of a token's in output 0 of example 0";
        assertEquals(expected, refused(() -> estimator.fisher(sequences(), 1)));
        assertEquals(expected, refused(() -> estimator.memoryAwareSynapses(sequences())));
        assertEquals(
                "importance: expected finite values of at least 0, got NaN in \"params\"",
                refused(() -> estimator.empiricalFisher(sequences())));
    }

    @Test
    void the_example_that_has_no_probabilities_is_named() {
        DataSet batch = Networks.sequences(DataType.DOUBLE, 3, 1);
        batch.getFeatures().putScalar(new int[] {2, 1, 1}, Double.NaN);
        String message = refused(() -> ImportanceEstimator.of(Networks.lstm(DataType.DOUBLE, 1))
                .fisher(new ExistingDataSetIterator(List.of(batch)), 1));
        assertTrue(message.endsWith("in output 0 of example 2"), message);
    }

    @Test
    void what_there_is_nothing_of_is_refused() {
        MultiLayerNetwork network = Networks.lstm(DataType.DOUBLE, 1);
        assertEquals("iterator: expected at least one example, got none", refused(() -> ImportanceEstimator.of(network)
                .empiricalFisher(new ExistingDataSetIterator(List.of()))));
        SameDiff sd = logits(true);
        DataSetIterator rows = new ExistingDataSetIterator(List.of(Networks.rows(DataType.DOUBLE, 3, 1)));
        String message = refused(() -> ImportanceEstimator.of(sd, "other", "x").empiricalFisher(rows));
        assertTrue(message.startsWith("logits: expected a variable of the model"), message);
    }

    /** An imported graph has constants for weights. */
    @Test
    void graphs_without_variables_are_refused() {
        SameDiff constant = logits(false);
        constant.getVariable("logits").mean().rename("loss");
        constant.setLossVariables("loss");
        SameDiff variable = logits(true);
        QuadraticPenalty penalty = QuadraticPenalty.toStart(variable, 1);
        DataSetIterator rows = new ExistingDataSetIterator(List.of(Networks.rows(DataType.DOUBLE, 3, 1)));
        Importance importance = ImportanceEstimator.of(variable, "logits", "x").empiricalFisher(rows);
        for (Executable call : List.<Executable>of(
                () -> QuadraticPenalty.toStart(constant, 1),
                () -> QuadraticPenalty.weighted(constant, importance, 1),
                () -> penalty.value(constant),
                () -> penalty.addTo(constant),
                () -> ImportanceEstimator.of(constant, "logits", "x").empiricalFisher(rows),
                () -> ImportanceEstimator.of(constant, "logits", "x").fisher(rows, 1))) {
            String message = refused(call);
            assertTrue(
                    message.startsWith("model: expected a SameDiff model with variables, got one with none"), message);
        }
    }

    private static SameDiff logits(boolean trainable) {
        SameDiff sd = SameDiff.create();
        SDVariable x = sd.placeHolder("x", DataType.DOUBLE, -1, Networks.INPUTS);
        var weights = Networks.normal(DataType.DOUBLE, new Random(1), Networks.INPUTS, Networks.VOCABULARY);
        x.mmul(trainable ? sd.var("w", weights) : sd.constant("w", weights)).rename("logits");
        return sd;
    }
}
