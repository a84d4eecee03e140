package io.github.dl4jretention;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.earlystopping.EarlyStoppingConfiguration;
import org.deeplearning4j.earlystopping.EarlyStoppingResult;
import org.deeplearning4j.earlystopping.saver.InMemoryModelSaver;
import org.deeplearning4j.earlystopping.scorecalc.DataSetLossCalculator;
import org.deeplearning4j.earlystopping.termination.MaxEpochsTerminationCondition;
import org.deeplearning4j.earlystopping.trainer.EarlyStoppingTrainer;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.parallelism.ParallelWrapper;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;

/** Students in all the ways in which DL4J trains networks. */
class TrainingTest {

    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().build();

    private static DataSetIterator batches(DataType type) {
        return new ExistingDataSetIterator(Networks.batches(type, 4, true));
    }

    private static void assertTrainedNear(MultiLayerNetwork pretrained, MultiLayerNetwork student) {
        assertTrue(pretrained.params().distance2(student.params()) > 1e-3);
        assertTrue(Networks.lastLoss(student).divergence() > 0);
        assertTrue(Double.isFinite(student.score()));
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE", "HALF"})
    void every_data_type(DataType type) {
        // Adam's epsilon of 1e-8 is 0 in HALF.
        MultiLayerNetwork pretrained = Retention.withUpdater(Networks.lstm(type, 1), new Sgd(0.1));
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        double before = student.score(batches(type).next());
        student.fit(new TeacherIterator(batches(type), Teacher.of(pretrained)), 10);
        assertTrainedNear(pretrained, student);
        assertTrue(student.score(batches(type).next()) < before);
    }

    @Test
    void truncated_backpropagation() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 2);
        pretrained.getLayerWiseConfigurations().setBackpropType(BackpropType.TruncatedBPTT);
        pretrained.getLayerWiseConfigurations().setTbpttFwdLength(2);
        pretrained.getLayerWiseConfigurations().setTbpttBackLength(2);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        student.fit(new TeacherIterator(batches(DataType.FLOAT), Teacher.of(pretrained)), 5);
        // Five steps in pieces of two: three iterations for each of four batches.
        assertEquals(5 * 4 * 3, student.getIterationCount());
        assertTrainedNear(pretrained, student);
    }

    @Test
    void sequences_of_different_lengths() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 3);
        Teacher teacher = Teacher.of(pretrained);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        student.setParams(Networks.moved(pretrained, 0.2, 4).params());
        DataSet whole = Networks.sequences(DataType.DOUBLE, 2, 5);
        INDArray mask =
                Nd4j.ones(DataType.DOUBLE, 2, Networks.TIME).putScalar(1, 3, 0).putScalar(1, 4, 0);
        whole.setFeaturesMaskArray(mask);
        whole.setLabelsMaskArray(mask.dup());
        DataSet taught = new TeacherIterator(new ExistingDataSetIterator(List.of(whole)), teacher).next();
        INDArray padded = Networks.gradient(student, taught);
        // The same two sequences on their own, the second without its padding.
        DataSet first = part(whole, 0, Networks.TIME);
        DataSet second = part(whole, 1, 3);
        INDArray sum = Networks.gradient(
                student, new TeacherIterator(new ExistingDataSetIterator(List.of(first)), teacher).next());
        sum.addi(Networks.gradient(
                student, new TeacherIterator(new ExistingDataSetIterator(List.of(second)), teacher).next()));
        assertClose(sum, padded, 1e-9);
    }

    private static DataSet part(DataSet whole, int example, int length) {
        DataSet single = (DataSet) whole.getRange(example, example + 1);
        INDArrayIndex time = NDArrayIndex.interval(0, length);
        INDArrayIndex all = NDArrayIndex.all();
        return new DataSet(
                single.getFeatures().get(all, all, time).dup(),
                single.getLabels().get(all, all, time).dup());
    }

    @Test
    void early_stopping() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 6);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        double untrained = new DataSetLossCalculator(batches(DataType.FLOAT), true).calculateScore(pretrained);
        EarlyStoppingConfiguration<MultiLayerNetwork> stopping = new EarlyStoppingConfiguration.Builder<
                        MultiLayerNetwork>()
                .epochTerminationConditions(new MaxEpochsTerminationCondition(3))
                .scoreCalculator(new DataSetLossCalculator(batches(DataType.FLOAT), true))
                .modelSaver(new InMemoryModelSaver<>())
                .build();
        EarlyStoppingResult<MultiLayerNetwork> result = new EarlyStoppingTrainer(
                        stopping, student, new TeacherIterator(batches(DataType.FLOAT), Teacher.of(pretrained)))
                .fit();
        assertNotNull(result.getBestModel());
        assertEquals(3, result.getTotalEpochs());
        assertTrue(result.getBestModelScore() < untrained);
        assertTrue(pretrained.params().distance2(result.getBestModel().params()) > 1e-3);
    }

    @Test
    void parallel_wrapper() throws Exception {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 7);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        double before = student.score(batches(DataType.FLOAT).next());
        try (ParallelWrapper wrapper = new ParallelWrapper.Builder<>(student)
                .workers(2)
                .prefetchBuffer(0)
                .averagingFrequency(1)
                .build()) {
            for (int epoch = 0; epoch < 10; epoch++) {
                wrapper.fit(new TeacherIterator(batches(DataType.FLOAT), Teacher.of(pretrained)));
            }
        }
        assertTrue(pretrained.params().distance2(student.params()) > 1e-3);
        assertTrue(student.score(batches(DataType.FLOAT).next()) < before);
    }

    @Test
    void frozen_layers_stay_frozen() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 8);
        MultiLayerNetwork frozen =
                new TransferLearning.Builder(pretrained).setFeatureExtractor(0).build();
        MultiLayerNetwork student = Retention.attach(frozen, CONF);
        INDArray start = student.params().dup();
        INDArray body = student.getLayer(0).params().dup();
        student.fit(new TeacherIterator(batches(DataType.FLOAT), Teacher.of(pretrained)), 3);
        assertClose(body, student.getLayer(0).params(), 0);
        assertTrue(start.distance2(student.params()) > 1e-3);
    }

    @Test
    void a_clone_goes_on_alike() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 9);
        Teacher teacher = Teacher.of(pretrained);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        student.fit(new TeacherIterator(batches(DataType.FLOAT), teacher), 1);
        MultiLayerNetwork clone = student.clone();
        student.fit(new TeacherIterator(batches(DataType.FLOAT), teacher), 1);
        assertTrue(student.params().distance2(clone.params()) > 1e-4);
        clone.fit(new TeacherIterator(batches(DataType.FLOAT), teacher), 1);
        assertClose(student.params(), clone.params(), 0);
    }

    @Test
    void the_same_seed_gives_the_same_bytes() {
        MultiLayerNetwork[] students = new MultiLayerNetwork[2];
        for (int i = 0; i < 2; i++) {
            MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 10);
            students[i] = Retention.attach(pretrained, CONF);
            students[i].fit(new TeacherIterator(batches(DataType.FLOAT), Teacher.of(pretrained)), 3);
        }
        assertEquals(students[0].params(), students[1].params());
        assertClose(students[0].params(), students[1].params(), 0);
    }
}
