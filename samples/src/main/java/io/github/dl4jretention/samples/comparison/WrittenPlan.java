package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.baseline.SelfReplay;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * How the base writes for self-replay, and how much of it is in a minibatch.
 *
 * @param count       sequences; 0 for as many as the plan's {@code importanceExamples}
 * @param length      tokens of a sequence; 0 for as many as a window of the target has
 * @param temperature of the sampling
 * @param prefix      tokens of target text that each sequence begins with
 * @param prompt      token that each sequence begins with, in place of target text; null for none
 * @param share       of written sequences in a minibatch
 * @param labels      weight of the written tokens as labels
 */
public record WrittenPlan(
        int count, int length, double temperature, int prefix, @Nullable Integer prompt, double share, double labels)
        implements Serializable {

    static final WrittenPlan DEFAULT = new WrittenPlan(0, 0, 1, 1, null, Method.SHARE, 0);

    /** For JSON. */
    @JsonCreator
    public static WrittenPlan of(
            @JsonProperty("count") @Nullable Integer count,
            @JsonProperty("length") @Nullable Integer length,
            @JsonProperty("temperature") @Nullable Double temperature,
            @JsonProperty("prefix") @Nullable Integer prefix,
            @JsonProperty("prompt") @Nullable Integer prompt,
            @JsonProperty("share") @Nullable Double share,
            @JsonProperty("labels") @Nullable Double labels) {
        return new WrittenPlan(
                count == null ? DEFAULT.count : count,
                length == null ? DEFAULT.length : length,
                temperature == null ? DEFAULT.temperature : temperature,
                prefix == null ? DEFAULT.prefix : prefix,
                prompt,
                share == null ? DEFAULT.share : share,
                labels == null ? DEFAULT.labels : labels);
    }

    /** @throws IllegalArgumentException if a number is outside of its range */
    public WrittenPlan {
        if (count < 0
                || length < 0
                || !(temperature > 0)
                || prefix < 1
                || prompt != null && prompt < 0
                || !(labels >= 0)) {
            throw new IllegalArgumentException(
                    "written: expected a count and a length of at least 0, a temperature above 0, a prefix of at least 1 token, a"
                            + " prompt that is a token's id and labels of at least 0, got "
                            + List.of(count, length, temperature, prefix, String.valueOf(prompt), labels));
        }
        if (!(share > 0 && share < 1)) {
            throw new IllegalArgumentException("written: expected a share above 0 and below 1, got " + share);
        }
    }

    /** Sets what {@link SelfReplay} is sampled with. */
    SelfReplay.Builder apply(SelfReplay.Builder builder) {
        SelfReplay.Builder set = builder.temperature(temperature).labels(labels);
        if (length > 0) {
            set.length(length);
        }
        return prompt == null ? set.prefix(prefix) : set.prompts(new int[] {prompt});
    }

    /** What differs from the default. */
    List<String> words() {
        List<String> words = new ArrayList<>();
        if (count != DEFAULT.count) {
            words.add("count " + count);
        }
        if (length != DEFAULT.length) {
            words.add("length " + length);
        }
        if (temperature != DEFAULT.temperature) {
            words.add("temperature " + temperature);
        }
        if (prefix != DEFAULT.prefix) {
            words.add("prefix " + prefix);
        }
        if (prompt != null) {
            words.add("prompt " + prompt);
        }
        if (share != DEFAULT.share) {
            words.add("share " + share);
        }
        if (labels != DEFAULT.labels) {
            words.add("labels " + labels);
        }
        return words;
    }
}
