package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import io.github.dl4jretention.internal.TiedWeights;
import io.github.dl4jretention.internal.WholeNumbers;
import java.util.Arrays;
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

/** The working part of {@link TokenEmbedding}; its stored state is how many tokens there were so far. */
final class TokenEmbeddingRuntime extends TokenLayerRuntime implements RecurrentLayer, TiedWeights.Owner {

    private static final long serialVersionUID = 1L;

    private static final String TIME = "time";
    private static final int MASKED = -1;

    private transient int @Nullable [] ids;
    private transient int @Nullable [] places;
    private int time;
    private int truncatedTime;

    /** Whether the output layer has set the gradient of the weights in this pass. */
    private boolean gradientSet;

    TokenEmbeddingRuntime(NeuralNetConfiguration conf, DataType dataType) {
        super(conf, dataType);
    }

    @Override
    public TokenEmbedding layerConf() {
        return (TokenEmbedding) super.layerConf();
    }

    private EmbeddingArithmetic arithmetic() {
        if (!isNative()) {
            return new ArrayEmbedding(layerConf(), params);
        }
        if (dataType == DataType.FLOAT && params.dataType() != DataType.FLOAT) {
            return new HalfEmbedding(layerConf(), params);
        }
        return dataType == DataType.FLOAT
                ? new FloatEmbedding(layerConf(), params)
                : new DoubleEmbedding(layerConf(), params);
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaceMgr) {
        return forward(0, workspaceMgr);
    }

    private INDArray forward(int past, LayerWorkspaceMgr workspaceMgr) {
        assertInputSet(false);
        int batch = Math.toIntExact(input.size(0));
        int[] ids = ids();
        int[] places = places(ids.length, past, starts(maskArray, batch, sequenceLength(), past));
        this.ids = ids;
        this.places = places;
        INDArray output = sequences(workspaceMgr, ArrayType.ACTIVATIONS, batch, sequenceLength());
        arithmetic().forward(ids, places, rows(output));
        return output;
    }

    private int sequenceLength() {
        return Math.toIntExact(input.size(input.rank() - 1));
    }

    private int[] ids() {
        boolean fits = input.rank() == 2 || input.rank() == 3 && input.size(1) == 1;
        if (!fits) {
            throw new IllegalArgumentException("features: expected ids [batch, time] or [batch, 1, time], got "
                    + Arrays.toString(input.shape()) + " " + layerId());
        }
        int batch = Math.toIntExact(input.size(0));
        int length = sequenceLength();
        boolean[][] keep = keep(maskArray, batch, length);
        double[] numbers = input.castTo(DataType.DOUBLE)
                .dup('c')
                .reshape((long) batch * length)
                .toDoubleVector();
        int[] whole = new int[numbers.length];
        for (int i = 0; i < whole.length; i++) {
            whole[i] = keep != null && !keep[i / length][i % length] ? MASKED : requireId(numbers[i], i, length);
        }
        // Once, for the largest: a message for each token would cost more than the tokens.
        WholeNumbers.requireExact(
                Arrays.stream(whole).max().orElse(0),
                input.dataType(),
                layerConf().getVocabulary(),
                "features",
                Arrays.toString(input.shape()) + " " + layerId());
        return whole;
    }

    /** Positions of the tokens; they count from the beginning of a document. */
    private int[] places(int tokens, int past, int @Nullable [][] starts) {
        int positions = layerConf().getPositions();
        int time = sequenceLength();
        int[] found = new int[tokens];
        for (int i = 0; i < found.length; i++) {
            found[i] = past + i % time - (starts == null ? 0 : starts[i / time][i % time]);
            if (positions > 0 && found[i] >= positions) {
                throw new IllegalArgumentException("features: expected at most " + positions
                        + " positions, as many as the embedding has, got " + past + " before and "
                        + Arrays.toString(input.shape()) + " now " + layerId());
            }
        }
        return found;
    }

    private int requireId(double number, int index, int length) {
        int id = (int) number;
        if (id != number || id < 0 || id >= layerConf().getVocabulary()) {
            throw new IllegalArgumentException("features: expected ids from 0 to "
                    + (layerConf().getVocabulary() - 1) + ", got " + number + " in example " + index / length
                    + " at time step " + index % length + " of " + Arrays.toString(input.shape()) + " " + layerId());
        }
        return id;
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaceMgr) {
        assertInputSet(true);
        if (ids == null || places == null) {
            throw new IllegalStateException("backpropGradient: call activate first " + layerId());
        }
        if (isFrozen()) {
            return new Pair<>(gradientOfViews(), null);
        }
        for (Map.Entry<String, INDArray> view : gradTable.entrySet()) {
            if (!gradientSet || !view.getKey().equals(TokenEmbedding.TOKENS)) {
                view.getValue().assign(0);
            }
        }
        gradientSet = false;
        INDArray gradient = rows(inRows(epsilon, "epsilon", workspaceMgr, ArrayType.BP_WORKING_MEM));
        arithmetic().backward(ids, places, gradient, gradients);
        return new Pair<>(gradientOfViews(), null);
    }

    @Override
    public INDArray weights() {
        return requireNonNull(paramTable.get(TokenEmbedding.TOKENS)).transpose();
    }

    @Override
    public @Nullable INDArray weightGradients() {
        if (gradTable == null) {
            return null;
        }
        gradientSet = true;
        return requireNonNull(gradTable.get(TokenEmbedding.TOKENS)).transpose();
    }

    @Override
    public Pair<Gradient, INDArray> tbpttBackpropGradient(
            INDArray epsilon, int tbpttBackLength, LayerWorkspaceMgr workspaceMgr) {
        return backpropGradient(epsilon, workspaceMgr);
    }

    @Override
    public INDArray rnnTimeStep(INDArray input, LayerWorkspaceMgr workspaceMgr) {
        setInput(input, workspaceMgr);
        INDArray output = forward(time, workspaceMgr);
        time += sequenceLength();
        return output;
    }

    @Override
    public void step(INDArray input, INDArray output, INDArray memory) {
        setInput(input, LayerWorkspaceMgr.noWorkspaces());
        int[] next = ids();
        arithmetic().forward(next, places(next.length, time, null), output);
        time++;
        clear();
    }

    @Override
    public INDArray rnnActivateUsingStoredState(
            INDArray input, boolean training, boolean storeLastForTBPTT, LayerWorkspaceMgr workspaceMgr) {
        setInput(input, workspaceMgr);
        INDArray output = forward(time, workspaceMgr);
        if (storeLastForTBPTT) {
            truncatedTime = time + sequenceLength();
        }
        return output;
    }

    @Override
    public Map<String, INDArray> rnnGetPreviousState() {
        return state(time);
    }

    @Override
    public void rnnSetPreviousState(Map<String, INDArray> stateMap) {
        time = time(stateMap);
    }

    @Override
    public Map<String, INDArray> rnnGetTBPTTState() {
        return state(truncatedTime);
    }

    @Override
    public void rnnSetTBPTTState(Map<String, INDArray> stateMap) {
        truncatedTime = time(stateMap);
    }

    private static Map<String, INDArray> state(int time) {
        return time == 0 ? Map.of() : Map.of(TIME, Nd4j.createFromArray(time));
    }

    private static int time(Map<String, INDArray> state) {
        return state.containsKey(TIME) ? state.get(TIME).getInt(0) : 0;
    }

    @Override
    public void rnnClearPreviousState() {
        time = 0;
        truncatedTime = 0;
    }

    @Override
    public void clear() {
        super.clear();
        ids = null;
        places = null;
    }
}
