package io.github.dl4jretention.internal;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.GradientUpdater;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.regularization.Regularization;

/** Copies of a SameDiff that share nothing with it. */
public final class SameDiffCopy {

    private SameDiffCopy() {}

    /**
     * {@return operations, variables and loss variables, without training configuration, updater state and listeners}
     *
     * @param sd isn't changed
     */
    public static SameDiff of(SameDiff sd) {
        return copy(sd, false);
    }

    /**
     * {@return everything except listeners: operations, variables, loss variables, training configuration with its
     * counts, and the updater's state if there is one}
     *
     * @param sd isn't changed
     */
    public static SameDiff withTraining(SameDiff sd) {
        return copy(sd, true);
    }

    /**
     * The configuration stays in memory: DL4J M2.1 can't read every updater back from JSON, a RampSchedule say. The state
     * goes with the updater without its schedule, and the copy's updater gets it.
     */
    private static SameDiff copy(SameDiff sd, boolean training) {
        synchronized (sd) {
            TrainingConfig configuration = sd.getTrainingConfig();
            boolean state = training && configuration != null && sd.isInitializedTraining();
            requireFits(sd, state);
            try {
                sd.setTrainingConfig(state ? withoutSchedule(configuration) : null);
                ByteBuffer bytes = sd.asFlatBuffers(state);
                SameDiff copy = SameDiff.fromFlatBuffers(bytes, state);
                copy.setTrainingConfig(training && configuration != null ? copy(configuration) : null);
                if (state && copy.getUpdaterMap() != null) {
                    IUpdater updater = copy.getTrainingConfig().getUpdater();
                    copy.getUpdaterMap().replaceAll((name, old) -> withState(updater, old));
                }
                return copy;
            } catch (IOException e) {
                throw new IllegalStateException("the SameDiff can't be copied", e);
            } finally {
                sd.setTrainingConfig(configuration);
            }
        }
    }

    private static GradientUpdater<?> withState(IUpdater updater, GradientUpdater<?> old) {
        return updater.instantiate(old.getState(), false);
    }

    /**
     * Checks a model before SameDiff's own format fails on it.
     *
     * @param sd    isn't changed
     * @param state whether its updater's state is to be kept
     * @throws IllegalArgumentException if there's more than the format holds
     */
    public static void requireFits(SameDiff sd, boolean state) {
        requireFits(sd, state, Integer.MAX_VALUE);
    }

    static void requireFits(SameDiff sd, boolean state, long most) {
        Stream<INDArray> arrays = sd.variables().stream()
                .filter(variable -> variable.getVariableType() == VariableType.VARIABLE
                        || variable.getVariableType() == VariableType.CONSTANT)
                .map(SDVariable::getArr);
        if (state && sd.getUpdaterMap() != null) {
            arrays = Stream.concat(arrays, sd.getUpdaterMap().values().stream().flatMap(SameDiffCopy::state));
        }
        long bytes = arrays.filter(Objects::nonNull)
                .mapToLong(array -> array.length() * array.dataType().width())
                .sum();
        if (bytes > most) {
            throw new IllegalArgumentException("sd: expected variables, constants and updater state of at most " + most
                    + " bytes, which is all that SameDiff's format holds, got " + bytes
                    + "; train with Sgd, which has no state, in half precision, or a MultiLayerNetwork");
        }
    }

    private static Stream<INDArray> state(GradientUpdater<?> updater) {
        return updater.getState().values().stream();
    }

    private static TrainingConfig withoutSchedule(TrainingConfig configuration) {
        TrainingConfig copy = copy(configuration);
        if (copy.getUpdater().hasLearningRate()) {
            copy.getUpdater().setLrAndSchedule(1, null);
        }
        return copy;
    }

    /**
     * {@return a copy that shares nothing but evaluations}
     *
     * @param configuration isn't changed
     */
    public static TrainingConfig copy(TrainingConfig configuration) {
        List<Regularization> regularization = configuration.getRegularization() == null
                ? null
                : configuration.getRegularization().stream()
                        .map(Regularization::clone)
                        .toList();
        return new TrainingConfig(
                configuration.getUpdater().clone(),
                regularization == null ? null : new ArrayList<>(regularization),
                configuration.isMinimize(),
                copy(configuration.getDataSetFeatureMapping()),
                copy(configuration.getDataSetLabelMapping()),
                copy(configuration.getDataSetFeatureMaskMapping()),
                copy(configuration.getDataSetLabelMaskMapping()),
                copy(configuration.getLossVariables()),
                configuration.getIterationCount(),
                configuration.getEpochCount(),
                configuration.getInitialLossDataType(),
                configuration.getTrainEvaluations(),
                configuration.getTrainEvaluationLabels(),
                configuration.getValidationEvaluations(),
                configuration.getValidationEvaluationLabels());
    }

    private static @Nullable List<String> copy(@Nullable List<String> names) {
        return names == null ? null : new ArrayList<>(names);
    }
}
