package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.learning.config.IUpdater;

/** A {@link FinetuneModel} of a ComputationGraph. */
final class GraphModel extends FinetuneModel {

    private final ComputationGraph pretrained;
    private final String[] outputs;

    GraphModel(ComputationGraph pretrained, String... outputs) {
        super(Teacher.of(pretrained, outputs));
        this.pretrained = pretrained.clone();
        this.outputs = teacher().outputs().stream().map(TeacherOutput::name).toArray(String[]::new);
    }

    @Override
    Student student(FinetuneConfiguration configuration, IUpdater updater, Teacher teacher) {
        ComputationGraph start;
        synchronized (pretrained) {
            start = Retention.withUpdater(pretrained, updater);
        }
        if (configuration.frozenUpTo() >= 0) {
            String last =
                    start.getLayer(configuration.frozenUpTo()).conf().getLayer().getLayerName();
            start = new TransferLearning.GraphBuilder(start)
                    .setFeatureExtractor(last)
                    .build();
        }
        return new GraphStudent(
                Retention.attach(start, RetentionOf.candidate(configuration), teacher, outputs), List.of(outputs));
    }

    private record GraphStudent(ComputationGraph network, List<String> outputs) implements Student {

        @Override
        public TokenLoss fit(MultiDataSet batch, int epoch) {
            network.getConfiguration().setEpochCount(epoch);
            network.fit(batch);
            return outputs.stream()
                    .map(output -> ((RetentionOutputLayerRuntime) network.getLayer(output)).lastTokenLoss())
                    .reduce(GraphStudent::sum)
                    .orElseThrow();
        }

        /** Of two outputs with the same configuration. */
        private static TokenLoss sum(TokenLoss one, TokenLoss other) {
            return new TokenLoss(
                    one.crossEntropySum() + other.crossEntropySum(),
                    one.divergenceSum() + other.divergenceSum(),
                    one.factor(),
                    one.tokens() + other.tokens(),
                    one.divergenceTokens() + other.divergenceTokens(),
                    Double.NaN);
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
    int freezable() {
        return pretrained.getNumLayers() - pretrained.getNumOutputArrays();
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
