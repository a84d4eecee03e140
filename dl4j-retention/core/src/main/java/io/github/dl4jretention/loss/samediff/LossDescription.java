package io.github.dl4jretention.loss.samediff;

import io.github.dl4jretention.internal.SameDiffText;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionLoss;
import java.util.List;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.shade.jackson.annotation.JsonAutoDetect;
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
 * @param added             names of the variables that came with the loss; null in a SameDiff of an older version
 * @param losses            names of the loss variables before; null in a SameDiff of an older version
 */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
public record LossDescription(
        @JsonProperty("configuration") RetentionConfiguration configuration,
        @JsonProperty("logits") String logits,
        @JsonProperty("labels") String labels,
        @JsonProperty("weights") String weights,
        @JsonProperty("divergenceWeights") String divergenceWeights,
        @JsonProperty("added") List<String> added,
        @JsonProperty("losses") List<String> losses) {

    public static final String DESCRIPTION = "retentionDescription";

    @JsonCreator
    public LossDescription {}

    public void writeTo(SameDiff sd) {
        try {
            SameDiffText.write(sd, DESCRIPTION, NeuralNetConfiguration.mapper().writeValueAsString(this));
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("configuration: cannot be written as JSON: " + configuration, e);
        }
    }

    /** @throws IllegalStateException if the graph has no retention loss */
    public static LossDescription of(SameDiff sd) {
        return SameDiffText.read(sd, DESCRIPTION)
                .map(LossDescription::fromJson)
                .orElseThrow(() -> new IllegalStateException(
                        "sd: expected a graph with a loss from RetentionLoss.add, it has none"));
    }

    /** @throws IllegalArgumentException if the text is none of these descriptions */
    static LossDescription fromJson(String json) {
        try {
            return NeuralNetConfiguration.mapper().readValue(json, LossDescription.class);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException(
                    "sd: the graph's note of its retention loss is not readable: " + e.getOriginalMessage(), e);
        }
    }
}
