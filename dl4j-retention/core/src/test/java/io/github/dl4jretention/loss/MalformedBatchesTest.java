package io.github.dl4jretention.loss;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

/** A thousand malformed batches: each is refused with its shapes, changes nothing, and the next good batch trains. */
class MalformedBatchesTest {

    private static final int TRIES = 1000;
    private static final int V = Networks.VOCABULARY;
    private static final int BATCH = 3;
    private static final int TIME = Networks.TIME;

    private final MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
    private final Teacher teacher = Teacher.of(pretrained);
    private final MultiLayerNetwork student =
            Retention.attach(pretrained, RetentionConfiguration.builder().build());

    @Test
    void each_is_refused_and_changes_nothing() {
        Random random = new Random(20261101);
        for (int i = 0; i < TRIES; i++) {
            String kind = KINDS.get(i % KINDS.size());
            DataSet bad = taught(i);
            String shape = spoil(bad, kind, random);
            INDArray before = student.params().dup();
            try {
                student.fit(bad);
                fail(kind + " was trained on, try " + i);
            } catch (IllegalArgumentException refused) {
                assertTrue(
                        refused.getMessage().contains(shape), kind + ": no " + shape + " in: " + refused.getMessage());
                assertTrue(refused.getMessage().contains("expected"), refused.getMessage());
            }
            assertClose(before, student.params(), 0);
            if (i % 100 == 0) {
                student.fit(taught(i));
                assertTrue(Double.isFinite(student.score()));
            }
        }
        assertEquals(TRIES / 100, student.getIterationCount());
    }

    @Test
    void none_leaves_its_mask_to_the_next_batch() {
        MultiLayerNetwork untouched = student.clone();
        Random random = new Random(20261125);
        DataSet good = taught(0);
        List<Consumer<DataSet>> calls = List.of(
                student::fit, batch -> student.score(batch, false), batch -> student.scoreExamples(batch, false));
        for (String kind : KINDS) {
            for (Consumer<DataSet> call : calls) {
                DataSet bad = taught(1);
                spoil(bad, kind, random);
                bad.setLabelsMaskArray(
                        kind.startsWith("mask") ? bad.getLabelsMaskArray() : Nd4j.valueArrayOf(BATCH, TIME, 0.5));
                assertThrows(IllegalArgumentException.class, () -> call.accept(bad), kind);
                assertAsIfNeverRefused(untouched, good, kind);
            }
        }
        Teacher other = Teacher.of(Networks.lstm(DataType.FLOAT, 2));
        DataSet wrong = taught(2, other);
        wrong.setLabelsMaskArray(Nd4j.valueArrayOf(BATCH, TIME, 0.5));
        assertThrows(IllegalStateException.class, () -> student.fit(wrong));
        assertAsIfNeverRefused(untouched, good, "another teacher");
    }

    private void assertAsIfNeverRefused(MultiLayerNetwork untouched, DataSet good, String kind) {
        assertClose(untouched.output(good.getFeatures()), student.output(good.getFeatures()), 0);
        assertEquals(untouched.score(good, false), student.score(good, false), kind);
        assertClose(untouched.scoreExamples(good, false), student.scoreExamples(good, false), 0);
        assertClose(Networks.gradient(untouched, good), Networks.gradient(student, good), 0);
    }

    @Test
    void none_binds_the_student_to_its_teacher() {
        RetentionOutputLayer layer =
                (RetentionOutputLayer) student.getOutputLayer().conf().getLayer();
        Random random = new Random(20261125);
        for (String kind : KINDS) {
            layer.teacher = null;
            DataSet bad = taught(1);
            INDArray packed = bad.getLabels();
            spoil(bad, kind, random);
            if (bad.getLabels() == packed) {
                assertThrows(IllegalArgumentException.class, () -> student.fit(bad), kind);
                assertNull(layer.getTeacher(), kind);
            }
        }
        Teacher other = Teacher.of(Networks.lstm(DataType.FLOAT, 2));
        student.fit(taught(3, other));
        assertEquals(other.sha256(), layer.getTeacher());
    }

