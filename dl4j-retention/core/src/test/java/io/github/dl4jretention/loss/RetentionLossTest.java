package io.github.dl4jretention.loss;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.loss.samediff.SameDiffLossState;
import io.github.dl4jretention.teacher.DivergenceMask;
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
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.autodiff.listeners.records.History;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.graph.FlatGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.schedule.MapSchedule;
import org.nd4j.linalg.schedule.ScheduleType;

/** The loss in SameDiff graphs, trained through SameDiff.fit. */
class RetentionLossTest {

    private static final int V = Networks.VOCABULARY;

    static SameDiff model(long seed) {
        return model(seed, DataType.FLOAT, Networks.TIME, V);
    }

    /** One hidden layer over features {@code [batch, time, 4]}. */
    private static SameDiff model(long seed, DataType type, int time, int vocabulary) {
        Random random = new Random(seed);
        SameDiff sd = SameDiff.create();
        SDVariable features = sd.placeHolder("features", type, -1, time, Networks.INPUTS);
        SDVariable w = sd.var("w", Networks.normal(type, random, Networks.INPUTS, 7));
        SDVariable v = sd.var("v", Networks.normal(type, random, 7, vocabulary));
        SDVariable b = sd.var("b", Nd4j.zeros(type, vocabulary));
        SDVariable hidden = sd.math.tanh(features.reshape(-1, Networks.INPUTS).mmul(w));
        hidden.mmul(v).add(b).reshape(-1, time, vocabulary).rename("logits");
        sd.placeHolder("labels", DataType.INT32, -1, time);
        return sd;
    }

    static MultiDataSet batch(long seed) {
        return batch(seed, DataType.FLOAT, 3, Networks.TIME);
    }

    static MultiDataSet batch(long seed, DataType type, int size, int time) {
        Random random = new Random(seed);
        int[][] ids = new int[size][time];
        for (int[] row : ids) {
            for (int t = 0; t < row.length; t++) {
                row[t] = random.nextInt(V);
            }
        }
        return new MultiDataSet(Networks.normal(type, random, size, time, Networks.INPUTS), Nd4j.createFromArray(ids));
    }

    static TrainingConfig training(String... labels) {
        return TrainingConfig.builder()
                .updater(new Adam(0.02))
                .dataSetFeatureMapping("features")
                .dataSetLabelMapping(labels)
                .build();
    }

    static History fit(SameDiff sd, Teacher teacher, MultiDataSet batch, int epochs) {
        return sd.fit(new TeacherMultiDataSetIterator(new SingletonMultiDataSetIterator(batch), teacher), epochs);
    }

    @Test
    void a_call_that_is_refused_leaves_the_graph_as_it_was() {
        SameDiff student = model(1);
        Set<String> before = Set.copyOf(student.variableMap().keySet());
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        for (Executable call : List.<Executable>of(
                () -> RetentionLoss.add(student, "missing", "labels", conf),
                () -> RetentionLoss.add(student, "logits", "missing", conf),
                () -> RetentionLoss.add(student, "logits", "labels", "missing", null, conf),
                () -> RetentionLoss.add(student, "logits", "labels", null, "missing", conf))) {
            assertThrows(IllegalArgumentException.class, call);
            assertEquals(before, student.variableMap().keySet());
        }
        RetentionLoss.add(student, "logits", "labels", conf);
    }

    @Test
    void a_student_trains_and_its_losses_are_reported() {
        SameDiff pretrained = model(1);
        Teacher teacher = Teacher.of(pretrained, "logits", "features");
        double[] divergence = new double[2];
        for (int strong = 0; strong < 2; strong++) {
            RetentionConfiguration conf = RetentionConfiguration.builder()
                    .coefficient(strong == 1 ? 10 : 0.01)
                    .build();
            SameDiff student = model(1);
            RetentionLoss.add(student, "logits", "labels", conf);
            student.setTrainingConfig(training("labels", RetentionLoss.TEACHER_LOGITS));
            RetentionListener listener = new RetentionListener();
            student.setListeners(listener);
            MultiDataSet batch = batch(2);
            double first =
                    fit(student, teacher, batch, 1).lossCurve().meanLoss(0).totalLoss();
            TokenLoss before = listener.lastTokenLoss();
            assertEquals(0, before.divergence(), 1e-6);
            assertEquals(15, before.tokens());
            assertEquals(before.sum() / 3, first, 1e-5);
            // Against an independent computation: cross-entropy of the teacher's log-probabilities.
            INDArray logProbabilities = teacher.logProbabilities(batch.getFeatures(0), null);
            double expected = 0;
            for (int i = 0; i < 3; i++) {
                for (int t = 0; t < Networks.TIME; t++) {
                    expected -=
                            logProbabilities.getDouble(i, t, batch.getLabels(0).getInt(i, t));
                }
            }
            assertEquals(expected, before.crossEntropySum(), 1e-4);
            fit(student, teacher, batch, 40);
            assertTrue(listener.lastTokenLoss().crossEntropy() < before.crossEntropy());
            divergence[strong] = listener.lastTokenLoss().divergence();
        }
        assertTrue(divergence[1] < 0.5 * divergence[0], divergence[0] + " " + divergence[1]);
    }

