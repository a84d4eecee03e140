package io.github.dl4jretention.sweep.task;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.sweep.SweepTexts;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.space.FinetuneMethod;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.junit.jupiter.api.Test;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.learning.config.Adam;

/** What is read is what was written: candidates end with the same bits. */
class ProblemStreamTest {

    private static final FinetuneConfiguration CANDIDATE = new FinetuneConfiguration(
            FinetuneMethod.RETENTION,
            RetentionConfiguration.builder().coefficient(0.5).build(),
            0.01,
            1,
            5,
            -1);

    private static void assertTravels(FinetuneProblem problem, DataType type) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        ProblemStream.write(problem, bytes);
        FinetuneProblem read =
                ProblemStream.read(new ByteArrayInputStream(bytes.toByteArray()), FinetuneModel::teacher);
        assertEquals(problem.identity(), read.identity());
        assertEquals(problem.data().identities(), read.data().identities());
        assertEquals(problem.baseLosses(), read.baseLosses());
        INDArray expected = params(problem.finetune(CANDIDATE));
        assertEquals(type, expected.dataType());
        assertEquals(0, expected.isNaN().castTo(DataType.INT32).sumNumber().intValue());
        assertEquals(expected, params(read.finetune(CANDIDATE)));
    }

    private static INDArray params(Object network) {
        return network instanceof Model model
                ? model.params()
                : ((SameDiff) network).getVariable("w").getArr();
    }

    @Test
    void a_multi_layer_network_travels() throws IOException {
        for (DataType type : List.of(DataType.FLOAT, DataType.DOUBLE)) {
            assertTravels(new FinetuneProblem(FinetuneModel.of(Networks.lstm(type, 1)), SweepTexts.data(type)), type);
        }
    }

    @Test
    void a_same_diff_travels() throws IOException {
        FinetuneModel model = FinetuneModel.of(SweepTexts.graph(DataType.DOUBLE), "logits", "labels", "features");
        SweepData data = new SweepData(
                SweepTexts.ids(DataType.DOUBLE, 1),
                SweepTexts.ids(DataType.DOUBLE, 2),
                SweepTexts.ids(DataType.DOUBLE, 3),
                SweepTexts.ids(DataType.DOUBLE, 4),
                SweepTexts.ids(DataType.DOUBLE, 5));
        assertTravels(new FinetuneProblem(model, model.teacher(), data, new Adam(), 7), DataType.DOUBLE);
    }

    @Test
    void a_computation_graph_travels() throws IOException {
        FinetuneModel model = FinetuneModel.of(Networks.graph(DataType.FLOAT, 1), "text");
        SweepData data = new SweepData(pair(1), pair(2), pair(3), pair(4), pair(5));
        assertTravels(new FinetuneProblem(model, data), DataType.FLOAT);
    }

    private static Batches pair(long seed) {
        return Batches.ofMultiDataSets(() -> {
            MultiDataSet batch = Networks.graphBatch(DataType.FLOAT, 3, seed);
            return new SingletonMultiDataSetIterator(batch);
        });
    }

    /** Candidates would be scored by another number than the base. */
    @Test
    void a_text_with_a_measure_of_its_own_is_refused() {
        SweepData data = SweepTexts.data(DataType.FLOAT);
        FinetuneProblem problem = new FinetuneProblem(
                FinetuneModel.of(Networks.lstm(DataType.FLOAT, 1)),
                new SweepData(
                        data.training(),
                        data.validationTarget(),
                        data.validationSource().measuredBy("half", network -> 0.5),
                        data.testTarget(),
                        data.testSource()));
        String message = assertThrows(
                        IllegalArgumentException.class, () -> ProblemStream.write(problem, new ByteArrayOutputStream()))
                .getMessage();
        assertTrue(
                message.startsWith("validationSource: expected a text on which models are measured by their"), message);
    }

    @Test
    void a_text_that_is_another_after_a_reset_is_refused() {
        SweepData data = SweepTexts.data(DataType.FLOAT);
        List<DataSet> batches = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            batches.add(Networks.sequences(DataType.FLOAT, 3, i));
        }
        Batches turning = Batches.of(() -> new ExistingDataSetIterator(batches) {
            private static final long serialVersionUID = 1L;

            @Override
            public void reset() {
                Collections.rotate(batches, 1);
                super.reset();
            }
        });
        FinetuneProblem problem = new FinetuneProblem(
                FinetuneModel.of(Networks.lstm(DataType.FLOAT, 1)),
                new SweepData(
                        turning,
                        data.validationTarget(),
                        data.validationSource(),
                        data.testTarget(),
                        data.testSource()));
        String message = assertThrows(
                        IllegalArgumentException.class, () -> ProblemStream.write(problem, new ByteArrayOutputStream()))
                .getMessage();
        assertTrue(message.startsWith("training: expected the same batches in the same order after reset()"), message);
    }
}
