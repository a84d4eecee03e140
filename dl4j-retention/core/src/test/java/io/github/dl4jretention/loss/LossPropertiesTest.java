package io.github.dl4jretention.loss;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.loss.fused.FusedLoss;
import java.util.Random;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** What holds for every divergence, temperature and batch, on random ones: by SameDiff in DOUBLE, fused in FLOAT. */
class LossPropertiesTest {

    private static final int TRIES = 120;
    private static final String SEED = "20261101";
    private static final int V = 5;

    /** Of the loss's arithmetic, and what its rounding may change. */
    private enum Precision {
        DOUBLE(DataType.DOUBLE, 1e-9, 1e-12),
        FLOAT(DataType.FLOAT, 2e-5, 1e-5);

        private final DataType type;
        private final double relative;
        private final double absolute;

        Precision(DataType type, double relative, double absolute) {
            this.type = type;
            this.relative = relative;
            this.absolute = absolute;
        }
    }

    @Example
    void FLOAT_is_fused() {
        assertNull(FusedLoss.obstacle(DataType.FLOAT));
        assertNotNull(FusedLoss.obstacle(DataType.DOUBLE));
    }

    /** One random minibatch of [batch, V, time] logits, teacher values and labels. */
    private record Case(RetentionConfiguration conf, INDArray logits, INDArray teacher, INDArray labels) {

        static Case of(
                Precision precision,
                Divergence divergence,
                double beta,
                double temperature,
                int batch,
                int time,
                long seed) {
            DataType type = precision.type;
            Random random = new Random(seed);
            double spread = Math.pow(10, random.nextInt(4) - 1);
            INDArray ids = Nd4j.create(type, batch, 1, time);
            for (long i = 0; i < ids.length(); i++) {
                ids.putScalar(i, random.nextInt(V));
            }
            RetentionConfiguration conf = RetentionConfiguration.builder()
                    .divergence(divergence)
                    .beta(beta)
                    .temperature(temperature)
                    .build();
            return new Case(
                    conf,
                    Networks.normal(type, random, batch, V, time).muli(spread),
                    Networks.normal(type, random, batch, V, time).muli(spread),
                    ids);
        }

        TokenLoss loss(INDArray logits, INDArray teacher, INDArray mask) {
            RetentionOutputLayerRuntime layer = ReferenceTest.identityLayer(V, conf, logits.dataType());
            layer.setInput(logits, LayerWorkspaceMgr.noWorkspaces());
            layer.setLabels(PackedLabels.of(labels, teacher));
            layer.setMaskArray(mask);
            layer.computeScore(0, false, LayerWorkspaceMgr.noWorkspaces());
            return layer.lastTokenLoss();
        }
    }

    @Property(tries = TRIES, seed = SEED)
    void a_divergence_is_never_negative(
            @ForAll Precision precision,
            @ForAll Divergence divergence,
            @ForAll @DoubleRange(min = 0.05, max = 0.95) double beta,
            @ForAll @DoubleRange(min = 0.25, max = 8) double temperature,
            @ForAll long seed) {
        Case c = Case.of(precision, divergence, beta, temperature, 2, 3, seed);
        assertTrue(c.loss(c.logits, c.teacher, null).divergenceSum() >= -precision.absolute);
    }

    @Property(tries = TRIES, seed = SEED)
    void a_divergence_is_zero_at_equality(
            @ForAll Precision precision,
            @ForAll Divergence divergence,
            @ForAll @DoubleRange(min = 0.05, max = 0.95) double beta,
            @ForAll @DoubleRange(min = 0.25, max = 8) double temperature,
            @ForAll long seed) {
        Case c = Case.of(precision, divergence, beta, temperature, 2, 3, seed);
        assertEquals(0, c.loss(c.logits, c.logits, null).divergenceSum(), precision.absolute);
    }

