package io.github.dl4jretention.sweep.space;

import io.github.dl4jretention.internal.JsonFields;
import io.github.dl4jretention.loss.RetentionConfiguration;
import java.io.Serializable;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * How one candidate is finetuned from the pretrained model.
 *
 * @param method plain, near the teacher, or a baseline
 * @param retention the loss near the teacher; null for any other method
 * @param learningRate finite and above 0
 * @param epochs passes over the training data, at least 1; as many as the steps need where there are steps
 * @param steps minibatches, at least 1; 0 for all of every epoch
 * @param frozenUpTo index of the last layer that is not trained, counted from the input; -1 for none. In graphs it's
 *     the index in topological order, and everything before that layer is frozen too
 * @param strength of a baseline, see {@link FinetuneMethod}; 0 for any other method
 * @param warmUp first steps in which the learning rate rises; 0 for none
 * @serial exclude
 */
@JsonFields
public record FinetuneConfiguration(
        @JsonProperty("method") FinetuneMethod method,
        @JsonProperty("retention") @Nullable RetentionConfiguration retention,
        @JsonProperty("learningRate") double learningRate,
        @JsonProperty("epochs") int epochs,
        @JsonProperty("steps") int steps,
        @JsonProperty("frozenUpTo") int frozenUpTo,
        @JsonProperty("strength") double strength,
        @JsonProperty("warmUp") int warmUp)
        implements Serializable {

    /**
     * Checks every part.
     *
     * @param method       plain, near the teacher, or a baseline
     * @param retention    the loss near the teacher; null for any other method
     * @param learningRate finite and above 0
     * @param epochs       passes over the training data, at least 1
     * @param steps        minibatches, at least 1; 0 for all of every epoch
     * @param frozenUpTo   index of the last layer that is not trained; -1 for none
     * @param strength     of a baseline; 0 for any other method
     * @param warmUp       first steps in which the learning rate rises; 0 for none
     * @throws IllegalArgumentException if a number is outside of its range, or there is a loss for another method than
     *     retention or none for it; the message names it
     */
    @JsonCreator
    public FinetuneConfiguration {
        Objects.requireNonNull(method, "method");
        if (method.hasRetention() != (retention != null)) {
            throw new IllegalArgumentException("retention: expected a configuration for " + FinetuneMethod.RETENTION
                    + ", " + FinetuneMethod.SELF_REPLAY + " and " + FinetuneMethod.SELF_REPLAY_RETENTION + " only, got "
                    + retention + " for " + method);
        }
        require(
                learningRate > 0 && Double.isFinite(learningRate),
                "learningRate: expected a finite number above 0, got " + learningRate);
        require(epochs >= 1, "epochs: expected at least 1, got " + epochs);
        require(steps >= 0, "steps: expected at least 0, got " + steps);
        require(frozenUpTo >= -1, "frozenUpTo: expected at least -1, got " + frozenUpTo);
        require(
                method.allows(strength),
                "strength: expected " + method.strengths() + " for " + method + ", got " + strength);
        require(warmUp >= 0, "warmUp: expected at least 0 steps, got " + warmUp);
    }

    /**
     * Makes a configuration without a warm-up.
     *
     * @param method       plain, near the teacher, or a baseline
     * @param retention    the loss near the teacher; null for any other method
     * @param learningRate finite and above 0
     * @param epochs       passes over the training data, at least 1
     * @param steps        minibatches, at least 1; 0 for all of every epoch
     * @param frozenUpTo   index of the last layer that is not trained; -1 for none
     * @param strength     of a baseline; 0 for any other method
     * @throws IllegalArgumentException if a number is outside of its range; the message names it
     */
    public FinetuneConfiguration(
            FinetuneMethod method,
            @Nullable RetentionConfiguration retention,
            double learningRate,
            int epochs,
            int steps,
            int frozenUpTo,
            double strength) {
        this(method, retention, learningRate, epochs, steps, frozenUpTo, strength, 0);
    }

    /**
     * Makes a configuration for a method that has no strength.
     *
     * @param method       plain, near the teacher, or a baseline
     * @param retention    the loss near the teacher; null for any other method
     * @param learningRate finite and above 0
     * @param epochs       passes over the training data, at least 1
     * @param steps        minibatches, at least 1; 0 for all of every epoch
     * @param frozenUpTo   index of the last layer that is not trained; -1 for none
     * @throws IllegalArgumentException if a number is outside of its range; the message names it
     */
    public FinetuneConfiguration(
            FinetuneMethod method,
            RetentionConfiguration retention,
            double learningRate,
            int epochs,
            int steps,
            int frozenUpTo) {
        this(method, retention, learningRate, epochs, steps, frozenUpTo, 0, 0);
    }

    private static void require(boolean condition, String message) {
        if (!condition) {
            throw new IllegalArgumentException(message);
        }
    }
}
