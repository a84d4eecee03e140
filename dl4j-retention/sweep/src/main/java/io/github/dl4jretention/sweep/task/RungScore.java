package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.internal.JsonFields;
import java.io.Serializable;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * A candidate's score on validation text part of the way.
 *
 * @param step  minibatches trained so far
 * @param score the less the better
 * @serial exclude
 */
@JsonFields
public record RungScore(@JsonProperty("step") int step, @JsonProperty("score") double score) implements Serializable {}
