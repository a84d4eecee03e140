package io.github.dl4jretention.checkpoint;

import java.util.Map;
import java.util.Objects;
import org.nd4j.shade.jackson.annotation.JsonAutoDetect;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * Where a run stands, in a checkpoint.
 *
 * @param kind               the kind of model
 * @param seed               of the run
 * @param iteration          minibatches trained so far
 * @param epoch              epochs finished
 * @param position           minibatches of the unfinished epoch
 * @param checksum           of these minibatches
 * @param iterationsPerEpoch 0 before the first epoch has ended
 * @param entries            CRC-32 of all other entries by their names
 */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
record RunState(
        @JsonProperty("kind") String kind,
        @JsonProperty("seed") long seed,
        @JsonProperty("iteration") int iteration,
        @JsonProperty("epoch") int epoch,
        @JsonProperty("position") int position,
        @JsonProperty("checksum") String checksum,
        @JsonProperty("iterationsPerEpoch") int iterationsPerEpoch,
        @JsonProperty("entries") Map<String, Long> entries) {

    static final String ENTRY = "run.json";

    @JsonCreator
    RunState {
        Objects.requireNonNull(kind, "kind");
        Objects.requireNonNull(checksum, "checksum");
        Objects.requireNonNull(entries, "entries");
        if (iteration < 0 || epoch < 0 || position < 0 || position > iteration) {
            throw new IllegalArgumentException("iteration, epoch, position: expected numbers of at least 0, got "
                    + iteration + ", " + epoch + ", " + position);
        }
    }

    RunState withEntries(Map<String, Long> checksums) {
        return new RunState(kind, seed, iteration, epoch, position, checksum, iterationsPerEpoch, checksums);
    }
}
