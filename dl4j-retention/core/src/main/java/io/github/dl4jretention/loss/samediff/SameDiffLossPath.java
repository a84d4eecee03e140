package io.github.dl4jretention.loss.samediff;

import io.github.dl4jretention.loss.LossPath;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.TokenBatch;
import io.github.dl4jretention.loss.TokenWeight;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.deeplearning4j.nn.layers.samediff.DL4JSameDiffMemoryMgr;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
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
 * An output layer's loss by SameDiff, on any backend and in any data type, in DL4J's workspaces: one SameDiff model for
 * each form of labels, with or without a teacher, on rows, a token each.
 */
public final class SameDiffLossPath implements LossPath {

    /** Name of the probabilities. */
    public static final String ACTIVATIONS = "softmax";

    private static final String INPUT = "input";
    private static final String LABELS = "labels";
    private static final String TEACHER = "teacher";
    private static final String WEIGHTS = "weights";
    private static final String DIVERGENCE_WEIGHTS = "divergenceWeights";
    private static final String FACTOR = "factor";
    private static final String CROSS_ENTROPY = "crossEntropy";
    private static final String DIVERGENCE = "divergence";
    private static final String AGREEMENT = "agreement";
    private static final String TOKEN_WEIGHT = "tokenWeight";
    private static final String GRADIENT = "grad";

    private final RetentionConfiguration configuration;
    private final DataType dataType;
    private final Map<String, INDArray> parameters;
    private final int vocabulary;
    private final double lowRankScale;
    private final Map<List<Boolean>, SameDiff> models = new HashMap<>();

    /**
     * @param configuration the loss
     * @param dataType      of the network
     * @param parameters    W and b, and D and U of an adapter, arrays whose every change is seen; or none: the input is
     *     the logits
     * @param vocabulary    V
     * @param lowRankScale  of the adapter
     */
    public SameDiffLossPath(
            RetentionConfiguration configuration,
            DataType dataType,
            Map<String, INDArray> parameters,
            long vocabulary,
            double lowRankScale) {
        this.lowRankScale = lowRankScale;
        this.configuration = configuration;
        this.dataType = dataType;
        this.parameters = parameters;
        this.vocabulary = Math.toIntExact(vocabulary);
    }

    /**
     * Defines projection and loss, and where student and teacher hold the same class most probable, which is computed
     * only on request. Adds the placeholders "weights" and "divergenceWeights" {@code [tokens, 1]} and
     * "factor", the scalar {@code lambda T^2}.
     *
     * @param configuration the loss
     * @param input         {@code [tokens, nIn]}
     * @param labels        {@code [tokens, 1]}, class ids, or {@code [tokens, V]}, distributions
     * @param teacher       its log-probabilities {@code [tokens, V]}; null for none
     * @param parameters    W and b by name, or none
     * @param vocabulary    V
     * @return the summed loss
     */
    public static SDVariable define(
            RetentionConfiguration configuration,
            SDVariable input,
            SDVariable labels,
            @Nullable SDVariable teacher,
            Map<String, SDVariable> parameters,
            int vocabulary) {
        return define(configuration, input, labels, teacher, parameters, vocabulary, 1);
    }

    private static SDVariable define(
            RetentionConfiguration configuration,
            SDVariable input,
            SDVariable labels,
            @Nullable SDVariable teacher,
            Map<String, SDVariable> parameters,
            int vocabulary,
            double lowRankScale) {
        SameDiff sd = input.getSameDiff();
        DataType type = labels.dataType();
        SDVariable logits = input;
        if (parameters.containsKey(DefaultParamInitializer.WEIGHT_KEY)) {
            logits = logits.mmul(parameters.get(DefaultParamInitializer.WEIGHT_KEY));
        }
        if (parameters.containsKey(DefaultParamInitializer.BIAS_KEY)) {
            logits = logits.add(parameters.get(DefaultParamInitializer.BIAS_KEY));
        }
        if (parameters.containsKey(DOWN)) {
            logits = logits.add(
                    input.mmul(parameters.get(DOWN)).mmul(parameters.get(UP)).mul(lowRankScale));
        }
        logits = logits.dataType() == type ? logits : logits.castTo(type);
        sd.nn.softmax(ACTIVATIONS, logits, 1);

        SDVariable distribution = labels.getShape()[1] == 1
                ? sd.oneHot(labels.castTo(DataType.INT32).reshape(-1), vocabulary, -1, 1.0, 0.0, type)
                : labels;
        SameDiffTokenLoss tokenLoss = new SameDiffTokenLoss(sd, configuration, logits);
        SDVariable weighted =
                tokenLoss.crossEntropy(distribution).rename(CROSS_ENTROPY).mul(sd.placeHolder(WEIGHTS, type, -1, 1));
        SDVariable tokenWeight = tokenLoss.weightByStudent(distribution);
        if (tokenWeight != null) {
            weighted = weighted.mul(tokenWeight.rename(TOKEN_WEIGHT));
        }
        if (teacher != null) {
            SDVariable divergence = tokenLoss.divergence(teacher).rename(DIVERGENCE);
            sd.eq(sd.argmax(logits, true, 1), sd.argmax(teacher, true, 1))
                    .castTo(type)
                    .rename(AGREEMENT);
            weighted = weighted.add(
                    divergence.mul(sd.placeHolder(FACTOR, type)).mul(sd.placeHolder(DIVERGENCE_WEIGHTS, type, -1, 1)));
        }
        SDVariable loss = weighted.sum();
        loss.markAsLoss();
        return loss;
    }

