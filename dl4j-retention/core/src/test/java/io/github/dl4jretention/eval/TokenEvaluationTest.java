package io.github.dl4jretention.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.PackedLabels;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.util.Map;
import java.util.Random;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

/** {@link TokenEvaluation} of graphs, against what {@link RetentionEvaluation} has of probabilities. */
class TokenEvaluationTest {

    private static final int BATCH = 3;

    private final INDArray mask =
            Nd4j.ones(DataType.DOUBLE, BATCH, Networks.TIME).putScalar(1, 2, 0).putScalar(2, 0, 0.5);

    private static void assertSame(RetentionEvaluation expected, TokenEvaluation found) {
        assertTrue(found.divergence() > 0);
        assertEquals(expected.crossEntropy(), found.crossEntropy(), 1e-9);
        assertEquals(expected.perplexity(), found.perplexity(), 1e-9);
        assertEquals(expected.divergence(), found.divergence(), 1e-9);
        assertEquals(expected.tokens(), found.tokens());
    }

    @Test
    void a_computation_graph_is_evaluated_on_the_outputs_of_its_teacher() {
        ComputationGraph graph = Networks.graph(DataType.DOUBLE, 1);
        Teacher teacher = Teacher.of(Networks.graph(DataType.DOUBLE, 2), "text");
        MultiDataSet batch = Networks.graphBatch(DataType.DOUBLE, BATCH, 3);
        batch.setLabelsMaskArray(new INDArray[] {null, mask});
        MultiDataSetIterator iterator = new SingletonMultiDataSetIterator(batch);
        RetentionEvaluation expected = new RetentionEvaluation();
        INDArray taught =
                new TeacherMultiDataSetIterator(iterator, teacher).next().getLabels(1);
        expected.eval(taught, graph.output(batch.getFeatures())[1], mask);
        assertSame(expected, TokenEvaluation.of(graph, teacher, iterator));
        ComputationGraph student =
                Retention.attach(graph, RetentionConfiguration.builder().build(), "text");
        assertSame(expected, TokenEvaluation.of(Retention.detach(student), teacher, iterator));
    }

    @Test
    void an_observer_is_told_of_the_tokens_that_the_mean_is_of() {
        ComputationGraph graph = Networks.graph(DataType.DOUBLE, 1);
        Teacher teacher = Teacher.of(Networks.graph(DataType.DOUBLE, 2), "text");
        MultiDataSet batch = Networks.graphBatch(DataType.DOUBLE, BATCH, 3);
        batch.setLabelsMaskArray(new INDArray[] {null, mask});
        double[] sums = new double[2];
        int[] sequences = new int[1];
        TokenEvaluation evaluation = TokenEvaluation.of(
                Teacher.of(graph, "text"),
                teacher,
                new SingletonMultiDataSetIterator(batch),
                (losses, weights, time) -> {
                    assertEquals(Networks.TIME, time);
                    sequences[0] += losses.length / time;
                    for (int i = 0; i < losses.length; i++) {
                        sums[0] += weights[i] > 0 ? weights[i] * losses[i] : 0;
                        sums[1] += weights[i];
                    }
                });
        assertEquals(BATCH, sequences[0]);
        assertEquals(evaluation.tokens(), sums[1], 1e-12);
        assertEquals(evaluation.crossEntropy(), sums[0] / sums[1], 1e-12);
    }

    private static SameDiff sameDiff(long seed) {
        SameDiff sd = SameDiff.create();
        SDVariable features = sd.placeHolder("features", DataType.DOUBLE, -1, Networks.TIME, Networks.INPUTS);
        SDVariable w =
                sd.var("w", Networks.normal(DataType.DOUBLE, new Random(seed), Networks.INPUTS, Networks.VOCABULARY));
        features.reshape(-1, Networks.INPUTS)
                .mmul(w)
                .reshape(-1, Networks.TIME, Networks.VOCABULARY)
                .rename("logits");
        sd.placeHolder("labels", DataType.DOUBLE, -1, Networks.TIME, Networks.VOCABULARY);
        return sd;
    }

    @Test
    void a_SameDiff_graph_is_evaluated_with_its_loss_or_without() {
        SameDiff sd = sameDiff(1);
        Teacher teacher = Teacher.of(sameDiff(2), "logits", "features");
        INDArray features = Networks.normal(DataType.DOUBLE, new Random(3), BATCH, Networks.TIME, Networks.INPUTS);
        INDArray labels = Networks.oneHot(DataType.DOUBLE, BATCH, Networks.TIME, new Random(4))
                .permute(0, 2, 1)
                .dup('c');
        INDArray probabilities = Nd4j.nn.softmax(
                sd.output(Map.of("features", features), "logits").get("logits"), 2);
        RetentionEvaluation expected = new RetentionEvaluation(2, 1);
        expected.eval(
                PackedLabels.pack(labels, null, teacher.logProbabilities(features, null), null, 2, teacher.sha256()),
                probabilities,
                mask);
        INDArray ids = labels.argMax(2);
        for (INDArray form : new INDArray[] {labels, ids, ids.reshape(BATCH, Networks.TIME, 1)}) {
            MultiDataSet batch =
                    new MultiDataSet(new INDArray[] {features}, new INDArray[] {form}, null, new INDArray[] {mask});
            MultiDataSetIterator iterator = new SingletonMultiDataSetIterator(batch);
            assertSame(expected, TokenEvaluation.of(Teacher.of(sd, "logits", "features"), teacher, iterator));
        }
        RetentionLoss.add(
                sd, "logits", "labels", RetentionConfiguration.builder().build());
        MultiDataSet batch =
                new MultiDataSet(new INDArray[] {features}, new INDArray[] {labels}, null, new INDArray[] {mask});
        assertSame(
                expected,
                TokenEvaluation.of(
                        Teacher.of(sd, "logits", "features"), teacher, new SingletonMultiDataSetIterator(batch)));
    }

    @Test
    void a_teacher_of_another_output_is_refused() {
        Teacher text = Teacher.of(Networks.graph(DataType.DOUBLE, 1), "text");
        Teacher only = Teacher.of(Networks.lstm(DataType.DOUBLE, 1));
        MultiDataSetIterator iterator =
                new SingletonMultiDataSetIterator(Networks.graphBatch(DataType.DOUBLE, BATCH, 3));
        String message = assertThrows(IllegalArgumentException.class, () -> TokenEvaluation.of(text, only, iterator))
                .getMessage();
        assertTrue(message.startsWith("teacher: expected the outputs ["), message);
    }
}
