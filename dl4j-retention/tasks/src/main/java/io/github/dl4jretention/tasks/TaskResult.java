package io.github.dl4jretention.tasks;

import io.github.dl4jretention.tasks.metric.Estimate;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.nd4j.shade.jackson.annotation.JsonAutoDetect;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * What a model did in one task.
 *
 * @param task      its name
 * @param kind      what it asks, in words
 * @param source    whether it's to be kept; else it's to be learned
 * @param metric    the metric that stands for it
 * @param metrics   all metrics, with their standard errors
 * @param truncated prompts that were longer than the context and lost their beginning
 * @param notes     what a reader must know, such as questions that a judge left out
 * @param questions each question with its marks
 */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
public record TaskResult(
        @JsonProperty("task") String task,
        @JsonProperty("kind") String kind,
        @JsonProperty("source") boolean source,
        @JsonProperty("metric") String metric,
        @JsonProperty("metrics") Map<String, Estimate> metrics,
        @JsonProperty("truncated") int truncated,
        @JsonProperty("notes") List<String> notes,
        @JsonProperty("questions") List<MarkedAnswer> questions) {

    /**
     * A question, what the model answered, and its marks.
     *
     * @param id     of the question
     * @param place  file and line of it
     * @param asked  the question, without examples
     * @param right  a right answer
     * @param answer of the model; of several samples the first
     * @param marks  by metric, 1 for right and 0 for wrong where it's one or the other; numbers that a metric is made of
     *     for the others
     */
    @JsonAutoDetect(
            fieldVisibility = JsonAutoDetect.Visibility.ANY,
            getterVisibility = JsonAutoDetect.Visibility.NONE,
            isGetterVisibility = JsonAutoDetect.Visibility.NONE)
    public record MarkedAnswer(
            @JsonProperty("id") String id,
            @JsonProperty("place") String place,
            @JsonProperty("asked") String asked,
            @JsonProperty("right") String right,
            @JsonProperty("answer") String answer,
            @JsonProperty("marks") Map<String, Double> marks) {}

    /** {@return the metric that stands for the task} */
    public Estimate estimate() {
        return Objects.requireNonNull(metrics.get(metric), metric);
    }

    /** {@return whether the task's metric is a share of right answers or won comparisons: the more the better, at most 1} */
    public boolean isShare() {
        return !metric.endsWith("perplexity");
    }
}