    @Test
    void another_teacher_is_refused_after_a_restart_too(@TempDir Path folder) {
        SameDiff pretrained = model(3);
        Teacher teacher = Teacher.of(pretrained, "logits", "features");
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        SameDiff student = model(3);
        RetentionLoss.add(student, "logits", "labels", conf);
        RetentionLoss.bind(student, teacher.sha256());
        student.setTrainingConfig(training("labels", RetentionLoss.TEACHER_LOGITS));
        student.setListeners(new RetentionListener());
        fit(student, teacher, batch(4), 2);
        File file = folder.resolve("student.fb").toFile();
        student.save(file, true);
        SameDiff resumed = SameDiff.load(file, true);
        resumed.setListeners(new RetentionListener());
        fit(student, teacher, batch(5), 1);
        fit(resumed, teacher, batch(5), 1);
        assertClose(student.getVariable("w").getArr(), resumed.getVariable("w").getArr(), 1e-6);
        Teacher other = Teacher.of(model(9), "logits", "features");
        String message = assertThrows(IllegalStateException.class, () -> fit(resumed, other, batch(5), 1))
                .getMessage();
        assertTrue(message.contains(teacher.sha256()) && message.contains(other.sha256()), message);
    }

    @Test
    void the_identity_of_a_graph_does_not_depend_on_its_loss() {
        SameDiff plain = model(6);
        SameDiff withLoss = model(6);
        RetentionLoss.add(
                withLoss, "logits", "labels", RetentionConfiguration.builder().build());
        assertEquals(
                Teacher.of(plain, "logits", "features").sha256(),
                Teacher.of(withLoss, "logits", "features").sha256());
        assertTrue(!Teacher.of(plain, "logits", "features")
                .sha256()
                .equals(Teacher.of(model(7), "logits", "features").sha256()));
    }

