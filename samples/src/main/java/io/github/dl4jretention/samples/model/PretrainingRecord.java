package io.github.dl4jretention.samples.model;

import java.util.List;
import org.nd4j.shade.jackson.annotation.JsonAutoDetect;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/** What made a sample model: enough to run the same command on the same text again. */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
public final class PretrainingRecord {

    private final String kind;
    private final String command;
    private final long seed;
    private final int steps;
    private final int batch;
    private final int sequenceLength;
    private final double learningRate;
    private final List<String> corpus;
    private final String corpusSha256;
    private final String networkSha256;
    private final String dl4j;
    private final String java;

    @JsonCreator
    PretrainingRecord(
            @JsonProperty(value = "kind", required = true) String kind,
            @JsonProperty("command") String command,
            @JsonProperty("seed") long seed,
            @JsonProperty("steps") int steps,
            @JsonProperty("batch") int batch,
            @JsonProperty("sequenceLength") int sequenceLength,
            @JsonProperty("learningRate") double learningRate,
            @JsonProperty("corpus") List<String> corpus,
            @JsonProperty(value = "corpusSha256", required = true) String corpusSha256,
            @JsonProperty(value = "networkSha256", required = true) String networkSha256,
            @JsonProperty("dl4j") String dl4j,
            @JsonProperty("java") String java) {
        this.kind = kind;
        this.command = command;
        this.seed = seed;
        this.steps = steps;
        this.batch = batch;
        this.sequenceLength = sequenceLength;
        this.learningRate = learningRate;
        this.corpus = corpus;
        this.corpusSha256 = corpusSha256;
        this.networkSha256 = networkSha256;
        this.dl4j = dl4j;
        this.java = java;
    }

    /** The provenance of a pretraining run, before its network's hash is known. */
    public static PretrainingRecord ofPretraining(
            ModelKind kind,
            String command,
            long seed,
            int steps,
            int batch,
            double learningRate,
            List<String> corpus,
            String corpusSha256) {
        return new PretrainingRecord(
                kind.name(),
                command,
                seed,
                steps,
                batch,
                ModelKind.CONTEXT,
                learningRate,
                corpus,
                corpusSha256,
                null,
                "1.0.0-M2.1",
                System.getProperty("java.version"));
    }

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

    /** SHA-256 of the text that the model was pretrained on, held-out parts included. */
    public String corpusSha256() {
        return corpusSha256;
    }

    /** SHA-256 of the network, by {@link io.github.dl4jretention.teacher.NetworkIdentity}. */
    public String networkSha256() {
        return networkSha256;
    }

    /** Which kind of model it is. */
    public ModelKind kind() {
        return ModelKind.valueOf(kind);
    }
}
