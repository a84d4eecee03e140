package io.github.dl4jretention.loss.samediff;

import io.github.dl4jretention.internal.SameDiffText;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionLoss;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.graph.FlatGraph;

/**
 * What a SameDiff model with a {@link RetentionLoss} knows of it.
 *
 * @param teacher       SHA-256 of the only teacher that the model accepts; null if it has met none
 * @param configuration the loss
 * @param logits        name of the variable of the logits
 * @param coefficient   lambda as the next minibatch is trained with; of a saved model with a schedule, that of the last
 */
public record SameDiffLossState(
        @Nullable String teacher, RetentionConfiguration configuration, String logits, double coefficient) {

    /**
     * {@return what the model knows of its loss}
     *
     * @param sd a model with its arrays, as {@link RetentionLoss#add} left it or as it was loaded
     * @throws IllegalStateException if the model has no such loss
     */
    public static SameDiffLossState of(SameDiff sd) {
        LossDescription description = LossDescription.of(sd);
        RetentionConfiguration configuration = description.configuration();
        TrainingConfig training = sd.getTrainingConfig();
        double saved = sd.getVariable(RetentionLoss.FACTOR).getArr().getDouble(0) / squaredTemperature(configuration);
        return new SameDiffLossState(
                SameDiffText.read(sd, RetentionLoss.TEACHER_SHA256).orElse(null),
                configuration,
                description.logits(),
                training == null
                        ? saved
                        : description.coefficientAt(training.getIterationCount(), training.getEpochCount(), saved));
    }

    /**
     * {@return what a model as it was saved knows of its loss, read without making arrays of it}
     *
     * @param saved the model as FlatBuffers
     * @throws IllegalArgumentException if the model has no such loss
     * @throws RuntimeException of some kind, if the bytes are no model
     */
    public static SameDiffLossState of(FlatGraph saved) {
        LossDescription description = SameDiffText.read(saved, LossDescription.DESCRIPTION)
                .map(LossDescription::fromJson)
                .orElseThrow(() -> new IllegalArgumentException("expected a model with a loss from RetentionLoss.add"));
        double factor = SameDiffText.bytes(saved, RetentionLoss.FACTOR)
                .map(SameDiffLossState::number)
                .orElse(Double.NaN);
        return new SameDiffLossState(
                SameDiffText.read(saved, RetentionLoss.TEACHER_SHA256).orElse(null),
                description.configuration(),
                description.logits(),
                factor / squaredTemperature(description.configuration()));
    }

    /** In two bytes it is a BFLOAT16, the first half of a FLOAT: the loss of HALF logits is computed in FLOAT. */
    private static double number(ByteBuffer bytes) {
        return switch (bytes.remaining()) {
            case Double.BYTES -> bytes.getDouble();
            case Short.BYTES -> Float.intBitsToFloat(bytes.getShort() << Short.SIZE);
            default -> bytes.getFloat();
        };
    }

    private static double squaredTemperature(RetentionConfiguration configuration) {
        return configuration.getTemperature() * configuration.getTemperature();
    }
}
