package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.baseline.Importance;
import io.github.dl4jretention.baseline.ImportanceEstimator;
import io.github.dl4jretention.baseline.SelfReplay;
import io.github.dl4jretention.internal.Configurations;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Sgd;

/** A {@link FinetuneModel} of a MultiLayerNetwork. */
final class MultiLayerModel extends FinetuneModel {

    private final MultiLayerNetwork pretrained;

    MultiLayerModel(MultiLayerNetwork pretrained) {
        super(Teacher.of(pretrained));
        this.pretrained = Retention.withUpdater(pretrained, new Sgd());
    }

    @Override
    CandidateTraining training(
            FinetuneConfiguration configuration, IUpdater updater, Teacher teacher, @Nullable Importance importance) {
        MultiLayerNetwork start;
        synchronized (pretrained) {
            start = Retention.withUpdater(pretrained, updater, configuration.warmUp());
        }
        if (configuration.frozenUpTo() >= 0) {
            start = frozen(start, configuration.frozenUpTo());
        }
        MultiLayerNetwork student = Retention.attach(start, lossOf(configuration), teacher);
        penalty(student, configuration, importance).ifPresent(penalty -> student.addListeners(penalty.listener()));
        StepLoss loss = new StepLoss(List.of((RetentionOutputLayerRuntime) student.getOutputLayer()));
        student.addListeners(loss);
        return new MultiLayerStudent(student, loss);
    }

    @Override
    Object copyOfPretrained() {
        synchronized (pretrained) {
            return Retention.withUpdater(pretrained, new Sgd());
        }
    }

    @Override
    public String settings() {
        return settingsOfNetwork(pretrained.getLayerWiseConfigurations().toJson());
    }

    /** A copy with a layer and all before it frozen. */
    private static MultiLayerNetwork frozen(MultiLayerNetwork network, int last) {
        MultiLayerConfiguration conf = Configurations.copy(network.getLayerWiseConfigurations());
        conf.getConfs().subList(0, last + 1).forEach(FinetuneModel::freeze);
        MultiLayerNetwork copy = new MultiLayerNetwork(conf);
        copy.init(network.params().dup(), false);
        return copy;
    }

    @Override
    ImportanceEstimator importance() {
        return ImportanceEstimator.of(pretrained);
    }

    @Override
    SelfReplay.Builder writing(MultiDataSetIterator target) {
        return SelfReplay.of(pretrained, target);
    }

    private record MultiLayerStudent(MultiLayerNetwork network, StepLoss loss) implements CandidateTraining {

        @Override
        public TokenLoss fit(MultiDataSet batch, int epoch) {
            network.setEpochCount(epoch);
            network.fit(new DataSet(
                    batch.getFeatures(0),
                    batch.getLabels(0),
                    batch.getFeaturesMaskArray(0),
                    batch.getLabelsMaskArray(0)));
            return loss.take();
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
    void savePretrained(Path file) throws IOException {
        synchronized (pretrained) {
            save(pretrained, file);
        }
    }

    @Override
    List<String> names() {
        return List.of();
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
