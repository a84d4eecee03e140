package io.github.dl4jretention.loss;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnLossLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/**
 * Graphs of two outputs, each with a mask of its own: whatever a mask leaves out of labels and features, the student
 * trains, and is evaluated, as if it were a valid token.
 */
class MaskedJunkTest {

    private static final int V = Networks.VOCABULARY;
    private static final int TIME = Networks.TIME;
    private static final int BATCH = 3;

    /** The output layers, and where their classes lie. */
    private enum Head {
        OUTPUT,
        LOSS,
        RNN_OUTPUT,
        RNN_OUTPUT_NWC,
        RNN_LOSS,
        UNBIASED;

        private Layer layer() {
            return switch (this) {
                case OUTPUT -> new OutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(V)
                        .nOut(V)
                        .activation(Activation.SOFTMAX)
                        .build();
                case LOSS -> new LossLayer.Builder(LossFunction.MCXENT)
                        .activation(Activation.SOFTMAX)
                        .build();
                case RNN_OUTPUT, RNN_OUTPUT_NWC -> new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(V)
                        .nOut(V)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(this == RNN_OUTPUT ? RNNFormat.NCW : RNNFormat.NWC)
                        .build();
                case RNN_LOSS -> new RnnLossLayer.Builder(LossFunction.MCXENT)
                        .activation(Activation.SOFTMAX)
                        .build();
                case UNBIASED -> new UnbiasedOutputLayer(V);
            };
        }

        private boolean rows() {
            return this == OUTPUT || this == LOSS;
        }

        private long[] shape(long classes) {
            return rows()
                    ? new long[] {BATCH, classes}
                    : this == RNN_OUTPUT_NWC ? new long[] {BATCH, TIME, classes} : new long[] {BATCH, classes, TIME};
        }

        private INDArray token(INDArray array, int example, int time) {
            INDArrayIndex[] at = rows()
                    ? new INDArrayIndex[] {NDArrayIndex.point(example), NDArrayIndex.all()}
                    : this == RNN_OUTPUT_NWC
                            ? new INDArrayIndex[] {
                                NDArrayIndex.point(example), NDArrayIndex.point(time), NDArrayIndex.all()
                            }
                            : new INDArrayIndex[] {
                                NDArrayIndex.point(example), NDArrayIndex.all(), NDArrayIndex.point(time)
                            };
            return array.get(at);
        }

        /** Layers without parameters have some below them, through which NaN would go. */
        private boolean hasParameters() {
            return this != LOSS && this != RNN_LOSS;
        }
    }

    private static ComputationGraph graph(DataType type, Head head) {
        NeuralNetConfiguration.Builder builder = new NeuralNetConfiguration.Builder();
        var layers = builder.dataType(type)
                .seed(1)
                .updater(new Sgd(0.1))
                .graphBuilder()
                .addInputs("a", "b");
        for (String input : List.of("a", "b")) {
            String below = input;
            if (!head.hasParameters()) {
                below = input + "Below";
                layers.addLayer(
                        below,
                        head.rows()
                                ? new DenseLayer.Builder()
                                        .nIn(V)
                                        .nOut(V)
                                        .activation(Activation.IDENTITY)
                                        .build()
                                : new org.deeplearning4j.nn.conf.layers.LSTM.Builder()
                                        .nIn(V)
                                        .nOut(V)
                                        .build(),
                        input);
            }
            Layer layer = head.layer();
            if (layer instanceof UnbiasedOutputLayer unbiased) {
                unbiased.setNIn(V);
            }
            layers.addLayer(input + "Out", layer, below);
        }
        ComputationGraph graph =
                new ComputationGraph(layers.setOutputs("aOut", "bOut").build());
        graph.init();
        return graph;
    }

    /** What masked tokens hold. */
    private enum Junk {
        NONE,
        NAN,
        NUMBERS,
        NAN_FEATURES
    }

