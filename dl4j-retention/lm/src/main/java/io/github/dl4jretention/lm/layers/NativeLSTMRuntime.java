package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;
import static org.deeplearning4j.nn.params.LSTMParamInitializer.BIAS_KEY;
import static org.deeplearning4j.nn.params.LSTMParamInitializer.INPUT_WEIGHT_KEY;
import static org.deeplearning4j.nn.params.LSTMParamInitializer.RECURRENT_WEIGHT_KEY;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.recurrent.LSTM;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * The working part of {@link NativeLSTM}. Number types other than FLOAT and DOUBLE, and other backends, run DL4J's own
 * code, which this class extends.
 *
 * <p>DL4J computes the forward pass a second time to go backward; this layer keeps {@code 6 H} numbers of a token
 * between the two, 24 H bytes in FLOAT. Activations are {@code [batch, H, time]} whose memory is {@code [batch, time, H]}.
 */
class NativeLSTMRuntime extends LSTM {

    private static final long serialVersionUID = 1L;

    private transient @Nullable LstmArithmetic arithmetic;
    private transient @Nullable Pass pass;

    /** A forward pass in training, of which the backward pass is to come. */
    private record Pass(
            INDArray input, @Nullable INDArray first, @Nullable INDArray firstCell, LstmArithmetic.Kept kept) {

        boolean is(INDArray input, @Nullable INDArray first, @Nullable INDArray firstCell) {
            return this.input == input && this.first == first && this.firstCell == firstCell;
        }
    }

    /** Activations, and the state after the last token. */
    private record Result(INDArray output, INDArray last, INDArray lastCell) {}

    NativeLSTMRuntime(NeuralNetConfiguration conf, DataType dataType) {
        super(conf, dataType);
    }

    /** Beside some of the weights. */
    List<LowRankWeight> adapters() {
        return List.of();
    }

    /** Gradients of the adapters by name. */
    Map<String, INDArray> adapterGradients() {
        return Map.of();
    }

    /** Where a parameter's gradient goes; null if it's frozen. */
    @Nullable
    INDArray gradientOf(String name) {
        return requireNonNull(gradientViews.get(name));
    }

    /** Gradients of the layer's own parameters. */
    Map<String, INDArray> gradientTable() {
        Map<String, INDArray> table = new LinkedHashMap<>();
        for (String name : List.of(INPUT_WEIGHT_KEY, RECURRENT_WEIGHT_KEY, BIAS_KEY)) {
            table.put(name, gradientViews.get(name));
        }
        return table;
    }

    private @Nullable Long dropoutSeed(boolean training) {
        boolean drops = training
                && adapters().stream().anyMatch(adapter -> adapter.settings().dropout() > 0);
        return drops ? Nd4j.getRandom().nextLong() : null;
    }

    private @Nullable INDArray lowRankMemory(LstmArithmetic.Kept kept, ArrayType type, LayerWorkspaceMgr workspaceMgr) {
        long numbers = requireNonNull(arithmetic).lowRankMemory(kept.batch(), kept.tokens());
        return numbers == 0 ? null : array(workspaceMgr, type, numbers);
    }

    private boolean isNative() {
        if (arithmetic == null && Nd4j.getEnvironment().isCPU()) {
            arithmetic = LstmArithmetic.of(
                    dataType,
                    Math.toIntExact(layerConf().getNIn()),
                    Math.toIntExact(layerConf().getNOut()),
                    adapters());
        }
        return arithmetic != null;
    }

    @Override
    public INDArray activate(INDArray input, boolean training, LayerWorkspaceMgr workspaceMgr) {
        setInput(input, workspaceMgr);
        return activate(training, workspaceMgr);
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaceMgr) {
        return isNative() ? forward(training, Map.of(), workspaceMgr).output() : super.activate(training, workspaceMgr);
    }

    @Override
    public INDArray rnnTimeStep(INDArray input, LayerWorkspaceMgr workspaceMgr) {
        if (!isNative()) {
            return super.rnnTimeStep(input, workspaceMgr);
        }
        setInput(input, workspaceMgr);
        Result result = forward(false, stateMap, workspaceMgr);
        store(result, stateMap);
        return result.output();
    }

    @Override
    public INDArray rnnActivateUsingStoredState(
            INDArray input, boolean training, boolean storeLastForTBPTT, LayerWorkspaceMgr workspaceMgr) {
        if (!isNative()) {
            return super.rnnActivateUsingStoredState(input, training, storeLastForTBPTT, workspaceMgr);
        }
        setInput(input, workspaceMgr);
        Result result = forward(training, tBpttStateMap, workspaceMgr);
        if (storeLastForTBPTT) {
            store(result, tBpttStateMap);
        }
        return result.output();
    }

