package io.github.dl4jretention.loss;

import io.github.dl4jretention.internal.SameDiffText;
import io.github.dl4jretention.loss.samediff.FiniteRows;
import io.github.dl4jretention.loss.samediff.GatheredTables;
import io.github.dl4jretention.loss.samediff.LabelRows;
import io.github.dl4jretention.loss.samediff.LossDescription;
import io.github.dl4jretention.loss.samediff.ParameterLosses;
import io.github.dl4jretention.loss.samediff.SameDiffTokenLoss;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The retention loss as part of a SameDiff model:
 *
 * <pre>
 * loss = sum over tokens of [ w CE(y, softmax(logits)) + v lambda T^2 D(p0^(T), p^(T)) ] / examples
 * </pre>
 *
 * in nats, with the tokens' weights w and v (1 if there are none), the {@link Divergence} D from the teacher's
 * distribution p0, and as many examples as the first axis of the logits has. Classes lie on the last axis of logits,
 * one-hot labels and teacher logits; all other axes are tokens.
 *
 * <pre>{@code
 * SDVariable loss = RetentionLoss.add(sd, "logits", "labels", conf);
 * sd.setTrainingConfig(TrainingConfig.builder()
 *         .updater(new Adam(1e-3))
 *         .dataSetFeatureMapping("features")
 *         .dataSetLabelMapping("labels", RetentionLoss.TEACHER_LOGITS)
 *         .build());
 * sd.setListeners(new RetentionListener());
 * sd.fit(new TeacherMultiDataSetIterator(iterator, Teacher.of(pretrained, "logits", "features")), epochs);
 * }</pre>
 *
 * <p>Numbers are those of {@link RetentionOutputLayer}. Train with a {@link RetentionListener}: it checks every batch,
 * keeps to the teacher, moves lambda and makes M2.1 report losses. What the loss was added with is saved in the graph.
 */
public final class RetentionLoss {

    /**
     * Name of the placeholder for the teacher's logits or log-probabilities, of the logits' shape and type (FLOAT for
     * HALF).
     */
    public static final String TEACHER_LOGITS = "teacherLogits";

    /** Name of the loss. */
    public static final String LOSS = "retentionLoss";

    /** Name of the constant that the divergence is multiplied by, {@code lambda T^2}. */
    public static final String FACTOR = "retentionFactor";

    /** Name of the constant that holds the SHA-256 of the model's teacher. */
    public static final String TEACHER_SHA256 = "retentionTeacherSha256";

    private static final Logger LOG = LoggerFactory.getLogger(RetentionLoss.class);

    private RetentionLoss() {}

    /**
     * Adds the loss and marks it as the model's loss, in place of those that it has of its batches. Loss variables that
     * follow from parameters alone, such as penalties, stay beside it. Warns where the logits gather from a trainable
     * variable, whose gradient is wrong in M2.1.
     *
     * @param sd            changed: the loss becomes part of it
     * @param logits        name of the variable of the student's logits {@code [..., V]}, floating point
     * @param labels name of the labels: class ids {@code [...]} or {@code [..., 1]}, or distributions, mostly one-hot,
     *     {@code [..., V]}
     * @param configuration the loss; a schedule or an adaptive coefficient needs a {@link RetentionListener} in
     *     training
     * @return the loss, a scalar in nats per example
     * @throws IllegalArgumentException if a variable does not exist, the logits are no floating-point numbers, or the
     *     model has this loss already
     */
    public static SDVariable add(SameDiff sd, String logits, String labels, RetentionConfiguration configuration) {
        return add(sd, logits, labels, null, null, configuration);
    }

