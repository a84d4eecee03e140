package io.github.dl4jretention.loss;

import io.github.dl4jretention.internal.JsonFields;
import java.io.Serializable;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * A coefficient that is steered so that the divergence from the teacher stays at a target. After every iteration
 *
 * <pre>
 * error  = min(clip, max(-clip, divergence / target - 1))
 * lambda = min(upper, max(lower, lambda (1 + error / horizon)))
 * </pre>
 *
 * so that lambda rises while the student is farther from its teacher than wanted and falls while it is nearer.
 *
 * <p>The bounds keep lambda where it can come back from: a student that stays nearer than the target for 36,000 steps
 * would otherwise take lambda to 1e-322, and one that can't come nearer to infinity. With the defaults it's at most 465
 * steps from a bound to {@code initial}.
 *
 * <p>Source: Ziegler et al., Fine-Tuning Language Models from Human Preferences, arXiv 1909.08593, section 2.2, whose
 * constants are the defaults (clip 0.2, K = 1 / horizon = 0.1). It is the controller of PPO trainers. The paper has no
 * bounds.
 *
 * @param initial first lambda, finite and above 0; default 1
 * @param target  wanted mean divergence in nats per token, at the configured temperature and without {@code T^2}
 * @param horizon iterations over which an error of 100 % would double lambda if it were not clipped, at least 1;
 *     default 10
 * @param clip    largest error that counts, in (0, 1] and below horizon; default 0.2
 * @param lower   smallest lambda, above 0 and at most {@code initial}; default {@code initial / 10000}
 * @param upper   largest lambda, finite and at least {@code initial}; default {@code 10000 initial}
 */
@JsonFields
public record AdaptiveCoefficient(
        double initial, double target, double horizon, double clip, double lower, double upper)
        implements Serializable {

    private static final double HORIZON = 10;
    private static final double CLIP = 0.2;
    private static final double RANGE = 1e4;

    /**
     * @param initial finite and above 0
     * @param target  in nats per token, finite and above 0
     * @param horizon in iterations, finite and at least 1
     * @param clip    in (0, 1] and below horizon
     * @param lower   above 0 and at most initial
     * @param upper   finite and at least initial
     * @throws IllegalArgumentException if a number is outside of its range; the message names it
     */
    public AdaptiveCoefficient {
        require(initial > 0 && Double.isFinite(initial), "initial: expected a finite number above 0, got ", initial);
        require(
                target > 0 && Double.isFinite(target),
                "target: expected a finite number of nats above 0, got ",
                target);
        require(horizon >= 1 && Double.isFinite(horizon), "horizon: expected at least 1 iteration, got ", horizon);
        require(clip > 0 && clip <= 1, "clip: expected a number in (0, 1], got ", clip);
        require(clip < horizon, "clip: expected less than horizon, or lambda could become 0 for ever, got ", clip);
        require(lower > 0 && lower <= initial, "lower: expected a number above 0 and at most initial, got ", lower);
        require(
                upper >= initial && Double.isFinite(upper),
                "upper: expected a finite number of at least initial, got ",
                upper);
    }

    /**
     * With the default bounds, from {@code initial / 10000} to {@code 10000 initial}.
     *
     * @param initial finite and above 0
     * @param target  in nats per token, finite and above 0
     * @param horizon in iterations, finite and at least 1
     * @param clip    in (0, 1] and below horizon
     * @throws IllegalArgumentException if a number is outside of its range; the message names it
     */
    public AdaptiveCoefficient(double initial, double target, double horizon, double clip) {
        this(
                initial,
                target,
                horizon,
                clip,
                Math.max(initial / RANGE, Double.MIN_VALUE),
                Math.min(RANGE * initial, Double.MAX_VALUE));
    }

    /** Bounds may be missing: files of earlier versions have none. */
    @JsonCreator
    static AdaptiveCoefficient of(
            @JsonProperty("initial") double initial,
            @JsonProperty("target") double target,
            @JsonProperty("horizon") double horizon,
            @JsonProperty("clip") double clip,
            @JsonProperty("lower") @Nullable Double lower,
            @JsonProperty("upper") @Nullable Double upper) {
        AdaptiveCoefficient standard = new AdaptiveCoefficient(initial, target, horizon, clip);
        return new AdaptiveCoefficient(
                initial,
                target,
                horizon,
                clip,
                lower == null ? standard.lower : lower,
                upper == null ? standard.upper : upper);
    }

    /**
     * {@return a coefficient that starts at lambda = 1, with horizon 10, clip 0.2 and bounds of 0.0001 and 10000}
     *
     * @param target wanted mean divergence in nats per token, finite and above 0
     */
    public static AdaptiveCoefficient toward(double target) {
        return new AdaptiveCoefficient(1, target, HORIZON, CLIP);
    }

    /**
     * {@return a coefficient that starts high, and comes down to what the target needs} At the start the divergence and its
     * gradient are 0, so the first steps go unopposed whatever lambda is, but from the second one on a high lambda pulls
     * back what they did. Lambda starts at {@code highest}, which is its upper bound too. While the student is nearer to its
     * teacher than the target it falls by {@code 1 - clip / horizon} = 0.98 a step: from 30 to 1 in 169 steps, to 0.1 in
     * 283.
     *
     * @param highest first and largest lambda, finite and above 0; 30, say
     * @param target  wanted mean divergence in nats per token, finite and above 0
     */
    public static AdaptiveCoefficient fromAbove(double highest, double target) {
        return new AdaptiveCoefficient(
                highest, target, HORIZON, CLIP, Math.max(highest / RANGE, Double.MIN_VALUE), highest);
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
        return Math.min(upper, Math.max(lower, lambda * (1 + error / horizon)));
    }

    private static void require(boolean condition, String message, double found) {
        if (!condition) {
            throw new IllegalArgumentException(message + found);
        }
    }
}
