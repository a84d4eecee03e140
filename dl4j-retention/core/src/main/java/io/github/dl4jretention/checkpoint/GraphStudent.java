package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.internal.CheckedZip;
import io.github.dl4jretention.internal.RetentionLayers;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.io.IOException;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;

/** A ComputationGraph with retention layers by the names of their outputs. */
record GraphStudent(ComputationGraph model, Map<String, RetentionOutputLayer> heads)
        implements Student<ComputationGraph> {

    /** @throws IllegalArgumentException if it has no retention layer */
    GraphStudent(ComputationGraph model) {
        this(model, RetentionLayers.of(model));
    }

    @Override
    public Map<String, AtomicFile.Content> entries() {
        return entries(model);
    }

    static Map<String, AtomicFile.Content> entries(ComputationGraph model) {
        return NetworkEntries.of(
                model.getConfiguration().toJson(),
                model.params(),
                model.getUpdater().getStateViewArray());
    }

    @Override
    public GraphStudent restore(CheckedZip zip) throws IOException {
        return of(NetworkEntries.configuration(zip), NetworkEntries.params(zip), NetworkEntries.updaterState(zip));
    }

    @Override
    public GraphStudent copy() {
        return of(
                model.getConfiguration().toJson(),
                model.params().dup(),
                NetworkEntries.copy(model.getUpdater().getStateViewArray()));
    }

    private static GraphStudent of(String configuration, INDArray params, @Nullable INDArray state) {
        ComputationGraph graph = new ComputationGraph(ComputationGraphConfiguration.fromJson(configuration));
        graph.init(params, false);
        if (state != null) {
            graph.getUpdater().setStateViewArray(state);
        }
        return new GraphStudent(graph);
    }

    @Override
    public @Nullable String teacher() {
        return heads.values().iterator().next().getTeacher();
    }

    @Override
    public Map<String, Provenance.Loss> losses() {
        Map<String, Provenance.Loss> losses = new LinkedHashMap<>();
        heads.forEach((name, head) -> losses.put(
                name, new Provenance.Loss(head.getRetention(), head.coefficientAt(iterationCount(), epochCount()))));
        return losses;
    }

    @Override
    public void note(Provenance provenance) {
        heads.values().forEach(head -> head.setProvenance(provenance.toJson()));
    }

    @Override
    public boolean has(TeacherOutput output) {
        List<String> outputs = model.getConfiguration().getNetworkOutputs();
        return output.classAxis() >= 0
                && output.index() < outputs.size()
                && heads.containsKey(outputs.get(output.index()));
    }

    @Override
    public boolean wasTaught() {
        return heads.values().stream().anyMatch(head -> head.getTaughtMinibatches() > 0);
    }

    @Override
    public String settings() {
        String json = model.getConfiguration().toJson();
        return StudentSettings.ofNetwork(StudentSettings.readBack(
                () -> ComputationGraphConfiguration.fromJson(json).toJson()));
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
        return model.getConfiguration().getEpochCount();
    }

    @Override
    public void listen(RunListeners listeners, Teacher teacher) {
        model.setListeners(listeners.ofNetwork(teacher));
    }

    @Override
    public void train(MultiDataSet batch, long seed) {
        Nd4j.getRandom().setSeed(seed);
        model.fit(batch);
    }

    @Override
    public void epochStarts() {
        model.getListeners().forEach(listener -> listener.onEpochStart(model));
    }

    @Override
    public void epochEnds(int epochs) {
        model.getListeners().forEach(listener -> listener.onEpochEnd(model));
        model.getConfiguration().setEpochCount(epochs);
    }
}
