package io.github.dl4jretention.loss;

import io.github.dl4jretention.internal.FrozenBase;
import io.github.dl4jretention.internal.FrozenProjection;
import io.github.dl4jretention.internal.LowRank;
import io.github.dl4jretention.internal.TiedWeights;
import io.github.dl4jretention.loss.fused.FloatMemory;
import io.github.dl4jretention.loss.fused.FusedLoss;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.samediff.SameDiffOutputLayer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
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

    private transient @Nullable LossPath path;
    private final transient TiedWeights.@Nullable Owner tied;

    /** Holds the arrays of the next. */
    @SuppressWarnings("unused")
    private final transient @Nullable FrozenBase base;

    private final transient Map<String, INDArray> frozen;
    private transient @Nullable LossPath ofLogits;
    private @Nullable INDArray featureMask;
    private @Nullable TokenLoss current;
    private @Nullable TokenLoss last;
    private double score;
    private @Nullable Gradient gradient;
    private boolean measureAgreement;
    private boolean logActivation;
    private transient @Nullable RetentionLabels destination;
    private boolean warned;
    private transient @Nullable Runnable takeBack;

    /** @param tied who has the weights; null for this layer itself or a frozen base */
    RetentionOutputLayerRuntime(NeuralNetConfiguration conf, DataType dataType, TiedWeights.@Nullable Owner tied) {
        super(conf, dataType);
        this.tied = tied;
        FrozenProjection projection = layerConf().frozen();
        base = projection == null ? null : projection.held();
        frozen = projection == null || base == null
                ? Map.of()
                : projection.weights(base, layerConf().getNIn(), layerConf().getNOut());
    }

    /** {@return the loss of the last minibatch that was scored or trained on; null before the first} */
    public @Nullable TokenLoss lastTokenLoss() {
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
     * Makes activations log-probabilities, masked or not, in place of probabilities.
     *
     * @param destination labels that they're written into; null for an array of the layer's own
     */
    public void giveLogProbabilities(@Nullable RetentionLabels destination) {
        this.logActivation = true;
        this.destination = destination;
    }

    /** {@return lambda, as the next minibatch is trained with} */
    public double currentCoefficient() {
        return layerConf().coefficientAt(getIterationCount(), getEpochCount());
    }

    /**
     * Takes back what the last backpropagation did to an adaptive coefficient, to the count of minibatches and to the
     * teacher that the student is bound to, and forgets the minibatch's mask: for a listener that refuses the update. A
     * second call does nothing.
     */
    public void refuseUpdate() {
        setMaskArray(null);
        takeBack();
    }

    private void takeBack() {
        if (takeBack != null) {
            takeBack.run();
            takeBack = null;
        }
    }

    /**
     * Makes a loss the last one again, for a listener that has measured another in between.
     *
     * @param loss what {@link #lastTokenLoss()} was
     */
    public void restoreTokenLoss(@Nullable TokenLoss loss) {
        last = loss;
    }

    /**
     * Makes the last loss that of several minibatches of which one step is made, and has an adaptive coefficient go by
     * all of them: for a listener that adds up their gradients.
     *
     * @param earlier of the step's other minibatches
     */
    public void addTokenLoss(TokenLoss earlier) {
        last = Objects.requireNonNull(last).plus(earlier);
        String teacher = layerConf().getTeacher();
        takeBack();
        takeBack = layerConf().taught(teacher, last, currentCoefficient());
    }

    /** {@return the features mask of the minibatch that's being trained on, as it has come to this layer} */
    public @Nullable INDArray featuresMask() {
        return featureMask;
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
    public void setLabels(@Nullable INDArray labels) {
        super.setLabels(labels);
        current = null;
    }

    /** A graph sets the mask once more between backpropagation and score: of the same mask the loss is known. */
    @Override
    public void setMaskArray(@Nullable INDArray maskArray) {
        if (maskArray != getMaskArray()) {
            current = null;
        }
        super.setMaskArray(maskArray);
        if (maskArray == null) {
            featureMask = null;
        }
    }

    @Override
    public Pair<INDArray, MaskState> feedForwardMaskArray(INDArray mask, MaskState state, int minibatchSize) {
        featureMask = mask;
        current = null;
        return new Pair<>(mask, state);
    }

    /** As in stock layers: a features mask masks the loss, but for that of sequences where there are parameters. */
    private @Nullable INDArray mask() {
        boolean byFeatures = input.rank() == 2 || !layerConf().hasParameters();
        return maskArray == null && byFeatures ? featureMask : maskArray;
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaceMgr) {
        assertInputSet(false);
        requireRank();
        applyDropOutIfNecessary(training, workspaceMgr);
        int classAxis = layerConf().classAxis();
        INDArray ordered = LabelLayout.timeFirst(input, classAxis);
        DataType type = logActivation ? LossPath.lossType(dataType) : dataType;
        INDArray output = destination == null
                ? workspaceMgr.createUninitialized(
                        ArrayType.ACTIVATIONS, type, ordered.size(0), ordered.size(1), vocabulary())
                : destination.distributions(type, outputShape(classAxis));
        path().activate(inputRows(), logActivation, output);
        if (mask() != null && !logActivation) {
            INDArray columns = mask().rank() == 2 ? mask().permute(1, 0) : mask();
            output.reshape('c', output.size(0) * output.size(1), output.size(2))
                    .muliColumnVector(columns.castTo(dataType).reshape('c', output.size(0) * output.size(1), 1));
        }
        return LabelLayout.fromTimeFirst(output, input.rank(), classAxis);
    }

    private long[] outputShape(int classAxis) {
        long[] shape = input.shape().clone();
        shape[input.rank() == 2 ? 1 : classAxis] = vocabulary();
        return shape;
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaceMgr) {
        return orWithoutMasks(() -> backprop(workspaceMgr));
    }

    /** DL4J clears masks only after a batch that went well; the next batch must not meet those of one that did not. */
    private <T> T orWithoutMasks(Supplier<T> work) {
        try {
            return work.get();
        } catch (RuntimeException | Error e) {
            setMaskArray(null);
            throw e;
        }
    }

    private void warnWithoutTeacher(TokenBatch batch) {
        if (!warned && !batch.hasTeacher() && layerConf().getTeacher() != null && batch.factor > 0) {
            warned = true;
            LOG.warn(
                    "Layer \"{}\" trains without its teacher: the labels carry none, so nothing is retained. Wrap the "
                            + "iterator in a TeacherIterator or TeacherMultiDataSetIterator.",
                    layerConf().getLayerName());
        }
    }

    private Pair<Gradient, INDArray> backprop(LayerWorkspaceMgr workspaceMgr) {
        assertInputSet(true);
        applyDropOutIfNecessary(true, workspaceMgr);
        TokenBatch batch = tokenBatch();
        objective().requireTeacher(batch, layerId());
        String expected = layerConf().getTeacher();
        String teacher = batch.hasTeacher() ? batch.layout().teacher() : expected;
        LabelArrays.requireSameTeacher(expected, teacher);
        warnWithoutTeacher(batch);
        boolean crossEntropyOnly = !batch.hasTeacher() || batch.factor == 0;
        INDArray back = crossEntropyOnly && mayBeAsStock()
                ? stockBackprop(batch, workspaceMgr)
                : pathBackprop(batch, workspaceMgr);
        current = batch.sums();
        LabelArrays.used(getLabels());
        last = current;
        takeBack = layerConf().taught(teacher, last, currentCoefficient());
        gradient = new DefaultGradient();
        gradientViews().forEach((name, view) -> gradient.gradientForVariable().put(name, view));
        return new Pair<>(gradient, backpropDropOutIfPresent(back));
    }

    private boolean mayBeAsStock() {
        boolean halves = tied != null && tied.weights().dataType() != dataType;
        return layerConf().frozen() == null
                && !halves
                && StockBackprop.serves(layerConf().getRetention(), vocabulary());
    }

    private INDArray stockBackprop(TokenBatch batch, LayerWorkspaceMgr workspaceMgr) {
        if (ofLogits == null) {
            ofLogits = newPath(Map.of());
        }
        return StockBackprop.apply(
                input.castTo(dataType),
                batch,
                ofLogits,
                layerConf().classAxis(),
                weights(),
                gradientsToSet(),
                workspaceMgr);
    }

    private INDArray pathBackprop(TokenBatch batch, LayerWorkspaceMgr workspaceMgr) {
        INDArray rows = batch.finiteInput(inputRows());
        if (layerConf().getRetention().getPreference() != null) {
            // What a token's gradient is multiplied by follows from both of its pair's sequences.
            path().forward(rows, batch);
            objective().weighByPairs(batch);
        }
        INDArray back = path().backprop(rows, batch, gradientsToSet(), workspaceMgr);
        return inSequences(LabelLayout.fromRows(back, input, layerConf().classAxis()), workspaceMgr);
    }

    /** A copy, sequence after sequence with a token's values side by side: layers below that run at native speed read it so. */
    private INDArray inSequences(INDArray back, LayerWorkspaceMgr workspaceMgr) {
        if (back.rank() == 2) {
            return workspaceMgr.dup(ArrayType.ACTIVATION_GRAD, back);
        }
        boolean last = layerConf().classAxis() == 2;
        INDArray from = last ? back : back.permute(0, 2, 1);
        INDArray copy = workspaceMgr.createUninitialized(ArrayType.ACTIVATION_GRAD, back.dataType(), from.shape(), 'c');
        if (from.stride(2) == 1 && FloatMemory.isAccessible(from)) {
            FloatMemory.copyRows(from, copy);
        } else {
            copy.assign(from);
        }
        return last ? copy : copy.permute(0, 2, 1);
    }

    /** A layer without parameters is given no view to fill. */
    private Map<String, INDArray> gradientViews() {
        return gradTable == null ? Map.of() : gradTable;
    }

    /** {@return W and b, of which W may be an embedding's, and an adapter's {@link LossPath#DOWN} and UP} */
    public Map<String, INDArray> weights() {
        Map<String, INDArray> weights = new LinkedHashMap<>(frozen);
        weights.putAll(paramTable);
        if (tied != null) {
            weights.put(DefaultParamInitializer.WEIGHT_KEY, tied.weights());
        }
        return weights;
    }

    /** {@return what the product of an adapter's matrices is multiplied by; 1 without one} */
    public double lowRankScale() {
        FrozenProjection projection = layerConf().frozen();
        LowRank adapter = projection == null ? null : projection.adapter();
        return adapter == null ? 1 : adapter.scale();
    }

    private Map<String, INDArray> gradientsToSet() {
        INDArray ofTied = tied == null ? null : tied.weightGradients();
        if (ofTied == null) {
            return gradientViews();
        }
        Map<String, INDArray> gradients = new LinkedHashMap<>(gradientViews());
        gradients.put(DefaultParamInitializer.WEIGHT_KEY, ofTied);
        return gradients;
    }

    @Override
    public double computeScore(double fullNetRegTerm, boolean training, LayerWorkspaceMgr workspaceMgr) {
        if (current == null) {
            current = orWithoutMasks(() -> {
                applyDropOutIfNecessary(training, workspaceMgr);
                return forward().sums();
            });
            last = current;
        }
        double loss = current.sum();
        score = (conf().isMiniBatch() ? loss / getInputMiniBatchSize() : loss) + fullNetRegTerm;
        return score;
    }

    /** The loss of each example, summed over its unmasked tokens, {@code [batch, 1]}. */
    @Override
    public INDArray computeScoreForExamples(double fullNetRegTerm, LayerWorkspaceMgr workspaceMgr) {
        double[] examples = orWithoutMasks(() -> forward().ofExamples());
        INDArray scores = Nd4j.createFromArray(examples)
                .castTo(LossPath.lossType(dataType))
                .reshape(examples.length, 1)
                .addi(fullNetRegTerm);
        return workspaceMgr.leverageTo(ArrayType.ACTIVATIONS, scores);
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
    public @Nullable Gradient gradient() {
        return gradient;
    }

    @Override
    public void setParam(String key, INDArray value) {
        super.setParam(key, value);
        Objects.requireNonNull(paramTable.get(key), key).assign(value);
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

    private TokenBatch tokenBatch() {
        if (getLabels() == null) {
            throw new IllegalStateException("labels: none were set, the loss needs them " + layerId());
        }
        requireRank();
        double temperature = layerConf().getRetention().getTemperature();
        double factor = currentCoefficient() * temperature * temperature;
        TokenBatch batch = new TokenBatch(
                input, getLabels(), mask(), vocabulary(), layerConf().classAxis(), factor, measureAgreement);
        objective().prepare(batch);
        return batch;
    }

    private Objective objective() {
        return new Objective(layerConf().getRetention());
    }

    private TokenBatch forward() {
        TokenBatch batch = tokenBatch();
        path().forward(batch.finiteInput(inputRows()), batch);
        objective().weighByPairs(batch);
        LabelArrays.used(getLabels());
        return batch;
    }

    private void requireRank() {
        if (input.rank() != 2 && input.rank() != 3) {
            throw new IllegalArgumentException(
                    "input: expected rank 2 or 3, got shape " + Arrays.toString(input.shape()) + " " + layerId());
        }
    }

    private long vocabulary() {
        return layerConf().hasParameters()
                ? layerConf().getNOut()
                : input.size(input.rank() == 2 ? 1 : layerConf().classAxis());
    }

    private LossPath path() {
        Map<String, INDArray> weights = weights();
        if (path == null) {
            String obstacle = FusedLoss.obstacle(dataType);
            if (!logActivation) {
                LOG.info(
                        "Layer \"{}\": {}",
                        layerConf().getLayerName(),
                        obstacle == null ? "fused loss on CPU" : "loss by SameDiff, not fused, because " + obstacle);
            }
            path = newPath(weights);
        }
        return path;
    }

    private LossPath newPath(Map<String, INDArray> parameters) {
        return LossPath.of(layerConf().getRetention(), dataType, parameters, vocabulary(), lowRankScale());
    }

    private INDArray inputRows() {
        return LabelLayout.rows(input.castTo(dataType), layerConf().classAxis());
    }
}