    private static void store(Result result, Map<String, INDArray> state) {
        state.put(STATE_KEY_PREV_ACTIVATION, result.last());
        state.put(STATE_KEY_PREV_MEMCELL, result.lastCell());
    }

    private Result forward(boolean training, Map<String, INDArray> state, LayerWorkspaceMgr workspaceMgr) {
        assertInputSet(false);
        applyDropOutIfNecessary(training, workspaceMgr);
        INDArray sequences = permuteIfNWC(input);
        requireInput(sequences);
        int batch = Math.toIntExact(sequences.size(0));
        int time = Math.toIntExact(sequences.size(2));
        long units = layerConf().getNOut();
        INDArray first = state.get(STATE_KEY_PREV_ACTIVATION);
        INDArray firstCell = state.get(STATE_KEY_PREV_MEMCELL);
        requireState(first, batch);
        ArrayType keep = training ? ArrayType.ACTIVATIONS : ArrayType.FF_WORKING_MEM;
        double[] mask = mask(batch, time);
        LstmArithmetic.Kept kept = new LstmArithmetic.Kept(
                batch,
                time,
                mask,
                inputRows(sequences, mask, keep, workspaceMgr),
                array(workspaceMgr, keep, (long) batch * time, LstmArithmetic.GATES * units),
                training ? array(workspaceMgr, keep, (long) batch * time, units) : null,
                training ? array(workspaceMgr, keep, (long) batch * time, units) : null,
                firstCell == null ? null : ordered(firstCell, 'c'),
                dropoutSeed(training));
        INDArray output = array(workspaceMgr, ArrayType.ACTIVATIONS, (long) batch * time, units);
        INDArray lastCell = Nd4j.createUninitializedDetached(dataType, batch, units);
        requireNonNull(arithmetic)
                .forward(
                        kept,
                        ordered(getParamWithNoise(INPUT_WEIGHT_KEY, training, workspaceMgr), 'f'),
                        ordered(getParamWithNoise(RECURRENT_WEIGHT_KEY, training, workspaceMgr), 'f'),
                        ordered(getParamWithNoise(BIAS_KEY, training, workspaceMgr), 'c'),
                        first == null ? null : ordered(first, 'c'),
                        array(workspaceMgr, ArrayType.FF_WORKING_MEM, LstmArithmetic.GATES * units * batch),
                        lowRankMemory(kept, ArrayType.FF_WORKING_MEM, workspaceMgr),
                        output,
                        lastCell);
        pass = training ? new Pass(input, first, firstCell, kept) : null;
        INDArray activations = output.reshape('c', batch, time, units).permute(0, 2, 1);
        INDArray last = Nd4j.createUninitializedDetached(dataType, batch, units);
        last.assign(activations.tensorAlongDimension(time - 1, 1, 0));
        return new Result(permuteIfNWC(activations), last, lastCell);
    }

    private void requireInput(INDArray sequences) {
        long inputs = layerConf().getNIn();
        if (sequences.rank() != 3 || sequences.size(1) != inputs || sequences.length() == 0) {
            throw new DL4JInvalidInputException("input: expected "
                    + (getDataFormat() == RNNFormat.NWC
                            ? "[batch, time, " + inputs + "]"
                            : "[batch, " + inputs + ", time]")
                    + ", got " + Arrays.toString(input.shape()) + " " + layerId());
        }
    }

    private void requireState(@Nullable INDArray state, int batch) {
        if (state != null && state.size(0) != batch) {
            throw new IllegalStateException("input: expected " + state.size(0)
                    + " sequences, as the stored state has, got " + batch
                    + "; call rnnClearPreviousState() before another minibatch " + layerId());
        }
    }

    private double @Nullable [] mask(int batch, int time) {
        if (maskArray == null) {
            return null;
        }
        if (maskArray.length() != (long) batch * time) {
            throw new IllegalArgumentException("featuresMask: expected [" + batch + ", " + time + "], got "
                    + Arrays.toString(maskArray.shape()) + " " + layerId());
        }
        double[] mask = maskArray
                .castTo(DataType.DOUBLE)
                .dup('c')
                .reshape((long) batch * time)
                .toDoubleVector();
        if (Arrays.stream(mask).anyMatch(value -> value >= DecoderBlock.FIRST_DOCUMENT)) {
            throw new IllegalArgumentException("featuresMask: expected 0 and 1, got numbers of documents,"
                    + " which an LSTM can't keep apart; build the dataset with packed(false) " + layerId());
        }
        return Arrays.stream(mask).allMatch(value -> value == 1) ? null : mask;
    }

