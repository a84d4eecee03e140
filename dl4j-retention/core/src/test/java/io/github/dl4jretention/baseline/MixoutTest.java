package io.github.dl4jretention.baseline;

import static io.github.dl4jretention.Networks.assertClose;
import static io.github.dl4jretention.Networks.assertMoved;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.util.ArrayList;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Sgd;

class MixoutTest {

    private static final double P = 0.7;
    private static final double RATE = 0.1;

    private static MultiLayerNetwork network(DataType type, IUpdater updater) {
        return Retention.withUpdater(Networks.languageModel(type, 3), updater);
    }

    private static DataSet text(DataType type, long seed) {
        return Networks.text(type, 4, 5, seed);
    }

    private static DataSetIterator batches(DataType type, int count) {
        List<DataSet> batches = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            batches.add(text(type, i));
        }
        return new ExistingDataSetIterator(batches);
    }

    /** What the parameters are in the forward pass of each step. */
    private static List<INDArray> forwardParameters(MultiLayerNetwork network) {
        List<INDArray> seen = new ArrayList<>();
        network.addListeners(new BaseTrainingListener() {
            @Override
            public void onForwardPass(Model model, List<INDArray> activations) {
                try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
                    seen.add(model.params().dup());
                }
            }
        });
        return seen;
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE"})
    void a_step_is_that_of_the_mixed_parameters_taken_by_the_parameters_themselves(DataType type) {
        MultiLayerNetwork start = network(type, new Sgd(RATE));
        MultiLayerNetwork student = network(type, new Sgd(RATE));
        student.setParams(
                start.params().add(Networks.languageModel(type, 8).params()).add(0.3));
        INDArray before = student.params().dup();
        List<INDArray> seen = forwardParameters(student);
        student.fit(Mixout.of(start, P, 5).iterator(student, batches(type, 1)));
        assertEquals(1, seen.size());
        INDArray mixed = seen.get(0);
        double[] factors = mixed.sub(start.params())
                .div(before.sub(start.params()))
                .reshape(before.length())
                .toDoubleVector();
        int kept = 0;
        double tolerance = type == DataType.DOUBLE ? 1e-6 : 0.05;
        for (double factor : factors) {
            assertTrue(
                    Math.abs(factor) < tolerance || Math.abs(factor - 1 / (1 - P)) < tolerance, String.valueOf(factor));
            kept += factor > 1 ? 1 : 0;
        }
        double deviation = Math.sqrt(P * (1 - P) * factors.length);
        assertEquals((1 - P) * factors.length, kept, 4 * deviation);

        MultiLayerNetwork other = network(type, new Sgd(RATE));
        other.setParams(mixed);
        other.fit(text(type, 0));
        INDArray step = other.params().sub(mixed);
        for (int i = 0; i < factors.length; i++) {
            step.putScalar(i, factors[i] > 1 ? step.getDouble(i) / (1 - P) : 0);
        }
        assertClose(before.add(step), student.params(), type == DataType.DOUBLE ? 1e-12 : 1e-5);
        assertMoved(before, student.params(), 1e-4);
    }

    @Test
    void the_first_forward_pass_is_the_starts_and_each_step_draws_anew() {
        MultiLayerNetwork start = network(DataType.FLOAT, new Adam(RATE));
        List<List<INDArray>> runs = new ArrayList<>();
        for (long seed : new long[] {1, 1, 2}) {
            MultiLayerNetwork student = network(DataType.FLOAT, new Adam(RATE));
            List<INDArray> seen = forwardParameters(student);
            student.fit(Mixout.of(start, P, seed).iterator(student, batches(DataType.FLOAT, 3)), 1);
            assertEquals(3, seen.size());
            assertClose(start.params(), seen.get(0), 0);
            seen.add(student.params().dup());
            runs.add(seen);
        }
        for (int i = 0; i < 4; i++) {
            assertClose(runs.get(0).get(i), runs.get(1).get(i), 0);
        }
        assertMoved(runs.get(0).get(3), runs.get(2).get(3), 1e-3);
        INDArray second = runs.get(0).get(1).eq(start.params());
        INDArray third = runs.get(0).get(2).eq(start.params());
        assertTrue(second.neq(third).any(), "other parameters are the start's");
    }

    @Test
    void a_probability_of_0_is_plain_finetuning_and_fitting_without_the_iterator_mixes_nothing() {
        MultiLayerNetwork plain = network(DataType.DOUBLE, new Adam(RATE));
        MultiLayerNetwork student = network(DataType.DOUBLE, new Adam(RATE));
        plain.fit(batches(DataType.DOUBLE, 3), 2);
        student.fit(Mixout.of(student, 0, 1).iterator(student, batches(DataType.DOUBLE, 3)), 2);
        assertClose(plain.params(), student.params(), 1e-9);
        MultiLayerNetwork after = network(DataType.DOUBLE, new Adam(RATE));
        after.setParams(student.params());
        Mixout.of(after, P, 1).iterator(after, batches(DataType.DOUBLE, 1));
        List<INDArray> seen = forwardParameters(after);
        INDArray own = after.params().dup();
        after.fit(text(DataType.DOUBLE, 1));
        assertClose(own, seen.get(0), 0);
    }

    @Test
    void students_with_retention_and_graphs_are_mixed_too() {
        MultiLayerNetwork base = network(DataType.FLOAT, new Adam(RATE));
        RetentionConfiguration conf =
                RetentionConfiguration.builder().coefficient(0.5).build();
        MultiLayerNetwork student = Retention.attach(base, conf);
        List<INDArray> seen = forwardParameters(student);
        student.fit(
                Mixout.of(base, P, 1)
                        .iterator(student, new TeacherIterator(batches(DataType.FLOAT, 2), Teacher.of(base))),
                1);
        assertClose(base.params(), seen.get(0), 0);
        double same = seen.get(1)
                .eq(base.params())
                .castTo(DataType.FLOAT)
                .meanNumber()
                .doubleValue();
        // Those that were the start's in the first step have had no gradient.
        assertEquals(1 - (1 - P) * (1 - P), same, 0.03);

        // The graph's L2 moves all parameters, so the gradients are looked at.
        ComputationGraph start = Networks.graph(DataType.FLOAT, 1);
        ComputationGraph graph = start.clone();
        MultiDataSetIterator batch = new SingletonMultiDataSetIterator(Networks.graphBatch(DataType.FLOAT, 4, 2));
        MultiDataSetIterator mixed = Mixout.of(start, P, 1).iterator(graph, batch);
        List<Double> zeros = new ArrayList<>();
        graph.addListeners(new BaseTrainingListener() {
            @Override
            public void onGradientCalculation(Model model) {
                if (zeros.isEmpty()) {
                    assertClose(start.params(), model.params(), 0);
                }
                zeros.add(model.getGradientsViewArray()
                        .eq(0)
                        .castTo(DataType.FLOAT)
                        .meanNumber()
                        .doubleValue());
            }
        });
        graph.fit(mixed);
        graph.fit(batch);
        assertEquals(P, zeros.get(0) - (1 - P) * zeros.get(1), 0.1);
    }

    @Test
    void a_minibatch_that_does_not_fit_leaves_no_mixed_parameters_behind() {
        MultiLayerNetwork start = network(DataType.FLOAT, new Sgd(RATE));
        MultiLayerNetwork student = network(DataType.FLOAT, new Sgd(RATE));
        student.setParams(start.params().add(0.3));
        INDArray own = student.params().dup();
        DataSet wrong = text(DataType.FLOAT, 1);
        wrong.setLabels(Nd4j.ones(DataType.FLOAT, 4, Networks.VOCABULARY + 1, 5));
        List<DataSet> batches = List.of(wrong, text(DataType.FLOAT, 2));
        Mixout mixout = Mixout.of(start, P, 1);
        MultiDataSetIterator mixed = mixout.iterator(student, new ExistingDataSetIterator(batches));
        assertThrows(RuntimeException.class, () -> student.fit(mixed));
        assertMoved(own, student.params(), 1e-3);
        mixed.reset();
        assertClose(own, student.params(), 0);
        assertThrows(RuntimeException.class, () -> student.fit(mixed));
        assertMoved(own, student.params(), 1e-3);
        mixout.close();
        assertClose(own, student.params(), 0);
        mixout.close();
        assertThrows(IllegalStateException.class, mixed::next);
        assertClose(own, student.params(), 0);
        student.fit(batches.get(1));
        assertMoved(own, student.params(), 1e-4);
    }

    @Test
    void what_it_cannot_mix_is_refused() {
        MultiLayerNetwork start = network(DataType.FLOAT, new Sgd(RATE));
        for (double wrong : new double[] {-0.1, 1, Double.NaN}) {
            String message = assertThrows(IllegalArgumentException.class, () -> Mixout.of(start, wrong, 1))
                    .getMessage();
            assertTrue(message.startsWith("probability"), message);
        }
        MultiLayerNetwork truncated = network(DataType.FLOAT, new Sgd(RATE));
        truncated.getLayerWiseConfigurations().setBackpropType(BackpropType.TruncatedBPTT);
        Mixout mixout = Mixout.of(start, P, 1);
        String message = assertThrows(
                        IllegalArgumentException.class, () -> mixout.iterator(truncated, batches(DataType.FLOAT, 1)))
                .getMessage();
        assertTrue(message.startsWith("student: expected one that is trained on whole sequences"), message);
        ComputationGraph other = Networks.graph(DataType.FLOAT, 1);
        assertThrows(
                IllegalArgumentException.class,
                () -> mixout.iterator(
                        other, new SingletonMultiDataSetIterator(Networks.graphBatch(DataType.FLOAT, 4, 2))));
    }
}