    private static MultiDataSet batch(DataType type, Head head, boolean ids, Junk junk) {
        Random random = new Random(7);
        INDArray[] features = new INDArray[2];
        INDArray[] labels = new INDArray[2];
        INDArray[] masks = new INDArray[2];
        for (int i = 0; i < 2; i++) {
            features[i] = Networks.normal(type, random, head.shape(V));
            labels[i] = Nd4j.zeros(type, head.shape(ids ? 1 : V));
            int time = head.rows() ? 1 : TIME;
            masks[i] = Nd4j.ones(type, BATCH, time);
            for (int example = 0; example < BATCH; example++) {
                for (int t = 0; t < time; t++) {
                    INDArray label = head.token(labels[i], example, t);
                    int id = random.nextInt(V);
                    label.putScalar(ids ? 0 : id, ids ? id : 1);
                    if ((example + t + i) % 3 != 1) {
                        continue;
                    }
                    masks[i].putScalar(example, t, 0);
                    if (junk == Junk.NAN) {
                        label.assign(Double.NaN);
                    } else if (junk == Junk.NUMBERS) {
                        label.assign(ids ? -100 : -3);
                    } else if (junk == Junk.NAN_FEATURES) {
                        head.token(features[i], example, t).assign(Double.NaN);
                    }
                }
            }
        }
        return new MultiDataSet(features, labels, null, masks);
    }

    static Stream<Arguments> cases() {
        return Stream.of(Head.values()).flatMap(head -> Stream.of(DataType.FLOAT, DataType.DOUBLE, DataType.FLOAT16)
                .map(type -> Arguments.of(head, type)));
    }

    @ParameterizedTest
    @MethodSource("cases")
    void what_a_mask_leaves_out_may_hold_anything(Head head, DataType type) {
        ComputationGraph pretrained = graph(type, head);
        Teacher teacher = Teacher.of(pretrained);
        for (RetentionConfiguration conf : List.of(
                RetentionConfiguration.builder()
                        .temperature(2)
                        .labelSmoothing(0.1)
                        .build(),
                RetentionConfiguration.builder()
                        .divergence(Divergence.JENSEN_SHANNON)
                        .build())) {
            for (boolean ids : new boolean[] {true, false}) {
                ComputationGraph expected = fitted(pretrained, conf, teacher, batch(type, head, ids, Junk.NONE));
                assertTrue(Double.isFinite(expected.score()));
                for (Junk junk : Junk.values()) {
                    if (junk == Junk.NONE || junk == Junk.NAN_FEATURES && !head.hasParameters()) {
                        continue;
                    }
                    ComputationGraph student = fitted(pretrained, conf, teacher, batch(type, head, ids, junk));
                    String what = conf.getDivergence() + " " + ids + " " + junk;
                    assertEquals(expected.score(), student.score(), what);
                    assertClose(expected.params(), student.params(), 0, what);
                }
            }
        }
        for (boolean ids : new boolean[] {true, false}) {
            TokenEvaluation clean = evaluation(teacher, batch(type, head, ids, Junk.NONE));
            for (Junk junk : Junk.values()) {
                if (junk != Junk.NAN_FEATURES || head.hasParameters()) {
                    assertEquals(clean, evaluation(teacher, batch(type, head, ids, junk)), ids + " " + junk);
                }
            }
        }
    }

    private static ComputationGraph fitted(
            ComputationGraph pretrained, RetentionConfiguration conf, Teacher teacher, MultiDataSet batch) {
        ComputationGraph student = Retention.attach(pretrained, conf);
        student.fit(new TeacherMultiDataSetIterator(new SingletonMultiDataSetIterator(batch), teacher));
        return student;
    }

    private static TokenEvaluation evaluation(Teacher teacher, MultiDataSet batch) {
        return TokenEvaluation.of(teacher, teacher, new SingletonMultiDataSetIterator(batch));
    }
}
