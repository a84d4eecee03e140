package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.space.FinetuneMethod;
import io.github.dl4jretention.sweep.space.Leaves;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.space.SettingsSpace;
import io.github.dl4jretention.teacher.Teacher;
import java.util.Arrays;
import java.util.DoubleSummaryStatistics;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.deeplearning4j.arbiter.optimize.api.ParameterSpace;
import org.deeplearning4j.arbiter.optimize.api.TaskCreatorProvider;
import org.deeplearning4j.arbiter.optimize.parameter.FixedValue;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.annotation.JsonInclude;

/**
 * What a sweep can vary: the method, its loss or strength, the learning rate, the length of training and the number of
 * frozen layers, each fixed or searched. The default is retention with the default {@link RetentionSpace}, learning
 * rate 3e-4, one epoch and no frozen layer.
 *
 * <p>Settings that don't matter are the same in all candidates: strengths of other methods, epochs if there are steps,
 * and those that {@link RetentionSpace} names. So generators repeat candidates, and a {@link
 * io.github.dl4jretention.sweep.Sweep} runs each once.
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public final class FinetuneSpace extends SettingsSpace<FinetuneConfiguration> {

    static {
        TaskCreatorProvider.registerDefaultTaskCreatorClass(FinetuneSpace.class, FinetuneTaskCreator.class);
    }

    private ParameterSpace<String> method;
    private RetentionSpace retention;
    private ParameterSpace<Double> learningRate;
    private ParameterSpace<Integer> epochs;
    private ParameterSpace<Integer> steps;
    private ParameterSpace<Integer> frozenUpTo;
    private ParameterSpace<Double> l2SpStrength;
    private ParameterSpace<Double> ewcStrength;
    private ParameterSpace<Double> masStrength;
    private ParameterSpace<Double> replayShare;
    private ParameterSpace<Double> labelSmoothing;
    /** Null where the method isn't searched, so that spaces without it keep their JSON; so is the next. */
    private @Nullable ParameterSpace<Double> selfReplayShare;

    private @Nullable ParameterSpace<Double> selfReplayRetentionShare;

    /** Null for no warm-up, as in the JSON of spaces that know none. */
    private @Nullable ParameterSpace<Integer> warmUp;

    /** For JSON. */
    @SuppressWarnings("NullAway.Init")
    private FinetuneSpace() {}

    private FinetuneSpace(Builder builder) {
        method = builder.method;
        retention = Objects.requireNonNull(builder.retention, "retention");
        learningRate = builder.learningRate;
        epochs = builder.epochs;
        steps = builder.steps;
        frozenUpTo = builder.frozenUpTo;
        l2SpStrength = builder.strength(FinetuneMethod.L2_SP);
        ewcStrength = builder.strength(FinetuneMethod.EWC);
        masStrength = builder.strength(FinetuneMethod.MAS);
        replayShare = builder.strength(FinetuneMethod.REPLAY);
        labelSmoothing = builder.strength(FinetuneMethod.LABEL_SMOOTHING);
        selfReplayShare = builder.strengthIfChosen(FinetuneMethod.SELF_REPLAY);
        selfReplayRetentionShare = builder.strengthIfChosen(FinetuneMethod.SELF_REPLAY_RETENTION);
        warmUp = builder.warmUp;
    }

    /** {@return a builder with the defaults} */
    public static Builder builder() {
        return new Builder();
    }

    /** Epochs are 1 where there are steps, which stand in their place. */
    @Override
    public FinetuneConfiguration getValue(double[] values) {
        FinetuneMethod chosen = FinetuneMethod.valueOf(method.getValue(values));
        int numberOfSteps = (int) Leaves.number(steps, values);
        return new FinetuneConfiguration(
                chosen,
                chosen.hasRetention() ? retention.getValue(values) : null,
                Leaves.number(learningRate, values),
                numberOfSteps > 0 ? 1 : (int) Leaves.number(epochs, values),
                numberOfSteps,
                (int) Leaves.number(frozenUpTo, values),
                chosen.hasStrength() ? Leaves.number(strength(chosen), values) : 0,
                warmUp == null ? 0 : (int) Leaves.number(warmUp, values));
    }

    private ParameterSpace<Double> strength(FinetuneMethod chosen) {
        return switch (chosen) {
            case PLAIN, RETENTION -> throw new IllegalArgumentException(
                    "method: expected one with a strength, got " + chosen);
            case L2_SP -> l2SpStrength;
            case EWC -> ewcStrength;
            case MAS -> masStrength;
            case REPLAY -> replayShare;
            case LABEL_SMOOTHING -> labelSmoothing;
            case SELF_REPLAY -> requireStrength(selfReplayShare, chosen);
            case SELF_REPLAY_RETENTION -> requireStrength(selfReplayRetentionShare, chosen);
        };
    }

    private static ParameterSpace<Double> requireStrength(
            @Nullable ParameterSpace<Double> strength, FinetuneMethod chosen) {
        if (strength == null) {
            throw new IllegalArgumentException(
                    "strength of " + chosen + ": expected " + chosen.strengths() + ", got none");
        }
        return strength;
    }

    private List<FinetuneMethod> methods() {
        Leaves.requireValues("methods", method);
        return Leaves.values(method).stream().map(FinetuneMethod::valueOf).toList();
    }

    /** {@return a text that's equal for spaces of the same candidates} */
    public String identity() {
        return SweepIdentity.of(this);
    }

    /**
     * Checks a space that was read from JSON as the builder would.
     *
     * @throws IllegalArgumentException if a space is missing, empty or reaches outside of its range; the message names
     *     it
     */
    public void requireValid() {
        Leaves.require(
                "learningRate", learningRate, v -> v > 0 && v < Double.POSITIVE_INFINITY, "finite numbers above 0");
        Leaves.require("epochs", epochs, v -> v >= 1, "at least 1");
        Leaves.require("steps", steps, v -> v >= 0, "at least 0");
        Leaves.require("frozenUpTo", frozenUpTo, v -> v >= -1, "at least -1");
        if (warmUp != null) {
            Leaves.require("warmUp", warmUp, v -> v >= 0, "at least 0");
        }
        for (FinetuneMethod searched : methods()) {
            if (searched.hasStrength()) {
                Leaves.require("strength of " + searched, strength(searched), searched::allows, searched.strengths());
            }
        }
        Leaves.requireValues("retention", retention);
        retention.requireValid();
    }

    boolean has(FinetuneMethod searched) {
        return methods().contains(searched);
    }

    /** Whether a candidate may train on what the model writes. */
    boolean writes() {
        return methods().stream().anyMatch(FinetuneMethod::writes);
    }

    /** The most minibatches that a candidate trains on. */
    long mostSteps(int trainingBatches) {
        DoubleSummaryStatistics numbers = Leaves.range(steps);
        double byEpochs = numbers.getMin() == 0 ? Leaves.range(epochs).getMax() * trainingBatches : 0;
        return (long) Math.max(numbers.getMax(), byEpochs);
    }

    /**
     * Refuses a teacher of samples, or of its likeliest classes, that doesn't serve the losses of this space.
     *
     * @param teacher of all candidates
     * @throws IllegalArgumentException if there is another temperature or divergence than the samples serve, or a token
     *     weight that needs the label's probability
     */
    public void requireFits(Teacher teacher) {
        if (has(FinetuneMethod.RETENTION)) {
            retention.requireServedBy(teacher);
        }
    }

    /**
     * Refuses a model with too few layers to freeze, and texts without what a method needs.
     *
     * @param model that candidates start from
     * @param data  their texts
     * @throws IllegalArgumentException if the space freezes more layers than all but the last, or has a method that
     *     trains with source text where there is none
     */
    public void requireFits(FinetuneModel model, SweepData data) {
        for (FinetuneMethod searched : methods()) {
            data.requireFits(searched);
        }
        Leaves.require(
                "frozenUpTo",
                frozenUpTo,
                v -> v < model.freezable(),
                "indices of at most " + (model.freezable() - 1) + ", the last layer of this model that can be frozen");
    }

    /** Builds a {@link FinetuneSpace}. */
    public static final class Builder {

        private ParameterSpace<String> method = new FixedValue<>(FinetuneMethod.RETENTION.name());
        private Set<FinetuneMethod> chosen = Set.of(FinetuneMethod.RETENTION);
        private @Nullable RetentionSpace retention;
        private ParameterSpace<Double> learningRate = new FixedValue<>(3e-4);
        private ParameterSpace<Integer> epochs = new FixedValue<>(1);
        private ParameterSpace<Integer> steps = new FixedValue<>(0);
        private ParameterSpace<Integer> frozenUpTo = new FixedValue<>(-1);
        private @Nullable ParameterSpace<Integer> warmUp;
        private final Map<FinetuneMethod, ParameterSpace<Double>> strengths = new EnumMap<>(FinetuneMethod.class);

        private Builder() {}

        /**
         * @param values one or more; one fixes it
         * @return this builder
         */
        public Builder methods(FinetuneMethod... values) {
            this.chosen = Set.copyOf(Arrays.asList(values));
            this.method = Leaves.discrete(values);
            return this;
        }

        /**
         * @param space of the loss
         * @return this builder
         */
        public Builder retention(RetentionSpace space) {
            this.retention = Objects.requireNonNull(space, "retention");
            return this;
        }

        /**
         * Searches the learning rate log-uniformly.
         *
         * @param lowest  above 0
         * @param highest above the lowest, finite
         * @return this builder
         * @throws IllegalArgumentException if a bound is outside of its range
         */
        public Builder learningRate(double lowest, double highest) {
            return learningRate(Leaves.logUniform("learningRate", lowest, highest));
        }

        /**
         * @param values each above 0; one fixes it
         * @return this builder
         */
        public Builder learningRates(double... values) {
            return learningRate(Leaves.discrete(values));
        }

        /**
         * @param space of the learning rate, above 0 and finite everywhere
         * @return this builder
         */
        public Builder learningRate(ParameterSpace<Double> space) {
            this.learningRate = Objects.requireNonNull(space, "learningRate");
            return this;
        }

        /**
         * @param values passes over the training text, each at least 1; one fixes it
         * @return this builder
         */
        public Builder epochs(int... values) {
            return epochs(Leaves.discrete(values));
        }

        /**
         * @param space of the passes over the training text, at least 1
         * @return this builder
         */
        public Builder epochs(ParameterSpace<Integer> space) {
            this.epochs = Objects.requireNonNull(space, "epochs");
            return this;
        }

        /**
         * @param values minibatches, each at least 1; one fixes it. They stand in place of epochs
         * @return this builder
         */
        public Builder steps(int... values) {
            return steps(Leaves.discrete(values));
        }

        /**
         * @param space of the minibatches, at least 1; they stand in place of epochs
         * @return this builder
         */
        public Builder steps(ParameterSpace<Integer> space) {
            Leaves.require("steps", space, v -> v >= 1, "at least 1");
            this.steps = space;
            return this;
        }

        /**
         * @param values indices of the last layer that is not trained, -1 for none; one fixes it
         * @return this builder
         */
        public Builder frozenUpTo(int... values) {
            return frozenUpTo(Leaves.discrete(values));
        }

        /**
         * @param space of indices of the last layer that is not trained, at least -1
         * @return this builder
         */
        public Builder frozenUpTo(ParameterSpace<Integer> space) {
            this.frozenUpTo = Objects.requireNonNull(space, "frozenUpTo");
            return this;
        }

        /**
         * @param values first steps in which the learning rate rises to what it is afterwards, each at least 0; one fixes it.
         *     Default: none
         * @return this builder
         */
        public Builder warmUps(int... values) {
            this.warmUp = Leaves.collapsed(Leaves.discrete(values));
            return this;
        }

        /**
         * @param baseline a method with a strength
         * @param values   of its strength; one fixes it
         * @return this builder
         * @throws IllegalArgumentException if the method has no strength, or a value is outside of its range
         */
        public Builder strengths(FinetuneMethod baseline, double... values) {
            return strength(baseline, Leaves.discrete(values));
        }

        /**
         * The strength of a baseline. By default that of the penalties is log-uniform in [0.001, 1000], the share of
         * replay, self-replay and label smoothing in [0.01, 0.5].
         *
         * @param baseline a method with a strength
         * @param space    see {@link FinetuneMethod}
         * @return this builder
         * @throws IllegalArgumentException if the method has no strength, or the space reaches outside of its range
         */
        public Builder strength(FinetuneMethod baseline, ParameterSpace<Double> space) {
            if (!baseline.hasStrength()) {
                throw new IllegalArgumentException("baseline: expected a method with a strength, got " + baseline);
            }
            Leaves.require("strength of " + baseline, space, baseline::allows, baseline.strengths());
            strengths.put(baseline, Leaves.collapsed(space));
            return this;
        }

        private @Nullable ParameterSpace<Double> strengthIfChosen(FinetuneMethod baseline) {
            return chosen.contains(baseline) ? strength(baseline) : null;
        }

        /** Fixed where the method is not searched, so that it is no dimension of the search. */
        private ParameterSpace<Double> strength(FinetuneMethod baseline) {
            if (!chosen.contains(baseline)) {
                return new FixedValue<>(0.0);
            }
            ParameterSpace<Double> given = strengths.get(baseline);
            if (given != null) {
                return given;
            }
            return baseline.allows(1)
                    ? Leaves.logUniform("strength", 0.001, 1000)
                    : Leaves.logUniform("strength", 0.01, 0.5);
        }

        /**
         * {@return the space}
         *
         * @throws IllegalArgumentException if a space is empty or reaches outside of its range; the message names it
         */
        public FinetuneSpace build() {
            method = Leaves.collapsed(method);
            if (chosen.stream().noneMatch(FinetuneMethod::hasRetention)) {
                retention = RetentionSpace.builder().coefficients(1).build();
            } else if (retention == null) {
                retention = RetentionSpace.builder().build();
            }
            learningRate = Leaves.collapsed(learningRate);
            epochs = Leaves.collapsed(epochs);
            steps = Leaves.collapsed(steps);
            frozenUpTo = Leaves.collapsed(frozenUpTo);
            FinetuneSpace space = new FinetuneSpace(this);
            space.requireValid();
            return space;
        }
    }
}
