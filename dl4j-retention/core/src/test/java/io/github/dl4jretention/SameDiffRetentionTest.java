package io.github.dl4jretention;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionListener;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.teacher.MovingAverageTeacher;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.deeplearning4j.datasets.iterator.IteratorMultiDataSetIterator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.autodiff.listeners.At;
import org.nd4j.autodiff.listeners.BaseListener;
import org.nd4j.autodiff.listeners.Loss;
import org.nd4j.autodiff.listeners.Operation;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.autodiff.samediff.internal.SameDiffOp;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.OpContext;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.GradientUpdater;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.schedule.FixedSchedule;
import org.nd4j.linalg.schedule.MapSchedule;
import org.nd4j.linalg.schedule.RampSchedule;
import org.nd4j.linalg.schedule.ScheduleType;

/** SameDiff models have the same verbs as networks. */
class SameDiffRetentionTest {

    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().coefficient(2).build();

    @TempDir
    Path folder;

    /** Logits, a softmax that users read, and a penalty on the weights; with a cross-entropy where it was trained. */
    private static SameDiff pretrained(DataType type, boolean trained) {
        Random random = new Random(3);
        SameDiff sd = SameDiff.create();
        SDVariable features = sd.placeHolder("features", type, -1, Networks.TIME, Networks.INPUTS);
        SDVariable w = sd.var("w", Networks.normal(type, random, Networks.INPUTS, Networks.VOCABULARY));
        SDVariable logits = features.reshape(-1, Networks.INPUTS)
                .mmul(w)
                .reshape(-1, Networks.TIME, Networks.VOCABULARY)
                .rename("logits");
        sd.nn.softmax("probabilities", logits, 2);
        SDVariable penalty = w.mul(w).sum().mul(1e-3).rename("penalty");
        if (trained) {
            SDVariable labels = sd.placeHolder("wanted", type, -1, Networks.TIME, Networks.VOCABULARY);
            logits.sub(labels).mul(logits.sub(labels)).sum().rename("distance");
            sd.setLossVariables("distance", "penalty");
            sd.setTrainingConfig(TrainingConfig.builder()
                    .updater(new Sgd(0.01))
                    .dataSetFeatureMapping("features")
                    .dataSetLabelMapping("wanted")
                    .build());
        } else {
            sd.setLossVariables(penalty.name());
        }
        return sd;
    }

    private static MultiDataSet batch(DataType type, long seed) {
        Random random = new Random(seed);
        return new MultiDataSet(
                Networks.normal(type, random, 3, Networks.TIME, Networks.INPUTS),
                Networks.oneHot(type, 3, Networks.TIME, random).permute(0, 2, 1).dup('c'));
    }

    private static INDArray probabilities(SameDiff sd, INDArray features) {
        return sd.output(Map.of("features", features), "probabilities").get("probabilities");
    }

    private static double divergence(SameDiff student) {
        return loss(student).divergence();
    }

