package io.github.dl4jretention.loss.samediff;

import static org.deeplearning4j.nn.layers.samediff.SameDiffOutputLayer.INPUT_KEY;
import static org.deeplearning4j.nn.layers.samediff.SameDiffOutputLayer.LABELS_KEY;

import io.github.dl4jretention.loss.LabelKind;
import io.github.dl4jretention.loss.LossPath;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.loss.TokenLosses;
import io.github.dl4jretention.loss.TokenRows;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.layers.samediff.DL4JSameDiffMemoryMgr;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.api.OutAndGrad;
import org.nd4j.autodiff.samediff.array.SingleThreadArrayHolder;
import org.nd4j.autodiff.samediff.internal.InferenceSession;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * The loss by SameDiff, on any backend and in any data type: one graph for each kind of labels, in DL4J's workspaces.
 */
public final class SameDiffLossPath implements LossPath {

    private static final String GRADIENT = "grad";

    private final RetentionOutputLayer layer;
    private final DataType dataType;
    private final Map<String, INDArray> parameters;
    private final long vocabulary;
    private final Map<LabelKind, SameDiff> graphs = new EnumMap<>(LabelKind.class);

    /** @param parameters the layer's own arrays; the graphs see every change of theirs */
    public SameDiffLossPath(
            RetentionOutputLayer layer, DataType dataType, Map<String, INDArray> parameters, long vocabulary) {
        this.layer = layer;
        this.dataType = dataType;
        this.parameters = parameters;
        this.vocabulary = vocabulary;
    }

    /** HALF has too few bits for a sum over a vocabulary. */
    public static DataType lossType(DataType dataType) {
        return dataType == DataType.FLOAT16 ? DataType.FLOAT : dataType;
    }

    /** The values are few and small: they are computed outside of workspaces. */
    @Override
    public TokenLosses forward(INDArray input, TokenRows rows, double factor, boolean agreement) {
        SameDiff sd = graph(rows.kind());
        session(sd).setMmgr(new DL4JSameDiffMemoryMgr(null, null, null, null));
        Map<String, INDArray> losses = sd.output(placeholders(input, rows, factor), outputs(rows.kind(), agreement));
        release(sd);
        return values(losses);
    }

    @Override
    public Backprop backprop(
            INDArray input,
            TokenRows rows,
            double factor,
            boolean agreement,
            Map<String, INDArray> gradients,
            LayerWorkspaceMgr workspaceMgr) {
        SameDiff sd = graph(rows.kind());
        session(sd.getFunction(GRADIENT))
                .setMmgr(memory(workspaceMgr, ArrayType.BP_WORKING_MEM, ArrayType.ACTIVATION_GRAD));
        List<String> wanted = new ArrayList<>(parameters.keySet());
        wanted.add(INPUT_KEY);
        OutAndGrad result = sd.calculateGradientsAndOutputs(
                placeholders(input, rows, factor), outputs(rows.kind(), agreement), wanted);
        release(sd);
        gradients.forEach((name, view) -> view.assign(result.getGradients().get(name)));
        return new Backprop(values(result.getOutputs()), result.getGradients().get(INPUT_KEY));
    }

    @Override
    public void activate(INDArray input, boolean logarithm, INDArray output) {
        INDArray logits = input;
        if (parameters.containsKey(DefaultParamInitializer.WEIGHT_KEY)) {
            logits = logits.mmul(parameters.get(DefaultParamInitializer.WEIGHT_KEY));
        }
        if (parameters.containsKey(DefaultParamInitializer.BIAS_KEY)) {
            logits.addiRowVector(parameters.get(DefaultParamInitializer.BIAS_KEY));
        }
        output.assign(logarithm ? logSoftmax(logits) : Transforms.softmax(logits, false));
    }

