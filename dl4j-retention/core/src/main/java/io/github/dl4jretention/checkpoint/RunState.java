package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.JsonFields;
import io.github.dl4jretention.teacher.DivergenceMask;
import java.util.Map;
import java.util.Objects;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * Where a run stands, in a checkpoint.
 *
 * @param kind               the kind of model
 * @param seed               of the run
 * @param mask               name of the divergence's mask
 * @param iteration          steps trained so far
 * @param epoch              epochs finished
 * @param position           minibatches of the unfinished epoch
 * @param checksum           of these minibatches
 * @param iterationsPerEpoch 0 before the first epoch has ended
 * @param startIterations    iterations of the network before the run
 * @param startEpochs        epochs of the network before the run
 * @param accumulate         minibatches of a step; 0 in checkpoints of older versions, which had one
 * @param entries            CRC-32 of all other entries by their names
 */
@JsonFields
record RunState(
        @JsonProperty("kind") String kind,
        @JsonProperty("seed") long seed,
        @JsonProperty("mask") String mask,
        @JsonProperty("iteration") int iteration,
        @JsonProperty("epoch") int epoch,
        @JsonProperty("position") int position,
        @JsonProperty("checksum") String checksum,
        @JsonProperty("iterationsPerEpoch") int iterationsPerEpoch,
        @JsonProperty("startIterations") int startIterations,
        @JsonProperty("startEpochs") int startEpochs,
        @JsonProperty("accumulate") int accumulate,
        @JsonProperty("entries") Map<String, Long> entries) {

    static final String ENTRY = "run.json";

    @JsonCreator
    RunState {
        Objects.requireNonNull(kind, "kind");
        Objects.requireNonNull(mask, "mask");
        Objects.requireNonNull(checksum, "checksum");
        entries = Map.copyOf(entries);
        accumulate = Math.max(1, accumulate);
        if (iteration < 0 || epoch < 0 || position < 0 || position > (long) iteration * accumulate) {
            throw new IllegalArgumentException("iteration, epoch, position: expected numbers of at least 0, got "
                    + iteration + ", " + epoch + ", " + position);
        }
    }

    /** One that is not of this library has no name of its own: two such are not told apart. */
    static String nameOf(DivergenceMask mask) {
        if (mask == DivergenceMask.LABEL_MASK) {
            return "LABEL_MASK";
        }
        if (mask == DivergenceMask.PROMPTS) {
            return "PROMPTS";
        }
        return mask == DivergenceMask.ALL_TOKENS ? "ALL_TOKENS" : mask.name();
    }
}
