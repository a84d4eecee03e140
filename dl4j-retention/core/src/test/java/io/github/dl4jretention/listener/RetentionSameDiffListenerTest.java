package io.github.dl4jretention.listener;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.loss.AdaptiveCoefficient;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionListener;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.loss.samediff.SameDiffLossState;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.GradientUpdater;
import org.nd4j.linalg.learning.config.Adam;

class RetentionSameDiffListenerTest {

    private static final int V = Networks.VOCABULARY;

    private final SameDiff pretrained = model(1);
    private final Teacher teacher = Teacher.of(pretrained, "logits", "features");
    private final SameDiff student = model(2);
    private final List<RetentionReport> reports = new ArrayList<>();
    private final RetentionListener retention = new RetentionListener();

    private static SameDiff model(long seed) {
        Random random = new Random(seed);
        SameDiff sd = SameDiff.create();
        SDVariable features = sd.placeHolder("features", DataType.DOUBLE, -1, 4);
        SDVariable hidden = sd.math.tanh(features.mmul(sd.var("w", Networks.normal(DataType.DOUBLE, random, 4, 7))));
        hidden.mmul(sd.var("v", Networks.normal(DataType.DOUBLE, random, 7, V))).rename("logits");
        sd.placeHolder("labels", DataType.INT32, -1);
        sd.placeHolder("weights", DataType.DOUBLE, -1);
        return sd;
    }

    private void prepare(RetentionTrainingListener.Builder builder) {
        prepare(
                builder,
                RetentionConfiguration.builder().coefficient(2).temperature(3).build());
    }

    private void prepare(RetentionTrainingListener.Builder builder, RetentionConfiguration conf) {
        RetentionLoss.add(student, "logits", "labels", "weights", null, conf);
        student.setTrainingConfig(TrainingConfig.builder()
                .updater(new Adam(0.01))
                .dataSetFeatureMapping("features")
                .dataSetLabelMapping("labels", "weights", RetentionLoss.TEACHER_LOGITS)
                .build());
        student.setListeners(retention, builder.to(reports::add).build(retention));
    }

    private MultiDataSet batch(long seed) {
        Random random = new Random(seed);
        MultiDataSet plain = new MultiDataSet(
                new INDArray[] {Networks.normal(DataType.DOUBLE, random, 5, 4)},
                new INDArray[] {Nd4j.createFromArray(0, 1, 2, 3, 4), Nd4j.createFromArray(1.0, 1, 0, 1, 0.5)});
        return (MultiDataSet) new TeacherMultiDataSetIterator(new SingletonMultiDataSetIterator(plain), teacher).next();
    }

    @Test
    void reports_what_the_loss_was() {
        prepare(RetentionTrainingListener.builder());
        MultiDataSet batch = batch(3);
        Map<String, INDArray> placeholders = new HashMap<>(Map.of(
                "features",
                batch.getFeatures(0),
                "labels",
                batch.getLabels(0),
                "weights",
                batch.getLabels(1),
                RetentionLoss.TEACHER_LOGITS,
                batch.getLabels(2)));
        // By M2.1's own functions, before anything is trained.
        double squared = 0;
        for (INDArray gradient :
                student.calculateGradients(placeholders, "w", "v").values()) {
            squared += Math.pow(gradient.norm2Number().doubleValue(), 2);
        }
        INDArray own = Nd4j.argMax(student.output(placeholders, "logits").get("logits"), 1);
        INDArray best = Nd4j.argMax(batch.getLabels(2), 1);
        double agreement = 0;
        for (int i = 0; i < 5; i++) {
            agreement += own.getInt(i) == best.getInt(i) ? batch.getLabels(1).getDouble(i) / 3.5 : 0;
        }
        student.fit(batch);
        student.fit(batch(4));
        assertEquals(2, reports.size());
        RetentionReport first = reports.get(0);
        assertEquals("retentionLoss", first.output());
        assertEquals(0, first.iteration());
        assertEquals(3.5, first.tokens());
        assertEquals(2, first.coefficient(), 1e-12);
        assertEquals(first.crossEntropy() + 2 * 9 * first.divergence(), first.total(), 1e-12);
        assertEquals(Math.sqrt(squared), first.gradientNorm(), 1e-9);
        assertEquals(agreement, first.agreement(), 1e-12);
        assertTrue(first.divergence() > 0);
        assertEquals(1, reports.get(1).iteration());
    }

