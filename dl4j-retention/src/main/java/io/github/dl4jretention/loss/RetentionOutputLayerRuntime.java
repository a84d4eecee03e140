package io.github.dl4jretention.loss;

import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.samediff.SameDiffOutputLayer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.autodiff.samediff.api.OutAndGrad;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.regularization.Regularization;
import org.nd4j.linalg.ops.transforms.Transforms;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The working part of {@link RetentionOutputLayer}. DL4J's own runtime of SameDiff output layers knows no masks, gives
 * no scores of single examples, divides the regularisation by the batch and ignores setParam; this one does as stock
 * output layers do.
 */
public final class RetentionOutputLayerRuntime extends SameDiffOutputLayer {

    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(RetentionOutputLayerRuntime.class);

    private transient LayerGraphRunner runner;
    private INDArray featureMask;
    private TokenLoss current;
    private TokenLoss last;
    private double score;
    private Gradient gradient;
    private boolean measureAgreement;
    private boolean warned;

    RetentionOutputLayerRuntime(NeuralNetConfiguration conf, DataType dataType) {
        super(conf, dataType);
    }

    /** The loss of the last minibatch that was scored or trained on; null before the first. */
    public TokenLoss lastTokenLoss() {
        return last;
    }

    /** Whether {@link TokenLoss#agreement()} is measured from now on; default false, for it costs two passes over logits. */
    public void setMeasureAgreement(boolean measureAgreement) {
        this.measureAgreement = measureAgreement;
    }

    /** Lambda, as the next minibatch is trained with. */
    public double currentCoefficient() {
        return coefficient();
    }

    @Override
    public RetentionOutputLayer layerConf() {
        return (RetentionOutputLayer) super.layerConf();
    }

    @Override
    public void setInput(INDArray input, LayerWorkspaceMgr workspaceMgr) {
        super.setInput(input, workspaceMgr);
        current = null;
    }

    @Override
    public void setLabels(INDArray labels) {
        super.setLabels(labels);
        current = null;
    }

    @Override
    public void setMaskArray(INDArray maskArray) {
        super.setMaskArray(maskArray);
        if (maskArray == null) {
            featureMask = null;
        }
        current = null;
    }

    @Override
    public Pair<INDArray, MaskState> feedForwardMaskArray(INDArray mask, MaskState state, int minibatchSize) {
        featureMask = mask;
        current = null;
        return new Pair<>(mask, state);
    }

    /** As in stock layers: a features mask masks the loss, but for that of sequences where there are parameters. */
    private INDArray mask() {
        boolean byFeatures = input.rank() == 2 || !layerConf().hasParameters();
        return maskArray == null && byFeatures ? featureMask : maskArray;
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaceMgr) {
        assertInputSet(false);
        requireRank();
        applyDropOutIfNecessary(training, workspaceMgr);
        int classAxis = layerConf().classAxis();
        INDArray logits = inputRows();
        if (layerConf().hasParameters()) {
            logits = logits.mmul(getParam(DefaultParamInitializer.WEIGHT_KEY));
        }
        if (layerConf().hasBias()) {
            logits.addiRowVector(getParam(DefaultParamInitializer.BIAS_KEY));
        }
        INDArray probabilities = Transforms.softmax(logits, false);
        if (mask() != null) {
            INDArray columns = mask().rank() == 2 ? mask().permute(1, 0) : mask();
            probabilities.muliColumnVector(columns.castTo(dataType).reshape('c', probabilities.size(0), 1));
        }
        return workspaceMgr.dup(ArrayType.ACTIVATIONS, RetentionLabels.fromRows(probabilities, input, classAxis));
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaceMgr) {
        assertInputSet(true);
        requireLabels();
        requireSameTeacher();
        applyDropOutIfNecessary(true, workspaceMgr);
        TokenRows rows = tokenRows();
        warnWithoutTeacher(rows);
        RetentionConfiguration retention = layerConf().getRetention();
        boolean crossEntropyOnly =
                retention.getLabelSmoothing() == 0 && (!rows.kind().hasTeacher() || factor() == 0);
        INDArray back =
                crossEntropyOnly ? crossEntropyBackprop(rows, workspaceMgr) : sameDiffBackprop(rows, workspaceMgr);
        last = current;
        if (last.hasTeacher()) {
            layerConf().taught(coefficient(), last.divergence());
        }
        gradient = new DefaultGradient();
        gradientViews().forEach((name, view) -> gradient.gradientForVariable().put(name, view));
        return new Pair<>(gradient, backpropDropOutIfPresent(back));
    }

