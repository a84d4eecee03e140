package io.github.dl4jretention;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.internal.HeldBatchNormalization;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.merge.Merge;
import io.github.dl4jretention.merge.MergeMethod;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToRnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.RnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** A student's batch normalisation is its teacher's: by the running statistics, which stay. */
class HeldBatchNormalizationTest {

    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().coefficient(2).build();

    private enum Kind {
        ROWS,
        SEQUENCES,
        IMAGES_CHANNELS_FIRST,
        IMAGES_CHANNELS_LAST,
        LOCKED,
        VARIANCE,
        FROZEN;

        /** Trained for a while by DL4J alone, so that the running statistics are nobody's batch. */
        MultiLayerNetwork pretrained(DataType type) {
            MultiLayerNetwork network = new MultiLayerNetwork(configuration(type));
            network.init();
            if (this == FROZEN) {
                // DL4J M2.1 can't train a network with batch normalisation in this wrapper.
                network.setParams(ROWS.pretrained(type).params());
                return network;
            }
            for (int i = 0; i < 6; i++) {
                network.fit(batch(type, 100 + i));
            }
            return network;
        }

        private org.deeplearning4j.nn.conf.MultiLayerConfiguration configuration(DataType type) {
            NeuralNetConfiguration.ListBuilder list = new NeuralNetConfiguration.Builder()
                    .dataType(type)
                    .seed(3)
                    .updater(new Sgd(0.1))
                    .list();
            BatchNormalization.Builder normal =
                    new BatchNormalization.Builder().nIn(7).nOut(7);
            Layer dense = new DenseLayer.Builder()
                    .nIn(Networks.INPUTS)
                    .nOut(7)
                    .activation(Activation.TANH)
                    .build();
            OutputLayer.Builder output = new OutputLayer.Builder(LossFunction.MCXENT)
                    .nIn(7)
                    .nOut(Networks.VOCABULARY)
                    .activation(Activation.SOFTMAX);
            switch (this) {
                case ROWS -> list.layer(dense).layer(normal.build()).layer(output.build());
                case LOCKED -> list.layer(dense)
                        .layer(normal.lockGammaBeta(true).gamma(1.5).beta(0.25).build())
                        .layer(output.build());
                case VARIANCE -> list.layer(dense)
                        .layer(normal.useLogStd(false).build())
                        .layer(output.build());
                case FROZEN -> list.layer(dense)
                        .layer(new FrozenLayerWithBackprop(normal.build()))
                        .layer(output.build());
                case SEQUENCES -> list.layer(
                                new LSTM.Builder().nIn(Networks.INPUTS).nOut(7).build())
                        .layer(normal.build())
                        .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT)
                                .nIn(7)
                                .nOut(Networks.VOCABULARY)
                                .activation(Activation.SOFTMAX)
                                .dataFormat(RNNFormat.NCW)
                                .build())
                        .inputPreProcessor(1, new RnnToFeedForwardPreProcessor())
                        .inputPreProcessor(2, new FeedForwardToRnnPreProcessor());
                default -> {
                    CNN2DFormat format = this == IMAGES_CHANNELS_LAST ? CNN2DFormat.NHWC : CNN2DFormat.NCHW;
                    list.layer(new ConvolutionLayer.Builder(2, 2)
                                    .nOut(3)
                                    .dataFormat(format)
                                    .activation(Activation.TANH)
                                    .build())
                            .layer(new BatchNormalization.Builder()
                                    .dataFormat(format)
                                    .build())
                            .layer(new OutputLayer.Builder(LossFunction.MCXENT)
                                    .nOut(Networks.VOCABULARY)
                                    .activation(Activation.SOFTMAX)
                                    .build())
                            .setInputType(InputType.convolutional(4, 4, 2, format));
                }
            }
            return list.build();
        }

        DataSet batch(DataType type, long seed) {
            if (this == SEQUENCES) {
                DataSet batch = Networks.sequences(type, 3, seed);
                batch.getFeatures().muli(2).addi(0.5);
                return batch;
            }
            DataSet rows = Networks.rows(type, 5, seed);
            if (name().startsWith("IMAGES")) {
                long[] shape = this == IMAGES_CHANNELS_LAST ? new long[] {5, 4, 4, 2} : new long[] {5, 2, 4, 4};
                rows.setFeatures(Networks.normal(type, new Random(seed), shape));
            }
            rows.getFeatures().muli(2).addi(0.5);
            return rows;
        }
    }

    private static boolean isStatistic(String name) {
        return name.endsWith("_mean") || name.endsWith("_var") || name.endsWith("_log10stdev");
    }

    @ParameterizedTest
    @CsvSource({
        "ROWS,FLOAT",
        "ROWS,DOUBLE",
        "SEQUENCES,FLOAT",
        "SEQUENCES,DOUBLE",
        "IMAGES_CHANNELS_FIRST,FLOAT",
        "IMAGES_CHANNELS_LAST,FLOAT",
        "LOCKED,FLOAT",
        "VARIANCE,DOUBLE",
        "FROZEN,FLOAT"
    })
    void a_student_starts_at_its_teacher_and_moves_no_statistic(Kind kind, DataType type) {
        MultiLayerNetwork pretrained = kind.pretrained(type);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        Teacher teacher = Teacher.of(pretrained);
        TeacherIterator batches = new TeacherIterator(
                new ListDataSetIterator<>(
                        List.of(kind.batch(type, 1)), kind.batch(type, 1).numExamples()),
                teacher);
        student.fit(batches);
        assertEquals(
                0,
                ((RetentionOutputLayerRuntime) student.getOutputLayer())
                        .lastTokenLoss()
                        .divergence(),
                1e-6);
        for (int i = 0; i < 4; i++) {
            batches.reset();
            student.fit(batches);
        }
        Map<String, INDArray> before = pretrained.paramTable();
        int moved = 0;
        for (Map.Entry<String, INDArray> parameter : student.paramTable().entrySet()) {
            INDArray start = before.get(parameter.getKey());
            if (isStatistic(parameter.getKey())) {
                assertEquals(start, parameter.getValue(), parameter.getKey());
            } else {
                moved += Networks.largestDifference(start, parameter.getValue()) == 0 ? 0 : 1;
            }
        }
        assertTrue(moved >= 4, moved + " parameters moved");

        MultiLayerNetwork plain = Retention.detach(student);
        for (int i = 0; i < plain.getnLayers() - 1; i++) {
            assertSame(
                    pretrained
                            .getLayerWiseConfigurations()
                            .getConf(i)
                            .getLayer()
                            .getClass(),
                    plain.getLayerWiseConfigurations().getConf(i).getLayer().getClass());
        }
        assertEquals(
                pretrained.getLayerWiseConfigurations().getConf(1).getLayer(),
                plain.getLayerWiseConfigurations().getConf(1).getLayer());
        if (plain.getLayerWiseConfigurations().getConf(1).getLayer() instanceof FrozenLayerWithBackprop frozen) {
            assertSame(BatchNormalization.class, frozen.getUnderlying().getClass());
        }
        INDArray features = kind.batch(type, 2).getFeatures();
        assertEquals(student.output(features), plain.output(features));
    }

    /** By central differences of DL4J's own loss in inference mode. */
    @ParameterizedTest
    @EnumSource(
            names = {"FROZEN"},
            mode = EnumSource.Mode.EXCLUDE)
    void gradients_are_those_of_inference(Kind kind) {
        MultiLayerNetwork pretrained = kind.pretrained(DataType.DOUBLE);
        MultiLayerNetwork student = Retention.attach(
                pretrained, RetentionConfiguration.builder().coefficient(0).build());
        DataSet batch = kind.batch(DataType.DOUBLE, 7);
        student.setInput(batch.getFeatures());
        student.setLabels(batch.getLabels());
        student.computeGradientAndScore();
        assertEquals(pretrained.score(batch, false), student.score(), 1e-9);
        double[] found = student.getGradientsViewArray().dup().toDoubleVector();
        double[] expected = new double[found.length];
        long place = 0;
        for (Map.Entry<String, INDArray> parameter : pretrained.paramTable().entrySet()) {
            for (long i = 0; i < parameter.getValue().length(); i++, place++) {
                if (!isStatistic(parameter.getKey())) {
                    INDArray params = pretrained.params();
                    double value = params.getDouble(place);
                    params.putScalar(place, value + 1e-5);
                    double above = pretrained.score(batch, false);
                    params.putScalar(place, value - 1e-5);
                    double below = pretrained.score(batch, false);
                    params.putScalar(place, value);
                    // A layer's gradient is that of the sum over examples.
                    expected[(int) place] = (above - below) / 2e-5 * batch.numExamples();
                }
            }
        }
        assertArrayEquals(expected, found, 1e-6);
    }

    @Test
    void a_saved_student_is_read_again_and_trains_on_alike() throws IOException {
        MultiLayerNetwork pretrained = Kind.ROWS.pretrained(DataType.FLOAT);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        ByteArrayOutputStream saved = new ByteArrayOutputStream();
        ModelSerializer.writeModel(student, saved, true);
        MultiLayerNetwork read =
                ModelSerializer.restoreMultiLayerNetwork(new ByteArrayInputStream(saved.toByteArray()), true);
        assertEquals(student.getLayerWiseConfigurations(), read.getLayerWiseConfigurations());
        assertSame(
                HeldBatchNormalization.class,
                read.getLayerWiseConfigurations().getConf(1).getLayer().getClass());
        Teacher teacher = Teacher.of(pretrained);
        for (MultiLayerNetwork network : List.of(student, read)) {
            Retention.finetune(
                    network,
                    teacher,
                    new ListDataSetIterator<>(
                            List.of(Kind.ROWS.batch(DataType.FLOAT, 1), Kind.ROWS.batch(DataType.FLOAT, 2)), 5),
                    2);
        }
        assertEquals(student.params(), read.params());
    }

    @Test
    void a_student_is_merged_with_what_it_was_made_of() throws IOException {
        MultiLayerNetwork pretrained = Kind.ROWS.pretrained(DataType.FLOAT);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        MultiLayerNetwork merged = Merge.networks(MergeMethod.wiseFt(0.5))
                .base(pretrained)
                .models(List.of(student))
                .merge();
        assertEquals(pretrained.params(), merged.params());
    }

    @Test
    void graphs_are_alike() {
        ComputationGraph pretrained = new ComputationGraph(new NeuralNetConfiguration.Builder()
                .seed(3)
                .updater(new Sgd(0.1))
                .graphBuilder()
                .addInputs("in")
                .addLayer(
                        "dense",
                        new DenseLayer.Builder().nIn(Networks.INPUTS).nOut(7).build(),
                        "in")
                .addLayer(
                        "norm", new BatchNormalization.Builder().nIn(7).nOut(7).build(), "dense")
                .addLayer(
                        "out",
                        new OutputLayer.Builder(LossFunction.MCXENT)
                                .nIn(7)
                                .nOut(Networks.VOCABULARY)
                                .activation(Activation.SOFTMAX)
                                .build(),
                        "norm")
                .setOutputs("out")
                .build());
        pretrained.init();
        for (int i = 0; i < 6; i++) {
            pretrained.fit(Kind.ROWS.batch(DataType.FLOAT, 100 + i));
        }
        ComputationGraph student = Retention.attach(pretrained, CONF);
        Retention.finetune(
                student,
                Teacher.of(pretrained),
                new ListDataSetIterator<>(List.of(Kind.ROWS.batch(DataType.FLOAT, 1)), 5),
                1);
        assertEquals(
                0,
                ((RetentionOutputLayerRuntime) student.getOutputLayer(0))
                        .lastTokenLoss()
                        .divergence(),
                1e-6);
        for (String name : List.of("norm_mean", "norm_log10stdev")) {
            assertEquals(pretrained.getParam(name), student.getParam(name));
        }
        assertSame(
                BatchNormalization.class,
                Retention.detach(student).getLayer("norm").conf().getLayer().getClass());
    }
}
