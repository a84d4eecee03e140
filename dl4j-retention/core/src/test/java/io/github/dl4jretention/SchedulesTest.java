package io.github.dl4jretention;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.checkpoint.FinetuningRun;
import io.github.dl4jretention.internal.RetentionLayers;
import io.github.dl4jretention.internal.SameDiffCopy;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.merge.Merge;
import io.github.dl4jretention.merge.MergeMethod;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.learning.regularization.L2Regularization;
import org.nd4j.linalg.schedule.FixedSchedule;
import org.nd4j.linalg.schedule.MapSchedule;
import org.nd4j.linalg.schedule.RampSchedule;
import org.nd4j.linalg.schedule.ScheduleType;

/** Schedules of the coefficient begin at the student's first step; DL4J's RampSchedule needs no JSON. */
class SchedulesTest {

    @TempDir
    Path folder;

    private static final RetentionConfiguration WARM_UP = RetentionConfiguration.builder()
            .coefficient(new MapSchedule.Builder(ScheduleType.ITERATION)
                    .add(0, 0.25)
                    .add(3, 2)
                    .build())
            .build();

    private static MultiLayerNetwork trained() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
        pretrained.fit(new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 5, true)), 2);
        return pretrained;
    }

    @Test
    void a_warm_up_begins_at_the_students_first_step() throws Exception {
        MultiLayerNetwork pretrained = trained();
        assertEquals(10, pretrained.getIterationCount());
        MultiLayerNetwork student = Retention.attach(pretrained, WARM_UP);
        ExistingDataSetIterator batches = new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 2, true));
        assertEquals(0.25, RetentionLayers.of(student).coefficientAt(10, 2));
        student.fit(new TeacherIterator(batches, Teacher.of(pretrained)), 1);
        assertEquals(12, student.getIterationCount());
        assertEquals(0.25, Networks.lastLoss(student).factor());
        Path file = folder.resolve("student.zip");
        student.save(file.toFile(), true);
        MultiLayerNetwork loaded = MultiLayerNetwork.load(file.toFile(), true);
        loaded.fit(new TeacherIterator(batches, Teacher.of(pretrained)), 1);
        assertEquals(2, Networks.lastLoss(loaded).factor());
    }

    @Test
    void a_graphs_warm_up_begins_at_its_first_step() {
        ComputationGraph graph = trained().toComputationGraph();
        graph.getConfiguration().setIterationCount(10);
        ComputationGraph student = Retention.attach(graph, WARM_UP);
        RetentionLayers.of(student).values().forEach(head -> {
            assertEquals(0.25, head.coefficientAt(10, 0));
            assertEquals(2, head.coefficientAt(13, 0));
        });
    }

    @Test
    void a_RampSchedule_needs_no_JSON() {
        RampSchedule ramp = new RampSchedule(new FixedSchedule(0.1), 4);
        MultiLayerNetwork pretrained = Retention.withUpdater(Networks.lstm(DataType.FLOAT, 1), new Sgd(ramp));
        MultiLayerNetwork student = Retention.attach(
                pretrained, RetentionConfiguration.builder().coefficient(0).build());
        ExistingDataSetIterator batches = new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 3, true));
        student.fit(new TeacherIterator(batches, Teacher.of(pretrained)), 1);
        MultiLayerNetwork plain = Retention.detach(student);
        pretrained.fit(batches, 1);
        assertClose(pretrained.params(), plain.params(), 1e-5);
        ComputationGraph graph = Retention.withUpdater(Networks.graph(DataType.FLOAT, 1), new Sgd(ramp));
        Teacher.of(graph, "text");
        Retention.detach(Retention.attach(graph, WARM_UP, "text"));
    }

    /** Its checkpoints couldn't be read. */
    @Test
    void a_run_refuses_a_RampSchedule_before_it_trains() throws IOException {
        Sgd ramp = new Sgd(new RampSchedule(new FixedSchedule(0.1), 4));
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        MultiLayerNetwork network = Retention.withUpdater(Networks.lstm(DataType.FLOAT, 1), ramp);
        ComputationGraph graph = Retention.withUpdater(Networks.graph(DataType.FLOAT, 1), ramp);
        SameDiff sd = SameDiff.create();
        sd.placeHolder("features", DataType.FLOAT, -1, 3)
                .mmul(sd.var("w", Nd4j.ones(DataType.FLOAT, 3, 2)))
                .rename("logits");
        sd.placeHolder("labels", DataType.FLOAT, -1, 1);
        SameDiff withLoss = SameDiff.fromFlatBuffers(sd.asFlatBuffers(false));
        RetentionLoss.add(withLoss, "logits", "labels", conf);
        withLoss.setTrainingConfig(TrainingConfig.builder()
                .updater(ramp)
                .dataSetFeatureMapping("features")
                .dataSetLabelMapping("labels", RetentionLoss.TEACHER_LOGITS)
                .build());
        SameDiff withPenalty = SameDiffCopy.withTraining(withLoss);
        withPenalty.getTrainingConfig().setUpdater(new Sgd(0.1));
        withPenalty
                .getTrainingConfig()
                .setRegularization(List.of(new L2Regularization(new RampSchedule(new FixedSchedule(0.1), 4))));
        for (Executable call : List.<Executable>of(
                () -> FinetuningRun.builder().student(withPenalty),
                () -> FinetuningRun.builder().student(Retention.attach(Networks.lstm(DataType.FLOAT, 1), RAMP)),
                () -> FinetuningRun.builder().student(Retention.attach(network, conf)),
                () -> FinetuningRun.builder().student(Retention.attach(graph, conf, "text")),
                () -> FinetuningRun.builder().student(withLoss))) {
            String message = assertThrows(IllegalArgumentException.class, call).getMessage();
            assertTrue(message.startsWith("student: expected a configuration that DL4J can read back"), message);
            assertTrue(message.contains("org.nd4j.linalg.schedule.RampSchedule"), message);
            assertTrue(message.contains("MapSchedule"), message);
            assertEquals(1, message.lines().count(), message);
        }
        // SameDiff keeps the loss's configuration as JSON.
        Set<String> before = Set.copyOf(sd.variableMap().keySet());
        String message = assertThrows(
                        IllegalArgumentException.class, () -> RetentionLoss.add(sd, "logits", "labels", RAMP))
                .getMessage();
        assertTrue(message.contains("RampSchedule") && message.contains("MapSchedule"), message);
        assertEquals(before, sd.variableMap().keySet());
    }

    @Test
    void networks_with_a_RampSchedule_merge_in_memory() {
        Sgd ramp = new Sgd(new RampSchedule(new FixedSchedule(0.1), 4));
        MultiLayerNetwork base = Retention.withUpdater(Networks.lstm(DataType.DOUBLE, 1), ramp);
        MultiLayerNetwork model = Networks.moved(base, 0.1, 2);
        MultiLayerNetwork merged =
                Merge.networks(MergeMethod.expo(1)).base(base).model(model).merge();
        assertClose(model.params().mul(2).sub(base.params()), merged.params(), 1e-12);
        ComputationGraph graph = Retention.withUpdater(Networks.graph(DataType.DOUBLE, 1), ramp);
        ComputationGraph graphs =
                Merge.graphs(MergeMethod.expo(1)).base(graph).model(graph).merge();
        assertClose(graph.params(), graphs.params(), 1e-12);
    }

    private static final RetentionConfiguration RAMP = RetentionConfiguration.builder()
            .coefficient(new RampSchedule(new FixedSchedule(2), 4))
            .build();

    private static ListDataSetIterator<DataSet> batches(int count) {
        List<DataSet> batches = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            batches.addAll(Networks.sequences(DataType.FLOAT, 3, i).asList());
        }
        return new ListDataSetIterator<>(batches, 3);
    }

    /** Lambda of every iteration. */
    private static List<Double> coefficients(MultiLayerNetwork student, Teacher teacher, int batches) {
        List<Double> coefficients = new ArrayList<>();
        student.setListeners(new BaseTrainingListener() {
            @Override
            public void onGradientCalculation(Model model) {
                coefficients.add(((RetentionOutputLayerRuntime) student.getOutputLayer()).currentCoefficient());
            }
        });
        Retention.finetune(student, teacher, batches(batches), 1);
        return coefficients;
    }

    @Test
    void a_warm_up_begins_anew_with_every_attach_and_every_updater() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
        pretrained.fit(batches(7), 2);
        Teacher teacher = Teacher.of(pretrained);
        MultiLayerNetwork student = Retention.attach(pretrained, RAMP);
        assertEquals(14, student.getIterationCount());
        assertEquals(List.of(0.5, 1.0, 1.5, 2.0, 2.0), coefficients(student, teacher, 5));

        MultiLayerNetwork second = Retention.attach(Retention.detach(student), RAMP, teacher);
        assertEquals(19, second.getIterationCount());
        assertEquals(List.of(0.5, 1.0), coefficients(second, teacher, 2));

        MultiLayerNetwork anew = Retention.withUpdater(second, new Adam(0.01));
        assertEquals(0, anew.getIterationCount());
        assertEquals(List.of(0.5, 1.0), coefficients(anew, teacher, 2));
    }

    @Test
    void truncated_backpropagation_counts_its_pieces() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
        pretrained.getLayerWiseConfigurations().setBackpropType(BackpropType.TruncatedBPTT);
        pretrained.getLayerWiseConfigurations().setTbpttFwdLength(3);
        pretrained.getLayerWiseConfigurations().setTbpttBackLength(3);
        pretrained.fit(batches(3));
        assertEquals(6, pretrained.getIterationCount(), "two pieces a sequence");
        MultiLayerNetwork student = Retention.attach(pretrained, RAMP);
        assertEquals(List.of(0.5, 1.0, 1.5, 2.0), coefficients(student, Teacher.of(pretrained), 2));
    }

    @Test
    void schedules_by_epoch_begin_at_the_first_epoch() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
        pretrained.fit(batches(2), 3);
        RetentionConfiguration conf = RetentionConfiguration.builder()
                .coefficient(new MapSchedule.Builder(ScheduleType.EPOCH)
                        .add(0, 0.25)
                        .add(1, 3)
                        .build())
                .build();
        MultiLayerNetwork student = Retention.attach(pretrained, conf);
        Teacher teacher = Teacher.of(pretrained);
        assertEquals(List.of(0.25, 0.25), coefficients(student, teacher, 2));
        assertEquals(List.of(3.0, 3.0), coefficients(student, teacher, 2));
    }

    @Test
    void a_warm_up_of_the_updater_rises_by_the_same_step_to_the_whole_rate() throws Exception {
        MultiLayerNetwork pretrained = trained();
        MultiLayerNetwork warmed = Retention.withUpdater(pretrained, new Sgd(0.4), 4);
        MultiLayerNetwork byHand = Retention.withUpdater(pretrained, new Sgd(0.1));
        List<DataSet> batches = Networks.batches(DataType.FLOAT, 6, true);
        double[] rates = {0.1, 0.2, 0.3, 0.4, 0.4, 0.4};
        for (int i = 0; i < rates.length; i++) {
            warmed.fit(batches.get(i));
            byHand = Retention.withUpdater(byHand, new Sgd(rates[i]));
            byHand.fit(batches.get(i));
            assertClose(byHand.params(), warmed.params(), 1e-6, "step " + (i + 1));
        }
        // What DL4J writes it reads, without a class of this library.
        MultiLayerNetwork loaded = new MultiLayerNetwork(org.deeplearning4j.nn.conf.MultiLayerConfiguration.fromJson(
                Retention.withUpdater(pretrained, new Adam(1e-3), 7)
                        .getLayerWiseConfigurations()
                        .toJson()));
        assertEquals(
                1e-3 * 3 / 7,
                ((Adam) ((org.deeplearning4j.nn.conf.layers.BaseLayer) loaded.getLayerWiseConfigurations()
                                        .getConf(0)
                                        .getLayer())
                                .getIUpdater())
                        .getLearningRate(2, 0),
                1e-12);
    }

    @Test
    void a_long_warm_up_rises_in_a_hundred_levels() {
        MultiLayerNetwork network = Retention.withUpdater(trained(), new Adam(1), 5000);
        Adam updater = (Adam) ((org.deeplearning4j.nn.conf.layers.BaseLayer)
                        network.getLayerWiseConfigurations().getConf(0).getLayer())
                .getIUpdater();
        assertEquals(0.01, updater.getLearningRate(0, 0), 1e-12);
        assertEquals(0.01, updater.getLearningRate(49, 0), 1e-12);
        assertEquals(0.02, updater.getLearningRate(50, 0), 1e-12);
        assertEquals(1, updater.getLearningRate(4950, 0), 1e-12);
        assertEquals(1, updater.getLearningRate(123_456, 3), 1e-12);
    }

    @Test
    void a_warm_up_of_what_changes_by_itself_is_refused() {
        MultiLayerNetwork network = trained();
        Adam scheduled = new Adam(new MapSchedule.Builder(ScheduleType.ITERATION)
                .add(0, 0.1)
                .add(5, 0.01)
                .build());
        String message = assertThrows(
                        IllegalArgumentException.class, () -> Retention.withUpdater(network, scheduled, 10))
                .getMessage();
        assertTrue(message.startsWith("updater: expected one with a constant learning rate above 0"), message);
        assertTrue(assertThrows(IllegalArgumentException.class, () -> Retention.withUpdater(network, new Sgd(1), -1))
                .getMessage()
                .contains("warmUp: expected at least 0 steps, got -1"));
    }
}
