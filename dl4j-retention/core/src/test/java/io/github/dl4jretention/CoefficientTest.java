package io.github.dl4jretention;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.loss.AdaptiveCoefficient;
import io.github.dl4jretention.loss.Divergence;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.File;
import java.lang.reflect.Field;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.schedule.ISchedule;
import org.nd4j.linalg.schedule.MapSchedule;
import org.nd4j.linalg.schedule.ScheduleType;

/** Lambda: constant, scheduled, steered to a divergence. */
class CoefficientTest {

    private static final ISchedule STEPS = new MapSchedule.Builder(ScheduleType.ITERATION)
            .add(0, 0.5)
            .add(2, 3)
            .build();

    private static DataSet taught(Teacher teacher, long seed) {
        return new TeacherIterator(
                        new ExistingDataSetIterator(List.of(Networks.sequences(DataType.DOUBLE, 3, seed))), teacher)
                .next();
    }

    @Test
    void a_schedule_sets_lambda_at_each_iteration() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 1);
        Teacher teacher = Teacher.of(pretrained);
        RetentionConfiguration conf = RetentionConfiguration.builder()
                .coefficient(STEPS)
                .temperature(2)
                .build();
        MultiLayerNetwork student = Retention.attach(pretrained, conf);
        List<Double> factors = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            student.fit(taught(teacher, i));
            factors.add(Networks.lastLoss(student).factor());
        }
        assertEquals(List.of(2.0, 2.0, 12.0, 12.0), factors);
    }

    /** Stock's operations compute the logits, and the losses are those of these logits: the head's own way isn't asked. */
    @Test
    void at_0_a_step_computes_the_logits_once() throws Exception {
        for (double coefficient : new double[] {0, 1}) {
            MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
            MultiLayerNetwork student = Retention.attach(
                    pretrained,
                    RetentionConfiguration.builder().coefficient(coefficient).build());
            try (TeacherIterator batches = new TeacherIterator(
                    new ExistingDataSetIterator(List.of(Networks.sequences(DataType.FLOAT, 3, 1))),
                    Teacher.of(pretrained))) {
                student.fit(batches);
            }
            Field path = student.getOutputLayer().getClass().getDeclaredField("path");
            path.setAccessible(true);
            assertEquals(coefficient == 0, path.get(student.getOutputLayer()) == null, "coefficient " + coefficient);
            assertTrue(student.score() > 0);
        }
    }

    @Test
    void a_schedule_of_negative_numbers_is_refused_where_it_gives_one() {
        ISchedule falling = new MapSchedule.Builder(ScheduleType.ITERATION)
                .add(0, 1)
                .add(1, -1)
                .build();
        MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 1);
        Teacher teacher = Teacher.of(pretrained);
        MultiLayerNetwork student = Retention.attach(
                pretrained,
                RetentionConfiguration.builder().coefficient(falling).build());
        student.fit(taught(teacher, 1));
        String message = assertThrows(IllegalStateException.class, () -> student.fit(taught(teacher, 2)))
                .getMessage();
        assertTrue(message.contains("coefficient") && message.contains("-1.0"), message);
    }

    /** Worked by hand from the formula of arXiv 1909.08593, section 2.2. */
    @ParameterizedTest
    @CsvSource({
        "2.0, 0.10, 2.0", // on target
        "2.0, 0.11, 2.02", // error 0.1, K 0.1
        "2.0, 0.50, 2.04", // error 4, clipped to 0.2
        "2.0, 0.00, 1.96", // error -1, clipped to -0.2
        "2.0, NaN, 2.0"
    })
    void the_controller_is_multiplicative_and_clipped(double lambda, double divergence, double expected) {
        assertEquals(expected, AdaptiveCoefficient.toward(0.1).next(lambda, divergence), 1e-12);
    }

    /** 36,000 steps took lambda to 1e-322 and to infinity, from which no step comes back. */
    @ParameterizedTest
    @CsvSource({"0.0, 1e-4, 1e2", "1e9, 1e4, 1e-2"})
    void lambda_comes_back_from_any_number_of_steps(double divergence, double bound, double farBeyond) {
        AdaptiveCoefficient adaptive = AdaptiveCoefficient.toward(0.1);
        double lambda = adaptive.initial();
        for (int step = 0; step < 36_000; step++) {
            lambda = adaptive.next(lambda, divergence);
        }
        assertEquals(bound, lambda, 1e-12 * bound);
        int steps = 0;
        while (bound < 1 ? lambda < farBeyond : lambda > farBeyond) {
            lambda = adaptive.next(lambda, bound < 1 ? 1e9 : 0);
            steps++;
        }
        // A factor of 1e6 in steps of 2 %.
        double expected = bound < 1 ? Math.log(1e6) / Math.log(1.02) : -Math.log(1e6) / Math.log(0.98);
        assertEquals(Math.ceil(expected), steps, 1);
        // What an earlier version saved.
        assertEquals(1e-4, adaptive.next(1e-322, divergence == 0 ? 0 : 0.1));
        assertEquals(1e4, adaptive.next(Double.POSITIVE_INFINITY, 0.1));
    }

    @Test
    void a_coefficient_that_starts_high_comes_down_and_never_rises_above_its_start() {
        AdaptiveCoefficient adaptive = AdaptiveCoefficient.fromAbove(30, 0.1);
        assertEquals(30, adaptive.next(adaptive.initial(), 5), "the upper bound");
        double lambda = adaptive.initial();
        for (int step = 0; step < 169; step++) {
            assertTrue(lambda > 1, "after " + step);
            lambda = adaptive.next(lambda, 0);
        }
        assertTrue(lambda < 1 && lambda > 0.98, String.valueOf(lambda));
        assertEquals(lambda * 1.02, adaptive.next(lambda, 5), 1e-12);
    }

    @Test
    void a_network_keeps_to_the_bounds_and_saves_them() throws Exception {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 4);
        Teacher teacher = Teacher.of(pretrained);
        MultiLayerNetwork student = Retention.attach(
                pretrained,
                RetentionConfiguration.builder()
                        .coefficient(new AdaptiveCoefficient(1, 1e6, 1, 0.9, 0.5, 2))
                        .build());
        for (int i = 0; i < 3; i++) {
            student.fit(taught(teacher, i));
        }
        assertEquals(0.5, head(student).coefficientAt(0, 0));
        MultiLayerConfiguration read = MultiLayerConfiguration.fromJson(
                student.getLayerWiseConfigurations().toJson());
        assertEquals(student.getLayerWiseConfigurations(), read);
    }

    @Test
    void lambda_is_steered_to_the_target() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 2);
        Teacher teacher = Teacher.of(pretrained);
        double target = 0.05;
        RetentionConfiguration conf = RetentionConfiguration.builder()
                .coefficient(new AdaptiveCoefficient(1, target, 5, 0.2))
                .build();
        MultiLayerNetwork student = Retention.withUpdater(Retention.attach(pretrained, conf), new Adam(0.01));
        DataSet data = taught(teacher, 3);
        int steps = 200;
        double mean = 0;
        for (int i = 0; i < steps; i++) {
            student.fit(data);
            if (i >= steps / 2) {
                mean += Networks.lastLoss(student).divergence() / (steps - steps / 2);
            }
        }
        assertEquals(target, mean, 0.3 * target);
    }

    @Test
    void the_state_of_an_adaptive_lambda_is_saved_and_restored(@TempDir Path folder) throws Exception {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 4);
        Teacher teacher = Teacher.of(pretrained);
        RetentionConfiguration conf = RetentionConfiguration.builder()
                .coefficient(AdaptiveCoefficient.toward(1e-4))
                .build();
        MultiLayerNetwork student = Retention.attach(pretrained, conf);
        for (int i = 0; i < 5; i++) {
            student.fit(taught(teacher, i));
        }
        double reached = head(student).coefficientAt(0, 0);
        assertTrue(reached > 1.05, "lambda " + reached);
        File file = folder.resolve("student.zip").toFile();
        student.save(file, true);
        MultiLayerNetwork resumed = MultiLayerNetwork.load(file, true);
        assertEquals(reached, head(resumed).coefficientAt(0, 0));
        student.fit(taught(teacher, 6));
        resumed.fit(taught(teacher, 6));
        assertEquals(head(student).coefficientAt(0, 0), head(resumed).coefficientAt(0, 0));
        assertClose(student.params(), resumed.params(), 0);
        // Scoring does not steer.
        student.score(taught(teacher, 7), false);
        assertEquals(head(resumed).coefficientAt(0, 0), head(student).coefficientAt(0, 0));
    }

    private static RetentionOutputLayer head(MultiLayerNetwork student) {
        return (RetentionOutputLayer) student.getOutputLayer().conf().getLayer();
    }

    @Test
    void every_setting_survives_JSON_and_YAML() throws Exception {
        for (RetentionConfiguration conf : List.of(
                RetentionConfiguration.builder().coefficient(STEPS).build(),
                RetentionConfiguration.builder()
                        .coefficient(new AdaptiveCoefficient(2, 0.1, 5, 0.3, 0.01, 3))
                        .divergence(Divergence.JENSEN_SHANNON)
                        .beta(0.3)
                        .labelSmoothing(0.1)
                        .temperature(3)
                        .build())) {
            var mapper = NeuralNetConfiguration.mapper();
            assertEquals(conf, mapper.readValue(mapper.writeValueAsString(conf), RetentionConfiguration.class));
            MultiLayerConfiguration network =
                    Retention.attach(Networks.lstm(DataType.FLOAT, 1), conf).getLayerWiseConfigurations();
            assertEquals(network, MultiLayerConfiguration.fromJson(network.toJson()));
            assertEquals(network, MultiLayerConfiguration.fromYaml(network.toYaml()));
        }
    }

    @Test
    void JSON_of_an_adaptive_coefficient_without_bounds_has_their_defaults() throws Exception {
        String json = "{\"initial\":2.0,\"target\":0.1,\"horizon\":5.0,\"clip\":0.3}";
        AdaptiveCoefficient read = NeuralNetConfiguration.mapper().readValue(json, AdaptiveCoefficient.class);
        assertEquals(new AdaptiveCoefficient(2, 0.1, 5, 0.3, 2e-4, 2e4), read);
        assertEquals(new AdaptiveCoefficient(2, 0.1, 5, 0.3), read);
    }

    @Test
    void JSON_without_the_newer_settings_has_their_defaults() throws Exception {
        String json = "{\"divergence\":\"REVERSE_KL\",\"coefficient\":0.25,\"temperature\":2.0}";
        assertEquals(
                RetentionConfiguration.builder()
                        .divergence(Divergence.REVERSE_KL)
                        .coefficient(0.25)
                        .temperature(2)
                        .build(),
                NeuralNetConfiguration.mapper().readValue(json, RetentionConfiguration.class));
    }

    @ParameterizedTest
    @ValueSource(doubles = {0, 1, -0.5, Double.NaN})
    void beta_outside_of_its_range(double beta) {
        assertThrows(
                IllegalArgumentException.class,
                () -> RetentionConfiguration.builder().beta(beta).build());
    }

    @ParameterizedTest
    @ValueSource(doubles = {1, -0.1, Double.NaN})
    void label_smoothing_outside_of_its_range(double smoothing) {
        assertThrows(
                IllegalArgumentException.class,
                () -> RetentionConfiguration.builder().labelSmoothing(smoothing).build());
    }

    @ParameterizedTest
    @CsvSource({"0,1,1,0.2", "1,0,1,0.2", "1,NaN,1,0.2", "1,1,0.5,0.2", "1,1,1,0", "1,1,1,1.5", "1,1,1,1"})
    void controller_settings_outside_of_their_ranges(double initial, double target, double horizon, double clip) {
        assertThrows(IllegalArgumentException.class, () -> new AdaptiveCoefficient(initial, target, horizon, clip));
    }

    @ParameterizedTest
    @CsvSource({"0,2", "-1,2", "1.5,2", "NaN,2", "0.5,0.9", "0.5,Infinity", "0.5,NaN"})
    void bounds_outside_of_their_ranges(double lower, double upper) {
        String message = assertThrows(
                        IllegalArgumentException.class, () -> new AdaptiveCoefficient(1, 0.1, 10, 0.2, lower, upper))
                .getMessage();
        assertTrue(message.startsWith(lower == 0.5 ? "upper: expected" : "lower: expected"), message);
    }
}