    /** The input as rows; a copy if its memory isn't in this order, or if it may hold anything under the mask. */
    private INDArray inputRows(
            INDArray sequences, double @Nullable [] mask, ArrayType keep, LayerWorkspaceMgr workspaceMgr) {
        INDArray rows = rows(sequences, mask != null, keep, workspaceMgr);
        for (int token = 0; mask != null && token < mask.length; token++) {
            if (mask[token] == 0) {
                rows.getRow(token).assign(0);
            }
        }
        return rows;
    }

    /** Sequences {@code [batch, width, time]} as rows {@code [batch * time, width]}. */
    private INDArray rows(INDArray sequences, boolean copy, ArrayType type, LayerWorkspaceMgr workspaceMgr) {
        long batch = sequences.size(0);
        long width = sequences.size(1);
        long time = sequences.size(2);
        INDArray ordered = sequences.permute(0, 2, 1);
        boolean inPlace = !copy
                && ordered.dataType() == dataType
                && (width == 1 || ordered.stride(2) == 1)
                && (time == 1 || ordered.stride(1) == width)
                && (batch == 1 || ordered.stride(0) == time * width);
        if (!inPlace) {
            INDArray copied = array(workspaceMgr, type, batch, time, width);
            copied.assign(ordered);
            ordered = copied;
        }
        return ordered.reshape('c', batch * time, width);
    }

    private INDArray array(LayerWorkspaceMgr workspaceMgr, ArrayType type, long... shape) {
        return workspaceMgr.createUninitialized(type, dataType, shape, 'c');
    }

    /** The array, or a copy if its elements don't lie side by side in this order. */
    private INDArray ordered(INDArray array, char order) {
        INDArray typed = array.castTo(dataType);
        boolean vector = typed.rank() < 2 || typed.size(0) == 1 || typed.size(1) == 1;
        boolean inPlace = typed.elementWiseStride() == 1 && (vector || typed.ordering() == order);
        return inPlace ? typed : typed.dup(order);
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaceMgr) {
        return isNative()
                ? backward(epsilon, Map.of(), 0, workspaceMgr)
                : super.backpropGradient(epsilon, workspaceMgr);
    }

    @Override
    public Pair<Gradient, INDArray> tbpttBackpropGradient(
            INDArray epsilon, int tbpttBackwardLength, LayerWorkspaceMgr workspaceMgr) {
        if (!isNative()) {
            return super.tbpttBackpropGradient(epsilon, tbpttBackwardLength, workspaceMgr);
        }
        int time = Math.toIntExact(permuteIfNWC(epsilon).size(2));
        return backward(epsilon, stateMap, Math.max(0, time - tbpttBackwardLength), workspaceMgr);
    }

    private Pair<Gradient, INDArray> backward(
            INDArray epsilon, Map<String, INDArray> state, int from, LayerWorkspaceMgr workspaceMgr) {
        assertInputSet(true);
        Pass current = pass;
        if (current == null
                || !current.is(input, state.get(STATE_KEY_PREV_ACTIVATION), state.get(STATE_KEY_PREV_MEMCELL))) {
            forward(true, state, workspaceMgr);
            current = requireNonNull(pass);
        }
        pass = null;
        LstmArithmetic.Kept kept = current.kept();
        INDArray inputGradient = array(
                workspaceMgr,
                ArrayType.ACTIVATION_GRAD,
                kept.tokens(),
                layerConf().getNIn());
        LstmArithmetic passes = requireNonNull(arithmetic);
        passes.backward(
                kept,
                ordered(getParamWithNoise(INPUT_WEIGHT_KEY, true, workspaceMgr), 'f'),
                ordered(getParamWithNoise(RECURRENT_WEIGHT_KEY, true, workspaceMgr), 'f'),
                array(workspaceMgr, ArrayType.BP_WORKING_MEM, passes.backwardMemory(kept.batch())),
                lowRankMemory(kept, ArrayType.BP_WORKING_MEM, workspaceMgr),
                from,
                rows(permuteIfNWC(epsilon), false, ArrayType.BP_WORKING_MEM, workspaceMgr),
                inputGradient,
                gradientOf(INPUT_WEIGHT_KEY),
                gradientOf(RECURRENT_WEIGHT_KEY),
                gradientOf(BIAS_KEY),
                adapterGradients());
        weightNoiseParams.clear();
        Gradient gradient = new DefaultGradient();
        gradientTable().forEach((name, view) -> gradient.setGradientFor(name, view, 'f'));
        INDArray sequences = inputGradient
                .reshape('c', kept.batch(), kept.time(), layerConf().getNIn())
                .permute(0, 2, 1);
        return new Pair<>(gradient, permuteIfNWC(backpropDropOutIfPresent(sequences)));
    }
}