    @Property(tries = TRIES, seed = SEED)
    void a_constant_added_to_logits_changes_nothing(
            @ForAll Precision precision,
            @ForAll Divergence divergence,
            @ForAll @DoubleRange(min = 0.25, max = 8) double temperature,
            @ForAll @DoubleRange(min = -1000, max = 1000) double constant,
            @ForAll long seed) {
        Case c = Case.of(precision, divergence, 0.5, temperature, 2, 3, seed);
        TokenLoss plain = c.loss(c.logits, c.teacher, null);
        TokenLoss moved = c.loss(c.logits.add(constant), c.teacher.sub(constant), null);
        double scale = Math.max(1, plain.sum());
        assertEquals(plain.crossEntropySum(), moved.crossEntropySum(), precision.relative * scale);
        assertEquals(plain.divergenceSum(), moved.divergenceSum(), precision.relative * scale);
    }

    @Property(tries = TRIES, seed = SEED)
    void parts_of_a_minibatch_add_up(
            @ForAll Precision precision,
            @ForAll Divergence divergence,
            @ForAll @IntRange(min = 2, max = 5) int batch,
            @ForAll @IntRange(min = 1, max = 4) int time,
            @ForAll long seed) {
        Case c = Case.of(precision, divergence, 0.3, 2, batch, time, seed);
        TokenLoss whole = c.loss(c.logits, c.teacher, null);
        double sum = 0;
        for (int i = 0; i < batch; i++) {
            Case part = new Case(c.conf, example(c.logits, i), example(c.teacher, i), example(c.labels, i));
            sum += part.loss(part.logits, part.teacher, null).sum();
        }
        assertEquals(whole.sum(), sum, precision.relative * Math.max(1, whole.sum()));
    }

    private static INDArray example(INDArray array, int index) {
        return array.get(NDArrayIndex.interval(index, index + 1)).dup('c');
    }

    @Property(tries = TRIES, seed = SEED)
    void masks_are_weights(@ForAll Precision precision, @ForAll Divergence divergence, @ForAll long seed) {
        Case c = Case.of(precision, divergence, 0.7, 1, 2, 3, seed);
        Random random = new Random(seed);
        INDArray mask = Nd4j.create(precision.type, 2, 3);
        for (long i = 0; i < 6; i++) {
            mask.putScalar(i, random.nextInt(3) / 2.0);
        }
        double sum = 0;
        for (int b = 0; b < 2; b++) {
            for (int t = 0; t < 3; t++) {
                INDArray one = Nd4j.zeros(precision.type, 2, 3).putScalar(b, t, 1);
                sum += mask.getDouble(b, t) * c.loss(c.logits, c.teacher, one).sum();
            }
        }
        TokenLoss whole = c.loss(c.logits, c.teacher, mask);
        assertEquals(sum, whole.sum(), precision.relative * Math.max(1, sum));
        assertEquals(mask.sumNumber().doubleValue(), whole.tokens());
    }

    @Property(tries = TRIES, seed = SEED)
    void label_smoothing_is_the_mean_over_all_classes(
            @ForAll Precision precision, @ForAll @DoubleRange(min = 0, max = 0.9) double smoothing, @ForAll long seed) {
        Case plain = Case.of(precision, Divergence.FORWARD_KL, 0.5, 1, 2, 3, seed);
        RetentionConfiguration conf =
                RetentionConfiguration.builder().labelSmoothing(smoothing).build();
        double uniform = 0;
        for (int v = 0; v < V; v++) {
            INDArray same = Nd4j.valueArrayOf(plain.labels.shape(), v, precision.type);
            Case only = new Case(plain.conf, plain.logits, plain.teacher, same);
            uniform += only.loss(plain.logits, plain.teacher, null).crossEntropySum() / V;
        }
        double label = plain.loss(plain.logits, plain.teacher, null).crossEntropySum();
        Case smoothed = new Case(conf, plain.logits, plain.teacher, plain.labels);
        assertEquals(
                (1 - smoothing) * label + smoothing * uniform,
                smoothed.loss(plain.logits, plain.teacher, null).crossEntropySum(),
                precision.relative * Math.max(1, label));
    }

