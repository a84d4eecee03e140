package io.github.dl4jretention;

import io.github.dl4jretention.checkpoint.RestartableIterator;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.loss.LabelArrays;
import io.github.dl4jretention.merge.MergeMethod;
import io.github.dl4jretention.teacher.MovingAverageTeacher;
import io.github.dl4jretention.teacher.Teacher;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

/**
 * Averages a finetuned model with its start, and chooses the start's share on validation text:
 *
 * <pre>
 * w = share w0 + (1 - share) w1
 * </pre>
 *
 * where w0 is the start and w1 the finetuned model, or the running average of its parameters
 * {@code a = decay a + (1 - decay) w} after every step, from a = w0 on. Nothing is trained for it.
 *
 * <pre>{@code
 * Averaging averaging = Averaging.on(validationTarget, validationSource);
 * Averaged<MultiLayerNetwork> averaged = Retention.finetune(student, teacher, iterator, epochs, averaging);
 * averaged.points().forEach(System.out::println);
 * averaged.model().save(file);
 * }</pre>
 *
 * <p><b>The choice.</b> All candidates are measured on both texts: gain is how much smaller the mean cross-entropy on
 * target text is than the start's, forgetting how much larger on source text, in nats per token. Chosen is the one of the
 * largest gain minus forgetting, or, with {@link #mostForgetting}, that of the largest gain among those that forget no
 * more. The start itself, share 1, is among them. Without source text, let sequences that the start wrote stand for it
 * ({@link io.github.dl4jretention.baseline.SelfReplay#iterator}), others than those that were trained on.
 *
 * <p><b>Cost.</b> A pass over both texts for each candidate: for each share below 1, each of the student's own weights and
 * its running averages; with {@link #every} so many times on the way, so the texts' iterators must not be those of the training. A copy of the parameters for each running average.
 *
 * <p>Sources: Wortsman et al., Robust fine-tuning of zero-shot models (WiSE-FT), arXiv 2109.01903, with alpha = 1 - share;
 * running averages are those of Polyak and Juditsky, with a decay.
 */
public final class Averaging {

    /** A network's vector among its arrays. */
    static final String PARAMS = "params";

    private final MultiDataSetIterator target;
    private final MultiDataSetIterator source;
    private double[] shares = {0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1};
    private double[] decays = {0.99};
    private double mostForgetting = Double.NaN;
    private int every;

    private Averaging(MultiDataSetIterator target, MultiDataSetIterator source) {
        this.target = require(target, "target");
        this.source = require(source, "source");
    }

    private static MultiDataSetIterator require(MultiDataSetIterator text, String name) {
        if (!text.resetSupported()) {
            throw new IllegalArgumentException(name + ": expected an iterator that can be reset");
        }
        return text;
    }

    /**
     * {@return an averaging with the defaults: shares 0, 0.1, ..., 1, a running average of decay 0.99, measured at the
     * end}
     *
     * @param target held-out text of what is learned
     * @param source held-out text of what must not be forgotten
     * @throws IllegalArgumentException if one can't be reset
     */
    public static Averaging on(MultiDataSetIterator target, MultiDataSetIterator source) {
        return new Averaging(target, source);
    }

    /**
     * {@return the same as {@link #on(MultiDataSetIterator, MultiDataSetIterator)}}
     *
     * @param target held-out text of what is learned
     * @param source held-out text of what must not be forgotten
     * @throws IllegalArgumentException if one can't be reset
     */
    public static Averaging on(DataSetIterator target, DataSetIterator source) {
        return new Averaging(RestartableIterator.multi(target), RestartableIterator.multi(source));
    }

    /**
     * @param values the start's shares, each in [0, 1]; 1 is always among them
     * @return this averaging
     * @throws IllegalArgumentException if one is outside of its range
     */
    public Averaging shares(double... values) {
        for (double share : values) {
            if (!(share >= 0 && share <= 1)) {
                throw new IllegalArgumentException("shares: expected numbers from 0 to 1, got " + share);
            }
        }
        shares = values.clone();
        return this;
    }

    /**
     * @param values of running averages, each in (0, 1); none for the student's own weights alone
     * @return this averaging
     * @throws IllegalArgumentException if one is outside of its range
     */
    public Averaging decays(double... values) {
        for (double decay : values) {
            if (!(decay > 0 && decay < 1)) {
                throw new IllegalArgumentException("decays: expected numbers between 0 and 1, got " + decay);
            }
        }
        decays = values.clone();
        return this;
    }

