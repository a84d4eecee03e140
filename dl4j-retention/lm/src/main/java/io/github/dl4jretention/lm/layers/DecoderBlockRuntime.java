package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** The working part of {@link DecoderBlock}: memory, masks and stored state around {@link BlockArithmetic}. */
class DecoderBlockRuntime extends TokenLayerRuntime implements RecurrentLayer {

    private static final long serialVersionUID = 1L;

    private transient @Nullable BlockArithmetic arithmetic;

    /** The weights that it's made for. */
    private transient @Nullable INDArray arithmeticOf;

    private transient @Nullable Sequences sequences;
    private transient @Nullable INDArray kept;
    private transient INDArray @Nullable [] known;
    private transient KeyValueState state = KeyValueState.EMPTY;
    private transient KeyValueState truncatedState = KeyValueState.EMPTY;

    DecoderBlockRuntime(NeuralNetConfiguration conf, DataType dataType) {
        super(conf, dataType);
    }

    /** What is computed. */
    DecoderBlock block() {
        return (DecoderBlock) layerConf();
    }

    /** What's done with a block's passes. */
    interface Work {
        INDArray of(BlockArithmetic passes);
    }

    /** Does something with the passes over the block's parameters, which may be in their place for as long as it takes. */
    INDArray withPasses(Work work) {
        return work.of(passes(params));
    }

    /** Where the gradients of the block's own parameters go; null if they are frozen. */
    @Nullable
    INDArray blockGradients() {
        return gradients;
    }

    /** Beside some of the weights. */
    List<LowRankWeight> adapters() {
        return List.of();
    }

    /** Gradients of the adapters by name. */
    Map<String, INDArray> adapterGradients() {
        return Map.of();
    }

    @Override
    public void setParamsViewArray(INDArray params) {
        super.setParamsViewArray(params);
        arithmetic = null;
    }

    /** @param weights the block's parameters, a flat view */
    BlockArithmetic passes(INDArray weights) {
        BlockArithmetic made = arithmetic;
        if (made == null || arithmeticOf != weights) {
            made = !isNative()
                    ? new SameDiffDecoder(block(), weights, adapters())
                    : dataType == DataType.FLOAT
                            ? new FloatDecoder(block(), weights, adapters())
                            : new DoubleDecoder(block(), weights, adapters());
            arithmetic = made;
            arithmeticOf = weights;
        }
        return made;
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
        return withPasses(passes -> forward(passes, training, before, workspaceMgr));
    }

    private INDArray forward(
            BlockArithmetic passes, boolean training, KeyValueState before, LayerWorkspaceMgr workspaceMgr) {
        assertInputSet(false);
        applyDropOutIfNecessary(training, workspaceMgr);
        INDArray ordered = inRows(input, "input", workspaceMgr, ArrayType.FF_WORKING_MEM);
        int batch = Math.toIntExact(input.size(0));
        int time = Math.toIntExact(input.size(2));
        boolean drops = training
                && (block().getAttentionDropout() > 0
                        || block().getResidualDropout() > 0
                        || adapters().stream()
                                .anyMatch(adapter -> adapter.settings().dropout() > 0));
        Sequences now = new Sequences(
                batch,
                time,
                before.time(),
                before.capacity(),
                before.keepWith(keep(maskArray, batch, time), batch, time),
                starts(maskArray, batch, time, before.time()),
                drops ? Nd4j.getRandom().nextLong() : 0,
                drops);
        sequences = now;
        known = known(before);
        boolean keep = training && !block().isRecompute();
        kept = keep ? numbers(ArrayType.ACTIVATIONS, passes.kept() * now.tokens(), workspaceMgr) : null;
        INDArray output = sequences(workspaceMgr, ArrayType.ACTIVATIONS, batch, time);
        passes.forward(
                now,
                rows(ordered),
                rows(output),
                kept,
                numbers(ArrayType.FF_WORKING_MEM, passes.forwardMemory(now, keep), workspaceMgr),
                known);
        return output;
    }

    private static INDArray @Nullable [] known(KeyValueState before) {
        return before.keys() == null || before.values() == null
                ? null
                : new INDArray[] {before.keys(), before.values()};
    }

