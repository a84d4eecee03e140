package io.github.dl4jretention.baseline;

import io.github.dl4jretention.internal.PlaceholderArrays;
import io.github.dl4jretention.internal.RetentionLayers;
import io.github.dl4jretention.loss.LabelArrays;
import io.github.dl4jretention.loss.RetentionListener;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.loss.samediff.LossDescription;
import io.github.dl4jretention.loss.samediff.SameDiffBatch;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.DoubleSupplier;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.layers.IOutputLayer;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.listeners.At;
import org.nd4j.autodiff.listeners.BaseListener;
import org.nd4j.autodiff.listeners.Listener;
import org.nd4j.autodiff.listeners.Loss;
import org.nd4j.autodiff.listeners.Operation;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.MultiDataSet;

/**
 * Keeps a student within a divergence from its teacher: a step that leads farther is shortened towards where it came from.
 * The divergence starts at 0 and its gradient too, so nothing opposes the first steps of Adam, which are as long as the
 * learning rate allows; a limit does.
 *
 * <p><b>The rule.</b> A step takes the parameters from w0 to w1. D(w) is the mean divergence of the minibatch that was
 * trained on, in nats per token, by the student's own {@link io.github.dl4jretention.loss.Divergence} and weights, without
 * lambda and {@code T^2}. If {@code D(w1) <= limit} nothing happens. Else
 *
 * <ul>
 *   <li>where {@code D(w0) < limit}: {@code w = w0 + s (w1 - w0)}, where s begins at 1 and is multiplied by
 *       {@code sqrt((limit - D(w0)) / (D(w) - D(w0)))}, at least 0.1 and at most 0.9, until {@code D(w) <= limit}. The
 *       root is exact for a divergence that grows with the square of s, as from the teacher itself. After
 *       {@value #TRIES} tries the step is undone;
 *   <li>where {@code D(w0) >= limit}, which other minibatches can lead to: the step is kept if {@code D(w1) <= D(w0)}, and
 *       undone otherwise.
 * </ul>
 *
 * <p><b>Adam's moments</b> stay those of the whole step: they are means of gradients, which were computed at w0 however
 * far the step went. Counters go on too.
 *
 * <p><b>Cost.</b> A forward pass of the student for every step, one more for every try, and two copies of the parameters.
 * D(w) is measured without dropout, D(w0) is that of the training pass.
 *
 * <pre>{@code
 * KlTrustRegion region = KlTrustRegion.of(0.1);
 * student.addListeners(region.listener());
 * }</pre>
 *
 * <p>It has no state beyond a step: a {@link io.github.dl4jretention.checkpoint.FinetuningRun} that is given the listener
 * goes on with the same bits. Truncated backpropagation through time is refused, whose steps are parts of a minibatch.
 * Source: backtracking to a KL constraint is Schulman et al., Trust Region Policy Optimization, arXiv 1502.05477, appendix
 * C; there the region is around the last policy, here around the teacher.
 */
public final class KlTrustRegion {

    /** Most tries to shorten one step. */
    static final int TRIES = 8;

    private static final double LEAST = 0.1;
    private static final double MOST = 0.9;

    private final double limit;
    private long shortened;
    private long undone;

    private KlTrustRegion(double limit) {
        this.limit = limit;
    }

    /**
     * {@return a region around the teacher}
     *
     * @param limit in nats per token, finite and above 0
     * @throws IllegalArgumentException if it's outside of its range
     */
    public static KlTrustRegion of(double limit) {
        if (!(limit > 0) || Double.isInfinite(limit)) {
            throw new IllegalArgumentException(
                    "limit: expected a finite number of nats per token above 0, got " + limit);
        }
        return new KlTrustRegion(limit);
    }

    /** {@return how many steps were shortened so far} Those that were undone aren't among them. */
    public long shortened() {
        return shortened;
    }

    /** {@return how many steps were undone so far} */
    public long undone() {
        return undone;
    }

