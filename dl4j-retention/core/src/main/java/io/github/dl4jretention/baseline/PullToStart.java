package io.github.dl4jretention.baseline;

import java.util.Map;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.listeners.At;
import org.nd4j.autodiff.listeners.BaseListener;
import org.nd4j.autodiff.listeners.Listener;
import org.nd4j.autodiff.listeners.Loss;
import org.nd4j.autodiff.listeners.Operation;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;

/**
 * Pulls a model's parameters w a little way back to where they started, w0, after every step of the updater:
 *
 * <pre>
 * w = w + rho (w0 - w)
 * </pre>
 *
 * <p>L2-SP ({@link QuadraticPenalty#toStart(Model, double)}) puts the same pull into the gradient, where Adam divides it by
 * the size of the gradients: parameters with large gradients are pulled less. Here all are pulled by the same share,
 * whatever the updater and its learning rate are. It is to L2-SP what AdamW is to L2 (Loshchilov, Hutter, arXiv
 * 1711.05101, towards w0 instead of 0). A parameter that isn't trained any more has half of its way back after
 * {@code ln 2 / rho} steps.
 *
 * <pre>{@code
 * network.addListeners(PullToStart.of(pretrained, 0.001).listener());   // plain network or student with retention
 * }</pre>
 *
 * <p>Frozen layers and running statistics of batch normalisation stay as they are. The score doesn't know of it. It has no
 * state: a {@link io.github.dl4jretention.checkpoint.FinetuningRun} that is given the listener goes on with the same bits.
 * Costs a copy of the parameters, and one pass over them for each step.
 */
public final class PullToStart {

    private final Map<String, INDArray> start;
    private final double rho;

    private PullToStart(Map<String, INDArray> start, double rho) {
        if (!(rho >= 0 && rho <= 1)) {
            throw new IllegalArgumentException("rho: expected a number from 0 to 1, got " + rho);
        }
        this.start = ParameterArrays.map(start, array -> array.dup('c'));
        this.rho = rho;
    }

    /**
     * {@return a pull to a network's parameters as they are}
     *
     * @param start a MultiLayerNetwork or ComputationGraph; its parameters are copied
     * @param rho   share of the way back, from 0 to 1; 0 is no pull, 1 undoes every step
     * @throws IllegalArgumentException if rho is outside of its range
     */
    public static PullToStart of(Model start, double rho) {
        return new PullToStart(ParameterArrays.of(start), rho);
    }

    /**
     * {@return a pull to a SameDiff model's variables as they are}
     *
     * @param start its floating-point variables are copied
     * @param rho   as in {@link #of(Model, double)}
     * @throws IllegalArgumentException if rho is outside of its range, or the model has no variables
     */
    public static PullToStart of(SameDiff start, double rho) {
        return new PullToStart(ParameterArrays.of(start), rho);
    }

    /** {@return a new listener, to be added to one network of the start's architecture, or to a run} */
    public TrainingListener listener() {
        return new BaseTrainingListener() {
            private @Nullable Model seen;
            private @Nullable INDArray mask;

            @Override
            public void iterationDone(Model model, int iteration, int epoch) {
                if (model != seen) {
                    mask = PenaltyListener.mask(model);
                    seen = model;
                }
                pull(ParameterArrays.of(model), mask);
            }
        };
    }

    /** {@return a new listener, to be added to one SameDiff model with the start's variables, or to a run} */
    public Listener sameDiffListener() {
        return new BaseListener() {
            private @Nullable SameDiff model;

            @Override
            public boolean isActive(Operation operation) {
                return operation == Operation.TRAINING;
            }

            /** The model that is fitted: what M2.1 gives at the end of an iteration is that of its gradients. */
            @Override
            public void iterationStart(SameDiff sd, At at, MultiDataSet data, long etlMs) {
                model = sd;
            }

            @Override
            public void iterationDone(SameDiff sd, At at, MultiDataSet dataSet, Loss loss) {
                pull(ParameterArrays.of(model == null ? sd : model), null);
            }
        };
    }

    private void pull(Map<String, INDArray> parameters, @Nullable INDArray mask) {
        ParameterArrays.requireSame(start, parameters, "model");
        start.forEach((name, from) -> {
            INDArray now = ParameterArrays.get(parameters, name);
            try (INDArray way = from.sub(now)) {
                if (mask != null) {
                    way.muli(mask.castTo(way.dataType()));
                }
                now.addi(way.muli(rho));
            }
        });
    }
}
