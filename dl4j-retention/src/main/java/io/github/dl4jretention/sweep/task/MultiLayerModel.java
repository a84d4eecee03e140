package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.baseline.Importance;
import io.github.dl4jretention.baseline.ImportanceEstimator;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.nio.file.Path;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.learning.config.IUpdater;

/** A {@link FinetuneModel} of a MultiLayerNetwork. */
final class MultiLayerModel extends FinetuneModel {

    private final MultiLayerNetwork pretrained;

    MultiLayerModel(MultiLayerNetwork pretrained) {
        super(Teacher.of(pretrained));
        this.pretrained = pretrained.clone();
    }

    @Override
    Student student(FinetuneConfiguration configuration, IUpdater updater, Teacher teacher, Importance importance) {
        MultiLayerNetwork start;
        synchronized (pretrained) {
            start = Retention.withUpdater(pretrained, updater);
        }
        if (configuration.frozenUpTo() >= 0) {
            start = new TransferLearning.Builder(start)
                    .setFeatureExtractor(configuration.frozenUpTo())
                    .build();
        }
        MultiLayerNetwork student = Retention.attach(start, RetentionOf.candidate(configuration), teacher);
        penalty(student, configuration, importance).ifPresent(penalty -> student.addListeners(penalty.listener()));
        return new MultiLayerStudent(student);
    }

    @Override
    ImportanceEstimator importance() {
        return ImportanceEstimator.of(pretrained);
    }

    private record MultiLayerStudent(MultiLayerNetwork network) implements Student {

        @Override
        public TokenLoss fit(MultiDataSet batch, int epoch) {
            network.setEpochCount(epoch);
            network.fit(new DataSet(
                    batch.getFeatures(0),
                    batch.getLabels(0),
                    batch.getFeaturesMaskArray(0),
                    batch.getLabelsMaskArray(0)));
            return ((RetentionOutputLayerRuntime) network.getOutputLayer()).lastTokenLoss();
        }

        @Override
        public Object plain() {
            return Retention.detach(network);
        }
    }

    @Override
    Teacher predictor(Object plain) {
        return Teacher.of((MultiLayerNetwork) plain);
    }

    @Override
    double parameterSum(Object plain) {
        return wideSum(((MultiLayerNetwork) plain).params());
    }

    @Override
    int freezable() {
        return pretrained.getnLayers() - 1;
    }

    @Override
    public void save(Object plain, Path file) throws IOException {
        ((MultiLayerNetwork) plain).save(file.toFile(), false);
    }

    @Override
    public Object load(Path file) throws IOException {
        return MultiLayerNetwork.load(file.toFile(), false);
    }
}
