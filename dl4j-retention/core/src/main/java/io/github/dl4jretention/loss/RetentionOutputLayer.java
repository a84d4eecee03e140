package io.github.dl4jretention.loss;

import io.github.dl4jretention.internal.FrozenProjection;
import io.github.dl4jretention.internal.HalfReader;
import io.github.dl4jretention.internal.JsonFields;
import io.github.dl4jretention.internal.LowRank;
import io.github.dl4jretention.internal.LowRankParameters;
import io.github.dl4jretention.internal.TiedWeights;
import io.github.dl4jretention.loss.fused.FusedLoss;
import io.github.dl4jretention.loss.samediff.SameDiffLossPath;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.samediff.AbstractSameDiffLayer;
import org.deeplearning4j.nn.conf.layers.samediff.SDLayerParams;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffOutputLayer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.weights.IWeightInit;
import org.deeplearning4j.nn.weights.WeightInitXavier;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * A softmax output layer whose loss keeps the network near its teacher:
 * <pre>
 * loss = sum over unmasked tokens of [ CE(y, p) + lambda T^2 D(p0^(T), p^(T)) ]
 * </pre>
 *
 * in nats, with {@code p = softmax(z)}, the logits {@code z = h W + b} (or the input itself in place of a stock layer
 * without parameters), {@code CE(y, p) = -sum_v y(v) log p(v)} and the {@link Divergence} D from the teacher's
 * distribution p0. {@code score()} divides it by the examples of the minibatch, as stock output layers do, and adds the
 * regularisation. With lambda = 0, or labels without a teacher, scores and gradients are those of a stock output layer
 * with MCXENT; only the clipping of its softmax at 1e-10 is left out.
 *
 * <p><b>Shapes.</b> Input {@code [batch, nIn]}, {@code [batch, nIn, time]}, or {@code [batch, time, nIn]} for NWC;
 * activations likewise with nOut. Labels as {@link LabelLayout} says. Label mask {@code [batch, time]}, or
 * {@code [batch, 1]} without time; a token's loss is multiplied by its mask, which may be any weight of at least 0, and
 * a token of mask 0 counts nowhere.
 *
 * <p><b>Numbers.</b> Everything is computed in log space, in the network's data type (FLOAT for HALF networks). Values
 * and gradients are within 1e-6 of exact ones for DOUBLE, within 1e-4 for FLOAT, relative to the larger of 1 and the
 * value. Logits of {@code -inf} are held at -1e9.
 *
 * <p>Source: "Memory retaining finetuning via distillation"; there the divergence is forward KL with T = 1. Parameters
 * {@code W} and {@code b} lie in memory as the stock layers' do.
 */
@JsonFields
public final class RetentionOutputLayer extends SameDiffOutputLayer implements HalfReader {

    private static final long serialVersionUID = 1L;

    // StockLayers exchanges these with stock layers'.
    long nIn;
    long nOut;
    boolean hasParameters;
    boolean hasBias;
    boolean tied;

    @Nullable
    FrozenProjection frozen;

    @Nullable
    RNNFormat dataFormat;

    @Nullable
    IWeightInit weightInitFn;

    double biasInit;

    @SuppressWarnings("NullAway.Init")
    private RetentionConfiguration retention;

    // Steps change these.
    @Nullable
    String teacher;

    private @Nullable Double adaptedCoefficient;
    private long taughtMinibatches;

    private int startIteration;
    private int startEpoch;
    private @Nullable String provenance;
    private @Nullable FeedForwardLayer stockLayer;

    /** For JSON. */
    RetentionOutputLayer() {}

    private RetentionOutputLayer(Builder builder) {
        setLayerName(builder.getLayerName());
        setIDropout(builder.getIDropout());
        setRegularization(builder.getRegularization());
        setRegularizationBias(builder.getRegularizationBias());
        setUpdater(builder.getUpdater());
        setBiasUpdater(builder.getBiasUpdater());
        nIn = builder.nIn;
        nOut = builder.nOut;
        hasParameters = true;
        hasBias = builder.hasBias;
        dataFormat = builder.dataFormat;
        weightInitFn = builder.weightInitFn;
        retention = Objects.requireNonNull(builder.retention, "retention");
        requireVocabulary();
        initializeConstraints(builder);
    }

