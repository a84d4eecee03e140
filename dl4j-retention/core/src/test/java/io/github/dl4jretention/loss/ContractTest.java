package io.github.dl4jretention.loss;

import static io.github.dl4jretention.Networks.assertClose;
import static io.github.dl4jretention.Networks.gradient;
import static io.github.dl4jretention.Networks.lastLoss;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.CacheCodec;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** What the loss promises, against stock DL4J layers, central differences and worked cases. */
class ContractTest {

    private static RetentionConfiguration conf(Divergence divergence, double coefficient, double temperature) {
        return RetentionConfiguration.builder()
                .divergence(divergence)
                .coefficient(coefficient)
                .temperature(temperature)
                .build();
    }

    private static DataSet taught(DataSet data, Teacher teacher) {
        return new TeacherIterator(new ListDataSetIterator<>(List.of(data), data.numExamples()), teacher).next();
    }

    static Stream<Arguments> equalNetworks() {
        Stream.Builder<Arguments> all = Stream.builder();
        for (Divergence divergence : Divergence.values()) {
            for (double coefficient : new double[] {0, 1, 10}) {
                for (double temperature : new double[] {0.5, 1, 2}) {
                    for (DataType type : List.of(DataType.DOUBLE, DataType.FLOAT, DataType.FLOAT16)) {
                        for (boolean masked : new boolean[] {false, true}) {
                            all.add(Arguments.of(divergence, coefficient, temperature, type, masked));
                        }
                    }
                }
            }
        }
        return all.build();
    }

    @ParameterizedTest
    @MethodSource("equalNetworks")
    void divergence_is_zero_for_a_student_equal_to_its_teacher(
            Divergence divergence, double coefficient, double temperature, DataType type, boolean masked) {
        MultiLayerNetwork pretrained = Networks.dense(type, 1, true);
        MultiLayerNetwork student = Retention.attach(pretrained, conf(divergence, coefficient, temperature));
        DataSet data = taught(Networks.rows(type, 8, 2), Teacher.of(pretrained));
        if (masked) {
            data.setLabelsMaskArray(
                    Nd4j.createFromArray(1f, 0, 1, 1, 0, 0, 1, 1).reshape(8, 1).castTo(type));
        }
        student.score(data, false);
        assertEquals(0, lastLoss(student).divergence(), 1e-6);
    }

    @ParameterizedTest
    @EnumSource(Divergence.class)
    void divergence_is_never_negative(Divergence divergence) {
        Random random = new Random(3);
        for (int trial = 0; trial < 50; trial++) {
            double spread = Math.pow(10, random.nextInt(6) - 3);
            RetentionOutputLayerRuntime layer = ReferenceTest.identityLayer(6, conf(divergence, 1, 1), DataType.FLOAT);
            INDArray logits = Networks.normal(DataType.FLOAT, random, 1, 6, 1).muli(3);
            INDArray other =
                    logits.add(Networks.normal(DataType.FLOAT, random, 1, 6, 1).muli(spread));
            layer.setInput(logits, LayerWorkspaceMgr.noWorkspaces());
            layer.setLabels(PackedLabels.of(Nd4j.zeros(DataType.FLOAT, 1, 1, 1), other));
            layer.computeScore(0, false, LayerWorkspaceMgr.noWorkspaces());
            assertTrue(
                    layer.lastTokenLoss().divergence() >= -1e-6,
                    layer.lastTokenLoss().toString());
        }
    }

    @ParameterizedTest
    @CsvSource({"true,DOUBLE", "true,FLOAT", "false,DOUBLE", "false,FLOAT"})
    void coefficient_zero_is_the_stock_layer(boolean sequences, DataType type) {
        MultiLayerNetwork stock = sequences ? Networks.lstm(type, 5) : Networks.dense(type, 5, true);
        // Adam's state must come along: train a little before attaching.
        Networks.batches(type, 3, sequences).forEach(stock::fit);
        MultiLayerNetwork student = Retention.attach(stock, conf(Divergence.FORWARD_KL, 0, 1));
        Teacher teacher = Teacher.of(stock);
        List<DataSet> batches = Networks.batches(type, 20, sequences);
        if (sequences) {
            for (DataSet batch : batches) {
                batch.setLabelsMaskArray(
                        Nd4j.ones(type, 3, Networks.TIME).putScalar(1, 3, 0).putScalar(2, 0, 0));
            }
        }
        DataSet first = batches.get(0);
        assertEquals(stock.score(first, false), student.score(first, false), 1e-5);
        assertClose(stock.scoreExamples(first, true), student.scoreExamples(first, true), 1e-5);
        assertClose(stock.output(first.getFeatures()), student.output(first.getFeatures()), 1e-6);
        assertClose(gradient(stock, first), gradient(student, taught(first, teacher)), 1e-5);
        for (DataSet batch : batches) {
            stock.fit(batch);
            student.fit(taught(batch, teacher));
            assertEquals(stock.score(), student.score(), 1e-5);
        }
        assertClose(stock.params(), student.params(), 1e-5);
        assertClose(stock.params(), Retention.detach(student).params(), 1e-5);
    }