    /** ND4J makes no array of 0 numbers. */
    private INDArray numbers(ArrayType type, long count, LayerWorkspaceMgr workspaceMgr) {
        return array(workspaceMgr, type, Math.max(count, 1));
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaceMgr) {
        assertInputSet(true);
        if (sequences == null) {
            throw new IllegalStateException("backpropGradient: call activate first " + layerId());
        }
        Sequences now = sequences;
        INDArray back = withPasses(passes -> backward(passes, now, epsilon, workspaceMgr));
        return new Pair<>(gradientOfViews(), backpropDropOutIfPresent(back));
    }

    private INDArray backward(
            BlockArithmetic passes, Sequences sequences, INDArray epsilon, LayerWorkspaceMgr workspaceMgr) {
        INDArray rows = rows(inRows(input, "input", workspaceMgr, ArrayType.BP_WORKING_MEM));
        int batch = sequences.batch();
        int time = sequences.time();
        INDArray kept = this.kept;
        if (kept == null) {
            kept = numbers(ArrayType.BP_WORKING_MEM, passes.kept() * sequences.tokens(), workspaceMgr);
            INDArray output = rows(sequences(workspaceMgr, ArrayType.BP_WORKING_MEM, batch, time));
            passes.forward(
                    sequences,
                    rows,
                    output,
                    kept,
                    numbers(ArrayType.BP_WORKING_MEM, passes.forwardMemory(sequences, true), workspaceMgr),
                    known);
        }
        INDArray gradient = rows(inRows(epsilon, "epsilon", workspaceMgr, ArrayType.BP_WORKING_MEM));
        INDArray back = sequences(workspaceMgr, ArrayType.ACTIVATION_GRAD, batch, time);
        INDArray memory = numbers(ArrayType.BP_WORKING_MEM, passes.backwardMemory(sequences), workspaceMgr);
        passes.backward(
                sequences, rows, kept, memory, known, gradient, rows(back), blockGradients(), adapterGradients());
        this.kept = null;
        return back;
    }

    @Override
    public Pair<Gradient, INDArray> tbpttBackpropGradient(
            INDArray epsilon, int tbpttBackLength, LayerWorkspaceMgr workspaceMgr) {
        return backpropGradient(epsilon, workspaceMgr);
    }

    @Override
    public INDArray rnnTimeStep(INDArray input, LayerWorkspaceMgr workspaceMgr) {
        setInput(input, workspaceMgr);
        KeyValueState before = withRoomFor((int) input.size(2), input.size(0));
        INDArray output = forward(false, before, workspaceMgr);
        state = before.after(requireNonNull(sequences));
        return output;
    }

    /** Room grows by doubling. */
    private KeyValueState withRoomFor(int tokens, long batch) {
        int room = state.time() + tokens;
        return withRoom(batch, room, Math.max(room, 2 * state.capacity()), false);
    }

    @Override
    public long stepMemory(int batch) {
        long[] numbers = {0};
        withPasses(passes -> {
            numbers[0] = passes.forwardMemory(next(state, batch), false);
            return params;
        });
        return numbers[0];
    }

    /** One token of each sequence. */
    private static Sequences next(KeyValueState before, int batch) {
        boolean[][] keep = before.keepWith(null, batch, 1);
        return new Sequences(batch, 1, before.time(), before.capacity(), keep, null, 0, false);
    }

    @Override
    public void step(INDArray input, INDArray output, INDArray memory) {
        int batch = Math.toIntExact(input.size(0));
        KeyValueState before = withRoomFor(1, batch);
        Sequences next = next(before, batch);
        withPasses(passes -> {
            passes.forward(next, input, output, null, memory, known(before));
            return output;
        });
        state = before.after(next);
    }

    @Override
    public INDArray rnnActivateUsingStoredState(
            INDArray input, boolean training, boolean storeLastForTBPTT, LayerWorkspaceMgr workspaceMgr) {
        setInput(input, workspaceMgr);
        int room = state.time() + (int) input.size(2);
        KeyValueState before = withRoom(input.size(0), room, room, true);
        INDArray output = forward(training, before, workspaceMgr);
        if (storeLastForTBPTT) {
            truncatedState = before.after(requireNonNull(sequences));
        }
        return output;
    }

    private KeyValueState withRoom(long batch, int room, int capacity, boolean copy) {
        return state.withRoom(batch, room, capacity, block().keyValueWidth(), dataType, copy);
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
