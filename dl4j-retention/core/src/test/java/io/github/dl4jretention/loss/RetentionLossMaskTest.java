package io.github.dl4jretention.loss;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;

/** Tokens that count nowhere, in SameDiff graphs: whatever they hold, the loss, its gradient and a step are the same. */
class RetentionLossMaskTest {

    private static final int TOKENS = 8;
    private static final int V = Networks.VOCABULARY;
    private static final double[] JUNK = {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, -1, 1e30, -1e4
    };

    /** Every second token counts. */
    private static INDArray mask(DataType type) {
        return Nd4j.createFromArray(1.0, 0, 1, 0, 1, 0, 1, 0).castTo(type);
    }

    /** The logits are the parameter, so that its gradient is theirs. */
    private static SameDiff graph(DataType type, boolean classIds, boolean masked, RetentionConfiguration conf) {
        SameDiff sd = SameDiff.create();
        sd.var("parameter", Networks.normal(type, new Random(1), TOKENS, V)).mul("logits", 1);
        sd.placeHolder("labels", type, classIds ? new long[] {-1} : new long[] {-1, V});
        sd.placeHolder("weights", type, -1);
        RetentionLoss.add(sd, "logits", "labels", masked ? "weights" : null, null, conf);
        return sd;
    }

    private static INDArray oneHot(DataType type) {
        INDArray labels = Nd4j.zeros(type, TOKENS, V);
        for (int token = 0; token < TOKENS; token++) {
            labels.putScalar(token, (token * 5 + 2) % V, 1);
        }
        return labels;
    }

    private static INDArray teacher(DataType type) {
        return Networks.normal(type == DataType.FLOAT16 ? DataType.FLOAT : type, new Random(2), TOKENS, V);
    }

    private static Map<String, INDArray> results(SameDiff sd, Map<String, INDArray> placeholders) {
        INDArray loss = sd.output(placeholders, RetentionLoss.LOSS).get(RetentionLoss.LOSS);
        INDArray gradient = sd.calculateGradients(placeholders, "parameter").get("parameter");
        return Map.of("loss", loss.castTo(DataType.DOUBLE), "gradient", gradient.castTo(DataType.DOUBLE));
    }