    @ParameterizedTest
    @CsvSource({"FORWARD_KL,1", "FORWARD_KL,2", "REVERSE_KL,1", "REVERSE_KL,2"})
    void gradients_of_all_parameters_match_central_differences(Divergence divergence, double temperature) {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 6);
        DataSet data = taught(Networks.sequences(DataType.DOUBLE, 3, 7), Teacher.of(pretrained));
        data.setLabelsMaskArray(Nd4j.ones(DataType.DOUBLE, 3, Networks.TIME).putScalar(0, 4, 0));
        MultiLayerNetwork student =
                Retention.attach(Networks.moved(pretrained, 0.3, 8), conf(divergence, 0.7, temperature));
        ((RetentionOutputLayer) student.getOutputLayer().conf().getLayer()).teacher = null;
        INDArray gradient = gradient(student, data).reshape(student.numParams());
        INDArray params = student.params();
        double step = 1e-5;
        for (long i = 0; i < params.length(); i += 5) {
            double value = params.getDouble(i);
            params.putScalar(i, value + step);
            double above = lossSum(student, data);
            params.putScalar(i, value - step);
            double below = lossSum(student, data);
            params.putScalar(i, value);
            assertEquals((above - below) / (2 * step), gradient.getDouble(i), 1e-6, "parameter " + i);
        }
    }

    private static double lossSum(MultiLayerNetwork student, DataSet data) {
        student.score(data, true);
        return lastLoss(student).sum();
    }

    @Test
    void masked_tokens_count_nowhere() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 9);
        MultiLayerNetwork student = Retention.attach(pretrained, conf(Divergence.FORWARD_KL, 1, 1));
        student.setParams(Networks.moved(pretrained, 0.2, 10).params());
        DataSet plain = Networks.sequences(DataType.DOUBLE, 3, 11);
        INDArray mask =
                Nd4j.ones(DataType.DOUBLE, 3, Networks.TIME).putScalar(0, 4, 0).putScalar(2, 1, 0);
        DataSet clean = taught(plain, Teacher.of(pretrained));
        clean.setLabelsMaskArray(mask);
        INDArray expected = gradient(student, clean);
        TokenLoss expectedLoss = lastLoss(student);
        assertEquals(13, expectedLoss.tokens());

        INDArray dirty = clean.getLabels().dup();
        dirty.get(NDArrayIndex.point(0), NDArrayIndex.all(), NDArrayIndex.point(4))
                .assign(Double.NaN);
        dirty.get(NDArrayIndex.point(2), NDArrayIndex.all(), NDArrayIndex.point(1))
                .assign(-100);
        DataSet garbage = new DataSet(clean.getFeatures(), dirty, null, mask);
        assertClose(expected, gradient(student, garbage), 1e-12);
        assertEquals(expectedLoss, lastLoss(student));
    }

    @Test
    void an_all_masked_batch_has_no_loss_and_no_gradient() {
        MultiLayerNetwork pretrained = Networks.dense(DataType.FLOAT, 12, true);
        MultiLayerNetwork student = Retention.attach(pretrained, conf(Divergence.REVERSE_KL, 1, 2));
        DataSet data = taught(Networks.rows(DataType.FLOAT, 4, 13), Teacher.of(pretrained));
        data.setLabelsMaskArray(Nd4j.zeros(DataType.FLOAT, 4, 1));
        assertEquals(0, gradient(student, data).norm1Number().doubleValue());
        assertEquals(0, lastLoss(student).sum());
        assertEquals(0, student.score(data, false));
    }

    @ParameterizedTest
    @EnumSource(Divergence.class)
    void parts_of_a_minibatch_add_up(Divergence divergence) {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 14);
        MultiLayerNetwork student = Retention.attach(pretrained, conf(divergence, 0.5, 2));
        student.setParams(Networks.moved(pretrained, 0.2, 15).params());
        DataSet whole = taught(Networks.sequences(DataType.DOUBLE, 5, 16), Teacher.of(pretrained));
        INDArray sum = gradient(student, (DataSet) whole.getRange(0, 2));
        sum.addi(gradient(student, (DataSet) whole.getRange(2, 5)));
        assertClose(gradient(student, whole), sum, 1e-10);
    }

    static Stream<Arguments> extremes() {
        Stream.Builder<Arguments> all = Stream.builder();
        for (Divergence divergence : Divergence.values()) {
            for (DataType type : List.of(DataType.DOUBLE, DataType.FLOAT)) {
                all.add(Arguments.of(divergence, type));
            }
        }
        return all.build();
    }

    /** Logits of minus infinity can only come from the bias: zero weights times an infinite input are NaN. */
    @ParameterizedTest
    @MethodSource("extremes")
    void extreme_logits_give_finite_loss_and_gradient(Divergence divergence, DataType type) {
        double[] values = {1e4, -1e4, Double.NEGATIVE_INFINITY, 0};
        for (double a : values) {
            for (double b : values) {
                MultiLayerNetwork pretrained = Networks.dense(type, 17, true);
                INDArray bias = Nd4j.createFromArray(a, 1, b, 0, a, b).castTo(type);
                MultiLayerNetwork student = Retention.attach(pretrained, conf(divergence, 1, 2));
                student.setParam("1_b", bias);
                ((RetentionOutputLayer) student.getOutputLayer().conf().getLayer()).teacher = null;
                DataSet data = Networks.rows(type, 4, 18);
                INDArray teacher = Nd4j.createFromArray(b, a, 0, 1, a, b).castTo(type);
                INDArray rows = Nd4j.concat(
                        0, teacher.reshape(1, 6), teacher.reshape(1, 6), teacher.reshape(1, 6), teacher.reshape(1, 6));
                data.setLabels(PackedLabels.of(data.getLabels(), rows));
                INDArray gradient = gradient(student, data);
                assertTrue(Double.isFinite(lastLoss(student).sum()), a + " " + b + " " + lastLoss(student));
                assertTrue(Double.isFinite(gradient.norm1Number().doubleValue()), a + " " + b + " " + gradient);
            }
        }
    }

    /** Rows, which no features mask can leave out. */
    static Stream<Arguments> rowsThatDoNotCount() {
        return Stream.of(DataType.FLOAT, DataType.DOUBLE)
                .flatMap(type -> Stream.of(true, false).map(masked -> Arguments.of(type, masked)));
    }

    private static DataSet rows(DataType type, boolean masked, double hole) {
        DataSet data = Networks.rows(type, 4, 31);
        data.getFeatures().getRow(2).assign(hole);
        if (masked) {
            data.setLabelsMaskArray(
                    Nd4j.createFromArray(1.0, 1, 0, 1).castTo(type).reshape(4, 1));
        } else {
            data.getLabels().getRow(2).assign(0);
        }
        return data;
    }

    @ParameterizedTest
    @MethodSource("rowsThatDoNotCount")
    void a_row_that_does_not_count_may_be_NaN_for_every_teacher(DataType type, boolean masked, @TempDir Path folder)
            throws Exception {
        MultiLayerNetwork pretrained = Networks.dense(type, 30, true);
        DataSet hole = rows(type, masked, Double.NaN);
        Teacher plain = Teacher.of(pretrained);
        List<Teacher> teachers = new ArrayList<>(List.of(
                plain,
                Teacher.ofHalf(pretrained),
                Teacher.weighted(List.of(plain, plain), 1, 2),
                plain.corrected(0.1)));
        for (CacheCodec codec : List.of(CacheCodec.half(), CacheCodec.topK(3), CacheCodec.sample(16))) {
            teachers.add(TeacherCache.builder()
                    .teacher(plain)
                    .codec(codec)
                    .folder(folder)
                    .computeMissing()
                    .build(new ExistingDataSetIterator(List.of(hole))));
        }
        for (Teacher teacher : teachers) {
            MultiLayerNetwork student = Retention.attach(pretrained, conf(Divergence.FORWARD_KL, 1, 1), teacher);
            DataSet taught = new TeacherIterator(new ExistingDataSetIterator(List.of(hole)), teacher).next();
            double score = student.score(taught);
            assertTrue(Double.isFinite(score), teacher + ": " + score);
            DataSet bad = rows(type, masked, 1);
            bad.getFeatures().getRow(1).assign(Double.NaN);
            assertThrows(
                    IllegalArgumentException.class,
                    () -> student.score(
                            new TeacherIterator(new ExistingDataSetIterator(List.of(bad)), teacher).next()));
        }
        TokenEvaluation evaluation = TokenEvaluation.of(plain, plain, new ExistingDataSetIterator(List.of(hole)));
        assertEquals(3, evaluation.tokens());
        assertTrue(Double.isFinite(evaluation.crossEntropy()));
        DataSet whole = rows(type, masked, 1);
        whole.getFeatures().getRow(1).assign(Double.NaN);
        assertThrows(IllegalArgumentException.class, () -> TeacherCache.builder()
                .teacher(plain)
                .folder(folder.resolve("other"))
                .build(new ExistingDataSetIterator(List.of(whole))));
    }
}