    void requireVocabulary() {
        if (nOut < 2) {
            throw new IllegalArgumentException("nOut: expected a vocabulary of at least 2, got " + nOut);
        }
    }

    /**
     * {@return a retention layer in place of a stock output layer: same name, parameters, updaters, regularisation,
     * dropout and constraints}
     *
     * @param stock     OutputLayer, RnnOutputLayer, LossLayer or RnnLossLayer of softmax cross-entropy, checked before
     * @param retention the loss
     * @param teacher   SHA-256 of the only teacher that this layer will accept in training; null to accept the first
     */
    public static RetentionOutputLayer replacing(
            FeedForwardLayer stock, RetentionConfiguration retention, @Nullable String teacher) {
        RetentionOutputLayer layer = new RetentionOutputLayer();
        layer.retention = Objects.requireNonNull(retention, "retention");
        layer.teacher = teacher;
        layer.stockLayer = (FeedForwardLayer) stock.clone();
        StockLayers.copy(stock, layer);
        return layer;
    }

    /**
     * {@return the stock layer that computes the same activations: the one that this layer replaced, or a new
     * RnnOutputLayer (OutputLayer where no data format is set) with MCXENT} Training settings are this layer's.
     */
    public FeedForwardLayer toStockLayer() {
        return StockLayers.restore(this, stockLayer);
    }

    /** {@return size of the input; 0 or less until it is set or known from the network's input type} */
    public long getNIn() {
        return nIn;
    }

    /** {@return size of the vocabulary; 0 in place of a layer without parameters, which takes it from its input} */
    public long getNOut() {
        return nOut;
    }

    /** {@return whether the layer computes logits by W, its own or an embedding's; if not, its input is the logits} */
    public boolean hasParameters() {
        return hasParameters;
    }

    /** {@return where the weights are if they are those of a frozen base, and the adapter beside them; null if not} */
    public @Nullable FrozenProjection frozen() {
        return frozen;
    }

    /** {@return whether there is a bias {@code b} among the layer's parameters} */
    public boolean hasBias() {
        return hasBias;
    }

    /** {@return layout of sequences; null for a layer that was made for {@code [batch, nIn]}} */
    public @Nullable RNNFormat getDataFormat() {
        return dataFormat;
    }

    /** {@return the settings of the loss} */
    public RetentionConfiguration getRetention() {
        return retention;
    }

    /** {@return SHA-256 of the teacher it is trained with; null until it has met one} Saved with the network. */
    public @Nullable String getTeacher() {
        return teacher;
    }

    /**
     * {@return lambda as training uses it} A schedule begins at the student's first step, not at the pretrained network's.
     *
     * @param iteration the network's iteration count; an adaptive coefficient has its present value at any
     * @param epoch     the network's epoch count
     */
    public double coefficientAt(int iteration, int epoch) {
        return retention.coefficientAt(
                Math.max(0, iteration - startIteration), Math.max(0, epoch - startEpoch), adaptedCoefficient);
    }

    /**
     * Lets a schedule of the coefficient begin where the network stands.
     *
     * @param iteration of the network, at which the schedule is asked for its iteration 0
     * @param epoch     of the network, likewise
     */
    public void startAt(int iteration, int epoch) {
        startIteration = iteration;
        startEpoch = epoch;
    }

    /** {@return how many minibatches the layer was trained on near its teacher} Saved with the network. */
    public long getTaughtMinibatches() {
        return taughtMinibatches;
    }

    /**
     * Counts minibatches on which other copies of the layer were trained, whose parameters come to this one.
     *
     * @param minibatches of all copies, at least 0
     */
    public void addTaughtMinibatches(long minibatches) {
        taughtMinibatches += minibatches;
    }

    /** {@return what made the network, as JSON of a Provenance; null if it was not noted} Saved with the network. */
    public @Nullable String getProvenance() {
        return provenance;
    }

    /** @param provenance as JSON of a Provenance */
    public void setProvenance(@Nullable String provenance) {
        this.provenance = provenance;
    }

