package io.github.dl4jretention.loss;

import java.io.Serializable;
import java.util.Objects;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * What the retention term is: {@code lambda * T^2 * D(p0^(T), p^(T))} for every token, in nats.
 *
 * <p>{@code p^(T) = softmax(z / T)} is the student's distribution, {@code p0^(T)} the teacher's. The factor {@code T^2}
 * keeps the gradient's size independent of the temperature (Hinton et al., arXiv 1503.02531, section 2). Immutable.
 */
public final class RetentionConfiguration implements Serializable {

    private static final long serialVersionUID = 1L;

    private final Divergence divergence;
    private final double coefficient;
    private final double temperature;

    @JsonCreator
    RetentionConfiguration(
            @JsonProperty("divergence") Divergence divergence,
            @JsonProperty("coefficient") double coefficient,
            @JsonProperty("temperature") double temperature) {
        this.divergence = Objects.requireNonNull(divergence, "divergence");
        if (!(coefficient >= 0) || Double.isInfinite(coefficient)) {
            throw new IllegalArgumentException(
                    "coefficient: expected a finite number of at least 0, got " + coefficient);
        }
        if (!(temperature > 0) || Double.isInfinite(temperature)) {
            throw new IllegalArgumentException("temperature: expected a finite number above 0, got " + temperature);
        }
        this.coefficient = coefficient;
        this.temperature = temperature;
    }

    /** A builder with the defaults: forward KL, coefficient 1, temperature 1. */
    public static Builder builder() {
        return new Builder();
    }

    /** The divergence; default {@link Divergence#FORWARD_KL}. */
    public Divergence getDivergence() {
        return divergence;
    }

    /** Lambda, the weight of the divergence against the cross-entropy; default 1. At 0 only the cross-entropy counts. */
    public double getCoefficient() {
        return coefficient;
    }

    /** T, applied to both networks' logits in the divergence and not in the cross-entropy; default 1. */
    public double getTemperature() {
        return temperature;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof RetentionConfiguration that
                && divergence == that.divergence
                && Double.compare(coefficient, that.coefficient) == 0
                && Double.compare(temperature, that.temperature) == 0;
    }

    @Override
    public int hashCode() {
        // An enum's own hash code differs from one JVM to the next.
        return Objects.hash(divergence.name(), coefficient, temperature);
    }

    @Override
    public String toString() {
        return "RetentionConfiguration(divergence=" + divergence + ", coefficient=" + coefficient + ", temperature="
                + temperature + ")";
    }

    /** Builds a {@link RetentionConfiguration}. */
    public static final class Builder {

        private Divergence divergence = Divergence.FORWARD_KL;
        private double coefficient = 1;
        private double temperature = 1;

        private Builder() {}

        /** @param divergence which divergence; default {@link Divergence#FORWARD_KL} */
        public Builder divergence(Divergence divergence) {
            this.divergence = divergence;
            return this;
        }

        /** @param coefficient lambda, finite and at least 0; default 1 */
        public Builder coefficient(double coefficient) {
            this.coefficient = coefficient;
            return this;
        }

        /** @param temperature T, finite and above 0; default 1 */
        public Builder temperature(double temperature) {
            this.temperature = temperature;
            return this;
        }

        /**
         * @throws IllegalArgumentException if the coefficient is negative or not finite, or the temperature is not above
         *     0 or not finite
         * @throws NullPointerException if the divergence is null
         */
        public RetentionConfiguration build() {
            return new RetentionConfiguration(divergence, coefficient, temperature);
        }
    }
}