    /** About the maximum; M2.1's own logSoftmax gives -inf where logits are 100 apart. */
    private static INDArray logSoftmax(INDArray logits) {
        // HALF has too few bits for a sum over a vocabulary.
        INDArray result = logits.dataType() == DataType.FLOAT16 ? logits.castTo(DataType.FLOAT) : logits.dup('c');
        result.subiColumnVector(result.max(true, 1));
        return result.subiColumnVector(Transforms.log(Transforms.exp(result).sum(true, 1), false));
    }

    private static TokenLosses values(Map<String, INDArray> losses) {
        return new TokenLosses(
                flat(losses.get(SameDiffLayerLoss.CROSS_ENTROPY)),
                flat(losses.get(SameDiffLayerLoss.DIVERGENCE)),
                flat(losses.get(SameDiffLayerLoss.AGREEMENT)));
    }

    private static double[] flat(INDArray tokens) {
        return tokens == null ? null : tokens.reshape(tokens.length()).toDoubleVector();
    }

    private Map<String, INDArray> placeholders(INDArray input, TokenRows rows, double factor) {
        DataType type = lossType(dataType);
        Map<String, INDArray> values = new HashMap<>();
        values.put(INPUT_KEY, input);
        values.put(LABELS_KEY, rows.checkedCopy(type));
        values.put(SameDiffLayerLoss.WEIGHTS, TokenRows.column(rows.weights(), type));
        if (rows.kind().hasTeacher()) {
            values.put(SameDiffLayerLoss.DIVERGENCE_WEIGHTS, TokenRows.column(rows.divergenceWeights(), type));
            values.put(SameDiffLayerLoss.FACTOR, Nd4j.scalar(type, factor));
        }
        return values;
    }

    private static List<String> outputs(LabelKind kind, boolean agreement) {
        if (!kind.hasTeacher()) {
            return List.of(SameDiffLayerLoss.CROSS_ENTROPY);
        }
        return agreement
                ? List.of(SameDiffLayerLoss.CROSS_ENTROPY, SameDiffLayerLoss.DIVERGENCE, SameDiffLayerLoss.AGREEMENT)
                : List.of(SameDiffLayerLoss.CROSS_ENTROPY, SameDiffLayerLoss.DIVERGENCE);
    }

    private SameDiff graph(LabelKind kind) {
        return graphs.computeIfAbsent(kind, this::define);
    }

    private SameDiff define(LabelKind kind) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            SameDiff sd = SameDiff.create();
            sd.setArrayHolders(new SingleThreadArrayHolder(), new SingleThreadArrayHolder(), false);
            long inputSize = layer.hasParameters() ? layer.getNIn() : vocabulary;
            SDVariable input = sd.placeHolder(INPUT_KEY, dataType, -1, inputSize);
            SDVariable labels = sd.placeHolder(LABELS_KEY, lossType(dataType), -1, kind.size(vocabulary));
            Map<String, SDVariable> variables = new HashMap<>();
            parameters.forEach((name, array) -> variables.put(name, sd.var(name, dataType, array.shape())));
            layer.defineLayer(sd, input, labels, variables);
            parameters.forEach((name, array) -> sd.associateArrayWithVariable(array, sd.getVariable(name)));
            SameDiffMessages.createGradFunctionQuietly(sd, INPUT_KEY);
            return sd;
        }
    }

    private static InferenceSession session(SameDiff sd) {
        return sd.getSessions().computeIfAbsent(Thread.currentThread().getId(), thread -> SameDiff.getInferenceFactory()
                .create(sd));
    }

    private static DL4JSameDiffMemoryMgr memory(LayerWorkspaceMgr workspaceMgr, ArrayType working, ArrayType output) {
        return new DL4JSameDiffMemoryMgr(
                workspaceMgr.getWorkspaceName(working),
                workspaceMgr.getWorkspaceName(output),
                workspaceMgr.getConfiguration(working),
                workspaceMgr.getConfiguration(output));
    }

    /** No array of a closed workspace may stay reachable. */
    private static void release(SameDiff sd) {
        sd.clearPlaceholders(true);
        sd.clearOpInputs();
    }
}
