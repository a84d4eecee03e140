package io.github.dl4jretention.loss;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.samediff.SameDiffOutputLayer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.regularization.Regularization;
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

    /** From here on stock layers' own arithmetic costs several times the fused one. */
    private static final int LARGE_VOCABULARY = 4096;

    private transient LossPath path;
    private INDArray featureMask;
    private TokenLoss current;
    private TokenLoss last;
    private double score;
    private Gradient gradient;
    private boolean measureAgreement;
    private boolean logActivation;
    private boolean warned;
    private boolean steered;
    private Double adaptedBefore;

    RetentionOutputLayerRuntime(NeuralNetConfiguration conf, DataType dataType) {
        super(conf, dataType);
    }

    /** {@return the loss of the last minibatch that was scored or trained on; null before the first} */
    public TokenLoss lastTokenLoss() {
        return last;
    }

    /**
     * @param measureAgreement whether {@link TokenLoss#agreement()} is measured from now on; default false, for it
     *     costs two passes over logits
     */
    public void setMeasureAgreement(boolean measureAgreement) {
        this.measureAgreement = measureAgreement;
    }

    /**
     * @param logActivation whether activations are log-probabilities, masked or not, in place of probabilities; default
     *     false
     */
    public void setLogActivation(boolean logActivation) {
        this.logActivation = logActivation;
    }

    /** {@return lambda, as the next minibatch is trained with} */
    public double currentCoefficient() {
        return coefficient();
    }

    /**
     * Takes back what the last backpropagation did to an adaptive coefficient and to the count of minibatches: for a
     * listener that refuses the update. A second call does nothing.
     */
    public void refuseUpdate() {
        if (steered) {
            steered = false;
            layerConf().taught(-1, adaptedBefore);
        }
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
        INDArray rows = path() instanceof FusedLoss fused
                ? fusedActivation(fused, workspaceMgr)
                : RowActivation.of(inputRows(), paramTable, logActivation);
        if (mask() != null && !logActivation) {
            INDArray columns = mask().rank() == 2 ? mask().permute(1, 0) : mask();
            rows.muliColumnVector(columns.castTo(dataType).reshape('c', rows.size(0), 1));
        }
        INDArray activations = RetentionLabels.fromRows(rows, input, layerConf().classAxis());
        return path() instanceof FusedLoss ? activations : workspaceMgr.dup(ArrayType.ACTIVATIONS, activations);
    }

    private INDArray fusedActivation(FusedLoss fused, LayerWorkspaceMgr workspaceMgr) {
        INDArray inputRows = inputRows();
        INDArray rows =
                workspaceMgr.createUninitialized(ArrayType.ACTIVATIONS, dataType, inputRows.size(0), vocabulary());
        fused.activate(inputRows, logActivation, rows);
        return rows;
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
        boolean asStock = crossEntropyOnly && vocabulary() < LARGE_VOCABULARY;
        INDArray back = asStock ? crossEntropyBackprop(rows, workspaceMgr) : pathBackprop(rows, workspaceMgr);
        last = current;
        steered = last.hasTeacher();
        if (steered) {
            adaptedBefore = layerConf().adaptedCoefficient();
            AdaptiveCoefficient adaptive = layerConf().getRetention().getAdaptive();
            layerConf().taught(1, adaptive == null ? null : adaptive.next(coefficient(), last.divergence()));
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

    private INDArray pathBackprop(TokenRows rows, LayerWorkspaceMgr workspaceMgr) {
        LossPath.Backprop result =
                path().backprop(inputRows(), rows, factor(), measureAgreement, gradientViews(), workspaceMgr);
        current = tokenLoss(rows, result.values());
        return workspaceMgr.dup(
                ArrayType.ACTIVATION_GRAD,
                RetentionLabels.fromRows(result.inputRows(), input, layerConf().classAxis()));
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
        TokenValues values = forward(rows);
        int batch = (int) input.size(0);
        double[] sums = new double[batch];
        for (int token = 0; token < rows.size(); token++) {
            sums[token % batch] += weighted(rows.weights()[token], values.crossEntropy()[token]);
            if (values.divergence() != null) {
                sums[token % batch] += factor() * weighted(rows.divergenceWeights()[token], values.divergence()[token]);
            }
        }
        INDArray examples = Nd4j.createFromArray(sums)
                .castTo(LayerGraphRunner.lossType(dataType))
                .reshape(batch, 1)
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
        try {
            TeacherSample.requireFits(getLabels(), layerConf().getRetention());
            return TokenRows.of(
                    input, getLabels(), mask(), vocabulary(), layerConf().classAxis());
        } catch (IllegalArgumentException e) {
            // DL4J clears masks only after a batch that went well; the next batch must not meet this one's.
            setMaskArray(null);
            throw e;
        }
    }

    private void requireRank() {
        if (input.rank() != 2 && input.rank() != 3) {
            throw new IllegalArgumentException(
                    "input: expected rank 2 or 3, got shape " + Arrays.toString(input.shape()) + " " + layerId());
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

    private LossPath path() {
        if (path == null) {
            String obstacle = FusedLoss.obstacle(dataType);
            LOG.info(
                    "Layer \"{}\": {}",
                    layerConf().getLayerName(),
                    obstacle == null ? "fused loss on CPU" : "loss by SameDiff, not fused, because " + obstacle);
            path = obstacle == null
                    ? new FusedLoss(layerConf().getRetention(), paramTable, vocabulary())
                    : new LayerGraphRunner(layerConf(), dataType, paramTable, vocabulary());
        }
        return path;
    }

    private INDArray inputRows() {
        return RetentionLabels.rows(input.castTo(dataType), layerConf().classAxis());
    }

    private TokenValues forward(TokenRows rows) {
        return path().forward(inputRows(), rows, factor(), measureAgreement);
    }

    private TokenLoss tokenLoss(TokenRows rows, TokenValues values) {
        boolean taught = rows.kind().hasTeacher();
        return new TokenLoss(
                weightedSum(rows.weights(), values.crossEntropy()),
                taught ? weightedSum(rows.divergenceWeights(), values.divergence()) : Double.NaN,
                taught ? factor() : 0,
                Arrays.stream(rows.weights()).sum(),
                Arrays.stream(rows.divergenceWeights()).sum(),
                values.agreement() == null ? Double.NaN : weightedSum(rows.divergenceWeights(), values.agreement()));
    }

    private static double weightedSum(double[] weights, double[] values) {
        double sum = 0;
        for (int i = 0; i < weights.length; i++) {
            sum += weighted(weights[i], values[i]);
        }
        return sum;
    }

    /** Whatever a token of weight 0 holds. */
    private static double weighted(double weight, double value) {
        return weight == 0 ? 0 : weight * value;
    }
}
