package io.github.dl4jretention.sweep.task;

import java.io.Serializable;
import org.nd4j.shade.jackson.annotation.JsonAutoDetect;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * Mean cross-entropies on held-out text, in nats per token.
 *
 * @param target on what is to be learned
 * @param source on what must not be forgotten
 */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
public record Losses(@JsonProperty("target") double target, @JsonProperty("source") double source)
        implements Serializable {

    @JsonCreator
    public Losses {}

    /** How much better than the base on target text. */
    public double gain(Losses base) {
        return base.target - target;
    }

    /** How much worse than the base on source text. */
    public double forgetting(Losses base) {
        return source - base.source;
    }
}