    /**
     * @param nats the most forgetting per token that a chosen model may have, at least 0; default: no limit, the largest
     *     gain minus forgetting is chosen
     * @return this averaging
     * @throws IllegalArgumentException if it's below 0
     */
    public Averaging mostForgetting(double nats) {
        if (!(nats >= 0)) {
            throw new IllegalArgumentException("mostForgetting: expected at least 0 nats per token, got " + nats);
        }
        mostForgetting = nats;
        return this;
    }

    /**
     * @param steps after so many steps each time candidates are measured too, at least 1; default: at the end alone
     * @return this averaging
     * @throws IllegalArgumentException if it's below 1
     */
    public Averaging every(int steps) {
        if (steps < 1) {
            throw new IllegalArgumentException("every: expected at least 1 step, got " + steps);
        }
        every = steps;
        return this;
    }

    /**
     * {@return the best average of a network that has been finetuned, by a run say}
     *
     * @param start    where it began
     * @param tuned    without retention: {@code Retention.detach} makes it so
     * @param averages running averages of its training, those of a
     *     {@link io.github.dl4jretention.checkpoint.FinetuningRun} say; they stay open
     * @throws IllegalArgumentException if they're of different architectures, or a text doesn't fit
     */
    public Averaged<MultiLayerNetwork> choose(
            MultiLayerNetwork start, MultiLayerNetwork tuned, MovingAverageTeacher... averages) {
        return chosen(AveragedModels.NETWORKS, start, tuned, averages);
    }

    /**
     * {@return the same as {@link #choose(MultiLayerNetwork, MultiLayerNetwork, MovingAverageTeacher...)}, of a graph}
     *
     * @param start    where it began
     * @param tuned    without retention
     * @param averages running averages of its training; they stay open
     * @throws IllegalArgumentException if they're of different architectures, or a text doesn't fit
     */
    public Averaged<ComputationGraph> choose(
            ComputationGraph start, ComputationGraph tuned, MovingAverageTeacher... averages) {
        return chosen(AveragedModels.GRAPHS, start, tuned, averages);
    }

    /**
     * {@return the same as {@link #choose(MultiLayerNetwork, MultiLayerNetwork, MovingAverageTeacher...)}, of a SameDiff
     * model without running averages}
     *
     * @param start    where it began
     * @param tuned    without retention
     * @param logits   the variable of the logits
     * @param features the placeholders of the features
     * @throws IllegalArgumentException if they're of different variables, or a text doesn't fit
     */
    public Averaged<SameDiff> choose(SameDiff start, SameDiff tuned, String logits, String... features) {
        return chosen(AveragedModels.ofSameDiff(logits, features), start, tuned);
    }

    private <M> Averaged<M> chosen(AveragedModels<M> models, M start, M tuned, MovingAverageTeacher... averages) {
        Search<M> search = new Search<>(models, start, new double[0]);
        search.measure(tuned, 0, 0);
        for (MovingAverageTeacher average : averages) {
            M copy = models.merge()
                    .apply(MergeMethod.wiseFt(1))
                    .base(start)
                    .model(tuned)
                    .merge();
            INDArray own =
                    Objects.requireNonNull(models.parameters().apply(copy).get(PARAMS), PARAMS);
            try (INDArray averaged = average.params()) {
                if (averaged.length() != own.length()) {
                    throw new IllegalArgumentException("averages: expected " + own.length()
                            + " parameters, as the tuned model has, got " + averaged.length());
                }
                own.assign(averaged.reshape(own.shape()));
            }
            search.measure(copy, 0, average.decay());
        }
        return search.best();
    }

    /** Where a training begins: its running averages begin there too. */
    <M> Search<M> start(AveragedModels<M> models, M student) {
        return new Search<>(models, models.plain().apply(student), decays);
    }

    /**
     * The candidates of one training, of which the best is kept.
     *
     * @param <M> the kind of model
     */
    final class Search<M> {

        private final AveragedModels<M> models;
        private final M start;
        private final double[] decays;
        private final Averaged.Point startPoint;
        private final List<Map<String, INDArray>> averages = new ArrayList<>();
        private final List<Averaged.Point> points = new ArrayList<>();
        private Averaged.Point best;
        private M bestModel;
        private int step;

