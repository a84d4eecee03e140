package io.github.dl4jretention.lm.layers;

import java.util.Map;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** The working part of {@link DecoderBlock}: memory, masks and stored state around {@link BlockArithmetic}. */
final class DecoderBlockRuntime extends TokenLayerRuntime implements RecurrentLayer {

    private static final long serialVersionUID = 1L;

    private transient BlockArithmetic arithmetic;
    private transient Sequences sequences;
    private transient INDArray kept;
    private transient INDArray[] known;
    private transient KeyValueState state = KeyValueState.EMPTY;
    private transient KeyValueState truncatedState = KeyValueState.EMPTY;

    DecoderBlockRuntime(NeuralNetConfiguration conf, DataType dataType) {
        super(conf, dataType);
    }

    @Override
    public DecoderBlock layerConf() {
        return (DecoderBlock) super.layerConf();
    }

    @Override
    public void setParamsViewArray(INDArray params) {
        super.setParamsViewArray(params);
        arithmetic = null;
    }

    private BlockArithmetic arithmetic() {
        if (arithmetic == null) {
            arithmetic = dataType == DataType.FLOAT
                    ? new FloatDecoder(layerConf(), params)
                    : new DoubleDecoder(layerConf(), params);
        }
        return arithmetic;
    }

    @Override
    public void setInput(INDArray input, LayerWorkspaceMgr workspaceMgr) {
        super.setInput(input, workspaceMgr);
        forget();
    }

    private void forget() {
        sequences = null;
        kept = null;
        known = null;
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaceMgr) {
        return forward(training, KeyValueState.EMPTY, workspaceMgr);
    }

    /** @param before keys and values of the tokens before, to which this minibatch's are added if there's room */
    private INDArray forward(boolean training, KeyValueState before, LayerWorkspaceMgr workspaceMgr) {
        assertInputSet(false);
        applyDropOutIfNecessary(training, workspaceMgr);
        INDArray rows = rows(input, "input", workspaceMgr, ArrayType.FF_WORKING_MEM);
        int batch = Math.toIntExact(input.size(0));
        int time = Math.toIntExact(input.size(2));
        boolean drops = training
                && (layerConf().getAttentionDropout() > 0 || layerConf().getResidualDropout() > 0);
        sequences = new Sequences(
                batch,
                time,
                before.time(),
                before.capacity(),
                before.keepWith(keep(maskArray, batch, time), batch, time),
                starts(maskArray, batch, time, before.time()),
                drops ? Nd4j.getRandom().nextLong() : 0,
                drops);
        known = before.keys() == null ? null : new INDArray[] {before.keys(), before.values()};
        boolean keep = training && !layerConf().isRecompute();
        INDArray memory = keptMemory(keep ? ArrayType.ACTIVATIONS : ArrayType.FF_WORKING_MEM, workspaceMgr);
        INDArray output = array(workspaceMgr, ArrayType.ACTIVATIONS, rows.shape());
        arithmetic()
                .forward(sequences, rows, output, memory, forwardMemory(ArrayType.FF_WORKING_MEM, workspaceMgr), known);
        kept = keep ? memory : null;
        return sequences(output, batch);
    }

    private INDArray keptMemory(ArrayType type, LayerWorkspaceMgr workspaceMgr) {
        return array(workspaceMgr, type, arithmetic().kept() * sequences.tokens());
    }

    private INDArray forwardMemory(ArrayType type, LayerWorkspaceMgr workspaceMgr) {
        return array(workspaceMgr, type, arithmetic().forwardMemory(sequences));
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaceMgr) {
        assertInputSet(true);
        if (sequences == null) {
            throw new IllegalStateException("backpropGradient: call activate first " + layerId());
        }
        INDArray rows = rows(input, "input", workspaceMgr, ArrayType.BP_WORKING_MEM);
        if (kept == null) {
            kept = keptMemory(ArrayType.BP_WORKING_MEM, workspaceMgr);
            INDArray output = array(workspaceMgr, ArrayType.BP_WORKING_MEM, rows.shape());
            arithmetic()
                    .forward(
                            sequences,
                            rows,
                            output,
                            kept,
                            forwardMemory(ArrayType.BP_WORKING_MEM, workspaceMgr),
                            known);
        }
        INDArray gradient = rows(epsilon, "epsilon", workspaceMgr, ArrayType.BP_WORKING_MEM);
        INDArray back = array(workspaceMgr, ArrayType.ACTIVATION_GRAD, rows.shape());
        INDArray memory =
                array(workspaceMgr, ArrayType.BP_WORKING_MEM, arithmetic().backwardMemory(sequences));
        arithmetic().backward(sequences, rows, kept, memory, known, gradient, back, gradients);
        kept = null;
        return new Pair<>(gradientOfViews(), backpropDropOutIfPresent(sequences(back, input.size(0))));
    }

    @Override
    public Pair<Gradient, INDArray> tbpttBackpropGradient(
            INDArray epsilon, int tbpttBackLength, LayerWorkspaceMgr workspaceMgr) {
        return backpropGradient(epsilon, workspaceMgr);
    }

    @Override
    public INDArray rnnTimeStep(INDArray input, LayerWorkspaceMgr workspaceMgr) {
        setInput(input, workspaceMgr);
        int room = state.time() + (int) input.size(2);
        KeyValueState before = withRoom(room, Math.max(room, 2 * state.capacity()), false);
        INDArray output = forward(false, before, workspaceMgr);
        state = before.after(sequences);
        return output;
    }

    @Override
    public INDArray rnnActivateUsingStoredState(
            INDArray input, boolean training, boolean storeLastForTBPTT, LayerWorkspaceMgr workspaceMgr) {
        setInput(input, workspaceMgr);
        int room = state.time() + (int) input.size(2);
        KeyValueState before = withRoom(room, room, true);
        INDArray output = forward(training, before, workspaceMgr);
        if (storeLastForTBPTT) {
            truncatedState = before.after(sequences);
        }
        return output;
    }

    private KeyValueState withRoom(int room, int capacity, boolean copy) {
        return state.withRoom(input.size(0), room, capacity, layerConf().keyValueWidth(), dataType, copy);
    }

    @Override
    public Map<String, INDArray> rnnGetPreviousState() {
        return state.toMap();
    }

    @Override
    public void rnnSetPreviousState(Map<String, INDArray> stateMap) {
        state = KeyValueState.of(stateMap);
    }

    @Override
    public Map<String, INDArray> rnnGetTBPTTState() {
        return truncatedState.toMap();
    }

    @Override
    public void rnnSetTBPTTState(Map<String, INDArray> stateMap) {
        truncatedState = KeyValueState.of(stateMap);
    }

    @Override
    public void rnnClearPreviousState() {
        state = KeyValueState.EMPTY;
        truncatedState = KeyValueState.EMPTY;
    }

    @Override
    public void clear() {
        super.clear();
        forget();
    }
}
