package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.baseline.Importance;
import io.github.dl4jretention.baseline.ImportanceEstimator;
import io.github.dl4jretention.internal.Configurations;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Sgd;

/** A {@link FinetuneModel} of a ComputationGraph. */
final class GraphModel extends FinetuneModel {

    private final ComputationGraph pretrained;
    private final String[] outputs;

    GraphModel(ComputationGraph pretrained, String... outputs) {
        super(Teacher.of(pretrained, outputs));
        // M2.1's own clone loses the updaters of attention vertices.
        this.pretrained = Retention.withUpdater(pretrained, new Sgd());
        this.outputs = teacher().outputs().stream().map(TeacherOutput::name).toArray(String[]::new);
    }

    @Override
    CandidateTraining training(
            FinetuneConfiguration configuration, IUpdater updater, Teacher teacher, @Nullable Importance importance) {
        ComputationGraph start;
        synchronized (pretrained) {
            start = Retention.withUpdater(pretrained, updater, configuration.warmUp());
        }
        if (configuration.frozenUpTo() >= 0) {
            start = frozen(start, start.getLayer(configuration.frozenUpTo()));
        }
        ComputationGraph student = Retention.attach(start, lossOf(configuration), teacher, outputs);
        penalty(student, configuration, importance).ifPresent(penalty -> student.addListeners(penalty.listener()));
        StepLoss loss = new StepLoss(Arrays.stream(outputs)
                .map(output -> (RetentionOutputLayerRuntime) student.getLayer(output))
                .toList());
        student.addListeners(loss);
        return new GraphStudent(student, loss);
    }

    @Override
    Object copyOfPretrained() {
        synchronized (pretrained) {
            return Retention.withUpdater(pretrained, new Sgd());
        }
    }

    @Override
    public String settings() {
        return settingsOfNetwork(pretrained.getConfiguration().toJson());
    }

    @Override
    ImportanceEstimator importance() {
        return ImportanceEstimator.of(pretrained);
    }

    /** A copy with a layer and all before it frozen. */
    private static ComputationGraph frozen(ComputationGraph graph, Layer last) {
        ComputationGraphConfiguration conf = Configurations.copy(graph.getConfiguration());
        Deque<String> open = new ArrayDeque<>(List.of(last.conf().getLayer().getLayerName()));
        Set<String> met = new HashSet<>();
        while (!open.isEmpty()) {
            String name = open.remove();
            if (met.add(name)) {
                conf.getVertices().computeIfPresent(name, (same, vertex) -> frozen(vertex));
                open.addAll(conf.getVertexInputs().getOrDefault(name, List.of()));
            }
        }
        ComputationGraph copy = new ComputationGraph(conf);
        copy.init(graph.params().dup(), false);
        return copy;
    }

    private record GraphStudent(ComputationGraph network, StepLoss loss) implements CandidateTraining {

        @Override
        public TokenLoss fit(MultiDataSet batch, int epoch) {
            network.getConfiguration().setEpochCount(epoch);
            network.fit(batch);
            return loss.take();
        }

        @Override
        public Object plain() {
            return Retention.detach(network);
        }
    }

    @Override
    Teacher predictor(Object plain) {
        return Teacher.of((ComputationGraph) plain, outputs);
    }

    @Override
    double parameterSum(Object plain) {
        return wideSum(((ComputationGraph) plain).params());
    }

    @Override
    int freezable() {
        return pretrained.getNumLayers() - pretrained.getNumOutputArrays();
    }

    @Override
    void savePretrained(Path file) throws IOException {
        synchronized (pretrained) {
            save(pretrained, file);
        }
    }

    @Override
    List<String> names() {
        return List.of(outputs);
    }

    @Override
    public void save(Object plain, Path file) throws IOException {
        ((ComputationGraph) plain).save(file.toFile(), false);
    }

    @Override
    public Object load(Path file) throws IOException {
        return ComputationGraph.load(file.toFile(), false);
    }
}