    private void warnWithoutTeacher(TokenRows rows) {
        if (!warned && !rows.kind().hasTeacher() && layerConf().getTeacher() != null && factor() > 0) {
            warned = true;
            LOG.warn(
                    "Layer \"{}\" trains without its teacher: the labels carry none, so nothing is retained. Wrap the "
                            + "iterator in a TeacherIterator or TeacherMultiDataSetIterator.",
                    layerConf().getLayerName());
        }
    }

    private INDArray crossEntropyBackprop(TokenRows rows, LayerWorkspaceMgr workspaceMgr) {
        current = tokenLoss(rows, forward(rows));
        return CrossEntropyBackprop.apply(
                input.castTo(dataType), rows, layerConf().classAxis(), paramTable, gradientViews(), workspaceMgr);
    }

    private INDArray sameDiffBackprop(TokenRows rows, LayerWorkspaceMgr workspaceMgr) {
        OutAndGrad result = runner().backprop(inputRows(), rows, factor(), measureAgreement, workspaceMgr);
        gradientViews()
                .forEach((name, view) -> view.assign(result.getGradients().get(name)));
        current = tokenLoss(rows, result.getOutputs());
        return workspaceMgr.dup(
                ArrayType.ACTIVATION_GRAD,
                RetentionLabels.fromRows(
                        result.getGradients().get(INPUT_KEY), input, layerConf().classAxis()));
    }

    /** A layer without parameters is given no view to fill. */
    private Map<String, INDArray> gradientViews() {
        return gradTable == null ? Map.of() : gradTable;
    }

    @Override
    public double computeScore(double fullNetRegTerm, boolean training, LayerWorkspaceMgr workspaceMgr) {
        if (current == null) {
            requireLabels();
            applyDropOutIfNecessary(training, workspaceMgr);
            TokenRows rows = tokenRows();
            current = tokenLoss(rows, forward(rows));
            last = current;
        }
        double loss = current.sum();
        score = (conf().isMiniBatch() ? loss / getInputMiniBatchSize() : loss) + fullNetRegTerm;
        return score;
    }

    /** The loss of each example, summed over its unmasked tokens, {@code [batch, 1]}. */
    @Override
    public INDArray computeScoreForExamples(double fullNetRegTerm, LayerWorkspaceMgr workspaceMgr) {
        requireLabels();
        TokenRows rows = tokenRows();
        Map<String, INDArray> losses = forward(rows);
        INDArray tokens = losses.get(LayerGraph.CROSS_ENTROPY).mul(rows.weights());
        if (rows.kind().hasTeacher()) {
            tokens.addi(losses.get(LayerGraph.DIVERGENCE)
                    .mul(rows.divergenceWeights())
                    .muli(factor()));
        }
        INDArray examples = tokens.reshape('c', tokens.length() / input.size(0), input.size(0))
                .sum(0)
                .reshape(input.size(0), 1)
                .addi(fullNetRegTerm);
        return workspaceMgr.leverageTo(ArrayType.ACTIVATIONS, examples);
    }

    @Override
    public double calcRegularizationScore(boolean backpropParamsOnly) {
        double sum = 0;
        for (Map.Entry<String, INDArray> parameter : paramTable.entrySet()) {
            List<Regularization> terms = layerConf().getRegularizationByParam(parameter.getKey());
            for (Regularization term : terms == null ? List.<Regularization>of() : terms) {
                sum += term.score(parameter.getValue(), getIterationCount(), getEpochCount());
            }
        }
        return sum;
    }

    @Override
    public double score() {
        return score;
    }

