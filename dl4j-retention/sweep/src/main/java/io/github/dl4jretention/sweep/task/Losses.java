package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.internal.JsonFields;
import java.io.Serializable;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * Mean cross-entropies on held-out text, in nats per token.
 *
 * @param target on what is to be learned
 * @param source on what must not be forgotten
 * @serial exclude
 */
@JsonFields
public record Losses(@JsonProperty("target") double target, @JsonProperty("source") double source)
        implements Serializable {

    /**
     * {@return how much better than the base on target text, in nats per token; below 0 where it is worse}
     *
     * @param base the pretrained model's, on the same texts
     */
    public double gain(Losses base) {
        return base.target - target;
    }

    /**
     * {@return how much worse than the base on source text, in nats per token; below 0 where it is better}
     *
     * @param base the pretrained model's, on the same texts
     */
    public double forgetting(Losses base) {
        return source - base.source;
    }
}
