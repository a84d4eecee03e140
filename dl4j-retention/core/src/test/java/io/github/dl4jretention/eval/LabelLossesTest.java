package io.github.dl4jretention.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.TokenWeight;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

class LabelLossesTest {

    private final MultiLayerNetwork network = Networks.lstm(DataType.FLOAT, 1);
    private final Teacher teacher = Teacher.of(network);

    private static DataSet batch(int examples, long seed) {
        DataSet batch = Networks.sequences(DataType.FLOAT, examples, seed);
        batch.setLabelsMaskArray(
                Nd4j.ones(DataType.FLOAT, examples, Networks.TIME).putScalar(0, 2, 0));
        batch.getLabelsMaskArray().getRow(1).assign(0);
        return batch;
    }

    @Test
    void quantile_and_median_are_those_of_the_texts_tokens() {
        List<DataSet> batches = List.of(batch(4, 2), batch(3, 3));
        List<Double> tokens = new ArrayList<>();
        List<Double> sequences = new ArrayList<>();
        for (DataSet batch : batches) {
            INDArray p = network.output(batch.getFeatures());
            for (int b = 0; b < batch.numExamples(); b++) {
                double sum = 0;
                int count = 0;
                for (int t = 0; t < Networks.TIME; t++) {
                    for (int v = 0; v < Networks.VOCABULARY; v++) {
                        if (batch.getLabels().getDouble(b, v, t) == 1
                                && batch.getLabelsMaskArray().getDouble(b, t) == 1) {
                            tokens.add(-Math.log(p.getDouble(b, v, t)));
                            sum -= Math.log(p.getDouble(b, v, t));
                            count++;
                        }
                    }
                }
                if (count > 0) {
                    sequences.add(sum / count);
                }
            }
        }
        Collections.sort(tokens);
        Collections.sort(sequences);
        assertEquals(23, tokens.size());
        LabelLosses losses = LabelLosses.of(teacher, new ExistingDataSetIterator(batches));
        assertEquals(sequences.get(2), losses.median(), 1e-6);
        assertEquals(Math.exp(tokens.get(22)), losses.perplexity(1), 1e-4);
        assertEquals(Math.exp(tokens.get(11)), losses.perplexity(0.5), 1e-4);
        assertEquals(Math.exp(tokens.get(0)), losses.perplexity(0.01), 1e-4);
    }

    @Test
    void the_threshold_of_a_share_of_tokens_keeps_that_share_in_training() {
        DataSet batch = batch(4, 2);
        LabelLosses losses = LabelLosses.of(teacher, new ExistingDataSetIterator(List.of(batch)));
        MultiLayerNetwork student = Retention.attach(
                network,
                RetentionConfiguration.builder()
                        .tokenWeight(TokenWeight.selective(losses.perplexity(0.5)))
                        .build());
        student.score(new TeacherIterator(new ExistingDataSetIterator(List.of(batch)), teacher).next(), false);
        INDArray p = network.output(batch.getFeatures());
        INDArray all = Nd4j.math().log(p.mul(batch.getLabels()).sum(1)).neg().mul(batch.getLabelsMaskArray());
        double[] sorted = all.reshape(all.length()).toDoubleVector();
        java.util.Arrays.sort(sorted);
        // 14 tokens count, 6 don't and are 0; the easier 7 of the 14 are learned.
        double expected = java.util.Arrays.stream(sorted).skip(6).limit(7).sum();
        assertEquals(expected, Networks.lastLoss(student).objectiveSum(), 1e-4);
    }

    @Test
    void a_text_without_tokens_and_other_shares_are_refused() {
        DataSet empty = batch(2, 2);
        empty.getLabelsMaskArray().assign(0);
        String message = assertThrows(
                        IllegalArgumentException.class,
                        () -> LabelLosses.of(teacher, new ExistingDataSetIterator(List.of(empty))))
                .getMessage();
        assertTrue(message.startsWith("iterator: expected a text"), message);
        LabelLosses losses = LabelLosses.of(teacher, new ExistingDataSetIterator(List.of(batch(3, 2))));
        for (double share : new double[] {0, -1, 1.1, Double.NaN}) {
            assertThrows(IllegalArgumentException.class, () -> losses.perplexity(share));
        }
    }
}