    @Override
    public Gradient gradient() {
        return gradient;
    }

    @Override
    public void setParam(String key, INDArray value) {
        super.setParam(key, value);
        paramTable.get(key).assign(value);
    }

    @Override
    public void setParams(INDArray values) {
        if (params != null && values != null) {
            params.assign(values.reshape(params.shape()));
        }
    }

    @Override
    public void clear() {
        super.clear();
        setLabels(null);
        featureMask = null;
    }

    private TokenRows tokenRows() {
        requireRank();
        TeacherSample.requireFits(getLabels(), layerConf().getRetention());
        try {
            return TokenRows.of(
                    input,
                    getLabels(),
                    mask(),
                    vocabulary(),
                    layerConf().classAxis(),
                    LayerGraphRunner.lossType(dataType));
        } catch (IllegalArgumentException e) {
            // DL4J clears masks only after a batch that went well; the next batch must not meet this one's.
            setMaskArray(null);
            throw e;
        }
    }

    private void requireRank() {
        if (input.rank() != 2 && input.rank() != 3) {
            throw new IllegalArgumentException("input: expected rank 2 or 3, got shape "
                    + java.util.Arrays.toString(input.shape()) + " " + layerId());
        }
    }

    private void requireLabels() {
        if (getLabels() == null) {
            throw new IllegalStateException("labels: none were set, the loss needs them " + layerId());
        }
    }

    private void requireSameTeacher() {
        RetentionLabels.teacherOf(getLabels()).ifPresent(met -> {
            String expected = layerConf().getTeacher();
            if (expected == null) {
                layerConf().setTeacher(met);
            } else if (!expected.equals(met)) {
                throw new IllegalStateException("teacher: this student belongs to teacher " + expected
                        + " (SHA-256), but the labels come from teacher " + met
                        + "; training on with another teacher would forget what it retains");
            }
        });
    }

    private double coefficient() {
        return layerConf().coefficientAt(getIterationCount(), getEpochCount());
    }

    private double factor() {
        double temperature = layerConf().getRetention().getTemperature();
        return coefficient() * temperature * temperature;
    }

    private long vocabulary() {
        return layerConf().hasParameters()
                ? layerConf().getNOut()
                : input.size(input.rank() == 2 ? 1 : layerConf().classAxis());
    }

    private LayerGraphRunner runner() {
        if (runner == null) {
            runner = new LayerGraphRunner(layerConf(), dataType, paramTable, vocabulary());
        }
        return runner;
    }

    private INDArray inputRows() {
        return RetentionLabels.rows(input.castTo(dataType), layerConf().classAxis());
    }

    private Map<String, INDArray> forward(TokenRows rows) {
        return runner().forward(inputRows(), rows, factor(), measureAgreement);
    }

    private TokenLoss tokenLoss(TokenRows rows, Map<String, INDArray> losses) {
        INDArray crossEntropy = losses.get(LayerGraph.CROSS_ENTROPY);
        boolean taught = rows.kind().hasTeacher();
        return new TokenLoss(
                weightedSum(crossEntropy, rows.weights()),
                taught ? weightedSum(losses.get(LayerGraph.DIVERGENCE), rows.divergenceWeights()) : Double.NaN,
                taught ? factor() : 0,
                weightedSum(null, rows.weights()),
                weightedSum(null, rows.divergenceWeights()),
                losses.containsKey(LayerGraph.AGREEMENT)
                        ? weightedSum(losses.get(LayerGraph.AGREEMENT), rows.divergenceWeights())
                        : Double.NaN);
    }

    /** In double, so that the sum over many tokens adds no rounding of its own. */
    private static double weightedSum(INDArray tokens, INDArray weights) {
        double[] weight = weights.reshape(weights.length()).toDoubleVector();
        double[] value = tokens == null ? null : tokens.reshape(tokens.length()).toDoubleVector();
        double sum = 0;
        for (int i = 0; i < weight.length; i++) {
            sum += value == null ? weight[i] : weight[i] * value[i];
        }
        return sum;
    }
}
