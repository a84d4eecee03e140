package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.baseline.Importance;
import io.github.dl4jretention.baseline.ImportanceEstimator;
import io.github.dl4jretention.baseline.QuadraticPenalty;
import io.github.dl4jretention.loss.RetentionListener;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.learning.config.IUpdater;

/** A {@link FinetuneModel} of a SameDiff, kept as the bytes of its file. */
final class SameDiffFinetuneModel extends FinetuneModel {

    /** Placeholders of a student that trains on what the model writes. */
    private static final String WEIGHTS = "retentionLabelWeights";

    private static final String DIVERGENCE_WEIGHTS = "retentionDivergenceWeights";

    private final byte[] bytes;
    private final String logits;
    private final String labels;
    private final List<String> features;

    SameDiffFinetuneModel(SameDiff pretrained, String logits, String labels, List<String> features) {
        super(Teacher.of(pretrained, logits, features.toArray(String[]::new)));
        if (!pretrained.hasVariable(labels)) {
            throw new IllegalArgumentException("labels: expected a variable of the model, got \"" + labels
                    + "\"; it has " + pretrained.variableMap().keySet());
        }
        if (pretrained.hasVariable(RetentionLoss.LOSS)) {
            throw new IllegalArgumentException(
                    "model: expected a SameDiff without \"" + RetentionLoss.LOSS + "\", got a student");
        }
        ByteBuffer buffer = flatBuffers(pretrained);
        this.bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        this.logits = logits;
        this.labels = labels;
        this.features = features;
    }

    private static ByteBuffer flatBuffers(SameDiff sameDiff) {
        try {
            return sameDiff.asFlatBuffers(false);
        } catch (RuntimeException e) {
            throw new IllegalStateException("the model can't be copied", e);
        }
    }

    private SameDiff copy() {
        try {
            return SameDiff.fromFlatBuffers(ByteBuffer.wrap(bytes));
        } catch (IOException e) {
            throw new IllegalStateException("the model can't be copied", e);
        }
    }

    @Override
    CandidateTraining training(
            FinetuneConfiguration configuration, IUpdater updater, Teacher teacher, @Nullable Importance importance) {
        SameDiff sameDiff = copy();
        boolean weighted = configuration.method().writes();
        if (weighted) {
            DataType type = sameDiff.getVariable(logits).dataType();
            sameDiff.placeHolder(WEIGHTS, type);
            sameDiff.placeHolder(DIVERGENCE_WEIGHTS, type);
            RetentionLoss.add(sameDiff, logits, labels, WEIGHTS, DIVERGENCE_WEIGHTS, lossOf(configuration));
        } else {
            RetentionLoss.add(sameDiff, logits, labels, lossOf(configuration));
        }
        RetentionLoss.bind(sameDiff, teacher.sha256());
        switch (configuration.method()) {
            case L2_SP -> QuadraticPenalty.toStart(sameDiff, configuration.strength())
                    .addTo(sameDiff);
            case EWC, MAS -> QuadraticPenalty.weighted(
                            sameDiff, Objects.requireNonNull(importance), configuration.strength())
                    .addTo(sameDiff);
            case PLAIN, RETENTION, REPLAY, SELF_REPLAY, SELF_REPLAY_RETENTION, LABEL_SMOOTHING -> {}
        }
        TrainingConfig.Builder training = TrainingConfig.builder()
                .updater(updater.clone())
                .dataSetFeatureMapping(features)
                .dataSetLabelMapping(
                        weighted
                                ? List.of(labels, RetentionLoss.TEACHER_LOGITS, DIVERGENCE_WEIGHTS)
                                : List.of(labels, RetentionLoss.TEACHER_LOGITS));
        if (weighted) {
            training.dataSetLabelMaskMapping(WEIGHTS);
        }
        sameDiff.setTrainingConfig(training.build());
        SameDiff student = configuration.warmUp() == 0
                ? sameDiff
                : Retention.withUpdater(sameDiff, updater, configuration.warmUp());
        RetentionListener listener = new RetentionListener();
        student.setListeners(listener);
        return new SameDiffStudent(this, student, listener);
    }

    @Override
    Object copyOfPretrained() {
        return copy();
    }

    @Override
    public String settings() {
        return settingsOfSameDiff(copy(), logits);
    }

    @Override
    public String outputs() {
        return logits + ", labels " + labels + ", features " + String.join(", ", features);
    }

    @Override
    ImportanceEstimator importance() {
        return ImportanceEstimator.of(copy(), logits, features.toArray(String[]::new));
    }

    private record SameDiffStudent(SameDiffFinetuneModel model, SameDiff network, RetentionListener listener)
            implements CandidateTraining {

        @Override
        public TokenLoss fit(MultiDataSet batch, int epoch) {
            network.getTrainingConfig().setEpochCount(epoch);
            network.fit(new SingletonMultiDataSetIterator(batch), 1);
            return Objects.requireNonNull(listener.lastTokenLoss());
        }

        @Override
        public Object plain() {
            SameDiff plain = model.copy();
            for (SDVariable variable : plain.variables()) {
                if (variable.getVariableType() == VariableType.VARIABLE) {
                    plain.getArrForVarName(variable.name()).assign(network.getArrForVarName(variable.name()));
                }
            }
            return plain;
        }
    }

    @Override
    Teacher predictor(Object plain) {
        return Teacher.of((SameDiff) plain, logits, features.toArray(String[]::new));
    }

    @Override
    double parameterSum(Object plain) {
        return ((SameDiff) plain)
                .variables().stream()
                        .filter(variable -> variable.getVariableType() == VariableType.VARIABLE)
                        .mapToDouble(variable -> wideSum(variable.getArr()))
                        .sum();
    }

    /** SameDiff has no order of layers: make variables constants if they shouldn't be trained. */
    @Override
    int freezable() {
        return 0;
    }

    /** The loss takes the teacher's values at any coefficient. */
    @Override
    boolean plainWithoutTeacher() {
        return false;
    }

    @Override
    void savePretrained(Path file) {
        save(copy(), file);
    }

    @Override
    List<String> names() {
        List<String> names = new ArrayList<>(List.of(logits, labels));
        names.addAll(features);
        return names;
    }

    @Override
    public void save(Object plain, Path file) {
        ((SameDiff) plain).save(file.toFile(), false);
    }

    @Override
    public Object load(Path file) {
        return SameDiff.load(file.toFile(), false);
    }
}