    /**
     * Notes a step: the teacher that the student belongs to once it has trained on its labels, an adaptive coefficient, and
     * the count of minibatches.
     *
     * @param teacher     SHA-256; null for none
     * @param coefficient that the step was trained with
     * @return takes it back
     */
    Runnable taught(@Nullable String teacher, TokenLoss loss, double coefficient) {
        String teacherBefore = this.teacher;
        Double adaptedBefore = adaptedCoefficient;
        long countBefore = taughtMinibatches;
        this.teacher = teacher;
        if (loss.hasTeacher()) {
            AdaptiveCoefficient adaptive = retention.getAdaptive();
            taughtMinibatches++;
            adaptedCoefficient = adaptive == null ? null : adaptive.next(coefficient, loss.divergence());
        }
        return () -> {
            this.teacher = teacherBefore;
            adaptedCoefficient = adaptedBefore;
            taughtMinibatches = countBefore;
        };
    }

    int classAxis() {
        return dataFormat == RNNFormat.NWC ? 2 : 1;
    }

    @Override
    public void defineParameters(SDLayerParams params) {
        if (hasOwnWeights()) {
            params.addWeightParam(DefaultParamInitializer.WEIGHT_KEY, nIn, nOut);
        }
        LowRank adapter = frozen == null ? null : frozen.adapter();
        if (adapter != null) {
            params.addWeightParam(LossPath.DOWN, nIn, adapter.rank());
            params.addWeightParam(LossPath.UP, adapter.rank(), nOut);
        }
        if (hasBias) {
            params.addBiasParam(DefaultParamInitializer.BIAS_KEY, nOut);
        }
    }

    private boolean hasOwnWeights() {
        return hasParameters && !tied && frozen == null;
    }

    @Override
    public void initializeParameters(Map<String, INDArray> params) {
        if (params.containsKey(LossPath.DOWN)) {
            params.forEach(LowRankParameters::start);
        }
        if (hasOwnWeights()) {
            INDArray weights = Objects.requireNonNull(params.get(DefaultParamInitializer.WEIGHT_KEY));
            Objects.requireNonNull(weightInitFn)
                    .init((double) nIn, (double) nOut, weights.shape(), IWeightInit.DEFAULT_WEIGHT_INIT_ORDER, weights);
        }
        if (hasBias) {
            Objects.requireNonNull(params.get(DefaultParamInitializer.BIAS_KEY)).assign(biasInit);
        }
    }

    @Override
    public boolean readsHalves(DataType network) {
        return FusedLoss.obstacle(network) == null;
    }

    /** 'f', as in stock layers: parameters, gradients and updater state can be exchanged with them as vectors. */
    @Override
    public char paramReshapeOrder(String param) {
        return 'f';
    }

    @Override
    public void applyGlobalConfigToLayer(NeuralNetConfiguration.Builder globalConfig) {
        if (weightInitFn == null) {
            weightInitFn = Objects.requireNonNullElseGet(globalConfig.getWeightInitFn(), WeightInitXavier::new);
        }
    }

    @Override
    public SDVariable defineLayer(
            SameDiff sd, SDVariable layerInput, SDVariable labels, Map<String, SDVariable> paramTable) {
        int vocabulary = (int) (hasParameters ? nOut : layerInput.getShape()[1]);
        return SameDiffLossPath.define(retention, layerInput, labels, null, paramTable, vocabulary);
    }

    @Override
    public String activationsVertexName() {
        return SameDiffLossPath.ACTIVATIONS;
    }