    /** The fused loss in FLOAT and SameDiff's in DOUBLE, of the same numbers, NaN where the mask is 0. */
    @Property(tries = TRIES, seed = SEED)
    void token_weights_are_the_same_on_both_paths(
            @ForAll TokenWeight.Kind kind,
            @ForAll @DoubleRange(min = 0.2, max = 5) double parameter,
            @ForAll @IntRange(min = 1, max = 4) int batch,
            @ForAll @IntRange(min = 1, max = 4) int time,
            @ForAll long seed) {
        TokenWeight weight =
                switch (kind) {
                    case EAFT -> TokenWeight.eaft(2 + (int) (parameter * 3 / 5));
                    case SELECTIVE -> TokenWeight.selective(1 + 3 * parameter);
                    default -> new TokenWeight(kind, parameter);
                };
        RetentionConfiguration conf = RetentionConfiguration.builder()
                .coefficient(seed % 3 == 0 ? 0 : 0.6)
                .tokenWeight(weight)
                .build();
        Case c = Case.of(Precision.FLOAT, Divergence.FORWARD_KL, 0.5, 1, batch, time, seed);
        Random random = new Random(seed);
        INDArray mask = Nd4j.create(DataType.FLOAT, batch, time);
        for (int b = 0; b < batch; b++) {
            for (int t = 0; t < time; t++) {
                mask.putScalar(b, t, random.nextInt(3) / 2.0);
                if (mask.getDouble(b, t) == 0) {
                    c.logits.putScalar(new int[] {b, 1, t}, Double.NaN);
                    c.teacher.putScalar(new int[] {b, 2, t}, Double.NaN);
                    c.labels.putScalar(new int[] {b, 0, t}, Double.NaN);
                }
            }
        }
        RetentionOutputLayerRuntime fused = ReferenceTest.identityLayer(V, conf, DataType.FLOAT);
        RetentionOutputLayerRuntime sameDiff = ReferenceTest.identityLayer(V, conf, DataType.DOUBLE);
        INDArray actual = back(fused, c, mask);
        INDArray expected = back(sameDiff, c, mask);
        double scale = Math.max(1, expected.amaxNumber().doubleValue());
        Networks.assertClose(expected, actual.castTo(DataType.DOUBLE), 1e-5 * scale);
        double sum = sameDiff.lastTokenLoss().sum();
        assertEquals(sum, fused.lastTokenLoss().sum(), 1e-5 * Math.max(1, sum));
        assertTrue(sameDiff.lastTokenLoss().objectiveSum()
                <= sameDiff.lastTokenLoss().crossEntropySum() + 1e-9);
    }

    private static INDArray back(RetentionOutputLayerRuntime layer, Case c, INDArray mask) {
        DataType type = layer.getParam("W").dataType();
        layer.setInput(c.logits.castTo(type), LayerWorkspaceMgr.noWorkspaces());
        layer.setLabels(PackedLabels.of(c.labels.castTo(type), c.teacher.castTo(type)));
        layer.setMaskArray(mask.castTo(type));
        return layer.backpropGradient(null, LayerWorkspaceMgr.noWorkspaces())
                .getSecond()
                .dup();
    }

    @Property(tries = 30, seed = SEED)
    void Jensen_Shannon_tends_to_both_directions_of_KL(@ForAll long seed) {
        double small = 1e-6;
        Case forward = Case.of(Precision.DOUBLE, Divergence.FORWARD_KL, 0.5, 8, 2, 3, seed);
        Case reverse = Case.of(Precision.DOUBLE, Divergence.REVERSE_KL, 0.5, 8, 2, 3, seed);
        Case nearForward = Case.of(Precision.DOUBLE, Divergence.JENSEN_SHANNON, small, 8, 2, 3, seed);
        Case nearReverse = Case.of(Precision.DOUBLE, Divergence.JENSEN_SHANNON, 1 - small, 8, 2, 3, seed);
        double expected = forward.loss(forward.logits, forward.teacher, null).divergenceSum();
        if (expected < 3) {
            assertEquals(
                    expected,
                    nearForward.loss(forward.logits, forward.teacher, null).divergenceSum() / small,
                    1e-3 * Math.max(1, expected));
        }
        expected = reverse.loss(reverse.logits, reverse.teacher, null).divergenceSum();
        if (expected < 3) {
            assertEquals(
                    expected,
                    nearReverse.loss(reverse.logits, reverse.teacher, null).divergenceSum() / small,
                    1e-3 * Math.max(1, expected));
        }
    }
}