    private static List<RetentionConfiguration> losses() {
        List<RetentionConfiguration> losses = new ArrayList<>();
        for (Divergence divergence : Divergence.values()) {
            losses.add(RetentionConfiguration.builder()
                    .divergence(divergence)
                    .temperature(2)
                    .labelSmoothing(0.1)
                    .build());
        }
        for (TokenWeight weight : TokenWeightTest.WEIGHTS) {
            losses.add(RetentionConfiguration.builder().tokenWeight(weight).build());
        }
        return losses;
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"DOUBLE", "FLOAT", "HALF"})
    void what_a_mask_leaves_out_may_hold_anything(DataType type) {
        for (RetentionConfiguration conf : losses()) {
            for (boolean classIds : new boolean[] {false, true}) {
                INDArray labels = classIds ? Nd4j.argMax(oneHot(type), 1).castTo(type) : oneHot(type);
                SameDiff clean = graph(type, classIds, true, conf);
                Map<String, INDArray> expected = results(
                        clean,
                        Map.of("labels", labels, "weights", mask(type), RetentionLoss.TEACHER_LOGITS, teacher(type)));
                assertTrue(expected.get("loss").getDouble(0) > 0);
                for (double junk : JUNK) {
                    SameDiff dirty = graph(type, classIds, true, conf);
                    INDArray spoiled = labels.dup();
                    INDArray teacher = teacher(type);
                    for (int token = 1; token < TOKENS; token += 2) {
                        if (classIds) {
                            spoiled.putScalar(token, junk);
                        } else {
                            spoiled.putScalar(token, token % V, junk);
                        }
                        teacher.putScalar(token, 1, junk);
                        dirty.getVariable("parameter").getArr().putScalar(token, 2, junk);
                        dirty.getVariable("parameter").getArr().putScalar(token, 3, Double.NaN);
                    }
                    Map<String, INDArray> met = results(
                            dirty,
                            Map.of("labels", spoiled, "weights", mask(type), RetentionLoss.TEACHER_LOGITS, teacher));
                    String what = type + " " + conf + " ids " + classIds + " junk " + junk;
                    assertClose(expected.get("loss"), met.get("loss"), 0, what);
                    assertClose(expected.get("gradient"), met.get("gradient"), 0, what);
                }
            }
        }
    }

    @Test
    void no_number_where_it_counts_gives_no_loss() {
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        for (String where : List.of("logits", "labels", RetentionLoss.TEACHER_LOGITS)) {
            SameDiff sd = graph(DataType.FLOAT, false, true, conf);
            INDArray labels = oneHot(DataType.FLOAT);
            INDArray teacher = teacher(DataType.FLOAT);
            INDArray spoiled =
                    switch (where) {
                        case "logits" -> sd.getVariable("parameter").getArr();
                        case "labels" -> labels;
                        default -> teacher;
                    };
            spoiled.putScalar(2, 1, Double.NaN);
            Map<String, INDArray> met = results(
                    sd,
                    Map.of("labels", labels, "weights", mask(DataType.FLOAT), RetentionLoss.TEACHER_LOGITS, teacher));
            assertTrue(Double.isNaN(met.get("loss").getDouble(0)), where);
            assertTrue(Double.isNaN(met.get("gradient").getDouble(2, 0)), where);
        }
    }

    /** Four of eight tokens are padding: the sum is that of four tokens, and so is their number. */
    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"DOUBLE", "FLOAT", "HALF"})
    void an_all_zero_label_counts_nowhere(DataType type) {
        RetentionConfiguration conf =
                RetentionConfiguration.builder().coefficient(0.7).build();
        INDArray padded = oneHot(type);
        for (int token = 1; token < TOKENS; token += 2) {
            padded.getRow(token).assign(0);
        }
        Map<String, INDArray> byMask = results(
                graph(type, false, true, conf),
                Map.of("labels", oneHot(type), "weights", mask(type), RetentionLoss.TEACHER_LOGITS, teacher(type)));
        Map<String, INDArray> byZeros = results(
                graph(type, false, false, conf), Map.of("labels", padded, RetentionLoss.TEACHER_LOGITS, teacher(type)));
        assertClose(byMask.get("loss"), byZeros.get("loss"), 0);
        assertClose(byMask.get("gradient"), byZeros.get("gradient"), 0);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void a_step_reports_the_tokens_that_count(boolean junk) {
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        SameDiff sd = graph(DataType.FLOAT, false, true, conf);
        sd.setTrainingConfig(TrainingConfig.builder()
                .updater(new Sgd(0.1))
                .dataSetLabelMapping("labels", "weights", RetentionLoss.TEACHER_LOGITS)
                .dataSetFeatureMapping("unused")
                .build());
        sd.placeHolder("unused", DataType.FLOAT, -1);
        RetentionListener listener = new RetentionListener();
        listener.setMeasureAgreement(true);
        sd.setListeners(listener);
        INDArray labels = oneHot(DataType.FLOAT);
        INDArray teacher = sd.getVariable("parameter").getArr().dup();
        labels.getRow(0).assign(0);
        if (junk) {
            labels.getRow(1).assign(-1);
            teacher.get(NDArrayIndex.interval(1, 2), NDArrayIndex.all()).assign(Double.NaN);
            labels.getRow(3).assign(Double.NaN);
            teacher.getRow(3).assign(Double.NEGATIVE_INFINITY);
            sd.getVariable("parameter").getArr().getRow(5).assign(Double.NaN);
        }
        MultiDataSet batch =
                new MultiDataSet(new INDArray[] {Nd4j.ones(1)}, new INDArray[] {labels, mask(DataType.FLOAT), teacher});
        sd.fit(new SingletonMultiDataSetIterator(batch), 1);
        TokenLoss loss = listener.lastTokenLoss();
        assertEquals(3, loss.tokens());
        assertEquals(0, loss.divergence(), 1e-6);
        assertEquals(1, loss.agreement());
        assertTrue(loss.crossEntropy() > 0 && Double.isFinite(loss.crossEntropy()));
        INDArray logits = sd.getVariable("parameter").getArr();
        assertTrue(Double.isFinite(logits.get(NDArrayIndex.interval(0, 5), NDArrayIndex.all())
                .sumNumber()
                .doubleValue()));
    }

    @Test
    void junk_that_counts_is_refused() {
        for (String where : List.of("labels", RetentionLoss.TEACHER_LOGITS)) {
            for (double junk : JUNK) {
                if (junk > 0 && where.equals("labels") && Double.isFinite(junk)
                        || Double.isFinite(junk) && !where.equals("labels")
                        || junk == Double.NEGATIVE_INFINITY && !where.equals("labels")) {
                    continue;
                }
                SameDiff sd = graph(
                        DataType.FLOAT,
                        false,
                        true,
                        RetentionConfiguration.builder().build());
                sd.setTrainingConfig(TrainingConfig.builder()
                        .updater(new Sgd(0.1))
                        .dataSetLabelMapping("labels", "weights", RetentionLoss.TEACHER_LOGITS)
                        .dataSetFeatureMapping("unused")
                        .build());
                sd.placeHolder("unused", DataType.FLOAT, -1);
                sd.setListeners(new RetentionListener());
                INDArray labels = oneHot(DataType.FLOAT);
                INDArray teacher = teacher(DataType.FLOAT);
                (where.equals("labels") ? labels : teacher).putScalar(2, 1, junk);
                INDArray before = sd.getVariable("parameter").getArr().dup();
                MultiDataSet batch = new MultiDataSet(
                        new INDArray[] {Nd4j.ones(1)}, new INDArray[] {labels, mask(DataType.FLOAT), teacher});
                IllegalArgumentException refused = assertThrows(
                        IllegalArgumentException.class, () -> sd.fit(new SingletonMultiDataSetIterator(batch), 1));
                assertTrue(refused.getMessage().contains("[8, 6]"), refused.getMessage());
                assertClose(before, sd.getVariable("parameter").getArr(), 0);
            }
        }
    }
}