    /** The values are few and small: they are computed outside of workspaces. */
    @Override
    public void forward(INDArray input, TokenBatch batch) {
        SameDiff sd = model(batch);
        session(sd).setMmgr(new DL4JSameDiffMemoryMgr(null, null, null, null));
        Map<String, INDArray> losses = sd.output(placeholders(input, batch), outputs(batch));
        release(sd);
        fill(batch, losses);
    }

    @Override
    public INDArray backprop(
            INDArray input, TokenBatch batch, Map<String, INDArray> gradients, LayerWorkspaceMgr workspaceMgr) {
        SameDiff sd = model(batch);
        session(sd.getFunction(GRADIENT))
                .setMmgr(memory(workspaceMgr, ArrayType.BP_WORKING_MEM, ArrayType.ACTIVATION_GRAD));
        List<String> wanted = new ArrayList<>(parameters.keySet());
        wanted.add(INPUT);
        OutAndGrad result = sd.calculateGradientsAndOutputs(placeholders(input, batch), outputs(batch), wanted);
        release(sd);
        gradients.forEach((name, view) -> view.assign(result.getGradients().get(name)));
        fill(batch, result.getOutputs());
        return Objects.requireNonNull(result.getGradients().get(INPUT));
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
        if (parameters.containsKey(DOWN)) {
            logits.addi(
                    input.mmul(parameters.get(DOWN)).mmul(parameters.get(UP)).muli(lowRankScale));
        }
        INDArray rows = logarithm ? logSoftmax(logits) : Transforms.softmax(logits, false);
        output.assign(rows.reshape('c', output.shape()));
    }

    /** About the maximum; M2.1's own logSoftmax gives -inf where logits are 100 apart. */
    private static INDArray logSoftmax(INDArray logits) {
        // HALF has too few bits for a sum over a vocabulary.
        INDArray result = logits.dataType() == DataType.FLOAT16 ? logits.castTo(DataType.FLOAT) : logits.dup('c');
        result.subiColumnVector(result.max(true, 1));
        return result.subiColumnVector(Transforms.log(Transforms.exp(result).sum(true, 1), false));
    }

    private static void fill(TokenBatch batch, Map<String, INDArray> losses) {
        fill(batch.crossEntropy, losses.get(CROSS_ENTROPY));
        fill(batch.divergence, losses.get(DIVERGENCE));
        fill(batch.agreement, losses.get(AGREEMENT));
        if (losses.containsKey(TOKEN_WEIGHT)) {
            double[] weights = new double[batch.size()];
            fill(weights, losses.get(TOKEN_WEIGHT));
            for (int token = 0; token < weights.length; token++) {
                batch.setTokenWeight(token, weights[token]);
            }
        }
    }

    private static void fill(double @Nullable [] tokens, @Nullable INDArray values) {
        if (tokens != null) {
            double[] found =
                    Objects.requireNonNull(values).reshape(tokens.length).toDoubleVector();
            System.arraycopy(found, 0, tokens, 0, tokens.length);
        }
    }

    private Map<String, INDArray> placeholders(INDArray input, TokenBatch batch) {
        DataType type = LossPath.lossType(dataType);
        Map<String, INDArray> values = new HashMap<>();
        values.put(INPUT, input);
        values.put(LABELS, batch.rows().labels(type));
        values.put(WEIGHTS, batch.weights(type));
        if (batch.hasTeacher()) {
            values.put(TEACHER, batch.rows().teacher(type));
            values.put(DIVERGENCE_WEIGHTS, batch.divergenceWeights(type));
            values.put(FACTOR, Nd4j.scalar(type, batch.factor));
        }
        return values;
    }

    private List<String> outputs(TokenBatch batch) {
        List<String> names = new ArrayList<>(List.of(CROSS_ENTROPY));
        TokenWeight weight = configuration.getTokenWeight();
        if (weight != null && !weight.needsTeacher()) {
            names.add(TOKEN_WEIGHT);
        }
        if (batch.hasTeacher()) {
            names.add(DIVERGENCE);
        }
        if (batch.agreement != null) {
            names.add(AGREEMENT);
        }
        return names;
    }

    private SameDiff model(TokenBatch batch) {
        return models.computeIfAbsent(
                List.of(batch.layout().isClassId(), batch.hasTeacher()), form -> define(form.get(0), form.get(1)));
    }

    private SameDiff define(boolean classIds, boolean taught) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            SameDiff sd = SameDiff.create();
            sd.setArrayHolders(new SingleThreadArrayHolder(), new SingleThreadArrayHolder(), false);
            INDArray weights = parameters.get(DefaultParamInitializer.WEIGHT_KEY);
            DataType type = LossPath.lossType(dataType);
            SDVariable input = sd.placeHolder(INPUT, dataType, -1, weights == null ? vocabulary : weights.size(0));
            SDVariable labels = sd.placeHolder(LABELS, type, -1, classIds ? 1 : vocabulary);
            SDVariable teacher = taught ? sd.placeHolder(TEACHER, type, -1, vocabulary) : null;
            Map<String, SDVariable> variables = new HashMap<>();
            parameters.forEach((name, array) -> variables.put(name, sd.var(name, dataType, array.shape())));
            define(configuration, input, labels, teacher, variables, vocabulary, lowRankScale);
            parameters.forEach((name, array) -> sd.associateArrayWithVariable(array, sd.getVariable(name)));
            SameDiffMessages.createGradFunctionQuietly(sd, INPUT);
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
