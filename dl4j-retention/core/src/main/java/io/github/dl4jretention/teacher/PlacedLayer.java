package io.github.dl4jretention.teacher;

import io.github.dl4jretention.internal.TiedWeights;
import java.util.Collection;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.NoParamLayer;
import org.deeplearning4j.nn.conf.memory.LayerMemoryReport;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/** A layer whose parameters lie elsewhere than in its network's vector, in which it takes no place. Never saved. */
final class PlacedLayer extends NoParamLayer {

    private static final long serialVersionUID = 1L;

    private final Layer layer;
    private final transient Place place;

    /**
     * @param layer as the network would have it
     * @param place of its parameters
     */
    PlacedLayer(Layer layer, Place place) {
        this.layer = layer;
        this.place = place;
        setLayerName(layer.getLayerName());
    }

    /**
     * Where a layer's parameters are. (A record, because DL4J copies all arrays that are fields of layers it clones.)
     *
     * @param parameters   a vector that the layer's own arrays are views of
     * @param beforeUse called before each forward pass of the layer
     */
    record Place(INDArray parameters, Runnable beforeUse) {}

    @Override
    public org.deeplearning4j.nn.api.Layer instantiate(
            NeuralNetConfiguration conf,
            Collection<TrainingListener> trainingListeners,
            int layerIndex,
            INDArray layerParamsView,
            boolean initializeParams,
            DataType networkDataType) {
        NeuralNetConfiguration inner = conf.clone();
        inner.setLayer(layer);
        org.deeplearning4j.nn.api.Layer placed =
                layer.instantiate(inner, trainingListeners, layerIndex, place.parameters(), false, networkDataType);
        TiedWeights.Owner owner = null;
        if (placed instanceof TiedWeights.Owner unplaced) {
            owner = unplaced.after(place.beforeUse());
            TiedWeights.offer(trainingListeners, owner);
        }
        return new Runtime(placed, place.beforeUse(), owner);
    }

    @Override
    public void setDataType(DataType dataType) {
        layer.setDataType(dataType);
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType inputType) {
        return layer.getOutputType(layerIndex, inputType);
    }

    @Override
    public InputPreProcessor getPreProcessorForInputType(InputType inputType) {
        return layer.getPreProcessorForInputType(inputType);
    }

    @Override
    public LayerMemoryReport getMemoryReport(InputType inputType) {
        return layer.getMemoryReport(inputType);
    }

    /** The layer at work. */
    private static final class Runtime extends BaseWrapperLayer {

        private final Runnable beforeUse;

        /** Kept for the output layer that shares the weights; null for a layer whose weights are its own. */
        @SuppressWarnings("unused")
        private final TiedWeights.@Nullable Owner owner;

        Runtime(org.deeplearning4j.nn.api.Layer layer, Runnable beforeUse, TiedWeights.@Nullable Owner owner) {
            super(layer);
            this.beforeUse = beforeUse;
            this.owner = owner;
        }

        @Override
        public INDArray activate(boolean training, LayerWorkspaceMgr workspaceMgr) {
            beforeUse.run();
            return super.activate(training, workspaceMgr);
        }

        @Override
        public INDArray activate(INDArray input, boolean training, LayerWorkspaceMgr workspaceMgr) {
            beforeUse.run();
            return super.activate(input, training, workspaceMgr);
        }
    }
}