    @Test
    void lambda_follows_its_schedule() {
        RetentionConfiguration conf = RetentionConfiguration.builder()
                .coefficient(new MapSchedule.Builder(ScheduleType.ITERATION)
                        .add(0, 0.5)
                        .add(2, 3)
                        .build())
                .temperature(2)
                .build();
        SameDiff student = model(8);
        RetentionLoss.add(student, "logits", "labels", conf);
        student.setTrainingConfig(training("labels", RetentionLoss.TEACHER_LOGITS));
        RetentionListener listener = new RetentionListener();
        student.setListeners(listener);
        Teacher teacher = Teacher.of(model(8), "logits", "features");
        List<Double> factors = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            fit(student, teacher, batch(i), 1);
            factors.add(listener.lastTokenLoss().factor());
        }
        assertEquals(List.of(2.0, 2.0, 12.0, 12.0), factors);
    }

    @Test
    void an_adaptive_lambda_is_saved_with_the_graph(@TempDir Path folder) {
        RetentionConfiguration conf = RetentionConfiguration.builder()
                .coefficient(AdaptiveCoefficient.toward(1e-4))
                .build();
        SameDiff student = model(8);
        RetentionLoss.add(student, "logits", "labels", conf);
        student.setTrainingConfig(training("labels", RetentionLoss.TEACHER_LOGITS));
        RetentionListener listener = new RetentionListener();
        student.setListeners(listener);
        Teacher teacher = Teacher.of(model(8), "logits", "features");
        fit(student, teacher, batch(1), 10);
        double reached = student.getVariable(RetentionLoss.FACTOR).getArr().getDouble(0);
        assertTrue(reached > 1.05, "lambda " + reached);
        File file = folder.resolve("student.fb").toFile();
        student.save(file, true);
        assertEquals(
                reached,
                SameDiff.load(file, true)
                        .getVariable(RetentionLoss.FACTOR)
                        .getArr()
                        .getDouble(0));
    }

    @Test
    void weights_of_tokens_differ_for_the_two_terms() {
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        SameDiff student = model(10);
        student.placeHolder("answers", DataType.FLOAT, -1, Networks.TIME);
        student.placeHolder("all", DataType.FLOAT, -1, Networks.TIME);
        RetentionLoss.add(student, "logits", "labels", "answers", "all", conf);
        student.setTrainingConfig(training("labels", "answers", RetentionLoss.TEACHER_LOGITS, "all"));
        RetentionListener listener = new RetentionListener();
        student.setListeners(listener);
        MultiDataSet plain = batch(11);
        INDArray answers = Nd4j.zeros(3, Networks.TIME).putScalar(0, 2, 1).putScalar(1, 4, 1);
        MultiDataSet batch = new MultiDataSet(plain.getFeatures(), new INDArray[] {plain.getLabels(0), answers});
        student.fit(
                new TeacherMultiDataSetIterator(
                        new SingletonMultiDataSetIterator(batch),
                        Teacher.of(model(12), "logits", "features"),
                        DivergenceMask.ALL_TOKENS),
                1);
        assertEquals(2, listener.lastTokenLoss().tokens());
        assertEquals(15, listener.lastTokenLoss().divergenceTokens());
        assertTrue(listener.lastTokenLoss().divergence() > 0.01);
    }

    @ParameterizedTest
    @CsvSource({"1,1,FLOAT", "2,1,DOUBLE", "7,1,FLOAT", "1,5,DOUBLE", "2,5,HALF"})
    void every_batch_size_and_data_type(int size, int time, DataType type) {
        SameDiff pretrained = model(20, type, time, V);
        Teacher teacher = Teacher.of(pretrained, "logits", "features");
        SameDiff student = model(20, type, time, V);
        RetentionLoss.add(
                student,
                "logits",
                "labels",
                RetentionConfiguration.builder().labelSmoothing(0.1).build());
        student.setTrainingConfig(TrainingConfig.builder()
                .updater(new Sgd(0.1))
                .dataSetFeatureMapping("features")
                .dataSetLabelMapping("labels", RetentionLoss.TEACHER_LOGITS)
                .build());
        RetentionListener listener = new RetentionListener();
        student.setListeners(listener);
        MultiDataSet batch = batch(21, type, size, time);
        fit(student, teacher, batch, 1);
        TokenLoss before = listener.lastTokenLoss();
        assertEquals(size * time, before.tokens());
        assertEquals(0, before.divergence(), 1e-6);
        // Label smoothing, from the teacher's log-probabilities.
        INDArray logProbabilities = teacher.logProbabilities(batch.getFeatures(0), null);
        double expected = 0;
        for (int i = 0; i < size; i++) {
            for (int t = 0; t < time; t++) {
                for (int v = 0; v < V; v++) {
                    double target = 0.1 / V + (batch.getLabels(0).getInt(i, t) == v ? 0.9 : 0);
                    expected -= target * logProbabilities.getDouble(i, t, v);
                }
            }
        }
        assertEquals(expected, before.crossEntropySum(), 1e-3);
        fit(student, teacher, batch, 20);
        assertTrue(listener.lastTokenLoss().crossEntropy() < before.crossEntropy());
    }

    @ParameterizedTest
    @CsvSource({"FLOAT,false", "FLOAT,true", "INT,true"})
    void class_ids_of_every_form_are_the_same(DataType type, boolean lastAxisOfOne) {
        double[] sums = new double[2];
        for (int i = 0; i < 2; i++) {
            // The second is the form of other tests: integers without a class axis.
            boolean plain = i == 1;
            SameDiff student = SameDiff.create();
            student.placeHolder("logits", DataType.FLOAT, -1, Networks.TIME, V);
            long[] shape = lastAxisOfOne && !plain ? new long[] {-1, Networks.TIME, 1} : new long[] {-1, Networks.TIME};
            student.placeHolder("labels", plain ? DataType.INT32 : type, shape);
            RetentionLoss.add(
                    student,
                    "logits",
                    "labels",
                    RetentionConfiguration.builder().build());
            INDArray ids = batch(30).getLabels(0);
            INDArray labels = plain ? ids : ids.castTo(type);
            INDArray logits = Networks.normal(DataType.FLOAT, new Random(31), 3, Networks.TIME, V);
            Map<String, INDArray> values = Map.of(
                    "logits",
                    logits,
                    "labels",
                    lastAxisOfOne && !plain ? labels.reshape(3, Networks.TIME, 1) : labels,
                    RetentionLoss.TEACHER_LOGITS,
                    logits);
            sums[i] = student.output(values, RetentionLoss.LOSS)
                    .get(RetentionLoss.LOSS)
                    .getDouble(0);
        }
        assertEquals(sums[1], sums[0], 1e-6);
    }

    @Test
    void dropout_of_the_model_is_off_in_its_teacher() {
        SameDiff pretrained = SameDiff.create();
        SDVariable features = pretrained.placeHolder("features", DataType.FLOAT, -1, 4);
        SDVariable dropped = pretrained.nn.dropoutInverted(features, 0.5);
        dropped.mmul(pretrained.var("w", Networks.normal(DataType.FLOAT, new Random(1), 4, V)))
                .rename("logits");
        INDArray values = Networks.normal(DataType.FLOAT, new Random(2), 3, 4);
        Teacher teacher = Teacher.of(pretrained, "logits", "features");
        INDArray expected = values.mmul(pretrained.getVariable("w").getArr());
        INDArray found = teacher.logProbabilities(values, null);
        assertClose(
                expected.subColumnVector(expected.getColumn(0).dup()),
                found.subColumnVector(found.getColumn(0).dup()),
                1e-5);
    }

    @Test
    void only_random_operations_that_the_logits_depend_on_are_refused() {
        SameDiff aside = model(26);
        aside.random.normal("noise", 0, 1, DataType.FLOAT, 2, 2);
        assertEquals(
                Teacher.of(model(26), "logits", "features").sha256(),
                Teacher.of(aside, "logits", "features").sha256());
        SameDiff noisy = model(26);
        noisy.getVariable("logits")
                .add(noisy.random.normal("noise", 0, 1, DataType.FLOAT, Networks.TIME, V))
                .rename("noisyLogits");
        String message = assertThrows(
                        IllegalArgumentException.class, () -> Teacher.of(noisy, "noisyLogits", "features"))
                .getMessage();
        assertTrue(message.contains("random"), message);
    }

    @Test
    void a_moving_average_follows_a_graph() {
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        SameDiff start = model(22);
        MovingAverageTeacher teacher = Teacher.movingAverage(start, 0.5, "logits", "features");
        SameDiff student = model(22);
        RetentionLoss.add(student, "logits", "labels", conf);
        student.setTrainingConfig(training("labels", RetentionLoss.TEACHER_LOGITS));
        student.setListeners(new RetentionListener(), teacher.sameDiffListener());
        fit(student, teacher, batch(23), 1);
        List<INDArray> expected = new ArrayList<>();
        for (String name : List.of("b", "v", "w")) {
            INDArray mean = start.getVariable(name)
                    .getArr()
                    .add(student.getVariable(name).getArr())
                    .muli(0.5);
            expected.add(mean.dup('c').reshape(mean.length()));
        }
        assertClose(Nd4j.concat(0, expected.toArray(INDArray[]::new)), teacher.params(), 1e-6);
    }

    @Test
    void batches_that_do_not_fit_are_refused_with_their_shapes() {
        SameDiff student = model(24);
        student.placeHolder("weights", DataType.FLOAT, -1, -1);
        RetentionLoss.add(
                student,
                "logits",
                "labels",
                "weights",
                null,
                RetentionConfiguration.builder().build());
        student.setTrainingConfig(training("labels", "weights", RetentionLoss.TEACHER_LOGITS));
        student.setListeners(new RetentionListener());
        TrainingConfig before =
                TrainingConfig.fromJson(student.getTrainingConfig().toJson());
        INDArray start = student.getVariable("w").getArr().dup();
        MultiDataSet good = batch(25);
        INDArray features = good.getFeatures(0);
        INDArray ids = good.getLabels(0);
        INDArray ones = Nd4j.ones(3, Networks.TIME);
        Teacher teacher = Teacher.of(model(24), "logits", "features");
        Map<String, MultiDataSet> bad = Map.of(
                "100.0", labelled(features, ids.dup().putScalar(1, 2, 100), ones),
                "-3.0", labelled(features, ids.dup().putScalar(1, 2, -3), ones),
                "[5, 3]", labelled(features, ids.reshape(5, 3), ones),
                "[1, 1]", labelled(features, ids, Nd4j.ones(1, 1)),
                "-1.0", labelled(features, ids, ones.neg()),
                "NaN", labelled(features, ids, ones.dup().putScalar(3, Double.NaN)));
        bad.forEach((found, batch) -> {
            String message = assertThrows(IllegalArgumentException.class, () -> fit(student, teacher, batch, 1))
                    .getMessage();
            assertTrue(message.contains(found), found + " in: " + message);
        });
        Teacher other = Teacher.of(model(24, DataType.FLOAT, Networks.TIME, 5), "logits", "features");
        SameDiff unbound = model(24);
        RetentionLoss.add(
                unbound, "logits", "labels", RetentionConfiguration.builder().build());
        unbound.setTrainingConfig(training("labels", RetentionLoss.TEACHER_LOGITS));
        unbound.setListeners(new RetentionListener());
        String message = assertThrows(IllegalArgumentException.class, () -> fit(unbound, other, good, 1))
                .getMessage();
        assertTrue(message.contains("[3, 5, 6]") && message.contains("[3, 5, 5]"), message);
        assertClose(start, student.getVariable("w").getArr(), 0);
        assertEquals(before, student.getTrainingConfig());
        // A masked token may have any label.
        fit(
                student,
                teacher,
                labelled(features, ids.dup().putScalar(1, 2, -3), ones.dup().putScalar(1, 2, 0)),
                1);
    }

    @Test
    void a_refused_batch_binds_the_graph_to_no_teacher() {
        SameDiff student = model(24);
        RetentionLoss.add(
                student, "logits", "labels", RetentionConfiguration.builder().build());
        student.setTrainingConfig(training("labels", RetentionLoss.TEACHER_LOGITS));
        student.setListeners(new RetentionListener());
        MultiDataSet good = batch(25);
        Teacher wrong = Teacher.of(model(26), "logits", "features");
        Teacher right = Teacher.of(model(24), "logits", "features");
        MultiDataSet badIds =
                new MultiDataSet(good.getFeatures(0), good.getLabels(0).dup().putScalar(1, 2, 100));
        MultiDataSet badFeatures = new MultiDataSet(
                Networks.normal(DataType.FLOAT, new Random(1), 3, Networks.TIME + 1, Networks.INPUTS),
                good.getLabels(0));
        for (MultiDataSet bad : List.of(badIds, badFeatures)) {
            INDArray values = wrong.logProbabilities(good.getFeatures(0), null);
            LabelArrays.claim(values, new LabelArrays.Source(wrong.sha256(), 0, true));
            MultiDataSet taught = new MultiDataSet(bad.getFeatures(), new INDArray[] {bad.getLabels(0), values});
            assertThrows(IllegalArgumentException.class, () -> student.fit(taught));
            assertNull(SameDiffLossState.of(student).teacher());
        }
        fit(student, right, good, 1);
        assertEquals(right.sha256(), SameDiffLossState.of(student).teacher());
        assertThrows(IllegalStateException.class, () -> fit(student, wrong, good, 1));
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE", "HALF", "BFLOAT16"})
    void a_saved_graphs_coefficient_is_read_in_every_type(DataType type) throws IOException {
        SameDiff sd = SameDiff.create();
        sd.placeHolder("logits", type, -1, V);
        sd.placeHolder("labels", DataType.INT32, -1);
        RetentionLoss.add(
                sd,
                "logits",
                "labels",
                RetentionConfiguration.builder()
                        .coefficient(0.75)
                        .temperature(2)
                        .build());
        FlatGraph saved = FlatGraph.getRootAsFlatGraph(sd.asFlatBuffers(false));
        assertEquals(0.75, SameDiffLossState.of(saved).coefficient());
    }

    private static MultiDataSet labelled(INDArray features, INDArray ids, INDArray weights) {
        return new MultiDataSet(new INDArray[] {features}, new INDArray[] {ids, weights});
    }

    @Test
    void what_does_not_fit_is_refused_by_name() {
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        SameDiff sd = model(13);
        for (String[] names : new String[][] {{"nothing", "labels"}, {"logits", "nothing"}, {"labels", "labels"}}) {
            String message = assertThrows(
                            IllegalArgumentException.class, () -> RetentionLoss.add(sd, names[0], names[1], conf))
                    .getMessage();
            assertTrue(message.contains("nothing") || message.contains("INT"), message);
        }
        RetentionLoss.add(sd, "logits", "labels", conf);
        assertThrows(IllegalArgumentException.class, () -> RetentionLoss.add(sd, "logits", "labels", conf));
        assertThrows(IllegalArgumentException.class, () -> Teacher.of(sd, "nothing", "features"));
        assertThrows(IllegalArgumentException.class, () -> Teacher.of(sd, "logits", "w"));
        assertThrows(IllegalArgumentException.class, () -> Teacher.of(sd, "logits")
                .logProbabilities(batch(1).getFeatures(0), null));
    }
}
