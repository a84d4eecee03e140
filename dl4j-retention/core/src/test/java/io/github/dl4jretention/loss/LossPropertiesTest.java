package io.github.dl4jretention.loss;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** What holds for every divergence, temperature and batch, on random ones. */
class LossPropertiesTest {

    private static final int TRIES = 60;
    private static final String SEED = "20261101";
    private static final int V = 5;

    /** One random minibatch of [batch, V, time] logits, teacher values and labels. */
    private record Case(RetentionConfiguration conf, INDArray logits, INDArray teacher, INDArray labels) {

        static Case of(Divergence divergence, double beta, double temperature, int batch, int time, long seed) {
            Random random = new Random(seed);
            double spread = Math.pow(10, random.nextInt(4) - 1);
            INDArray ids = Nd4j.create(DataType.DOUBLE, batch, 1, time);
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
                    Networks.normal(DataType.DOUBLE, random, batch, V, time).muli(spread),
                    Networks.normal(DataType.DOUBLE, random, batch, V, time).muli(spread),
                    ids);
        }

        TokenLoss loss(INDArray logits, INDArray teacher, INDArray mask) {
            RetentionOutputLayerRuntime layer = ReferenceTest.identityLayer(V, conf, DataType.DOUBLE);
            layer.setInput(logits, LayerWorkspaceMgr.noWorkspaces());
            layer.setLabels(PackedLabels.of(labels, teacher));
            layer.setMaskArray(mask);
            layer.computeScore(0, false, LayerWorkspaceMgr.noWorkspaces());
            return layer.lastTokenLoss();
        }
    }

    @Property(tries = TRIES, seed = SEED)
    void a_divergence_is_never_negative(
            @ForAll Divergence divergence,
            @ForAll @DoubleRange(min = 0.05, max = 0.95) double beta,
            @ForAll @DoubleRange(min = 0.25, max = 8) double temperature,
            @ForAll long seed) {
        Case c = Case.of(divergence, beta, temperature, 2, 3, seed);
        assertTrue(c.loss(c.logits, c.teacher, null).divergenceSum() >= -1e-12);
    }

    @Property(tries = TRIES, seed = SEED)
    void a_divergence_is_zero_at_equality(
            @ForAll Divergence divergence,
            @ForAll @DoubleRange(min = 0.05, max = 0.95) double beta,
            @ForAll @DoubleRange(min = 0.25, max = 8) double temperature,
            @ForAll long seed) {
        Case c = Case.of(divergence, beta, temperature, 2, 3, seed);
        assertEquals(0, c.loss(c.logits, c.logits, null).divergenceSum(), 1e-12);
    }

    @Property(tries = TRIES, seed = SEED)
    void a_constant_added_to_logits_changes_nothing(
            @ForAll Divergence divergence,
            @ForAll @DoubleRange(min = 0.25, max = 8) double temperature,
            @ForAll @DoubleRange(min = -1000, max = 1000) double constant,
            @ForAll long seed) {
        Case c = Case.of(divergence, 0.5, temperature, 2, 3, seed);
        TokenLoss plain = c.loss(c.logits, c.teacher, null);
        TokenLoss moved = c.loss(c.logits.add(constant), c.teacher.sub(constant), null);
        double scale = Math.max(1, plain.sum());
        assertEquals(plain.crossEntropySum(), moved.crossEntropySum(), 1e-9 * scale);
        assertEquals(plain.divergenceSum(), moved.divergenceSum(), 1e-9 * scale);
    }

    @Property(tries = TRIES, seed = SEED)
    void parts_of_a_minibatch_add_up(
            @ForAll Divergence divergence,
            @ForAll @IntRange(min = 2, max = 5) int batch,
            @ForAll @IntRange(min = 1, max = 4) int time,
            @ForAll long seed) {
        Case c = Case.of(divergence, 0.3, 2, batch, time, seed);
        TokenLoss whole = c.loss(c.logits, c.teacher, null);
        double sum = 0;
        for (int i = 0; i < batch; i++) {
            Case part = new Case(c.conf, example(c.logits, i), example(c.teacher, i), example(c.labels, i));
            sum += part.loss(part.logits, part.teacher, null).sum();
        }
        assertEquals(whole.sum(), sum, 1e-9 * Math.max(1, whole.sum()));
    }

    private static INDArray example(INDArray array, int index) {
        return array.get(NDArrayIndex.interval(index, index + 1)).dup('c');
    }

    @Property(tries = TRIES, seed = SEED)
    void masks_are_weights(@ForAll Divergence divergence, @ForAll long seed) {
        Case c = Case.of(divergence, 0.7, 1, 2, 3, seed);
        Random random = new Random(seed);
        INDArray mask = Nd4j.create(DataType.DOUBLE, 2, 3);
        for (long i = 0; i < 6; i++) {
            mask.putScalar(i, random.nextInt(3) / 2.0);
        }
        double sum = 0;
        for (int b = 0; b < 2; b++) {
            for (int t = 0; t < 3; t++) {
                INDArray one = Nd4j.zeros(DataType.DOUBLE, 2, 3).putScalar(b, t, 1);
                sum += mask.getDouble(b, t) * c.loss(c.logits, c.teacher, one).sum();
            }
        }
        TokenLoss whole = c.loss(c.logits, c.teacher, mask);
        assertEquals(sum, whole.sum(), 1e-9 * Math.max(1, sum));
        assertEquals(mask.sumNumber().doubleValue(), whole.tokens());
    }

    @Property(tries = TRIES, seed = SEED)
    void label_smoothing_is_the_mean_over_all_classes(
            @ForAll @DoubleRange(min = 0, max = 0.9) double smoothing, @ForAll long seed) {
        Case plain = Case.of(Divergence.FORWARD_KL, 0.5, 1, 2, 3, seed);
        RetentionConfiguration conf =
                RetentionConfiguration.builder().labelSmoothing(smoothing).build();
        double uniform = 0;
        for (int v = 0; v < V; v++) {
            INDArray same = Nd4j.valueArrayOf(plain.labels.shape(), v, DataType.DOUBLE);
            Case only = new Case(plain.conf, plain.logits, plain.teacher, same);
            uniform += only.loss(plain.logits, plain.teacher, null).crossEntropySum() / V;
        }
        double label = plain.loss(plain.logits, plain.teacher, null).crossEntropySum();
        Case smoothed = new Case(conf, plain.logits, plain.teacher, plain.labels);
        assertEquals(
                (1 - smoothing) * label + smoothing * uniform,
                smoothed.loss(plain.logits, plain.teacher, null).crossEntropySum(),
                1e-9 * Math.max(1, label));
    }

    @Property(tries = 30, seed = SEED)
    void Jensen_Shannon_tends_to_both_directions_of_KL(@ForAll long seed) {
        double small = 1e-6;
        Case forward = Case.of(Divergence.FORWARD_KL, 0.5, 8, 2, 3, seed);
        Case reverse = Case.of(Divergence.REVERSE_KL, 0.5, 8, 2, 3, seed);
        Case nearForward = Case.of(Divergence.JENSEN_SHANNON, small, 8, 2, 3, seed);
        Case nearReverse = Case.of(Divergence.JENSEN_SHANNON, 1 - small, 8, 2, 3, seed);
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
