package io.github.dl4jretention.tasks.metric;

import org.nd4j.shade.jackson.annotation.JsonAutoDetect;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * A number and how sure it is.
 *
 * @param value         the number
 * @param standardError of it; NaN for fewer than two questions
 */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
public record Estimate(@JsonProperty("value") double value, @JsonProperty("standardError") double standardError) {}