    private static TokenLoss loss(SameDiff student) {
        return student.getListeners().stream()
                .filter(RetentionListener.class::isInstance)
                .map(RetentionListener.class::cast)
                .findFirst()
                .orElseThrow()
                .lastTokenLoss();
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE"})
    void four_lines_finetune_a_model_that_was_never_trained(DataType type) {
        SameDiff pretrained = pretrained(type, false);
        Set<String> variables = Set.copyOf(pretrained.variableMap().keySet());
        INDArray before = pretrained.getVariable("w").getArr().dup();
        Teacher teacher = Teacher.of(pretrained, "logits", "features");
        SameDiff student = Retention.attach(pretrained, CONF, "logits", "features");
        MultiDataSet batch = batch(type, 4);
        Retention.finetune(student, teacher, new SingletonMultiDataSetIterator(batch), 1);
        assertEquals(0, divergence(student), 1e-6);
        Retention.finetune(student, teacher, new SingletonMultiDataSetIterator(batch), 3);
        assertTrue(divergence(student) > 0);
        SameDiff plain = Retention.detach(student);
        assertEquals(variables, plain.variableMap().keySet());
        assertNull(plain.getTrainingConfig());
        assertEquals(List.of("penalty"), plain.getLossVariables());
        assertClose(before, pretrained.getVariable("w").getArr(), 0);
        assertEquals(variables, pretrained.variableMap().keySet());
        assertClose(student.getVariable("w").getArr(), plain.getVariable("w").getArr(), 0);
        Networks.assertMoved(before, plain.getVariable("w").getArr(), 0);
        assertClose(probabilities(student, batch.getFeatures(0)), probabilities(plain, batch.getFeatures(0)), 0);
    }

    @Test
    void a_detached_model_trains_on_as_it_was_trained_before() throws IOException {
        SameDiff pretrained = pretrained(DataType.DOUBLE, true);
        Teacher teacher = Teacher.of(pretrained, "logits", "features");
        SameDiff student = Retention.attach(pretrained, CONF, "logits", "features");
        assertEquals(
                List.of("wanted", "teacherLogits"), student.getTrainingConfig().getDataSetLabelMapping());
        MultiDataSet batch = batch(DataType.DOUBLE, 5);
        Retention.finetune(student, teacher, new SingletonMultiDataSetIterator(batch), 2);
        File file = folder.resolve("student.fb").toFile();
        student.save(file, true);
        SameDiff loaded = SameDiff.load(file, true);
        Retention.finetune(loaded, teacher, new SingletonMultiDataSetIterator(batch), 1);
        SameDiff plain = Retention.detach(loaded);
        File plainFile = folder.resolve("plain.fb").toFile();
        plain.save(plainFile, false);
        SameDiff again = SameDiff.load(plainFile, false);

        SameDiff expected = pretrained(DataType.DOUBLE, true);
        expected.getVariable("w").getArr().assign(loaded.getVariable("w").getArr());
        for (SameDiff model : List.of(expected, again)) {
            model.fit(new SingletonMultiDataSetIterator(batch(DataType.DOUBLE, 6)), 3);
        }
        assertClose(expected.getVariable("w").getArr(), again.getVariable("w").getArr(), 1e-12);
    }

    /** Adam has a state, and a RampSchedule can't be read back from JSON. */
    private static SameDiff trained(DataType type) {
        SameDiff sd = pretrained(type, true);
        TrainingConfig config = TrainingConfig.builder()
                .updater(new Adam(new RampSchedule(new FixedSchedule(0.02), 8)))
                .l2(1e-3)
                .dataSetFeatureMapping("features")
                .dataSetLabelMapping("wanted")
                .build();
        sd.setTrainingConfig(config);
        sd.fit(new SingletonMultiDataSetIterator(batch(type, 7)), 3);
        return sd;
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE"})
    void a_model_that_was_attached_and_detached_trains_on_as_if_it_had_not_been(DataType type) {
        SameDiff pretrained = trained(type);
        SameDiff student = Retention.attach(pretrained, CONF, "logits", "features");
        assertEquals(3, student.getTrainingConfig().getIterationCount());
        assertEquals(
                pretrained.getTrainingConfig().getRegularization(),
                student.getTrainingConfig().getRegularization());
        assertState(pretrained, student);
        SameDiff plain = Retention.detach(student);
        assertEquals(pretrained.variableMap().keySet(), plain.variableMap().keySet());
        assertEquals(pretrained.getLossVariables(), plain.getLossVariables());
        assertEquals(
                pretrained.getTrainingConfig().toJson(),
                plain.getTrainingConfig().toJson());
        assertState(pretrained, plain);
        for (SameDiff model : List.of(pretrained, plain)) {
            model.fit(new SingletonMultiDataSetIterator(batch(type, 8)), 3);
        }
        assertClose(pretrained.getVariable("w").getArr(), plain.getVariable("w").getArr(), 0);
    }

    private static void assertState(SameDiff expected, SameDiff found) {
        GradientUpdater<?> before = expected.getUpdaterMap().get("w");
        GradientUpdater<?> after = found.getUpdaterMap().get("w");
        assertEquals(2, before.getState().size());
        before.getState()
                .forEach((name, array) -> assertClose(array, after.getState().get(name), 0));
    }

    @Test
    void the_updater_goes_on_in_the_student_and_its_schedule_begins_anew() {
        SameDiff pretrained = trained(DataType.DOUBLE);
        RetentionConfiguration conf = RetentionConfiguration.builder()
                .coefficient(new MapSchedule(ScheduleType.ITERATION, Map.of(0, 5.0, 2, 7.0)))
                .build();
        Teacher teacher = Teacher.of(pretrained, "logits", "features");
        SameDiff student = Retention.attach(pretrained, conf, "logits", "features");
        List<Double> coefficients = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            Retention.finetune(student, teacher, new SingletonMultiDataSetIterator(batch(DataType.DOUBLE, 9)), 1);
            coefficients.add(loss(student).factor());
        }
        assertEquals(List.of(5.0, 5.0, 7.0), coefficients);
        assertEquals(6, student.getTrainingConfig().getIterationCount());
        assertEquals(6, Retention.detach(student).getTrainingConfig().getIterationCount());

        SameDiff afresh = Retention.withUpdater(student, new Sgd(0.1));
        assertEquals(0, afresh.getTrainingConfig().getIterationCount());
        INDArray before = afresh.getVariable("w").getArr().dup();
        assertClose(student.getVariable("w").getArr(), before, 0);
        Retention.finetune(afresh, teacher, new SingletonMultiDataSetIterator(batch(DataType.DOUBLE, 9)), 1);
        assertEquals(5.0, loss(afresh).factor());
        assertEquals(6, student.getTrainingConfig().getIterationCount());
        assertClose(before, student.getVariable("w").getArr(), 0);
        assertEquals(
                List.of("wanted"), Retention.detach(afresh).getTrainingConfig().getDataSetLabelMapping());
    }

    @Test
    void a_student_made_by_hand_is_detached() {
        SameDiff pretrained = pretrained(DataType.DOUBLE, true);
        Set<String> variables = Set.copyOf(pretrained.variableMap().keySet());
        SameDiff student = pretrained(DataType.DOUBLE, true);
        RetentionLoss.add(student, "logits", "wanted", CONF);
        student.setTrainingConfig(TrainingConfig.builder()
                .updater(new Sgd(0.02))
                .dataSetFeatureMapping("features")
                .dataSetLabelMapping("wanted", RetentionLoss.TEACHER_LOGITS)
                .build());
        student.setListeners(new RetentionListener());
        Teacher teacher = Teacher.of(pretrained, "logits", "features");
        student.fit(
                new TeacherMultiDataSetIterator(new SingletonMultiDataSetIterator(batch(DataType.DOUBLE, 10)), teacher),
                2);
        SameDiff plain = Retention.detach(student);
        assertEquals(variables, plain.variableMap().keySet());
        assertEquals(List.of("distance", "penalty"), plain.getLossVariables());
        assertEquals(List.of("wanted"), plain.getTrainingConfig().getDataSetLabelMapping());
        assertEquals(2, plain.getTrainingConfig().getIterationCount());
        plain.fit(new SingletonMultiDataSetIterator(batch(DataType.DOUBLE, 11)), 1);
    }

    @Test
    void a_mask_goes_where_the_model_was_given_it() {
        SameDiff pretrained = pretrained(DataType.DOUBLE, true);
        pretrained.placeHolder("mask", DataType.DOUBLE, -1, Networks.TIME);
        pretrained.getTrainingConfig().setDataSetLabelMaskMapping(List.of("mask"));
        SameDiff student = Retention.attach(pretrained, CONF, "logits", "features");
        Teacher teacher = Teacher.of(pretrained, "logits", "features");
        MultiDataSet plain = batch(DataType.DOUBLE, 12);
        INDArray mask = Nd4j.ones(DataType.DOUBLE, 3, Networks.TIME);
        mask.putScalar(0, 1, 0);
        MultiDataSet masked = new MultiDataSet(plain.getFeatures(), plain.getLabels(), null, new INDArray[] {mask});
        Retention.finetune(student, teacher, new SingletonMultiDataSetIterator(masked), 1);
        assertEquals(3 * Networks.TIME - 1, loss(student).tokens());
        assertEquals(
                List.of("mask"), Retention.detach(student).getTrainingConfig().getDataSetLabelMaskMapping());
    }

    /** M2.1 counts the arrays of the first batch alone, and leaves out what later ones have too many: here, padding. */
    @Test
    void divergence_weights_that_the_model_has_no_placeholder_for_are_refused_in_every_batch() {
        SameDiff pretrained = pretrained(DataType.DOUBLE, true);
        SameDiff student = Retention.attach(pretrained, CONF, "logits", "features");
        MultiDataSet whole = batch(DataType.DOUBLE, 12);
        MultiDataSet padded = batch(DataType.DOUBLE, 13);
        INDArray mask = Nd4j.ones(DataType.DOUBLE, 3, Networks.TIME).putScalar(0, 4, 0);
        padded.setFeaturesMaskArrays(new INDArray[] {mask});
        List<org.nd4j.linalg.dataset.api.MultiDataSet> batches = List.of(whole, padded);
        Teacher teacher = Teacher.of(pretrained, "logits", "features");
        INDArray[] trained = new INDArray[2];
        refused("labels: expected a placeholder for each of 3 arrays", () -> {
            student.addListeners(new BaseListener() {
                @Override
                public boolean isActive(Operation operation) {
                    return operation == Operation.TRAINING;
                }

                @Override
                public void iterationDone(
                        SameDiff sd, At at, org.nd4j.linalg.dataset.api.MultiDataSet data, Loss loss) {
                    trained[at.iteration()] = student.getVariable("w").getArr().dup();
                }
            });
            Retention.finetune(student, teacher, new IteratorMultiDataSetIterator(batches.iterator(), 3), 1);
        });
        assertClose(trained[0], student.getVariable("w").getArr(), 0);
        assertNull(trained[1]);
    }

    /** M2.1 wants an array for every placeholder. */
    @Test
    void a_missing_mask_is_one_of_ones_and_is_freed() {
        List<INDArray> masks = new ArrayList<>();
        List<SameDiff> students = new ArrayList<>();
        MultiDataSet plain = batch(DataType.DOUBLE, 12);
        INDArray ones = Nd4j.ones(DataType.DOUBLE, 3, Networks.TIME);
        MultiDataSet masked = new MultiDataSet(plain.getFeatures(), plain.getLabels(), null, new INDArray[] {ones});
        for (MultiDataSet data : List.of(plain, masked)) {
            SameDiff pretrained = pretrained(DataType.DOUBLE, true);
            pretrained.placeHolder("mask", DataType.DOUBLE, -1, Networks.TIME);
            pretrained.getTrainingConfig().setDataSetLabelMaskMapping(List.of("mask"));
            SameDiff student = Retention.attach(pretrained, CONF, "logits", "features");
            student.addListeners(new BaseListener() {
                @Override
                public boolean isActive(Operation operation) {
                    return operation == Operation.TRAINING;
                }

                @Override
                public void opExecution(
                        SameDiff sd,
                        At at,
                        org.nd4j.linalg.dataset.api.MultiDataSet data,
                        SameDiffOp op,
                        OpContext context,
                        INDArray[] outputs) {
                    masks.add(data.getLabelsMaskArray(0));
                }
            });
            Retention.finetune(
                    student, Teacher.of(pretrained, "logits", "features"), new SingletonMultiDataSetIterator(data), 1);
            students.add(student);
        }
        assertFalse(masks.isEmpty());
        assertTrue(masks.get(0).wasClosed());
        assertNull(plain.getLabelsMaskArrays());
        assertFalse(ones.wasClosed());
        assertEquals(loss(students.get(1)), loss(students.get(0)));
        assertClose(
                students.get(1).getVariable("w").getArr(),
                students.get(0).getVariable("w").getArr(),
                0);
    }

    @Test
    void what_does_not_fit_is_refused_by_name() {
        SameDiff pretrained = pretrained(DataType.FLOAT, true);
        SameDiff student = Retention.attach(pretrained, CONF, "logits", "features");
        refused(
                "pretrained: expected a model without a retention loss",
                () -> Retention.attach(student, CONF, "logits", "features"));
        refused("features: expected the names of the placeholders", () -> Retention.attach(pretrained, CONF, "logits"));
        refused("\"nothing\"", () -> Retention.attach(pretrained, CONF, "nothing", "features"));
        refused("placeholders: expected a placeholder", () -> Retention.attach(pretrained, CONF, "logits", "w"));
        refused("it has none", () -> Retention.detach(pretrained));
        SameDiff other = pretrained(DataType.FLOAT, true);
        other.getVariable("w").getArr().addi(0.1);
        refused(
                "this student belongs to teacher",
                () -> Retention.finetune(
                        student,
                        Teacher.of(other, "logits", "features"),
                        new SingletonMultiDataSetIterator(batch(DataType.FLOAT, 1)),
                        1));
        SameDiff occupied = pretrained(DataType.FLOAT, false);
        occupied.var("labels", Networks.normal(DataType.FLOAT, new Random(1), 2, 2));
        refused(
                "labels: expected a placeholder \"labels\"",
                () -> Retention.attach(occupied, CONF, "logits", "features"));
    }

    private static void refused(String message, org.junit.jupiter.api.function.Executable call) {
        String found = assertThrows(RuntimeException.class, call).getMessage();
        assertTrue(found.contains(message), found);
    }

    @Test
    void a_moving_average_is_taken_once_for_every_step_however_often_a_student_is_finetuned() {
        SameDiff pretrained = pretrained(DataType.DOUBLE, false);
        MovingAverageTeacher teacher = Teacher.movingAverage(pretrained, 0.9, "logits", "features");
        SameDiff student = Retention.attach(pretrained, CONF, teacher, "logits", "features");
        INDArray expected = teacher.params();
        for (int i = 0; i < 3; i++) {
            Retention.finetune(student, teacher, new SingletonMultiDataSetIterator(batch(DataType.DOUBLE, i)), 1);
            INDArray[] now = pretrained.variables().stream()
                    .filter(variable -> variable.getVariableType() == VariableType.VARIABLE)
                    .map(SDVariable::name)
                    .sorted()
                    .map(name -> student.getVariable(name).getArr())
                    .map(array -> array.dup('c').reshape(array.length()))
                    .toArray(INDArray[]::new);
            expected = expected.mul(0.9).add(Nd4j.concat(0, now).mul(0.1));
            assertClose(expected, teacher.params(), 1e-12);
        }
        assertEquals(2, student.getListeners().size());
    }

    @Test
    void a_batch_gets_its_arrays_back_when_an_iteration_breaks_off() {
        SameDiff pretrained = pretrained(DataType.FLOAT, false);
        Teacher teacher = Teacher.of(pretrained, "logits", "features");
        SameDiff student = Retention.attach(pretrained, CONF, "logits", "features");
        MultiDataSet batch = batch(DataType.DOUBLE, 5);
        List<org.nd4j.linalg.dataset.api.MultiDataSet> seen = new ArrayList<>();
        List<INDArray> casts = new ArrayList<>();
        student.addListeners(new BaseListener() {
            @Override
            public boolean isActive(Operation operation) {
                return true;
            }

            @Override
            public void opExecution(
                    SameDiff sd,
                    At at,
                    org.nd4j.linalg.dataset.api.MultiDataSet data,
                    SameDiffOp op,
                    OpContext context,
                    INDArray[] outputs) {
                seen.add(data);
                casts.add(data.getFeatures(0));
                throw new IllegalStateException("broken off");
            }
        });
        assertThrows(
                IllegalStateException.class,
                () -> Retention.finetune(student, teacher, new SingletonMultiDataSetIterator(batch), 1));
        assertEquals(DataType.FLOAT, casts.get(0).dataType());
        assertTrue(casts.get(0).wasClosed());
        assertSame(batch.getFeatures(0), seen.get(0).getFeatures(0));
    }
}
