package io.github.dl4jretention.loss.samediff;

import io.github.dl4jretention.internal.JsonFields;
import io.github.dl4jretention.internal.SameDiffText;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionLoss;
import java.util.List;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;
import org.nd4j.shade.jackson.core.JsonProcessingException;

/**
 * What a {@link RetentionLoss} was added with, kept in the SameDiff itself as a constant, so that it's saved with it.
 *
 * @param configuration     the loss
 * @param logits            name of the variable of the logits
 * @param labels            name of the labels
 * @param weights           name of the cross-entropy's weights; null for none
 * @param divergenceWeights name of the divergence's weights; null for none
 * @param losses            names of the loss variables before; null in a SameDiff of an older version
 * @param start             what {@code Retention.attach} found; null if the loss was added by {@link RetentionLoss#add}
 */
@JsonFields
public record LossDescription(
        @JsonProperty("configuration") RetentionConfiguration configuration,
        @JsonProperty("logits") String logits,
        @JsonProperty("labels") String labels,
        @JsonProperty("weights") @Nullable String weights,
        @JsonProperty("divergenceWeights") @Nullable String divergenceWeights,
        @JsonProperty("losses") @Nullable List<String> losses,
        @JsonProperty("start") @Nullable Start start) {

    public static final String DESCRIPTION = "retentionDescription";

    public static final String CROSS_ENTROPY_SUM = "retentionCrossEntropySum";
    public static final String DIVERGENCE_SUM = "retentionDivergenceSum";

    /** Only where it isn't the sum of the cross-entropies. */
    public static final String OBJECTIVE_SUM = "retentionObjectiveSum";

    public static final String TOKENS = "retentionTokens";
    public static final String DIVERGENCE_TOKENS = "retentionDivergenceTokens";

    /** Names of what the loss computes. */
    public static final List<String> RESULTS =
            List.of(RetentionLoss.LOSS, CROSS_ENTROPY_SUM, OBJECTIVE_SUM, DIVERGENCE_SUM, TOKENS, DIVERGENCE_TOKENS);

    @JsonCreator
    public LossDescription {}

    /**
     * What a model was like when it became a student.
     *
     * @param iteration  its count of iterations, at which the coefficient's schedule is asked for its iteration 0
     * @param epoch      its count of epochs, likewise
     * @param ownLabels  whether it had the placeholder of the labels
     * @param mapping    of its training configuration; null if it had no training configuration
     */
    @JsonFields
    public record Start(
            @JsonProperty("iteration") int iteration,
            @JsonProperty("epoch") int epoch,
            @JsonProperty("ownLabels") boolean ownLabels,
            @JsonProperty("mapping") @Nullable Mapping mapping) {

        @JsonCreator
        public Start {}
    }

    /**
     * What a training configuration gives to which placeholders.
     *
     * @param features      names for the features
     * @param labels        names for the labels
     * @param featuresMasks names for the masks of features
     * @param labelsMasks   names for the masks of labels
     */
    @JsonFields
    public record Mapping(
            @JsonProperty("features") @Nullable List<String> features,
            @JsonProperty("labels") @Nullable List<String> labels,
            @JsonProperty("featuresMasks") @Nullable List<String> featuresMasks,
            @JsonProperty("labelsMasks") @Nullable List<String> labelsMasks) {

        @JsonCreator
        public Mapping {}

        /** {@return what a configuration has} */
        public static Mapping of(TrainingConfig training) {
            return new Mapping(
                    training.getDataSetFeatureMapping(),
                    training.getDataSetLabelMapping(),
                    training.getDataSetFeatureMaskMapping(),
                    training.getDataSetLabelMaskMapping());
        }

        /** Makes a configuration's mapping this one. */
        public void applyTo(TrainingConfig training) {
            training.setDataSetFeatureMapping(features);
            training.setDataSetLabelMapping(labels);
            training.setDataSetFeatureMaskMapping(featuresMasks);
            training.setDataSetLabelMaskMapping(labelsMasks);
        }
    }

    /** {@return the same with another start} */
    public LossDescription startingAt(Start other) {
        return new LossDescription(configuration, logits, labels, weights, divergenceWeights, losses, other);
    }

    /**
     * {@return lambda at a count of iterations and epochs: a schedule begins at the student's first step}
     *
     * @param iteration the model's count
     * @param epoch     the model's count
     * @param adapted   present value of an adaptive coefficient; null for none
     */
    public double coefficientAt(int iteration, int epoch, @Nullable Double adapted) {
        return configuration.coefficientAt(
                Math.max(0, iteration - (start == null ? 0 : start.iteration())),
                Math.max(0, epoch - (start == null ? 0 : start.epoch())),
                adapted);
    }

    /**
     * {@return these as JSON}
     *
     * @throws IllegalArgumentException if they can't be written, or read back
     */
    public String toJson() {
        try {
            String json = NeuralNetConfiguration.mapper().writeValueAsString(this);
            NeuralNetConfiguration.mapper().readValue(json, LossDescription.class);
            return json;
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException(
                    "configuration: expected one that can be written as JSON and read back, as a SameDiff keeps it, got "
                            + configuration + ": " + e.getOriginalMessage()
                            + "; give the values of a RampSchedule as a MapSchedule",
                    e);
        }
    }

    public void writeTo(SameDiff sd) {
        SameDiffText.write(sd, DESCRIPTION, toJson());
    }

    /** @throws IllegalStateException if the model has no retention loss */
    public static LossDescription of(SameDiff sd) {
        return SameDiffText.read(sd, DESCRIPTION)
                .map(LossDescription::fromJson)
                .orElseThrow(() -> new IllegalStateException(
                        "sd: expected a model with a loss from RetentionLoss.add, it has none"));
    }

    /** @throws IllegalArgumentException if the text is none of these descriptions */
    static LossDescription fromJson(String json) {
        try {
            return NeuralNetConfiguration.mapper().readValue(json, LossDescription.class);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException(
                    "sd: the model's note of its retention loss is not readable: " + e.getOriginalMessage(), e);
        }
    }
}
