package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.internal.JsonFields;
import java.io.Serializable;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * A point of a training curve: means over the minibatches since the point before, in nats per token.
 *
 * @param step         last minibatch that counts, from 1
 * @param crossEntropy on the training text
 * @param divergence   from the teacher; NaN without one
 * @serial exclude
 */
@JsonFields
public record CurvePoint(
        @JsonProperty("step") int step,
        @JsonProperty("crossEntropy") double crossEntropy,
        @JsonProperty("divergence") double divergence)
        implements Serializable {}
