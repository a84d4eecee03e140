package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.internal.RetentionLayers;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;

/** A ComputationGraph with retention layers. */
record GraphStudent(ComputationGraph model, Map<String, RetentionOutputLayer> heads)
        implements NetworkStudent<ComputationGraph> {

    /** @throws IllegalArgumentException if it has no retention layer */
    GraphStudent(ComputationGraph model) {
        this(model, RetentionLayers.of(model));
    }

    static Map<String, AtomicFile.Content> entries(ComputationGraph model) {
        return NetworkStudent.entries(
                model.getConfiguration().toJson(), model.params(), NetworkStudent.state(model.getUpdater(false)));
    }

    @Override
    public String configuration() {
        return model.getConfiguration().toJson();
    }

    @Override
    public String reread(String configuration) {
        return ComputationGraphConfiguration.fromJson(configuration).toJson();
    }

    @Override
    public @Nullable INDArray updaterState() {
        return NetworkStudent.state(model.getUpdater(false));
    }

    @Override
    public GraphStudent of(String configuration, INDArray params) {
        ComputationGraph graph = new ComputationGraph(ComputationGraphConfiguration.fromJson(configuration));
        graph.init(params, false);
        return new GraphStudent(graph);
    }

    @Override
    public @Nullable INDArray newUpdaterState() {
        return NetworkStudent.state(model.getUpdater());
    }

    @Override
    public boolean has(TeacherOutput output) {
        List<String> outputs = model.getConfiguration().getNetworkOutputs();
        return output.classAxis() >= 0
                && output.index() < outputs.size()
                && heads.containsKey(outputs.get(output.index()));
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
        return model.getConfiguration().getEpochCount();
    }

    @Override
    public void setEpochCount(int epochs) {
        model.getConfiguration().setEpochCount(epochs);
    }

    @Override
    public void fit(MultiDataSet batch) {
        model.fit(batch);
    }
}
