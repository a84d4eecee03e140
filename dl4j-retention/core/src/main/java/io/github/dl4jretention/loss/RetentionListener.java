package io.github.dl4jretention.loss;

import io.github.dl4jretention.internal.SameDiffText;
import io.github.dl4jretention.loss.samediff.LossDescription;
import io.github.dl4jretention.loss.samediff.SameDiffBatch;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.listeners.At;
import org.nd4j.autodiff.listeners.BaseListener;
import org.nd4j.autodiff.listeners.Listener;
import org.nd4j.autodiff.listeners.Loss;
import org.nd4j.autodiff.listeners.Operation;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.autodiff.samediff.internal.SameDiffOp;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.OpContext;
import org.nd4j.linalg.dataset.api.MultiDataSet;

/**
 * Goes with a {@link RetentionLoss} through {@code SameDiff.fit}: checks every batch before it trains, sets lambda by
 * its schedule or steers it, refuses another teacher than the one that the model is bound to, and makes M2.1 compute
 * the loss, which it otherwise reports as 0. One listener for each model; it finds the loss's settings in the model.
 */
public final class RetentionListener extends BaseListener {

    private static final List<String> WATCHED = LossDescription.RESULTS;

    private final Map<String, Double> values = new HashMap<>();
    private @Nullable LossDescription description;
    private @Nullable SameDiffBatch batch;
    private @Nullable SameDiff model;
    private @Nullable String teacher;
    private boolean measureAgreement;
    private double agreements = Double.NaN;
    private @Nullable TokenLoss last;
    private double factorBefore;
    private boolean bound;
    private boolean updated;

    /** {@return the loss of the last minibatch, before its update; null before the first} */
    public @Nullable TokenLoss lastTokenLoss() {
        return last;
    }

    /**
     * @param measureAgreement whether {@link TokenLoss#agreement()} is measured from now on; default false, for it
     *     costs two passes over logits
     */
    public void setMeasureAgreement(boolean measureAgreement) {
        this.measureAgreement = measureAgreement;
    }

    /**
     * Takes back what the last iteration did to an adaptive coefficient and to the teacher that the model is bound to,
     * and ends the operation, which {@code SameDiff.fit} does not do where a listener throws: for a listener that
     * refuses the update. A second call does nothing.
     */
    public void refuseUpdate() {
        if (updated && model != null) {
            updated = false;
            factor().assign(factorBefore);
            if (bound) {
                RetentionLoss.bind(model, "");
            }
            operationEnd(model, Operation.TRAINING);
        }
    }

    /**
     * Gives a batch its own arrays back and frees their casts, which is done by itself unless {@code SameDiff.fit}
     * throws in the middle of an iteration: then call this. A second call does nothing.
     *
     * @param sd a model with such a listener
     */
    public static void restoreBatch(SameDiff sd) {
        for (Listener listener : sd.getListeners()) {
            if (listener instanceof RetentionListener retention) {
                retention.forgetBatch();
            }
        }
    }

    @Override
    public boolean isActive(Operation operation) {
        return operation == Operation.TRAINING;
    }

    /**
     * M2.1 computes no variable that neither a gradient nor an evaluation needs: an empty list of evaluations will do.
     * Where gradients only are asked for there is no configuration.
     */
    @Override
    public void operationStart(SameDiff sd, Operation op) {
        TrainingConfig training = sd.getTrainingConfig();
        if (training == null) {
            return;
        }
        WATCHED.stream().filter(sd::hasVariable).forEach(name -> {
            training.getTrainEvaluations().putIfAbsent(name, List.of());
            training.getTrainEvaluationLabels().putIfAbsent(name, 0);
        });
    }

    @Override
    public void operationEnd(SameDiff sd, Operation op) {
        TrainingConfig training = sd.getTrainingConfig();
        if (training == null) {
            return;
        }
        for (String name : WATCHED) {
            training.getTrainEvaluations().remove(name, List.of());
            training.getTrainEvaluationLabels().remove(name);
        }
    }

    /**
     * @throws IllegalArgumentException if the batch does not fit the model
     * @throws IllegalStateException if its teacher is another than the model's
     */
    @Override
    public void iterationStart(SameDiff sd, At at, MultiDataSet data, long etlMs) {
        forgetBatch();
        try {
            if (description == null) {
                description = LossDescription.of(sd);
            }
            check(sd, data);
        } catch (RuntimeException e) {
            // SameDiff.fit ends no operation that fails.
            forgetBatch();
            operationEnd(sd, Operation.TRAINING);
            throw e;
        }
        if (configuration().getAdaptive() == null) {
            double temperature = configuration().getTemperature();
            factor().assign(description.coefficientAt(at.iteration(), at.epoch(), null) * temperature * temperature);
        }
        updated = false;
        values.clear();
        agreements = Double.NaN;
    }

