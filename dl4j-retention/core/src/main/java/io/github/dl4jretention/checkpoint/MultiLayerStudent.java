package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.internal.CheckedZip;
import io.github.dl4jretention.internal.RetentionLayers;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.io.IOException;
import java.util.Collection;
import java.util.Map;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;

/** A MultiLayerNetwork with a retention layer. */
record MultiLayerStudent(MultiLayerNetwork model, RetentionOutputLayer head) implements Student<MultiLayerNetwork> {

    /** @throws IllegalArgumentException if it has no retention layer */
    MultiLayerStudent(MultiLayerNetwork model) {
        this(model, RetentionLayers.of(model));
    }

    @Override
    public Map<String, AtomicFile.Content> entries() {
        return entries(model);
    }

    static Map<String, AtomicFile.Content> entries(MultiLayerNetwork model) {
        return NetworkEntries.of(
                model.getLayerWiseConfigurations().toJson(),
                model.params(),
                model.getUpdater().getStateViewArray());
    }

    @Override
    public MultiLayerStudent restore(CheckedZip zip) throws IOException {
        return of(NetworkEntries.configuration(zip), NetworkEntries.params(zip), NetworkEntries.updaterState(zip));
    }

    @Override
    public MultiLayerStudent copy() {
        return of(
                model.getLayerWiseConfigurations().toJson(),
                model.params().dup(),
                NetworkEntries.copy(model.getUpdater().getStateViewArray()));
    }

    private static MultiLayerStudent of(String configuration, INDArray params, @Nullable INDArray state) {
        MultiLayerNetwork network = new MultiLayerNetwork(MultiLayerConfiguration.fromJson(configuration));
        network.init(params, false);
        if (state != null) {
            network.getUpdater().setStateViewArray(network, state, false);
        }
        return new MultiLayerStudent(network);
    }

    @Override
    public @Nullable String teacher() {
        return head.getTeacher();
    }

    @Override
    public Map<String, Provenance.Loss> losses() {
        double coefficient = head.coefficientAt(iterationCount(), epochCount());
        return Map.of(RetentionLayers.OUTPUT, new Provenance.Loss(head.getRetention(), coefficient));
    }

    @Override
    public void note(Provenance provenance) {
        head.setProvenance(provenance.toJson());
    }

    @Override
    public boolean has(TeacherOutput output) {
        return output.index() == 0 && output.classAxis() >= 0;
    }

    @Override
    public boolean wasTaught() {
        return head.getTaughtMinibatches() > 0;
    }

    @Override
    public String settings() {
        String json = model.getLayerWiseConfigurations().toJson();
        return StudentSettings.ofNetwork(StudentSettings.readBack(
                () -> MultiLayerConfiguration.fromJson(json).toJson()));
    }

    @Override
    public Collection<?> listeners() {
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
    public void listen(RunListeners listeners, Teacher teacher) {
        model.setListeners(listeners.ofNetwork(teacher));
    }

    @Override
    public void train(MultiDataSet batch, long seed) {
        Nd4j.getRandom().setSeed(seed);
        model.fit(new DataSet(
                batch.getFeatures(0),
                batch.getLabels(0),
                batch.getFeaturesMaskArrays() == null ? null : batch.getFeaturesMaskArray(0),
                batch.getLabelsMaskArrays() == null ? null : batch.getLabelsMaskArray(0)));
    }

    @Override
    public void epochStarts() {
        model.getListeners().forEach(listener -> listener.onEpochStart(model));
    }

    @Override
    public void epochEnds(int epochs) {
        model.getListeners().forEach(listener -> listener.onEpochEnd(model));
        model.setEpochCount(epochs);
    }
}