    @Override
    public org.deeplearning4j.nn.api.Layer instantiate(
            NeuralNetConfiguration conf,
            Collection<TrainingListener> trainingListeners,
            int layerIndex,
            INDArray layerParamsView,
            boolean initializeParams,
            DataType networkDataType) {
        if (nIn <= 0 && hasParameters) {
            throw new IllegalStateException("nIn: expected the size of the input of layer \"" + getLayerName()
                    + "\" (index " + layerIndex + "), got " + nIn + "; set nIn or the network's input type");
        }
        TiedWeights.Owner owner = tied ? TiedWeights.of(trainingListeners, nIn, nOut, getLayerName()) : null;
        RetentionOutputLayerRuntime layer = new RetentionOutputLayerRuntime(conf, networkDataType, owner);
        layer.setListeners(trainingListeners);
        layer.setIndex(layerIndex);
        layer.setParamsViewArray(layerParamsView);
        layer.setParamTable(initializer().init(conf, layerParamsView, initializeParams));
        layer.setConf(conf);
        return layer;
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType inputType) {
        return hasParameters ? StockLayers.outputType(inputType, nOut) : inputType;
    }

    @Override
    public void setNIn(InputType inputType, boolean override) {
        boolean sequence = inputType instanceof InputType.InputTypeRecurrent;
        if (sequence && (dataFormat == null || override)) {
            dataFormat = ((InputType.InputTypeRecurrent) inputType).getFormat();
        }
        if (hasParameters && (nIn <= 0 || override)) {
            nIn = sequence ? ((InputType.InputTypeRecurrent) inputType).getSize() : inputType.arrayElementsPerExample();
        }
    }

    @Override
    public @Nullable InputPreProcessor getPreProcessorForInputType(InputType inputType) {
        return StockLayers.preProcessor(inputType, dataFormat, getLayerName());
    }

    @Override
    public boolean equals(Object other) {
        return this == other
                || other instanceof RetentionOutputLayer that && super.equals(that) && fields().equals(that.fields());
    }

    private List<Object> fields() {
        return Arrays.asList(
                List.of(nIn, nOut, hasParameters, hasBias, tied, biasInit),
                List.of(taughtMinibatches, startIteration, startEpoch),
                Arrays.asList(dataFormat, weightInitFn, retention, teacher),
                Arrays.asList(adaptedCoefficient, provenance, stockLayer, frozen));
    }

    @Override
    public boolean canEqual(Object other) {
        return other instanceof RetentionOutputLayer;
    }

    @Override
    public int hashCode() {
        return Objects.hash(getLayerName(), nIn, nOut, hasBias, retention, teacher);
    }

    @Override
    public String toString() {
        return "RetentionOutputLayer(nIn=" + nIn + ", nOut=" + nOut + ", hasBias=" + hasBias + ", tied=" + tied
                + ", dataFormat=" + dataFormat + ", retention=" + retention + ", teacher=" + teacher + ")";
    }

    /** Builds a layer for a network configuration that is written by hand. */
    @SuppressWarnings("unchecked")
    public static final class Builder extends AbstractSameDiffLayer.Builder<Builder> {

        private final RetentionConfiguration retention;
        private long nIn;
        private long nOut;
        private boolean hasBias = true;
        private @Nullable RNNFormat dataFormat;
        private @Nullable IWeightInit weightInitFn;

        /** @param retention the loss */
        public Builder(RetentionConfiguration retention) {
            this.retention = retention;
        }

        /** @param nIn size of the input; default: from the network's input type
         * @return this builder */
        public Builder nIn(long nIn) {
            this.nIn = nIn;
            return this;
        }

        /** @param nOut size of the vocabulary, at least 2; required
         * @return this builder */
        public Builder nOut(long nOut) {
            this.nOut = nOut;
            return this;
        }

        /** @param hasBias whether there is a bias; default true
         * @return this builder */
        public Builder hasBias(boolean hasBias) {
            this.hasBias = hasBias;
            return this;
        }

        /** @param dataFormat layout of sequences; default: from the network's input type, else {@code [batch, nIn]}
         * @return this builder */
        public Builder dataFormat(@Nullable RNNFormat dataFormat) {
            this.dataFormat = dataFormat;
            return this;
        }

        /** @param weightInitFn initial weights; default: the network's, else Xavier
         * @return this builder */
        public Builder weightInit(IWeightInit weightInitFn) {
            this.weightInitFn = weightInitFn;
            return this;
        }

        /** @throws IllegalArgumentException if nOut is below 2 */
        @Override
        public RetentionOutputLayer build() {
            return new RetentionOutputLayer(this);
        }
    }
}