    private double value(String name) {
        return Objects.requireNonNull(values.get(name), name);
    }

    /** Also called for an iteration that DL4J broke off without telling its listeners. */
    private void forgetBatch() {
        if (batch != null) {
            batch.restore();
            batch = null;
        }
    }

    private INDArray factor() {
        return Objects.requireNonNull(model).getVariable(RetentionLoss.FACTOR).getArr();
    }

    private RetentionConfiguration configuration() {
        return Objects.requireNonNull(description).configuration();
    }

    private void check(SameDiff sd, MultiDataSet data) {
        model = sd;
        teacher = requireSameTeacher(sd, data);
        for (INDArray labels : data.getLabels()) {
            source(labels)
                    .ifPresent(source -> configuration().requireServedBy(source.sampledAt(), source.everyClass()));
        }
        SameDiffBatch checked = new SameDiffBatch(sd.getTrainingConfig(), data, Objects.requireNonNull(description));
        batch = checked;
        checked.requireShapes(sd);
        checked.fit(sd);
    }

    private static Optional<LabelArrays.Source> source(INDArray labels) {
        return LabelArrays.sourceOf(labels, labels.rank() - 1);
    }

    /** The teacher that the model is bound to once it has trained on the batch; null for none. */
    private static @Nullable String requireSameTeacher(SameDiff sd, MultiDataSet data) {
        String expected = SameDiffText.read(sd, RetentionLoss.TEACHER_SHA256).orElse(null);
        for (INDArray labels : data.getLabels()) {
            String met = source(labels).map(LabelArrays.Source::teacher).orElse(expected);
            LabelArrays.requireSameTeacher(expected, met);
            expected = met;
        }
        return expected;
    }

    /** @throws IllegalArgumentException if the batch does not fit the logits; no gradient is known yet */
    @Override
    public void opExecution(
            SameDiff sd, At at, MultiDataSet data, SameDiffOp op, OpContext opContext, INDArray[] outputs) {
        for (int i = 0; i < outputs.length; i++) {
            String name = op.getOutputsOfOp().get(i);
            if (WATCHED.contains(name)) {
                values.put(name, outputs[i].getDouble(0));
            } else if (batch != null && description != null && name.equals(description.logits())) {
                requireFits(batch, sd, outputs[i]);
                agreements = measureAgreement ? batch.agreements(outputs[i]) : Double.NaN;
            }
        }
    }

    private void requireFits(SameDiffBatch batch, SameDiff sd, INDArray logits) {
        try {
            batch.requireFits(logits.shape());
        } catch (IllegalArgumentException e) {
            forgetBatch();
            operationEnd(sd, Operation.TRAINING);
            throw e;
        }
    }

    @Override
    public void iterationDone(SameDiff sd, At at, MultiDataSet dataSet, Loss loss) {
        INDArray factor = factor();
        factorBefore = factor.getDouble(0);
        last = new TokenLoss(
                value(LossDescription.CROSS_ENTROPY_SUM),
                value(LossDescription.DIVERGENCE_SUM),
                factorBefore,
                value(LossDescription.TOKENS),
                value(LossDescription.DIVERGENCE_TOKENS),
                agreements,
                values.getOrDefault(LossDescription.OBJECTIVE_SUM, value(LossDescription.CROSS_ENTROPY_SUM)));
        forgetBatch();
        for (INDArray labels : dataSet.getLabels()) {
            LabelArrays.used(labels);
        }
        bound = bind();
        updated = true;
        AdaptiveCoefficient adaptive = configuration().getAdaptive();
        if (adaptive != null) {
            double squared = configuration().getTemperature() * configuration().getTemperature();
            factor.assign(squared * adaptive.next(factorBefore / squared, last.divergence()));
        }
    }

    /** The model that was fitted: what M2.1 gives at the end of an iteration is that of its gradients. */
    private boolean bind() {
        if (teacher == null
                || model == null
                || SameDiffText.read(model, RetentionLoss.TEACHER_SHA256).isPresent()) {
            return false;
        }
        RetentionLoss.bind(model, teacher);
        return true;
    }
}
