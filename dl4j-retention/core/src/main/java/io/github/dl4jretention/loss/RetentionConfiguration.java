package io.github.dl4jretention.loss;

import java.io.Serializable;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.schedule.ISchedule;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonInclude;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * What the retention term is: {@code lambda * T^2 * D(p0^(T), p^(T))} for every token, in nats.
 *
 * <p>{@code p^(T) = softmax(z / T)} is the student's distribution, {@code p0^(T)} the teacher's. The factor {@code T^2}
 * keeps the gradient's size independent of the temperature (Hinton et al., arXiv 1503.02531, section 2). Lambda is
 * constant, follows an ND4J schedule, or is steered to a divergence, see {@link AdaptiveCoefficient}. Immutable.
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public final class RetentionConfiguration implements Serializable {

    private static final long serialVersionUID = 1L;
    private static final double BETA = 0.5;

    private final Divergence divergence;
    private final double beta;
    private final double coefficient;
    private final @Nullable ISchedule schedule;
    private final @Nullable AdaptiveCoefficient adaptive;
    private final double temperature;
    private final double labelSmoothing;
    private final @Nullable TokenWeight tokenWeight;
    private final @Nullable Preference preference;

    @JsonCreator
    RetentionConfiguration(
            @JsonProperty("divergence") Divergence divergence,
            @JsonProperty("beta") Double beta,
            @JsonProperty("coefficient") double coefficient,
            @JsonProperty("schedule") @Nullable ISchedule schedule,
            @JsonProperty("adaptive") @Nullable AdaptiveCoefficient adaptive,
            @JsonProperty("temperature") double temperature,
            @JsonProperty("labelSmoothing") double labelSmoothing,
            @JsonProperty("tokenWeight") @Nullable TokenWeight tokenWeight,
            @JsonProperty("preference") @Nullable Preference preference) {
        this.divergence = Objects.requireNonNull(divergence, "divergence");
        this.beta = beta == null ? BETA : beta;
        this.coefficient = requireCoefficient(coefficient);
        this.schedule = schedule;
        this.adaptive = adaptive;
        this.temperature = temperature;
        this.labelSmoothing = labelSmoothing;
        this.tokenWeight = tokenWeight;
        this.preference = preference;
        if (preference != null && (tokenWeight != null || labelSmoothing != 0)) {
            throw new IllegalArgumentException("preference: expected no token weight and no label smoothing beside "
                    + preference + ", got tokenWeight=" + tokenWeight + ", labelSmoothing=" + labelSmoothing);
        }
        require(
                this.beta > 0 && this.beta < 1,
                "beta: expected a number between 0 and 1, both excluded, got ",
                this.beta);
        require(
                temperature > 0 && Double.isFinite(temperature),
                "temperature: expected a finite number above 0, got ",
                temperature);
        require(
                labelSmoothing >= 0 && labelSmoothing < 1,
                "labelSmoothing: expected a number of at least 0 and below 1, got ",
                labelSmoothing);
    }

    /** {@return a builder with the defaults: forward KL, coefficient 1, temperature 1, no label smoothing} */
    public static Builder builder() {
        return new Builder();
    }

    /** {@return the divergence; default {@link Divergence#FORWARD_KL}} */
    public Divergence getDivergence() {
        return divergence;
    }

    /**
     * {@return beta of {@link Divergence#JENSEN_SHANNON}, the teacher's share of its mixture in (0, 1); default 0.5}
     */
    public double getBeta() {
        return beta;
    }

    /**
     * {@return lambda, the weight of the divergence against the cross-entropy; default 1} At 0 only the cross-entropy
     * counts. A schedule or an adaptive coefficient, where there is one, stands in its place.
     */
    public double getCoefficient() {
        return coefficient;
    }

    /** {@return lambda's schedule over iterations or epochs; null for none} */
    public @Nullable ISchedule getSchedule() {
        return schedule;
    }

    /** {@return how lambda is steered to a divergence; null for not at all} */
    public @Nullable AdaptiveCoefficient getAdaptive() {
        return adaptive;
    }

    /** {@return T, applied to both networks' logits in the divergence and not in the cross-entropy; default 1} */
    public double getTemperature() {
        return temperature;
    }

    /**
     * {@return epsilon, in [0, 1): the cross-entropy's label is {@code (1 - epsilon) y + epsilon / V}; default 0}
     * Source: Szegedy et al., arXiv 1512.00567, section 7.
     */
    public double getLabelSmoothing() {
        return labelSmoothing;
    }

    /** {@return what each token's cross-entropy is multiplied by; null for nothing} */
    public @Nullable TokenWeight getTokenWeight() {
        return tokenWeight;
    }

    /** {@return the loss of pairs in the place of the cross-entropy; null for none} */
    public @Nullable Preference getPreference() {
        return preference;
    }

    String nameOfObjective() {
        return preference == null ? "tokenWeight" : "preference";
    }

    /** {@return what needs the teacher's probability of each label; null for nothing} */
    @Nullable
    Object needsTeacherOfLabels() {
        if (tokenWeight != null && tokenWeight.needsTeacher()) {
            return tokenWeight;
        }
        return preference != null && preference.needsTeacher() ? preference : null;
    }

    /**
     * {@return lambda at an iteration}
     *
     * @param iteration of the training, from 0; what a schedule of iterations is asked for
     * @param epoch     of the training, from 0; what a schedule of epochs is asked for
     * @param adapted   the adaptive coefficient's present value; null if it has none yet
     * @throws IllegalStateException if the schedule gives a number that is negative or not finite
     */
    public double coefficientAt(int iteration, int epoch, @Nullable Double adapted) {
        if (adaptive != null) {
            return adapted == null ? adaptive.initial() : adapted;
        }
        if (schedule == null) {
            return coefficient;
        }
        double value = schedule.valueAt(iteration, epoch);
        if (!(value >= 0) || Double.isInfinite(value)) {
            throw new IllegalStateException("coefficient: expected a schedule of finite numbers of at least 0, got "
                    + value + " at iteration " + iteration + ", epoch " + epoch + " from " + schedule);
        }
        return value;
    }

    /**
     * Refuses to train from samples what can't be trained from them. Classes that weren't drawn have the
     * log-probability {@code -inf}, the others weights whose expectation is the distribution at one temperature. Forward
     * KL alone is linear in the teacher's distribution, so that the expected gradient is right; its value isn't, it's
     * that from the sample and larger. Source: Anshumann et al., Sparse Logit Sampling, arXiv 2503.16870.
     *
     * @param sampledAt  the samples' temperature; 0 for whole distributions, which serve every loss
     * @param everyClass whether each class has the teacher's own probability, not a share of what's left over
     * @throws IllegalArgumentException if the values don't serve this loss
     */
    void requireServedBy(double sampledAt, boolean everyClass) {
        if (needsTeacherOfLabels() != null && !everyClass) {
            throw new IllegalArgumentException(nameOfObjective()
                    + ": expected a teacher that gives every label its probability, for " + needsTeacherOfLabels()
                    + ", got " + (sampledAt == 0 ? "its likeliest classes alone" : "samples")
                    + "; use a live teacher, or a cache with the codec half");
        }
        if (sampledAt != 0
                && (divergence != Divergence.FORWARD_KL
                        || (float) temperature != (float) sampledAt
                        || adaptive != null)) {
            throw new IllegalArgumentException(
                    "teacher: expected whole distributions for " + this
                            + ", got samples, which serve forward KL at temperature " + sampledAt
                            + " with a coefficient that is not adaptive; a cache of whole distributions has the codec half or top-k");
        }
    }

    private static double requireCoefficient(double coefficient) {
        require(
                coefficient >= 0 && Double.isFinite(coefficient),
                "coefficient: expected a finite number of at least 0, got ",
                coefficient);
        return coefficient;
    }

    private static void require(boolean condition, String message, double found) {
        if (!condition) {
            throw new IllegalArgumentException(message + found);
        }
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof RetentionConfiguration that
                && divergence == that.divergence
                && Double.compare(beta, that.beta) == 0
                && Double.compare(coefficient, that.coefficient) == 0
                && Objects.equals(schedule, that.schedule)
                && Objects.equals(adaptive, that.adaptive)
                && Double.compare(temperature, that.temperature) == 0
                && Double.compare(labelSmoothing, that.labelSmoothing) == 0
                && Objects.equals(tokenWeight, that.tokenWeight)
                && Objects.equals(preference, that.preference);
    }

    @Override
    public int hashCode() {
        // An enum's own hash code differs from one JVM to the next.
        return Objects.hash(
                divergence.name(), beta, coefficient, adaptive, temperature, labelSmoothing, tokenWeight, preference);
    }

    @Override
    public String toString() {
        Object lambda = adaptive != null ? adaptive : schedule != null ? schedule : coefficient;
        return "RetentionConfiguration(divergence=" + divergence
                + (divergence == Divergence.JENSEN_SHANNON ? ", beta=" + beta : "") + ", coefficient=" + lambda
                + ", temperature=" + temperature + ", labelSmoothing=" + labelSmoothing
                + (tokenWeight == null ? "" : ", tokenWeight=" + tokenWeight)
                + (preference == null ? "" : ", preference=" + preference) + ")";
    }

    /** Builds a {@link RetentionConfiguration}. */
    public static final class Builder {

        private Divergence divergence = Divergence.FORWARD_KL;
        private double beta = BETA;
        private double coefficient = 1;
        private @Nullable ISchedule schedule;
        private @Nullable AdaptiveCoefficient adaptive;
        private double temperature = 1;
        private double labelSmoothing;
        private @Nullable TokenWeight tokenWeight;
        private @Nullable Preference preference;

        private Builder() {}

        /**
         * @param divergence which divergence; default {@link Divergence#FORWARD_KL}
         * @return this builder
         */
        public Builder divergence(Divergence divergence) {
            this.divergence = divergence;
            return this;
        }

        /**
         * @param beta of {@link Divergence#JENSEN_SHANNON}, in (0, 1); default 0.5
         * @return this builder
         */
        public Builder beta(double beta) {
            this.beta = beta;
            return this;
        }

        /**
         * @param coefficient lambda, finite and at least 0; default 1. Takes the place of a schedule or an adaptive one
         * @return this builder
         */
        public Builder coefficient(double coefficient) {
            this.coefficient = coefficient;
            this.schedule = null;
            this.adaptive = null;
            return this;
        }

        /**
         * @param schedule lambda at each iteration or epoch, finite and at least 0 everywhere
         * @return this builder
         */
        public Builder coefficient(ISchedule schedule) {
            coefficient(1);
            this.schedule = Objects.requireNonNull(schedule, "schedule");
            return this;
        }

        /**
         * @param adaptive how lambda is steered
         * @return this builder
         */
        public Builder coefficient(AdaptiveCoefficient adaptive) {
            coefficient(1);
            this.adaptive = Objects.requireNonNull(adaptive, "adaptive");
            return this;
        }

        /**
         * @param temperature T, finite and above 0; default 1
         * @return this builder
         */
        public Builder temperature(double temperature) {
            this.temperature = temperature;
            return this;
        }

        /**
         * @param labelSmoothing epsilon, in [0, 1); default 0
         * @return this builder
         */
        public Builder labelSmoothing(double labelSmoothing) {
            this.labelSmoothing = labelSmoothing;
            return this;
        }

        /**
         * @param tokenWeight what each token's cross-entropy is multiplied by; default and null: nothing
         * @return this builder
         */
        public Builder tokenWeight(@Nullable TokenWeight tokenWeight) {
            this.tokenWeight = tokenWeight;
            return this;
        }

        /**
         * @param preference the loss of pairs in the place of the cross-entropy; default and null: none
         * @return this builder
         */
        public Builder preference(@Nullable Preference preference) {
            this.preference = preference;
            return this;
        }

        /**
         * {@return what was set, checked}
         *
         * @throws IllegalArgumentException if a number is outside of its range; the message names it
         * @throws NullPointerException if the divergence is null
         */
        public RetentionConfiguration build() {
            return new RetentionConfiguration(
                    divergence,
                    beta,
                    coefficient,
                    schedule,
                    adaptive,
                    temperature,
                    labelSmoothing,
                    tokenWeight,
                    preference);
        }
    }
}
