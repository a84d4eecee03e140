package io.github.dl4jretention.loss;

import java.io.Serializable;
import org.nd4j.shade.jackson.annotation.JsonAutoDetect;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * A coefficient that is steered so that the divergence from the teacher stays at a target. After every iteration
 *
 * <pre>
 * error  = min(clip, max(-clip, divergence / target - 1))
 * lambda = lambda (1 + error / horizon)
 * </pre>
 *
 * so that lambda rises while the student is farther from its teacher than wanted and falls while it is nearer.
 *
 * <p>Source: Ziegler et al., Fine-Tuning Language Models from Human Preferences, arXiv 1909.08593, section 2.2, whose
 * constants are the defaults (clip 0.2, K = 1 / horizon = 0.1). It is the controller of PPO trainers.
 *
 * @param initial first lambda, finite and above 0; default 1
 * @param target  wanted mean divergence in nats per token, at the configured temperature and without {@code T^2}
 * @param horizon iterations over which an error of 100 % would double lambda if it were not clipped, at least 1;
 *     default 10
 * @param clip    largest error that counts, in (0, 1] and below horizon; default 0.2
 */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
public record AdaptiveCoefficient(
        @JsonProperty("initial") double initial,
        @JsonProperty("target") double target,
        @JsonProperty("horizon") double horizon,
        @JsonProperty("clip") double clip)
        implements Serializable {

    private static final double HORIZON = 10;
    private static final double CLIP = 0.2;

    /**
     * @param initial finite and above 0
     * @param target  in nats per token, finite and above 0
     * @param horizon in iterations, finite and at least 1
     * @param clip    in (0, 1] and below horizon
     * @throws IllegalArgumentException if a number is outside of its range; the message names it
     */
    @JsonCreator
    public AdaptiveCoefficient {
        require(initial > 0 && Double.isFinite(initial), "initial: expected a finite number above 0, got ", initial);
        require(
                target > 0 && Double.isFinite(target),
                "target: expected a finite number of nats above 0, got ",
                target);
        require(horizon >= 1 && Double.isFinite(horizon), "horizon: expected at least 1 iteration, got ", horizon);
        require(clip > 0 && clip <= 1, "clip: expected a number in (0, 1], got ", clip);
        require(clip < horizon, "clip: expected less than horizon, or lambda could become 0 for ever, got ", clip);
    }

    /**
     * {@return a coefficient that starts at lambda = 1, with horizon 10 and clip 0.2}
     *
     * @param target wanted mean divergence in nats per token, finite and above 0
     */
    public static AdaptiveCoefficient toward(double target) {
        return new AdaptiveCoefficient(1, target, HORIZON, CLIP);
    }

    /**
     * {@return the next lambda, by the class's formula}
     *
     * @param lambda     the present one
     * @param divergence the mean divergence of the last minibatch in nats per token; NaN (nothing measured) changes
     *     nothing
     */
    public double next(double lambda, double divergence) {
        if (Double.isNaN(divergence)) {
            return lambda;
        }
        double error = Math.min(clip, Math.max(-clip, divergence / target - 1));
        return lambda * (1 + error / horizon);
    }

    private static void require(boolean condition, String message, double found) {
        if (!condition) {
            throw new IllegalArgumentException(message + found);
        }
    }
}
