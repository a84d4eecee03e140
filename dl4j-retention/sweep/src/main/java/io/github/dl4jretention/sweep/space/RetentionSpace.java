package io.github.dl4jretention.sweep.space;

import io.github.dl4jretention.loss.Divergence;
import io.github.dl4jretention.loss.Preference;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.TokenWeight;
import io.github.dl4jretention.teacher.Teacher;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.DoubleSummaryStatistics;
import java.util.List;
import java.util.Objects;
import org.deeplearning4j.arbiter.optimize.api.ParameterSpace;
import org.deeplearning4j.arbiter.optimize.parameter.FixedValue;
import org.deeplearning4j.arbiter.optimize.parameter.discrete.DiscreteParameterSpace;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.annotation.JsonInclude;

/**
 * A space of {@link RetentionConfiguration}s for Arbiter's generators: coefficient, temperature, divergence, beta, label
 * smoothing, token weight and preference, each fixed or searched. By default the coefficient is searched log-uniformly in [0.03, 30] and the
 * rest is that of {@link RetentionConfiguration#builder()}. Searched numbers are rounded to four digits.
 *
 * <p>Beta only matters for Jensen-Shannon, and temperature, divergence and beta don't matter at coefficient 0. A
 * setting that doesn't matter has the first value of its space, so that candidates that train alike are equal.
 *
 * <pre>{@code
 * RetentionSpace space = RetentionSpace.builder()
 *         .coefficient(0.1, 10)
 *         .divergences(Divergence.FORWARD_KL, Divergence.REVERSE_KL)
 *         .build();
 * }</pre>
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public final class RetentionSpace extends SettingsSpace<RetentionConfiguration> {

    private static final String NO_WEIGHT = "none";

    private ParameterSpace<Double> coefficient;
    private ParameterSpace<Double> temperature;
    private ParameterSpace<String> divergence;
    private ParameterSpace<Double> beta;
    private ParameterSpace<Double> labelSmoothing;
    private @Nullable ParameterSpace<String> tokenWeight;
    private @Nullable ParameterSpace<Double> tokenWeightParameter;
    private @Nullable ParameterSpace<String> preference;
    private @Nullable ParameterSpace<Double> preferenceBeta;
    private @Nullable ParameterSpace<Double> preferenceParameter;

    /** For JSON, in which a space without token weights and preferences is that of older versions. */
    @SuppressWarnings("NullAway.Init")
    private RetentionSpace() {}

    private RetentionSpace(Builder builder) {
        coefficient = builder.coefficient;
        temperature = builder.temperature;
        divergence = builder.divergence;
        beta = builder.beta;
        labelSmoothing = builder.labelSmoothing;
        tokenWeight = builder.tokenWeight;
        tokenWeightParameter = builder.tokenWeightParameter;
        preference = builder.preference;
        preferenceBeta = builder.preferenceBeta;
        preferenceParameter = builder.preferenceParameter;
    }

    /** {@return a builder with the defaults: the coefficient log-uniform in [0.03, 30], the rest fixed} */
    public static Builder builder() {
        return new Builder();
    }

    /** A setting without effect has its space's first value. */
    @Override
    public RetentionConfiguration getValue(double[] values) {
        double lambda = Leaves.number(coefficient, values);
        double[] first = new double[values.length];
        double[] effective = lambda == 0 ? first : values;
        Divergence chosen = Divergence.valueOf(divergence.getValue(effective));
        return RetentionConfiguration.builder()
                .coefficient(lambda)
                .temperature(Leaves.number(temperature, effective))
                .divergence(chosen)
                .beta(Leaves.number(beta, chosen == Divergence.JENSEN_SHANNON ? effective : first))
                .labelSmoothing(Leaves.number(labelSmoothing, values))
                .tokenWeight(tokenWeight(values))
                .preference(preference(values))
                .build();
    }

    private @Nullable TokenWeight tokenWeight(double[] values) {
        double parameter = tokenWeightParameter == null ? 0 : Leaves.number(tokenWeightParameter, values);
        return tokenWeight == null ? null : tokenWeight(tokenWeight.getValue(values), parameter);
    }

    private @Nullable Preference preference(double[] values) {
        if (preference == null) {
            return null;
        }
        return new Preference(
                Preference.Kind.valueOf(preference.getValue(values)),
                Leaves.number(Objects.requireNonNull(preferenceBeta, "preferenceBeta"), values),
                Leaves.number(Objects.requireNonNull(preferenceParameter, "preferenceParameter"), values));
    }

    /** Of a description, or of a kind's name where the parameter is searched. */
    private static @Nullable TokenWeight tokenWeight(String weight, double parameter) {
        if (weight.equals(NO_WEIGHT)) {
            return null;
        }
        return weight.endsWith(")")
                ? TokenWeight.of(weight)
                : new TokenWeight(TokenWeight.Kind.valueOf(weight), parameter);
    }

    /**
     * Checks a space that was read from JSON as the builder would.
     *
     * @throws IllegalArgumentException if a space is missing, empty or reaches outside of its range; the message names
     *     it
     */
    public void requireValid() {
        Leaves.require(
                "coefficient",
                coefficient,
                v -> v >= 0 && v < Double.POSITIVE_INFINITY,
                "finite numbers of at least 0");
        Leaves.require(
                "temperature", temperature, v -> v > 0 && v < Double.POSITIVE_INFINITY, "finite numbers above 0");
        Leaves.require("beta", beta, v -> v > 0 && v < 1, "numbers between 0 and 1, both excluded");
        Leaves.require("labelSmoothing", labelSmoothing, v -> v >= 0 && v < 1, "numbers of at least 0 and below 1");
        divergences();
        tokenWeights();
        requireValidPreference();
    }

    private void requireValidPreference() {
        if (preference == null) {
            return;
        }
        Leaves.requireValues("preference", preference);
        if (preferenceBeta == null || preferenceParameter == null) {
            throw new IllegalArgumentException(
                    "preference: expected preferenceBeta and preferenceParameter beside it, got " + preferenceBeta
                            + " and " + preferenceParameter);
        }
        Leaves.require(
                "preferenceBeta", preferenceBeta, v -> v > 0 && v < Double.POSITIVE_INFINITY, "finite numbers above 0");
        if (tokenWeight != null || Leaves.range(labelSmoothing).getMax() > 0) {
            throw new IllegalArgumentException("preference: expected no token weight and no label smoothing beside it,"
                    + " got " + (tokenWeight == null ? "label smoothing" : "token weights"));
        }
    }

    /**
     * {@return the token weights of the space, of which a searched parameter has its lowest and highest; null for none}
     */
    private List<@Nullable TokenWeight> tokenWeights() {
        if (tokenWeight == null) {
            return List.of();
        }
        Leaves.requireValues("tokenWeight", tokenWeight);
        DoubleSummaryStatistics parameters =
                tokenWeightParameter == null ? new DoubleSummaryStatistics() : Leaves.range(tokenWeightParameter);
        List<@Nullable TokenWeight> weights = new ArrayList<>();
        for (String weight : Leaves.values(tokenWeight)) {
            weights.add(tokenWeight(weight, parameters.getMin()));
            weights.add(tokenWeight(weight, parameters.getMax()));
        }
        return weights;
    }

    /**
     * Refuses losses that a teacher of samples, or of its likeliest classes, can't serve.
     *
     * @param teacher of all candidates
     * @throws IllegalArgumentException if there is another temperature or divergence than the samples serve, or a token
     *     weight or preference that needs the label's probability
     */
    public void requireServedBy(Teacher teacher) {
        if (teacher.sampledAt().isPresent()) {
            double sampledAt = teacher.sampledAt().getAsDouble();
            Leaves.require(
                    "temperature",
                    temperature,
                    v -> v == sampledAt,
                    "none but " + sampledAt + ", of which the teacher gives samples");
            if (!divergences().equals(List.of(Divergence.FORWARD_KL))) {
                throw new IllegalArgumentException(
                        "divergence: expected FORWARD_KL alone for a teacher that gives samples, got " + divergences());
            }
        }
        if (!teacher.givesEveryClass()) {
            requireServedByLikeliestClasses();
        }
    }

    void requireServedByLikeliestClasses() {
        List<String> kinds = preference == null ? List.of() : Leaves.values(preference);
        if (!List.of(Preference.Kind.SIMPO.name()).containsAll(kinds)) {
            throw needsEveryClass("preference", kinds);
        }
        for (TokenWeight weight : tokenWeights()) {
            if (weight != null && weight.needsTeacher()) {
                throw needsEveryClass("tokenWeight", weight);
            }
        }
    }

    private static IllegalArgumentException needsEveryClass(String setting, Object found) {
        return new IllegalArgumentException(setting + ": expected none that needs the label's probability, for a"
                + " teacher that doesn't give every class its own, got " + found
                + "; use a live teacher, or a cache with the codec half");
    }

    private List<Divergence> divergences() {
        Leaves.requireValues("divergence", divergence);
        return Leaves.values(divergence).stream().map(Divergence::valueOf).toList();
    }

    /** Builds a {@link RetentionSpace}. */
    public static final class Builder {

        private ParameterSpace<Double> coefficient = Leaves.logUniform("coefficient", 0.03, 30);
        private ParameterSpace<Double> temperature = new FixedValue<>(1.0);
        private ParameterSpace<String> divergence = new FixedValue<>(Divergence.FORWARD_KL.name());
        private ParameterSpace<Double> beta = new FixedValue<>(0.5);
        private ParameterSpace<Double> labelSmoothing = new FixedValue<>(0.0);
        private @Nullable ParameterSpace<String> tokenWeight;
        private @Nullable ParameterSpace<Double> tokenWeightParameter;
        private @Nullable ParameterSpace<String> preference;
        private @Nullable ParameterSpace<Double> preferenceBeta;
        private @Nullable ParameterSpace<Double> preferenceParameter;

        private Builder() {}

        /**
         * Searches lambda log-uniformly.
         *
         * @param lowest  above 0
         * @param highest above the lowest, finite
         * @return this builder
         * @throws IllegalArgumentException if a bound is outside of its range
         */
        public Builder coefficient(double lowest, double highest) {
            return coefficient(Leaves.logUniform("coefficient", lowest, highest));
        }

        /**
         * @param values of lambda, each at least 0; one fixes it
         * @return this builder
         */
        public Builder coefficients(double... values) {
            return coefficient(Leaves.discrete(values));
        }

        /**
         * @param space of lambda, at least 0 and finite everywhere
         * @return this builder
         */
        public Builder coefficient(ParameterSpace<Double> space) {
            this.coefficient = Objects.requireNonNull(space, "coefficient");
            return this;
        }

        /**
         * @param values of T, each above 0; one fixes it
         * @return this builder
         */
        public Builder temperatures(double... values) {
            return temperature(Leaves.discrete(values));
        }

        /**
         * @param space of T, above 0 and finite everywhere
         * @return this builder
         */
        public Builder temperature(ParameterSpace<Double> space) {
            this.temperature = Objects.requireNonNull(space, "temperature");
            return this;
        }

        /**
         * @param values one or more; one fixes it
         * @return this builder
         */
        public Builder divergences(Divergence... values) {
            this.divergence = Leaves.discrete(values);
            return this;
        }

        /**
         * @param values of the beta of Jensen-Shannon, each in (0, 1); one fixes it
         * @return this builder
         */
        public Builder betas(double... values) {
            return beta(Leaves.discrete(values));
        }

        /**
         * @param space of the beta of Jensen-Shannon, within (0, 1)
         * @return this builder
         */
        public Builder beta(ParameterSpace<Double> space) {
            this.beta = Objects.requireNonNull(space, "beta");
            return this;
        }

        /**
         * @param values of the label smoothing, each in [0, 1); one fixes it
         * @return this builder
         */
        public Builder labelSmoothings(double... values) {
            return labelSmoothing(Leaves.discrete(values));
        }

        /**
         * @param space of the label smoothing, within [0, 1)
         * @return this builder
         */
        public Builder labelSmoothing(ParameterSpace<Double> space) {
            this.labelSmoothing = Objects.requireNonNull(space, "labelSmoothing");
            return this;
        }

        /**
         * @param values of what each token's cross-entropy is multiplied by, null for nothing; one fixes it
         * @return this builder
         */
        public Builder tokenWeights(@Nullable TokenWeight... values) {
            this.tokenWeight = Leaves.collapsed(new DiscreteParameterSpace<>(Arrays.stream(values)
                    .map(weight -> weight == null ? NO_WEIGHT : weight.toString())
                    .toList()));
            this.tokenWeightParameter = null;
            return this;
        }

        /**
         * Weighs each token's cross-entropy, and searches the weight's strength log-uniformly.
         *
         * @param kind    with a tau or a threshold
         * @param lowest  of the parameter, above 0
         * @param highest above the lowest, finite
         * @return this builder
         * @throws IllegalArgumentException if the kind has no parameter that is continuous, or a bound is outside of its
         *     range
         */
        public Builder tokenWeight(TokenWeight.Kind kind, double lowest, double highest) {
            if (kind == TokenWeight.Kind.EAFT || kind == TokenWeight.Kind.DFT) {
                throw new IllegalArgumentException("tokenWeight: expected one with a tau or a threshold, got " + kind
                        + "; give tokenWeights(...)");
            }
            this.tokenWeight = new FixedValue<>(kind.name());
            this.tokenWeightParameter = Leaves.logUniform("tokenWeight", lowest, highest);
            return this;
        }

        /**
         * Learns from pairs of answers in the place of the cross-entropy: the sweep's target text has a chosen and a rejected
         * sequence in turn, see {@link Preference}.
         *
         * @param value one loss for all candidates
         * @return this builder
         */
        public Builder preference(Preference value) {
            return preference(value.kind(), new FixedValue<>(value.beta()), value.parameter());
        }

        /**
         * Learns from pairs of answers, and searches beta log-uniformly.
         *
         * @param kind      which loss
         * @param lowest    of beta, above 0
         * @param highest   above the lowest, finite
         * @param parameter label smoothing of DPO, gamma of SimPO; 0 for IPO
         * @return this builder
         * @throws IllegalArgumentException if a number is outside of its range
         */
        public Builder preference(Preference.Kind kind, double lowest, double highest, double parameter) {
            return preference(
                    kind,
                    Leaves.logUniform("preferenceBeta", lowest, highest),
                    new Preference(kind, highest, parameter).parameter());
        }

        private Builder preference(Preference.Kind kind, ParameterSpace<Double> betas, double parameter) {
            preference = new FixedValue<>(kind.name());
            preferenceBeta = betas;
            preferenceParameter = new FixedValue<>(parameter);
            return this;
        }

        /**
         * {@return the space}
         *
         * @throws IllegalArgumentException if a space is empty or reaches outside of its range; the message names it
         */
        public RetentionSpace build() {
            coefficient = Leaves.collapsed(coefficient);
            temperature = Leaves.collapsed(temperature);
            divergence = Leaves.collapsed(divergence);
            beta = Leaves.collapsed(beta);
            labelSmoothing = Leaves.collapsed(labelSmoothing);
            RetentionSpace space = new RetentionSpace(this);
            space.requireValid();
            return space;
        }
    }
}
