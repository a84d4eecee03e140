package io.github.dl4jretention.sweep.task;

import java.io.Serializable;
import org.nd4j.shade.jackson.annotation.JsonAutoDetect;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * A candidate's score on validation text part of the way.
 *
 * @param step  minibatches trained so far
 * @param score the less the better
 * @serial exclude
 */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
public record RungScore(@JsonProperty("step") int step, @JsonProperty("score") double score) implements Serializable {}
