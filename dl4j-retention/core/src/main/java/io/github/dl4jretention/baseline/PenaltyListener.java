package io.github.dl4jretention.baseline;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.impl.FrozenVertex;
import org.deeplearning4j.nn.graph.vertex.impl.LayerVertex;
import org.deeplearning4j.nn.layers.FrozenLayer;
import org.deeplearning4j.nn.layers.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.updater.BaseMultiLayerUpdater;
import org.deeplearning4j.nn.updater.UpdaterBlock;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Trains networks with a {@link QuadraticPenalty}. */
final class PenaltyListener extends BaseTrainingListener {

    private final QuadraticPenalty penalty;
    private @Nullable Model seen;
    private @Nullable INDArray mask;

    PenaltyListener(QuadraticPenalty penalty) {
        this.penalty = penalty;
    }

    /** Called with the sum of the examples' gradients, which DL4J divides by the minibatch's size afterwards. */
    @Override
    public void onGradientCalculation(Model model) {
        if (model != seen) {
            mask = mask(model);
            seen = model;
        }
        double factor = model.conf().isMiniBatch() ? model.batchSize() : 1;
        double value = penalty.addTo(model.getGradientsViewArray(), model.params(), factor, mask);
        if (model instanceof MultiLayerNetwork network) {
            network.setScore(network.score() + value);
        } else if (model instanceof ComputationGraph graph) {
            graph.setScore(graph.score() + value);
        }
    }

    /**
     * Leaves out what has no gradient. DL4J moves running statistics through the gradient's array, and would subtract
     * from frozen parameters whatever is there.
     */
    static @Nullable INDArray mask(Model model) {
        Updater updater = model instanceof MultiLayerNetwork network
                ? network.getUpdater()
                : ((ComputationGraph) model).getUpdater();
        INDArray mask = null;
        for (UpdaterBlock block : ((BaseMultiLayerUpdater<?>) updater).getUpdaterBlocks()) {
            for (UpdaterBlock.ParamState state : block.getLayersAndVariablesInBlock()) {
                Trainable layer = state.getLayer();
                if (isFrozen(layer) || !layer.updaterDivideByMinibatch(state.getParamName())) {
                    mask = mask == null
                            ? Nd4j.ones(
                                    ParameterArrays.wide(model.params().dataType()),
                                    model.params().length())
                            : mask;
                    mask.get(NDArrayIndex.interval(state.getParamOffsetStart(), state.getParamOffsetEnd()))
                            .assign(0);
                }
            }
        }
        return mask;
    }

    /** Inside of wrappers too. */
    private static boolean isFrozen(Trainable trained) {
        Trainable layer = trained instanceof LayerVertex vertex ? vertex.getLayer() : trained;
        return layer instanceof FrozenLayer
                || layer instanceof FrozenLayerWithBackprop
                || layer instanceof FrozenVertex
                || layer instanceof BaseWrapperLayer wrapper && isFrozen(wrapper.getUnderlying());
    }
}
