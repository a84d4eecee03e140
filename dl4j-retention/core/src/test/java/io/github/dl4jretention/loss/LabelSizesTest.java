package io.github.dl4jretention.loss;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Supplier;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;

/**
 * Labels of every size from 1 to 2V + 2, whatever they hold and whatever is masked: only class ids (size 1) and
 * distributions (size V) train; the others, which may look like ids, teacher values or weights, are refused with both
 * shapes.
 */
class LabelSizesTest {

    private static final int V = Networks.VOCABULARY;
    private static final int BATCH = 2;
    private static final int TIME = Networks.TIME;
    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().build();

    /** What labels of a wrong size hold. */
    private enum Content {
        ZEROS,
        ONE_HOT,
        ONE_HOT_WITH_A_COLUMN_OF_ZEROS,
        CLASS_IDS,
        LOG_PROBABILITIES,
        ID_TEACHER_AND_WEIGHT,
        NEGATIVE_WHOLE_NUMBERS;

        INDArray labels(DataType type, int size, Random random) {
            INDArray labels = Nd4j.zeros(type, BATCH, size, TIME);
            for (int b = 0; b < BATCH; b++) {
                for (int t = 0; t < TIME; t++) {
                    INDArray column = labels.get(NDArrayIndex.point(b), NDArrayIndex.all(), NDArrayIndex.point(t));
                    fill(column, size, b == 1 && t == 2, random);
                }
            }
            return labels;
        }

        private void fill(INDArray column, int size, boolean chosen, Random random) {
            for (int i = 0; i < size; i++) {
                double logProbability = -1 - random.nextDouble();
                column.putScalar(
                        i,
                        switch (this) {
                            case ZEROS, ONE_HOT, ONE_HOT_WITH_A_COLUMN_OF_ZEROS -> 0;
                            case CLASS_IDS -> random.nextInt(V);
                            case LOG_PROBABILITIES -> logProbability;
                            case ID_TEACHER_AND_WEIGHT -> i == 0
                                    ? random.nextInt(V)
                                    : i == size - 1 ? 1 : logProbability;
                            case NEGATIVE_WHOLE_NUMBERS -> -1 - random.nextInt(1000);
                        });
            }
            if (this == ONE_HOT || this == ONE_HOT_WITH_A_COLUMN_OF_ZEROS && !chosen) {
                column.putScalar(random.nextInt(size), 1);
            }
        }
    }

    private static INDArray features(DataType type) {
        return Networks.normal(type, new Random(3), BATCH, Networks.INPUTS, TIME);
    }

    private static INDArray mask(DataType type) {
        INDArray mask = Nd4j.ones(type, BATCH, TIME);
        mask.putScalar(0, 1, 0);
        return mask;
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE", "HALF"})
    void none_trains_a_network_silently(DataType type) {
        MultiLayerNetwork student =
                Retention.withUpdater(Retention.attach(Networks.lstm(type, 1), CONF), new Sgd(0.01));
        assertEachSizeIsRefused(type, "[2, 7, 5]", student::params, (labels, mask) -> {
            student.fit(new DataSet(features(type), labels, null, mask));
            return student.getIterationCount();
        });
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE", "HALF"})
    void none_trains_a_graph_silently(DataType type) {
        ComputationGraph student = Retention.withUpdater(
                Retention.attach(Networks.lstm(type, 1).toComputationGraph(), CONF), new Sgd(0.01));
        assertEachSizeIsRefused(type, "[2, 7, 5]", student::params, (labels, mask) -> {
            student.fit(new DataSet(features(type), labels, null, mask));
            return student.getIterationCount();
        });
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE", "HALF"})
    void none_trains_SameDiff_silently(DataType type) {
        SameDiff student = SameDiff.create();
        SDVariable w = student.var("w", Networks.normal(type, new Random(1), Networks.INPUTS, V));
        SDVariable input = student.placeHolder("features", type, -1, TIME, Networks.INPUTS);
        student.reshape(input, -1, Networks.INPUTS).mmul(w).reshape(-1, TIME, V).rename("logits");
        student.placeHolder("labels", type, -1, TIME, -1);
        student.placeHolder("mask", type, -1, TIME);
        RetentionLoss.add(student, "logits", "labels", "mask", null, CONF);
        student.setTrainingConfig(TrainingConfig.builder()
                .updater(new Sgd(0.01))
                .dataSetFeatureMapping("features")
                .dataSetLabelMapping("labels", RetentionLoss.TEACHER_LOGITS)
                .dataSetLabelMaskMapping("mask")
                .build());
        student.setListeners(new RetentionListener());
        DataType teacherType = type == DataType.FLOAT16 ? DataType.FLOAT : type;
        INDArray teacher = Networks.normal(teacherType, new Random(2), BATCH, TIME, V);
        assertEachSizeIsRefused(type, "[2, 5, 6]", () -> w.getArr(), (labels, mask) -> {
            INDArray last = labels.permute(0, 2, 1).dup('c');
            student.fit(
                    new SingletonMultiDataSetIterator(new MultiDataSet(
                            new INDArray[] {features(type).permute(0, 2, 1).dup('c')},
                            new INDArray[] {last, teacher},
                            null,
                            new INDArray[] {mask, null})),
                    1);
            return student.getTrainingConfig().getIterationCount();
        });
    }

    /** Trains on one batch, and says how many it has been trained on. */
    @FunctionalInterface
    private interface Step {
        int fit(INDArray labels, INDArray mask);
    }

    private static void assertEachSizeIsRefused(
            DataType type, String otherShape, Supplier<INDArray> parameters, Step step) {
        Random random = new Random(20261130);
        int trained = 0;
        for (int size = 1; size <= 2 * V + 2; size++) {
            for (Content content : Content.values()) {
                for (INDArray mask : Arrays.asList(null, mask(type))) {
                    INDArray labels = content.labels(type, size, random);
                    String what = type + " " + content + " of size " + size + (mask == null ? "" : ", masked");
                    INDArray before = parameters.get().dup();
                    if (isPlain(size, content)) {
                        trained++;
                        assertEquals(trained, step.fit(labels, mask), what);
                        continue;
                    }
                    String message = assertThrows(IllegalArgumentException.class, () -> step.fit(labels, mask), what)
                            .getMessage();
                    assertClose(before, parameters.get(), 0, what);
                    assertTrue(message.contains("labels: expected"), what + ": " + message);
                    boolean sizeIsWrong = size != 1 && size != V;
                    List<String> shapes = List.of(
                            Arrays.toString(labels.shape()),
                            Arrays.toString(labels.permute(0, 2, 1).shape()));
                    assertTrue(shapes.stream().anyMatch(message::contains), what + ": " + message);
                    assertTrue(!sizeIsWrong || message.contains(otherShape), what + ": " + message);
                }
            }
        }
        assertEquals(18, trained);
    }

    /** Ids of size 1, and distributions of size V. */
    private static boolean isPlain(int size, Content content) {
        return switch (content) {
            case ZEROS, ONE_HOT, ONE_HOT_WITH_A_COLUMN_OF_ZEROS, CLASS_IDS -> size == 1 || size == V;
            case ID_TEACHER_AND_WEIGHT -> size == 1;
            case LOG_PROBABILITIES, NEGATIVE_WHOLE_NUMBERS -> false;
        };
    }
}
