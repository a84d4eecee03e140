package io.github.dl4jretention.listener;

import io.github.dl4jretention.loss.RetentionListener;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.loss.samediff.SameDiffLossState;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.listeners.At;
import org.nd4j.autodiff.listeners.BaseListener;
import org.nd4j.autodiff.listeners.Loss;
import org.nd4j.autodiff.listeners.Operation;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.autodiff.samediff.internal.SameDiffOp;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.OpContext;
import org.nd4j.linalg.dataset.api.MultiDataSet;

/**
 * Does for a SameDiff model with a {@link RetentionLoss} what {@link RetentionTrainingListener} does for networks:
 *
 * <pre>{@code
 * RetentionListener retention = new RetentionListener();
 * sd.setListeners(retention, RetentionTrainingListener.builder().to(new ReportLog()).build(retention));
 * }</pre>
 *
 * <p>M2.1 updates each variable as soon as its gradient is known. So this listener keeps a copy of the variables and of
 * the updater's state, and puts it back if the loss or a gradient isn't finite. Add listeners that look at the
 * variables after an iteration, such as a moving average, after this one. The gradient's norm is that of the model's
 * loss, without regularisation.
 */
public final class RetentionSameDiffListener extends BaseListener implements AutoCloseable {

    private final Reports reports;
    private final RetentionListener retention;
    private final SameDiffState state = new SameDiffState();
    private Set<String> gradients = Set.of();
    private @Nullable SameDiff model;
    private double temperature;
    private boolean started;
    private boolean saved;
    private double squaredNorm;
    private @Nullable TokenLoss previous;

    RetentionSameDiffListener(Reports reports, RetentionListener retention) {
        this.reports = reports;
        this.retention = Objects.requireNonNull(retention, "listener");
    }

    @Override
    public boolean isActive(Operation operation) {
        return operation == Operation.TRAINING;
    }

    @Override
    public void iterationStart(SameDiff sd, At at, MultiDataSet data, long etlMs) {
        if (model != sd) {
            model = sd;
            temperature = SameDiffLossState.of(sd).configuration().getTemperature();
            gradients = sd.variables().stream()
                    .filter(variable -> variable.getVariableType() == VariableType.VARIABLE)
                    .map(SDVariable::getGradient)
                    .filter(Objects::nonNull)
                    .map(SDVariable::name)
                    .collect(Collectors.toSet());
        }
        if (!started) {
            started = true;
            reports.start(at.iteration());
        }
        if (reports.measureAgreement(at.iteration())) {
            retention.setMeasureAgreement(true);
        }
        previous = retention.lastTokenLoss();
        saved = false;
        squaredNorm = 0;
    }

    /** Called before the gradients among the outputs are applied. */
    @Override
    public void opExecution(
            SameDiff sd, At at, MultiDataSet data, SameDiffOp op, OpContext opContext, INDArray[] outputs) {
        for (int i = 0; i < outputs.length; i++) {
            if (gradients.contains(op.getOutputsOfOp().get(i))) {
                if (!saved) {
                    state.save(Objects.requireNonNull(model));
                    saved = true;
                }
                double norm = Reports.norm2(outputs[i]);
                squaredNorm += norm * norm;
            }
        }
    }

    /**
     * @throws ArithmeticException if the loss or the gradient was not finite; the message gives the parts
     * @throws IllegalStateException if the {@link RetentionListener} does not come before this listener
     */
    @Override
    public void iterationDone(SameDiff sd, At at, MultiDataSet data, Loss loss) {
        retention.setMeasureAgreement(false);
        TokenLoss last = retention.lastTokenLoss();
        if (last == null || last == previous) {
            throw new IllegalStateException(
                    "listeners: expected the RetentionListener of this listener before it, it has seen no iteration");
        }
        double norm = Math.sqrt(squaredNorm);
        if (!Reports.finite(last, norm)) {
            state.restore(Objects.requireNonNull(model));
            retention.refuseUpdate();
            throw Reports.notFinite(RetentionLoss.LOSS, last, norm);
        }
        reports.send(RetentionLoss.LOSS, last, temperature, at.iteration(), at.epoch(), norm);
    }

    /** Closes all sinks. */
    @Override
    public void close() {
        reports.close();
    }
}
