package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.internal.RetentionLayers;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.util.Collection;
import java.util.Map;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.MultiDataSet;

/** A MultiLayerNetwork with a retention layer. */
record MultiLayerStudent(MultiLayerNetwork model, Map<String, RetentionOutputLayer> heads)
        implements NetworkStudent<MultiLayerNetwork> {

    /** @throws IllegalArgumentException if it has no retention layer */
    MultiLayerStudent(MultiLayerNetwork model) {
        this(model, Map.of(RetentionLayers.OUTPUT, RetentionLayers.of(model)));
    }

    static Map<String, AtomicFile.Content> entries(MultiLayerNetwork model) {
        return NetworkStudent.entries(
                model.getLayerWiseConfigurations().toJson(),
                model.params(),
                NetworkStudent.state(model.getUpdater(false)));
    }

    @Override
    public String configuration() {
        return model.getLayerWiseConfigurations().toJson();
    }

    @Override
    public String reread(String configuration) {
        return MultiLayerConfiguration.fromJson(configuration).toJson();
    }

    @Override
    public @Nullable INDArray updaterState() {
        return NetworkStudent.state(model.getUpdater(false));
    }

    @Override
    public MultiLayerStudent of(String configuration, INDArray params) {
        MultiLayerNetwork network = new MultiLayerNetwork(MultiLayerConfiguration.fromJson(configuration));
        network.init(params, false);
        return new MultiLayerStudent(network);
    }

    @Override
    public @Nullable INDArray newUpdaterState() {
        return NetworkStudent.state(model.getUpdater());
    }

    @Override
    public boolean has(TeacherOutput output) {
        return output.index() == 0 && output.classAxis() >= 0;
    }

    @Override
    public Collection<TrainingListener> listeners() {
        return model.getListeners();
    }

    @Override
    public int iterationCount() {
        return model.getIterationCount();
    }

    @Override
    public int epochCount() {
        return model.getEpochCount();
    }

    @Override
    public void setEpochCount(int epochs) {
        model.setEpochCount(epochs);
    }

    @Override
    public void fit(MultiDataSet batch) {
        model.fit(new DataSet(
                batch.getFeatures(0),
                batch.getLabels(0),
                batch.getFeaturesMaskArrays() == null ? null : batch.getFeaturesMaskArray(0),
                batch.getLabelsMaskArrays() == null ? null : batch.getLabelsMaskArray(0)));
    }
}
