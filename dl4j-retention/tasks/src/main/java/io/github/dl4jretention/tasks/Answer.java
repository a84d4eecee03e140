package io.github.dl4jretention.tasks;

import java.util.List;
import org.nd4j.shade.jackson.annotation.JsonAutoDetect;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * What a model answered to one question, before it's marked.
 *
 * @param question  its number, from 0
 * @param values    log-probability of each choice, or of the text, in nats; or 1 for each program that passed, else 0
 * @param texts     what the model wrote, one for each sample
 * @param notes     why programs failed
 * @param tokens    of a text that was measured; else 0
 * @param truncated whether the prompt was longer than the context and lost its beginning
 */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
record Answer(
        @JsonProperty("question") int question,
        @JsonProperty("values") List<Double> values,
        @JsonProperty("texts") List<String> texts,
        @JsonProperty("notes") List<String> notes,
        @JsonProperty("tokens") int tokens,
        @JsonProperty("truncated") boolean truncated) {}