    /**
     * As {@link #add(SameDiff, String, String, RetentionConfiguration)} with weights of tokens.
     *
     * @param sd                changed: the loss becomes part of it
     * @param logits            name of the variable of the student's logits {@code [..., V]}
     * @param labels            name of the labels
     * @param weights           name of the cross-entropy's weights {@code [...]}, at least 0; null for 1
     * @param divergenceWeights name of the divergence's weights {@code [...]}; null for those of the cross-entropy
     * @param configuration     the loss
     * @return the loss, a scalar in nats per example
     * @throws IllegalArgumentException as without weights
     */
    public static SDVariable add(
            SameDiff sd,
            String logits,
            String labels,
            @Nullable String weights,
            @Nullable String divergenceWeights,
            RetentionConfiguration configuration) {
        SDVariable given = require(sd, logits, "logits");
        SDVariable labelled = require(sd, labels, "labels");
        SDVariable weighing = weights == null ? null : require(sd, weights, "weights");
        SDVariable otherWeighing =
                divergenceWeights == null ? null : require(sd, divergenceWeights, "divergenceWeights");
        if (!given.dataType().isFPType()) {
            throw new IllegalArgumentException(
                    "logits: expected floating-point numbers, got " + given.dataType() + " \"" + logits + "\"");
        }
        for (String name : Arrays.asList(TEACHER_LOGITS, LOSS)) {
            if (sd.hasVariable(name)) {
                throw new IllegalArgumentException("sd: expected a model without \"" + name + "\", it has one already");
            }
        }
        if (configuration.getTokenWeight() != null && given.getShape() != null) {
            long classes = given.getShape()[given.getShape().length - 1];
            configuration.getTokenWeight().requireVocabulary(classes > 0 ? classes : Long.MAX_VALUE);
        }
        // Refused before anything is added.
        new LossDescription(configuration, logits, labels, weights, divergenceWeights, List.of(), null).toJson();
        for (String table : GatheredTables.of(sd, logits)) {
            LOG.warn(
                    "The logits \"{}\" gather rows of the trainable variable \"{}\": M2.1's gradient of gather is wrong where an id "
                            + "occurs more than once, and nothing says so. Use oneHot and mmul instead, or a constant.",
                    logits,
                    table);
        }
        // Retention.attach sets the configuration aside, for it keeps the updater.
        if (sd.isInitializedTraining() && sd.getTrainingConfig() != null) {
            LOG.warn(
                    "The model has been trained, or was loaded with its updater's state: M2.1 keeps that updater and passes over "
                            + "the one of a new TrainingConfig. Load the model by SameDiff.load(file, false) to start afresh.");
        }
        List<String> losses = List.copyOf(sd.getLossVariables());
        DataType type = given.dataType() == DataType.FLOAT16 ? DataType.FLOAT : given.dataType();
        SDVariable vocabulary = sd.sizeAt(given, -1);
        SDVariable rowShape = sd.stack(0, sd.constant(Nd4j.scalar(DataType.INT64, -1)), vocabulary);
        FiniteRows student = FiniteRows.of(sd, sd.reshape(cast(given, type), rowShape));
        FiniteRows teacher = FiniteRows.of(sd, sd.reshape(sd.placeHolder(TEACHER_LOGITS, type), rowShape));
        LabelRows label = LabelRows.of(sd, cast(labelled, type), student.values());
        SameDiffTokenLoss graph = new SameDiffTokenLoss(sd, configuration, student.values());
        SDVariable crossEntropy = graph.crossEntropy(label.distributions());
        SDVariable divergence = graph.divergence(teacher.values());

        SDVariable tokenWeights = weighing == null ? sd.onesLike(crossEntropy) : column(weighing, type);
        SDVariable crossEntropyWeights = tokenWeights.mul(label.counts());
        SDVariable examples = sd.sizeAt(given, 0);
        SDVariable objectiveSum = null;
        TokenWeight tokenWeight = configuration.getTokenWeight();
        if (tokenWeight != null) {
            SDVariable weight = tokenWeight.needsTeacher()
                    ? graph.weightByTeacher(
                            tokenWeight, label.distributions(), teacher.values(), crossEntropyWeights, examples)
                    : graph.weightByStudent(label.distributions());
            SDVariable wrong = tokenWeight.needsTeacher() ? sd.math.max(label.wrong(), teacher.wrong()) : label.wrong();
            objectiveSum = crossEntropy
                    .mul(Objects.requireNonNull(weight))
                    .mul(FiniteRows.weights(sd, crossEntropyWeights, student.wrong(), wrong))
                    .sum()
                    .rename(LossDescription.OBJECTIVE_SUM);
        }
        Preference preference = configuration.getPreference();
        if (preference != null) {
            SDVariable wrong = preference.needsTeacher() ? sd.math.max(label.wrong(), teacher.wrong()) : label.wrong();
            objectiveSum = graph.ofPairs(
                            preference,
                            crossEntropy,
                            label.distributions(),
                            teacher.values(),
                            FiniteRows.weights(sd, crossEntropyWeights, student.wrong(), wrong),
                            examples)
                    .rename(LossDescription.OBJECTIVE_SUM);
        }
        SDVariable otherWeights = otherWeighing == null ? crossEntropyWeights : column(otherWeighing, type);
        SDVariable factor = sd.constant(FACTOR, Nd4j.scalar(type, factor(configuration)));
        SDVariable crossEntropySum = crossEntropy
                .mul(FiniteRows.weights(sd, crossEntropyWeights, student.wrong(), label.wrong()))
                .sum()
                .rename(LossDescription.CROSS_ENTROPY_SUM);
        SDVariable divergenceSum = divergence
                .mul(FiniteRows.weights(sd, otherWeights, student.wrong(), teacher.wrong()))
                .sum()
                .rename(LossDescription.DIVERGENCE_SUM);
        crossEntropyWeights.add(0).sum().rename(LossDescription.TOKENS);
        otherWeights.add(0).sum().rename(LossDescription.DIVERGENCE_TOKENS);
        SDVariable loss = (objectiveSum == null ? crossEntropySum : objectiveSum)
                .add(divergenceSum.mul(factor))
                .div(examples.castTo(type))
                .rename(LOSS);
        // Not addLossVariable: M2.1 would go on with the gradient that it has of the losses before.
        sd.setLossVariables(
                Stream.concat(Stream.of(LOSS), ParameterLosses.of(sd).stream()).toArray(String[]::new));
        new LossDescription(configuration, logits, labels, weights, divergenceWeights, losses, null).writeTo(sd);
        return loss;
    }

    /**
     * Binds the model to one teacher: a {@link RetentionListener} refuses any other from then on. The identity is saved
     * with the graph.
     *
     * @param sd            a model with this loss
     * @param teacherSha256 the teacher's SHA-256, 64 hexadecimal digits
     */
    public static void bind(SameDiff sd, String teacherSha256) {
        SameDiffText.write(sd, TEACHER_SHA256, teacherSha256);
    }

    private static double factor(RetentionConfiguration configuration) {
        double temperature = configuration.getTemperature();
        return configuration.coefficientAt(0, 0, null) * temperature * temperature;
    }

    private static SDVariable require(SameDiff sd, String name, String argument) {
        if (!sd.hasVariable(name)) {
            throw new IllegalArgumentException(argument + ": expected a variable of the model, got \"" + name
                    + "\"; it has " + sd.variableMap().keySet());
        }
        return sd.getVariable(name);
    }

    private static SDVariable column(SDVariable weights, DataType type) {
        return cast(weights, type).reshape(-1, 1);
    }

    private static SDVariable cast(SDVariable variable, DataType type) {
        return variable.dataType() == type ? variable : variable.castTo(type);
    }
}