        private Search(AveragedModels<M> models, M start, double[] decays) {
            this.models = models;
            this.start = start;
            this.decays = decays;
            try (Teacher teacher = models.teacher().apply(start)) {
                double onTarget = loss(teacher, target);
                double onSource = loss(teacher, source);
                startPoint = new Averaged.Point(0, 0, 1, onTarget, onSource, 0, 0);
            }
            points.add(startPoint);
            best = startPoint;
            bestModel = start;
            for (int i = 0; i < decays.length; i++) {
                Map<String, INDArray> average = new TreeMap<>();
                models.parameters()
                        .apply(start)
                        .forEach((name, array) -> average.put(
                                name,
                                array.castTo(array.dataType() == DataType.DOUBLE ? DataType.DOUBLE : DataType.FLOAT)
                                        .dup('c')));
                averages.add(average);
            }
        }

        private double loss(Teacher teacher, MultiDataSetIterator text) {
            return TokenEvaluation.of(teacher, text).crossEntropy();
        }

        /** After every step of the student. */
        void stepDone(M student) {
            step++;
            Map<String, INDArray> now = models.parameters().apply(student);
            for (int i = 0; i < decays.length; i++) {
                double decay = decays[i];
                averages.get(i).forEach((name, average) -> {
                    INDArray array = Objects.requireNonNull(now.get(name), name);
                    try (INDArray share = array.castTo(average.dataType()).mul(1 - decay)) {
                        average.muli(decay).addi(share.reshape(average.shape()));
                    }
                });
            }
            if (every > 0 && step % every == 0) {
                measure(student);
            }
        }

        /** {@return the best of all, once training has ended} */
        Averaged<M> end(M student) {
            if (every == 0 || step % every != 0) {
                measure(student);
            }
            averages.forEach(average -> average.values().forEach(LabelArrays::release));
            if (bestModel != start) {
                release(start);
            }
            return best();
        }

        private void measure(M student) {
            M plain = models.plain().apply(student);
            measure(plain, step, 0);
            for (int i = 0; i < decays.length; i++) {
                averages.get(i).forEach((name, average) -> {
                    INDArray own = Objects.requireNonNull(
                            models.parameters().apply(plain).get(name), name);
                    own.assign(average.reshape(own.shape()));
                });
                measure(plain, step, decays[i]);
            }
            release(plain);
        }

        private void measure(M tuned, int atStep, double decay) {
            for (double share : shares) {
                if (share < 1) {
                    M merged = models.merge()
                            .apply(MergeMethod.wiseFt(1 - share))
                            .base(start)
                            .model(tuned)
                            .merge();
                    Averaged.Point point = point(merged, atStep, decay, share);
                    points.add(point);
                    if (isBetter(point)) {
                        if (bestModel != start) {
                            release(bestModel);
                        }
                        best = point;
                        bestModel = merged;
                    } else {
                        release(merged);
                    }
                }
            }
        }

        private Averaged.Point point(M merged, int atStep, double decay, double share) {
            try (Teacher teacher = models.teacher().apply(merged)) {
                double onTarget = loss(teacher, target);
                double onSource = loss(teacher, source);
                return new Averaged.Point(
                        atStep,
                        decay,
                        share,
                        onTarget,
                        onSource,
                        startPoint.target() - onTarget,
                        onSource - startPoint.source());
            }
        }

        /** A loss that's no number is never better. */
        private boolean isBetter(Averaged.Point point) {
            if (Double.isNaN(mostForgetting)) {
                return point.gain() - point.forgetting() > best.gain() - best.forgetting();
            }
            return point.forgetting() <= mostForgetting && point.gain() > best.gain();
        }

        private void release(M model) {
            models.parameters().apply(model).values().forEach(LabelArrays::release);
        }

        private Averaged<M> best() {
            return new Averaged<>(bestModel, best, List.copyOf(points));
        }
    }

    @Override
    public String toString() {
        return "Averaging(shares=" + Arrays.toString(shares) + ", decays=" + Arrays.toString(decays) + ", every="
                + (every == 0 ? "end" : every) + ", mostForgetting=" + mostForgetting + ")";
    }
}