    @Test
    void reports_every_so_many_iterations() {
        prepare(RetentionTrainingListener.builder().every(3).agreement(false));
        for (int i = 0; i < 7; i++) {
            student.fit(batch(i));
        }
        assertEquals(
                List.of(0, 3, 6),
                reports.stream().map(RetentionReport::iteration).toList());
        assertTrue(Double.isNaN(reports.get(1).agreement()));
    }

    @Test
    void a_loss_that_is_not_finite_leaves_variables_and_updater_as_they_were() {
        prepare(RetentionTrainingListener.builder());
        student.fit(batch(3));
        Map<String, INDArray> before = state();
        MultiDataSet poisoned = batch(4);
        poisoned.getFeatures(0).putScalar(1, 2, Double.NaN);
        String message = assertThrows(ArithmeticException.class, () -> student.fit(poisoned))
                .getMessage();
        assertTrue(message.contains("cross-entropy NaN"), message);
        assertEquals(before.keySet(), state().keySet());
        before.forEach((name, array) -> assertClose(array, state().get(name), 0));
        assertTrue(student.getTrainingConfig().getTrainEvaluations().isEmpty());
        student.fit(batch(5));
        assertEquals(2, reports.size());
    }

    @Test
    void a_refused_update_binds_no_graph() {
        prepare(RetentionTrainingListener.builder());
        MultiDataSet poisoned = batch(4);
        poisoned.getFeatures(0).putScalar(1, 2, Double.NaN);
        assertThrows(ArithmeticException.class, () -> student.fit(poisoned));
        assertNull(SameDiffLossState.of(student).teacher());
        student.fit(batch(3));
        assertEquals(teacher.sha256(), SameDiffLossState.of(student).teacher());
    }

    @Test
    void a_gradient_that_is_not_finite_leaves_an_adaptive_coefficient_as_it_was() {
        prepare(
                RetentionTrainingListener.builder(),
                RetentionConfiguration.builder()
                        .coefficient(AdaptiveCoefficient.toward(0.1))
                        .build());
        student.fit(batch(3));
        double coefficient = SameDiffLossState.of(student).coefficient();
        student.getVariable("w").getArr().assign(0);
        student.getVariable("v").getArr().muli(1e200);
        String message = assertThrows(ArithmeticException.class, () -> student.fit(batch(4)))
                .getMessage();
        assertTrue(message.contains("gradient norm Infinity"), message);
        assertTrue(Double.isFinite(retention.lastTokenLoss().sum()), message);
        assertEquals(coefficient, SameDiffLossState.of(student).coefficient(), 0);
    }

    @SuppressWarnings("rawtypes")
    private Map<String, INDArray> state() {
        Map<String, INDArray> state = new HashMap<>();
        for (String name : List.of("w", "v")) {
            state.put(name, student.getVariable(name).getArr().dup());
            GradientUpdater<?> updater = student.getUpdaterMap().get(name);
            updater.getState().forEach((key, array) -> state.put(name + key, array.dup()));
        }
        return state;
    }

    @Test
    void the_RetentionListener_must_come_first() {
        prepare(RetentionTrainingListener.builder());
        student.setListeners(RetentionTrainingListener.builder().build(retention), retention);
        assertThrows(IllegalStateException.class, () -> student.fit(batch(1)));
        assertThrows(NullPointerException.class, () -> RetentionTrainingListener.builder()
                .build(null));
    }
}
