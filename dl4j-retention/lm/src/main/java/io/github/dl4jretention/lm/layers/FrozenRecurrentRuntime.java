package io.github.dl4jretention.lm.layers;

import io.github.dl4jretention.internal.FrozenBase;
import java.util.Map;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.ndarray.INDArray;

/** A frozen layer with a stored state. */
final class FrozenRecurrentRuntime extends FrozenLayerRuntime implements RecurrentLayer {

    private static final long serialVersionUID = 1L;

    private final RecurrentLayer layer;

    FrozenRecurrentRuntime(NeuralNetConfiguration conf, FrozenBase base, RecurrentLayer layer) {
        super(conf, base, layer);
        this.layer = layer;
    }

    @Override
    public INDArray rnnTimeStep(INDArray input, LayerWorkspaceMgr workspaceMgr) {
        return layer.rnnTimeStep(input, workspaceMgr);
    }

    @Override
    public Map<String, INDArray> rnnGetPreviousState() {
        return layer.rnnGetPreviousState();
    }

    @Override
    public void rnnSetPreviousState(Map<String, INDArray> stateMap) {
        layer.rnnSetPreviousState(stateMap);
    }

    @Override
    public void rnnClearPreviousState() {
        layer.rnnClearPreviousState();
    }

    @Override
    public INDArray rnnActivateUsingStoredState(
            INDArray input, boolean training, boolean storeLastForTBPTT, LayerWorkspaceMgr workspaceMgr) {
        return layer.rnnActivateUsingStoredState(input, training, storeLastForTBPTT, workspaceMgr);
    }

    @Override
    public Map<String, INDArray> rnnGetTBPTTState() {
        return layer.rnnGetTBPTTState();
    }

    @Override
    public void rnnSetTBPTTState(Map<String, INDArray> state) {
        layer.rnnSetTBPTTState(state);
    }

    @Override
    public Pair<Gradient, INDArray> tbpttBackpropGradient(
            INDArray epsilon, int tbpttBackLength, LayerWorkspaceMgr workspaceMgr) {
        return withoutGradients(() -> layer.tbpttBackpropGradient(epsilon, tbpttBackLength, workspaceMgr));
    }
}
