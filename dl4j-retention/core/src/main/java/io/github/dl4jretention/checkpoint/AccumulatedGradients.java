package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.HeldBatchNormalization;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.loss.TokenLoss;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Objects;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Adds up the gradients of several minibatches for one step, {@code sum_i gradient_i / sum_i examples_i}: DL4J's gradients
 * are sums over a minibatch's tokens, which its updaters divide by the examples. So a step is that of one minibatch of
 * all the examples, however many tokens their masks leave. The listeners see one step too: its loss, its score and its
 * gradient are those of all the minibatches. It must be the first listener, before those that look at the gradient.
 */
final class AccumulatedGradients extends BaseTrainingListener implements AutoCloseable {

    private final Model model;
    private final List<RetentionOutputLayerRuntime> heads;
    private final IdentityHashMap<RetentionOutputLayerRuntime, TokenLoss> losses = new IdentityHashMap<>();
    private @Nullable INDArray sums;
    private double scores;
    private int examples;

    /**
     * @param model a student
     * @throws IllegalArgumentException if it trains by truncated backpropagation, which takes steps within a minibatch,
     *     or has batch normalisation by the minibatch's statistics, which aren't those of all the minibatches
     */
    AccumulatedGradients(Model model) {
        this.model = model;
        BackpropType type = model instanceof MultiLayerNetwork network
                ? network.getLayerWiseConfigurations().getBackpropType()
                : ((ComputationGraph) model).getConfiguration().getBackpropType();
        if (type == BackpropType.TruncatedBPTT) {
            throw new IllegalArgumentException("accumulate: expected a student of standard backpropagation, got one of "
                    + "truncated backpropagation, which takes several steps within a minibatch; "
                    + "leave accumulate at 1");
        }
        for (Layer layer : layers()) {
            if (normalisesByMinibatch(layer.conf().getLayer())) {
                throw new IllegalArgumentException(
                        "accumulate: expected batch normalisation that holds its statistics, "
                                + "as Retention.attach leaves it, got layer "
                                + layer.conf().getLayer().getLayerName()
                                + " at " + layer.getIndex()
                                + ", which normalises by each minibatch; make the student by "
                                + "Retention.attach, freeze the layer, or leave accumulate at 1");
            }
        }
        heads = Arrays.stream(layers())
                .filter(RetentionOutputLayerRuntime.class::isInstance)
                .map(RetentionOutputLayerRuntime.class::cast)
                .toList();
    }

    private static boolean normalisesByMinibatch(org.deeplearning4j.nn.conf.layers.Layer layer) {
        return layer instanceof BaseWrapperLayer wrapper
                ? !(layer instanceof FrozenLayerWithBackprop) && normalisesByMinibatch(wrapper.getUnderlying())
                : layer instanceof BatchNormalization && !(layer instanceof HeldBatchNormalization);
    }

    private Layer[] layers() {
        return model instanceof MultiLayerNetwork network
                ? network.getLayers()
                : ((ComputationGraph) model).getLayers();
    }

    /** Adds a minibatch to the step that the next {@code fit} takes. */
    void add(MultiDataSet batch) {
        if (model instanceof MultiLayerNetwork network) {
            network.setInput(batch.getFeatures(0));
            network.setLabels(batch.getLabels(0));
            network.setLayerMaskArrays(batch.getFeaturesMaskArray(0), batch.getLabelsMaskArray(0));
            network.computeGradientAndScore();
            network.clearLayerMaskArrays();
            noteScore(network.calcRegularizationScore(true));
            network.clearLayersStates();
        } else {
            ComputationGraph graph = (ComputationGraph) model;
            graph.setInputs(batch.getFeatures());
            graph.setLabels(batch.getLabels());
            graph.setLayerMaskArrays(batch.getFeaturesMaskArrays(), batch.getLabelsMaskArrays());
            graph.computeGradientAndScore();
            graph.clearLayerMaskArrays();
            noteScore(graph.calcRegularizationScore(true));
            graph.clearLayersStates();
        }
        INDArray gradients = model.getGradientsViewArray();
        if (sums == null) {
            sums = Nd4j.createUninitializedDetached(gradients.dataType(), gradients.shape());
        }
        if (examples == 0) {
            sums.assign(gradients);
        } else {
            sums.addi(gradients);
        }
        for (RetentionOutputLayerRuntime head : heads) {
            TokenLoss loss = Objects.requireNonNull(head.lastTokenLoss());
            losses.merge(head, loss, TokenLoss::plus);
            // Coefficients adapt once a step.
            head.refuseUpdate();
        }
        examples += batchSize(batch);
    }

    private static int batchSize(MultiDataSet batch) {
        return Math.toIntExact(batch.getFeatures(0).size(0));
    }

    private void noteScore(double regularization) {
        scores += (model.score() - regularization) * share(model.batchSize());
    }

    /** What a minibatch's mean is multiplied by to be added up. */
    private double share(int batch) {
        return model.conf().isMiniBatch() ? batch : 1;
    }

    /** Before the updater divides it by the examples of the last minibatch alone. */
    @Override
    public void onGradientCalculation(Model fitted) {
        if (examples == 0) {
            return;
        }
        int batch = model.batchSize();
        double part = model.conf().isMiniBatch() ? (double) batch / (batch + examples) : 1;
        INDArray gradients = model.getGradientsViewArray();
        gradients.addi(Objects.requireNonNull(sums));
        if (part != 1) {
            gradients.muli(part);
        }
        heads.forEach(head -> head.addTokenLoss(Objects.requireNonNull(losses.get(head))));
        if (model instanceof MultiLayerNetwork network) {
            network.setScore(score(network.calcRegularizationScore(true), batch));
        } else {
            ComputationGraph graph = (ComputationGraph) model;
            graph.setScore(score(graph.calcRegularizationScore(true), batch));
        }
        losses.clear();
        scores = 0;
        examples = 0;
    }

    private double score(double regularization, int batch) {
        double sum = scores + (model.score() - regularization) * share(batch);
        return sum / share(batch + examples) + regularization;
    }

    /** Frees the sums. */
    @Override
    public void close() {
        if (sums != null) {
            sums.close();
            sums = null;
        }
    }
}