    private static final List<String> KINDS = List.of(
            "class axis",
            "time axis",
            "batch axis",
            "rank",
            "class id out of range",
            "class id of no number",
            "fractional class id",
            "teacher of no number",
            "teacher without a possible class",
            "mask shape",
            "mask rank",
            "mask weight",
            "one-hot of another vocabulary",
            "negative probability");

    private DataSet taught(long seed) {
        return taught(seed, teacher);
    }

    private static DataSet taught(long seed, Teacher of) {
        DataSet data = Networks.sequences(DataType.FLOAT, BATCH, seed);
        return new TeacherIterator(new ExistingDataSetIterator(List.of(data)), of).next();
    }

    /** @return what the message must contain: the shape of the array that does not fit */
    private static String spoil(DataSet data, String kind, Random random) {
        INDArray labels = data.getLabels();
        int b = random.nextInt(BATCH);
        int t = random.nextInt(TIME);
        int v = 1 + random.nextInt(V);
        switch (kind) {
            case "class axis" -> data.setLabels(Nd4j.zeros(BATCH, unknownSize(random), TIME));
            case "time axis" -> data.setLabels(Nd4j.zeros(BATCH, 1, other(TIME, random)));
            case "batch axis" -> data.setLabels(Nd4j.zeros(other(BATCH, random), 1, TIME));
            case "rank" -> data.setLabels(
                    random.nextBoolean() ? Nd4j.zeros(BATCH, TIME) : Nd4j.zeros(BATCH, 1, TIME, 1));
            case "class id out of range" -> labels.putScalar(
                    new int[] {b, 0, t}, random.nextBoolean() ? V + random.nextInt(1000) : -1 - random.nextInt(1000));
            case "class id of no number" -> labels.putScalar(
                    new int[] {b, 0, t}, random.nextBoolean() ? Double.NaN : Double.POSITIVE_INFINITY);
            case "fractional class id" -> labels.putScalar(new int[] {b, 0, t}, 0.25 + random.nextInt(V - 1));
            case "teacher of no number" -> labels.putScalar(
                    new int[] {b, v, t}, random.nextBoolean() ? Double.NaN : Double.POSITIVE_INFINITY);
            case "teacher without a possible class" -> {
                for (int c = 1; c <= V; c++) {
                    labels.putScalar(new int[] {b, c, t}, Double.NEGATIVE_INFINITY);
                }
            }
            case "mask shape" -> data.setLabelsMaskArray(
                    Nd4j.ones(random.nextBoolean() ? BATCH : other(BATCH, random), other(TIME, random)));
            case "mask rank" -> data.setLabelsMaskArray(
                    random.nextBoolean() ? Nd4j.ones(BATCH * TIME) : Nd4j.ones(BATCH, TIME, 1));
            case "mask weight" -> {
                double[] weights = {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, -random.nextDouble()
                };
                data.setLabelsMaskArray(Nd4j.ones(BATCH, TIME).putScalar(b, t, weights[random.nextInt(4)]));
            }
            case "one-hot of another vocabulary" -> {
                int[] sizes = {V - 1, V + 1, V + 2, 2 * V, 2 * V + 1, 2 * V - 1, 4 * V};
                INDArray oneHot = Nd4j.zeros(BATCH, sizes[random.nextInt(sizes.length)], TIME);
                for (int i = 0; i < BATCH; i++) {
                    for (int s = 0; s < TIME; s++) {
                        oneHot.putScalar(new int[] {i, random.nextInt((int) oneHot.size(1)), s}, 1);
                    }
                }
                data.setLabels(oneHot);
            }
            case "negative probability" -> {
                INDArray distributions = Nd4j.zeros(BATCH, V, TIME);
                distributions.putScalar(new int[] {b, v - 1, t}, -random.nextDouble() - 1e-6);
                data.setLabels(distributions);
            }
            default -> throw new IllegalArgumentException(kind);
        }
        INDArray wrong =
                kind.startsWith("mask") && !kind.equals("mask weight") ? data.getLabelsMaskArray() : data.getLabels();
        return Arrays.toString(wrong.shape());
    }

    private static int other(int size, Random random) {
        int found = 1 + random.nextInt(2 * size);
        return found == size ? size + 1 : found;
    }

    private static int unknownSize(Random random) {
        int size;
        do {
            size = 2 + random.nextInt(4 * V);
        } while (size == V);
        return size;
    }
}