    /** {@return a listener, to be added to one student, a MultiLayerNetwork or ComputationGraph, or to its run} */
    public TrainingListener listener() {
        return new BaseTrainingListener() {
            private @Nullable INDArray before;
            private @Nullable MultiDataSet batch;

            /** While the model still has the minibatch: of graphs, layers forget their labels next. */
            @Override
            public void onBackwardPass(Model model) {
                requireWholeSequences(model);
                batch = batch(model, heads(model));
            }

            /** Before the update. */
            @Override
            public void onGradientCalculation(Model model) {
                release(before);
                before = model.params().dup();
            }

            @Override
            public void iterationDone(Model model, int iteration, int epoch) {
                List<RetentionOutputLayerRuntime> heads = heads(model);
                List<TokenLoss> trained = new ArrayList<>();
                heads.forEach(head -> trained.add(head.lastTokenLoss()));
                MultiDataSet trainedOn = Objects.requireNonNull(batch);
                try {
                    stayNear(
                            List.of(model.params()),
                            List.of(Objects.requireNonNull(before)),
                            mean(trained),
                            () -> divergence(model, trainedOn, heads));
                } finally {
                    release(before);
                    before = null;
                    batch = null;
                    for (int i = 0; i < heads.size(); i++) {
                        heads.get(i).restoreTokenLoss(trained.get(i));
                    }
                }
            }
        };
    }

    /** {@return a listener, to be added to one SameDiff student behind its RetentionListener, or to its run} */
    public Listener sameDiffListener() {
        return new BaseListener() {
            private final Map<String, INDArray> before = new HashMap<>();
            private @Nullable SameDiff model;

            @Override
            public boolean isActive(Operation operation) {
                return operation == Operation.TRAINING;
            }

            @Override
            public void iterationStart(SameDiff sd, At at, MultiDataSet data, long etlMs) {
                model = sd;
                before.values().forEach(KlTrustRegion::release);
                before.clear();
                ParameterArrays.of(sd).forEach((name, array) -> before.put(name, array.dup()));
            }

            @Override
            public void iterationDone(SameDiff sd, At at, MultiDataSet data, Loss loss) {
                SameDiff student = Objects.requireNonNull(model);
                TokenLoss trained = student.getListeners().stream()
                        .filter(RetentionListener.class::isInstance)
                        .map(listener -> ((RetentionListener) listener).lastTokenLoss())
                        .findFirst()
                        .orElseThrow(() -> new IllegalStateException(
                                "listeners: expected a RetentionListener before that of the trust region, got none"));
                List<INDArray> now = new ArrayList<>();
                List<INDArray> then = new ArrayList<>();
                ParameterArrays.of(student).forEach((name, array) -> {
                    now.add(array);
                    then.add(Objects.requireNonNull(before.get(name)));
                });
                stayNear(
                        now,
                        then,
                        trained == null ? Double.NaN : trained.divergence(),
                        () -> divergence(student, data));
            }
        };
    }

    /** @param start the divergence before the step; NaN where there is no teacher */
    private void stayNear(List<INDArray> now, List<INDArray> before, double start, DoubleSupplier divergence) {
        if (Double.isNaN(start)) {
            return;
        }
        double found = divergence.getAsDouble();
        if (found <= limit || found <= start) {
            return;
        }
        List<INDArray> steps = new ArrayList<>();
        for (int i = 0; i < now.size(); i++) {
            steps.add(now.get(i).sub(before.get(i)));
        }
        double share = 1;
        for (int i = 0; i < TRIES && start < limit && !(found <= limit); i++) {
            double ratio = Math.sqrt((limit - start) / (found - start));
            share *= Double.isNaN(ratio) ? LEAST : Math.max(LEAST, Math.min(MOST, ratio));
            go(now, before, steps, share);
            found = divergence.getAsDouble();
        }
        if (found <= limit) {
            shortened++;
        } else {
            go(now, before, steps, 0);
            undone++;
        }
        steps.forEach(KlTrustRegion::release);
    }

    private static void go(List<INDArray> now, List<INDArray> before, List<INDArray> steps, double share) {
        for (int i = 0; i < now.size(); i++) {
            now.get(i).assign(before.get(i));
            if (share > 0) {
                try (INDArray part = steps.get(i).mul(share)) {
                    now.get(i).addi(part);
                }
            }
        }
    }

    private static void release(@Nullable INDArray array) {
        if (array != null) {
            LabelArrays.release(array);
        }
    }

    /** The mean divergence of all outputs' tokens; NaN where none has a teacher. */
    private static double mean(List<TokenLoss> losses) {
        double sum = 0;
        double weights = 0;
        for (TokenLoss loss : losses) {
            if (loss != null && loss.hasTeacher()) {
                sum += loss.divergenceSum();
                weights += loss.divergenceTokens();
            }
        }
        return weights > 0 ? sum / weights : Double.NaN;
    }

