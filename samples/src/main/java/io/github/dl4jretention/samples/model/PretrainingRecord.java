package io.github.dl4jretention.samples.model;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.annotation.JsonAutoDetect;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * What made a sample model: enough to run the same command on the same text again.
 *
 * @param corpus        names of the source jars
 * @param corpusSha256  of the text that the model was pretrained on, held-out parts included
 * @param networkSha256 of the network, by {@link io.github.dl4jretention.teacher.NetworkIdentity}; null until it's saved
 */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
public record PretrainingRecord(
        @JsonProperty(value = "kind", required = true) ModelKind kind,
        @JsonProperty("command") String command,
        @JsonProperty("seed") long seed,
        @JsonProperty("steps") int steps,
        @JsonProperty("batch") int batch,
        @JsonProperty("sequenceLength") int sequenceLength,
        @JsonProperty("learningRate") double learningRate,
        @JsonProperty("corpus") List<String> corpus,
        @JsonProperty(value = "corpusSha256", required = true) String corpusSha256,
        @JsonProperty(value = "networkSha256", required = true) @Nullable String networkSha256,
        @JsonProperty("dl4j") String dl4j,
        @JsonProperty("java") String java) {

    PretrainingRecord withNetworkSha256(String sha256) {
        return new PretrainingRecord(
                kind,
                command,
                seed,
                steps,
                batch,
                sequenceLength,
                learningRate,
                corpus,
                corpusSha256,
                sha256,
                dl4j,
                java);
    }
}
