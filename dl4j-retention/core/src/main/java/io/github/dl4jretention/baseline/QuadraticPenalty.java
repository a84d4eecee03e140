package io.github.dl4jretention.baseline;

import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * A pull of a model's parameters w back to where they started, w0:
 *
 * <pre>
 * strength / 2 sum_i F_i (w_i - w0_i)^2
 * </pre>
 *
 * It's added to DL4J's loss, which is a mean over the minibatch's examples; its gradient is {@code strength F (w - w0)}
 * whatever the size of the minibatch. With F = 1 it's L2-SP (Li, Grandvalet, Davoine, arXiv 1802.01483, the first of
 * its two terms; the second, L2 to 0 for layers that the start doesn't have, is left out, and DL4J's own l2 stays as it
 * is). With the diagonal of the Fisher information it's elastic weight consolidation (Kirkpatrick et al., arXiv
 * 1612.00796, equation 3), and with the importance of memory aware synapses it's MAS (arXiv 1711.09601, whose lambda is
 * strength / 2).
 *
 * <pre>{@code
 * QuadraticPenalty penalty = QuadraticPenalty.toStart(pretrained, 0.01);
 * network.addListeners(penalty.listener());     // plain network or student with retention
 * network.fit(iterator, epochs);
 * }</pre>
 *
 * <p>Several penalties add up. Separate EWC has one for each task; online EWC has a single one around the latest
 * weights, see {@link Importance#decayedPlus}. Use a penalty with one model at a time.
 */
public final class QuadraticPenalty {

    private static final String PREFIX = "quadraticPenalty";

    private final Map<String, INDArray> start;
    private final Map<String, INDArray> importance;
    private final double strength;

    private QuadraticPenalty(Map<String, INDArray> start, @Nullable Importance importance, double strength) {
        if (!(strength >= 0) || Double.isInfinite(strength)) {
            throw new IllegalArgumentException("strength: expected a finite number of at least 0, got " + strength);
        }
        this.start = ParameterArrays.map(start, array -> widened(array).dup('c'));
        this.strength = strength;
        if (importance != null) {
            ParameterArrays.requireSame(start, importance.arrays(), "importance");
        }
        this.importance =
                importance == null ? Map.of() : ParameterArrays.map(importance.arrays(), QuadraticPenalty::widened);
    }

    /**
     * {@return L2-SP: all parameters matter alike, F = 1}
     *
     * @param start    a MultiLayerNetwork or ComputationGraph; its parameters are copied
     * @param strength finite and at least 0; 0 is no pull
     * @throws IllegalArgumentException if the strength is outside of its range
     */
    public static QuadraticPenalty toStart(Model start, double strength) {
        return new QuadraticPenalty(ParameterArrays.of(start), null, strength);
    }

    /**
     * {@return L2-SP of a SameDiff model's variables}
     *
     * @param start    its floating-point variables are copied
     * @param strength finite and at least 0; 0 is no pull
     * @throws IllegalArgumentException if the strength is outside of its range, or the model has no variables
     */
    public static QuadraticPenalty toStart(SameDiff start, double strength) {
        return new QuadraticPenalty(ParameterArrays.of(start), null, strength);
    }

    /**
     * {@return EWC or MAS, by what the importance is}
     *
     * @param start      a MultiLayerNetwork or ComputationGraph; its parameters are copied
     * @param importance F, of the same architecture
     * @param strength   finite and at least 0
     * @throws IllegalArgumentException if the importance is of another architecture, or the strength outside of its
     *     range
     */
    public static QuadraticPenalty weighted(Model start, Importance importance, double strength) {
        return new QuadraticPenalty(
                ParameterArrays.of(start), Objects.requireNonNull(importance, "importance"), strength);
    }

    /**
     * {@return EWC or MAS of a SameDiff model's variables}
     *
     * @param start      its floating-point variables are copied
     * @param importance F, of the same variables
     * @param strength   finite and at least 0
     * @throws IllegalArgumentException if the importance is of other variables, the strength outside of its range, or
     *     the model has no variables
     */
    public static QuadraticPenalty weighted(SameDiff start, Importance importance, double strength) {
        return new QuadraticPenalty(
                ParameterArrays.of(start), Objects.requireNonNull(importance, "importance"), strength);
    }

    private static INDArray widened(INDArray array) {
        DataType type = ParameterArrays.wide(array.dataType());
        return array.dataType() == type ? array : array.castTo(type);
    }

    /**
     * Makes a listener with which a MultiLayerNetwork or ComputationGraph trains with the penalty. It adds the gradient
     * before gradient normalisation and the updater, and the value to the score of the training step. {@code
     * score(DataSet)}, which early stopping calls, is that of the data alone. Frozen layers and vertices and the
     * running statistics of batch normalisation are left alone, in the gradient and in the score. It isn't saved with
     * the model: add it again after loading. ParallelWrapper doesn't call it on all workers; a {@link
     * io.github.dl4jretention.checkpoint.FinetuningRun} calls it if you give it to the run's builder.
     *
     * @return a new listener, to be added to one network with {@code addListeners}
     */
    public TrainingListener listener() {
        return new PenaltyListener(this);
    }

    /**
     * {@return the penalty of a MultiLayerNetwork or ComputationGraph as it is now, of all its parameters, in units of
     * the loss}
     *
     * @param network of the architecture of the start
     * @throws IllegalArgumentException if it is of another
     */
    public double value(Model network) {
        return value(ParameterArrays.of(network));
    }

    /**
     * {@return the penalty of a SameDiff model as it is now, in units of the loss}
     *
     * @param model with the variables of the start
     * @throws IllegalArgumentException if it has others
     */
    public double value(SameDiff model) {
        return value(ParameterArrays.of(model));
    }

    private double value(Map<String, INDArray> parameters) {
        ParameterArrays.requireSame(start, parameters, "model");
        double sum = 0;
        for (Map.Entry<String, INDArray> entry : start.entrySet()) {
            INDArray way =
                    widened(ParameterArrays.get(parameters, entry.getKey())).sub(entry.getValue());
            sum += halfSquare(way, weightedBy(entry.getKey(), way));
        }
        return sum;
    }

    private double halfSquare(INDArray way, INDArray weighted) {
        return strength / 2 * way.mul(weighted).sumNumber().doubleValue();
    }

    /** The way itself where all parameters matter alike. */
    private INDArray weightedBy(String name, INDArray way) {
        INDArray weights = importance.get(name);
        return weights == null ? way : way.mul(weights);
    }

    /**
     * Adds the penalty's gradient to a network's.
     *
     * @param gradient the vector to add to
     * @param factor   1, or the minibatch's size where the gradient is yet to be divided by it
     * @param mask     0 where there is no penalty, else 1; null for everywhere
     * @return the penalty
     */
    double addTo(INDArray gradient, INDArray parameters, double factor, @Nullable INDArray mask) {
        Map<String, INDArray> now = Map.of(ParameterArrays.PARAMS, parameters.reshape(parameters.length()));
        ParameterArrays.requireSame(start, now, "model");
        INDArray way = widened(ParameterArrays.get(now, ParameterArrays.PARAMS)).sub(start.get(ParameterArrays.PARAMS));
        if (mask != null) {
            way.muli(mask);
        }
        INDArray weighted = weightedBy(ParameterArrays.PARAMS, way);
        double value = halfSquare(way, weighted);
        INDArray flat = gradient.reshape(gradient.length());
        flat.addi(weighted.muli(strength * factor).castTo(flat.dataType()));
        return value;
    }

    /**
     * Adds the penalty to a SameDiff model as one more loss variable, whose gradient M2.1 adds to that of the others.
     * Start and importance become constants of the model and are saved with it; the model computes its logits as
     * before. M2.1's {@code fit} doesn't compute the variable and reports it as 0; ask {@link #value(SameDiff)}. You
     * can add it to a model that was fitted before, and {@link io.github.dl4jretention.loss.RetentionLoss#add} keeps
     * it.
     *
     * @param model has its loss already, from {@link io.github.dl4jretention.loss.RetentionLoss} or its own
     * @return the penalty, a scalar
     * @throws IllegalArgumentException if the model has no loss variable, or other variables
     */
    public SDVariable addTo(SameDiff model) {
        if (model.getLossVariables().isEmpty()) {
            throw new IllegalArgumentException(
                    "model: expected one with a loss variable that the penalty is added to, got none");
        }
        Map<String, INDArray> variables = new TreeMap<>(ParameterArrays.of(model));
        ParameterArrays.requireSame(start, variables, "model");
        int number = 0;
        while (model.hasVariable(PREFIX + number)) {
            number++;
        }
        String name = PREFIX + number;
        SDVariable sum = null;
        for (String variable : start.keySet()) {
            DataType type = start.get(variable).dataType();
            SDVariable now = model.getVariable(variable);
            SDVariable way = (now.dataType() == type ? now : now.castTo(type))
                    .sub(model.constant(
                            name + "_start_" + variable, start.get(variable).dup()));
            SDVariable square = model.math().square(way);
            if (importance.containsKey(variable)) {
                square = square.mul(model.constant(
                        name + "_importance_" + variable,
                        importance.get(variable).dup()));
            }
            SDVariable term = square.sum();
            sum = sum == null ? term : sum.add(term.castTo(sum.dataType()));
        }
        SDVariable penalty = Objects.requireNonNull(sum)
                .mul(model.constant(name + "_factor", Nd4j.scalar(sum.dataType(), strength / 2)))
                .rename(name);
        // Not addLossVariable: M2.1 would go on with the gradient that it has of the losses before.
        model.setLossVariables(Stream.concat(model.getLossVariables().stream(), Stream.of(name))
                .toArray(String[]::new));
        return penalty;
    }
}