    private static void requireWholeSequences(Model model) {
        BackpropType type = model instanceof MultiLayerNetwork network
                ? network.getLayerWiseConfigurations().getBackpropType()
                : ((ComputationGraph) model).getConfiguration().getBackpropType();
        if (type == BackpropType.TruncatedBPTT) {
            throw new IllegalArgumentException(
                    "student: expected one that is trained on whole sequences, got truncated "
                            + "backpropagation through time, whose steps are parts of a minibatch");
        }
    }

    private static List<RetentionOutputLayerRuntime> heads(Model model) {
        List<RetentionOutputLayerRuntime> heads = new ArrayList<>();
        if (model instanceof MultiLayerNetwork network) {
            RetentionLayers.of(network);
            heads.add((RetentionOutputLayerRuntime) network.getOutputLayer());
        } else {
            ComputationGraph graph = (ComputationGraph) model;
            RetentionLayers.of(graph)
                    .keySet()
                    .forEach(name -> heads.add((RetentionOutputLayerRuntime) graph.getLayer(name)));
        }
        return heads;
    }

    /** The minibatch that the model has been trained on, which it still holds. */
    private static MultiDataSet batch(Model model, List<RetentionOutputLayerRuntime> heads) {
        if (model instanceof MultiLayerNetwork network) {
            return new DataSet(
                            network.getInput(),
                            network.getLabels(),
                            heads.get(0).featuresMask(),
                            heads.get(0).getMaskArray())
                    .toMultiDataSet();
        }
        ComputationGraph graph = (ComputationGraph) model;
        INDArray[] labels = new INDArray[graph.getNumOutputArrays()];
        Arrays.setAll(labels, i -> ((IOutputLayer) graph.getOutputLayer(i)).getLabels());
        return new org.nd4j.linalg.dataset.MultiDataSet(
                graph.getInputs(), labels, graph.getInputMaskArrays(), graph.getLabelMaskArrays());
    }

    private static double divergence(Model model, MultiDataSet batch, List<RetentionOutputLayerRuntime> heads) {
        if (model instanceof MultiLayerNetwork network) {
            network.score(
                    new DataSet(
                            batch.getFeatures(0),
                            batch.getLabels(0),
                            batch.getFeaturesMaskArrays() == null ? null : batch.getFeaturesMaskArray(0),
                            batch.getLabelsMaskArrays() == null ? null : batch.getLabelsMaskArray(0)),
                    false);
        } else {
            ((ComputationGraph) model).score(batch, false);
        }
        List<TokenLoss> losses = new ArrayList<>();
        heads.forEach(head -> losses.add(head.lastTokenLoss()));
        return mean(losses);
    }

    private static double divergence(SameDiff model, MultiDataSet data) {
        TrainingConfig training = model.getTrainingConfig();
        SameDiffBatch batch = new SameDiffBatch(training, data, LossDescription.of(model));
        batch.fit(model);
        long thread = Thread.currentThread().getId();
        try (PlaceholderArrays values = new PlaceholderArrays(model)) {
            put(values, training.getDataSetFeatureMapping(), data.getFeatures());
            put(values, training.getDataSetLabelMapping(), data.getLabels());
            put(values, training.getDataSetFeatureMaskMapping(), data.getFeaturesMaskArrays());
            put(values, training.getDataSetLabelMaskMapping(), data.getLabelsMaskArrays());
            model.getSessions().put(thread, SameDiff.getInferenceFactory().create(model));
            Map<String, INDArray> results =
                    model.output(values.map(), LossDescription.DIVERGENCE_SUM, LossDescription.DIVERGENCE_TOKENS);
            return value(results, LossDescription.DIVERGENCE_SUM) / value(results, LossDescription.DIVERGENCE_TOKENS);
        } finally {
            model.getSessions().remove(thread);
            batch.restore();
        }
    }

    private static double value(Map<String, INDArray> results, String name) {
        return Objects.requireNonNull(results.get(name), name).getDouble(0);
    }

    private static void put(PlaceholderArrays values, @Nullable List<String> names, INDArray @Nullable [] arrays) {
        for (int i = 0; names != null && arrays != null && i < Math.min(names.size(), arrays.length); i++) {
            if (names.get(i) != null && arrays[i] != null) {
                values.put(names.get(i), arrays[i]);
            }
        }
    }
}
