package io.github.dl4jretention.loss;

import java.util.Collection;
import java.util.Map;
import java.util.Objects;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.InputTypeUtil;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.samediff.AbstractSameDiffLayer;
import org.deeplearning4j.nn.conf.layers.samediff.SDLayerParams;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffOutputLayer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.weights.IWeightInit;
import org.deeplearning4j.nn.weights.WeightInitXavier;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.autodiff.samediff.SDIndex;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.shade.jackson.annotation.JsonAutoDetect;

/**
 * A softmax output layer whose loss keeps the network near its teacher:
 *
 * <pre>
 * loss = sum over unmasked tokens of [ CE(y, p) + lambda T^2 D(p0^(T), p^(T)) ]
 * </pre>
 *
 * in nats, with {@code p = softmax(h W + b)}, {@code CE(y, p) = -sum_v y(v) log p(v)} and the {@link Divergence} D from
 * the teacher's distribution p0. {@code score()} divides it by the examples of the minibatch, as stock output layers do,
 * and adds the regularisation. With lambda = 0, or labels without a teacher, scores and gradients are those of a stock
 * {@link OutputLayer} or {@link RnnOutputLayer} with MCXENT; only the clipping of its softmax at 1e-10 is left out.
 *
 * <p><b>Shapes.</b> Input {@code [batch, nIn]}, {@code [batch, nIn, time]}, or {@code [batch, time, nIn]} for NWC;
 * activations likewise with nOut. Labels as {@link LabelKind} says. Label mask {@code [batch, time]}, or
 * {@code [batch, 1]} without time; a token's loss is multiplied by its mask, and a token of mask 0 counts nowhere.
 *
 * <p><b>Numbers.</b> Everything is computed in log space, in the network's data type (FLOAT for HALF networks). Values
 * and gradients are within 1e-6 of exact ones for DOUBLE, within 1e-4 for FLOAT, relative to the larger of 1 and the
 * value. Logits of {@code -inf} are held at -1e9.
 *
 * <p>Source: "Memory retaining finetuning via distillation"; there the divergence is forward KL with T = 1. Parameters
 * {@code W} and {@code b} lie in memory as the stock layers' do.
 */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE,
        setterVisibility = JsonAutoDetect.Visibility.NONE)
public final class RetentionOutputLayer extends SameDiffOutputLayer {

    static final String ACTIVATIONS = "softmax";
    static final String CROSS_ENTROPY = "crossEntropy";
    static final String DIVERGENCE = "divergence";
    static final String WEIGHTS = "weights";
    static final String FACTOR = "factor";

    private static final long serialVersionUID = 1L;

    private long nIn;
    private long nOut;
    private boolean hasBias;
    private RNNFormat dataFormat;
    private IWeightInit weightInitFn;
    private double biasInit;
    private RetentionConfiguration retention;
    private String teacher;
    private BaseOutputLayer stockLayer;

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
        hasBias = builder.hasBias;
        dataFormat = builder.dataFormat;
        weightInitFn = builder.weightInitFn;
        retention = Objects.requireNonNull(builder.retention, "retention");
        if (nOut < 2) {
            throw new IllegalArgumentException("nOut: expected a vocabulary of at least 2, got " + nOut);
        }
        initializeConstraints(builder);
    }

    /**
     * A retention layer in place of a stock output layer: same name, parameters, updaters, regularisation, dropout and
     * constraints.
     *
     * @param stock     the layer to stand in for: softmax with cross-entropy, which the caller has checked
     * @param retention the loss
     * @param teacher   SHA-256 of the only teacher that this layer will accept in training; null to accept the first
     */
    public static RetentionOutputLayer replacing(
            BaseOutputLayer stock, RetentionConfiguration retention, String teacher) {
        RetentionOutputLayer layer = new RetentionOutputLayer();
        layer.setLayerName(stock.getLayerName());
        layer.setIDropout(stock.getIDropout());
        layer.setConstraints(stock.getConstraints());
        layer.setRegularization(stock.getRegularization());
        layer.setRegularizationBias(stock.getRegularizationBias());
        layer.setUpdater(stock.getIUpdater());
        layer.setBiasUpdater(stock.getBiasUpdater());
        layer.setGradientNormalization(stock.getGradientNormalization());
        layer.setGradientNormalizationThreshold(stock.getGradientNormalizationThreshold());
        layer.nIn = stock.getNIn();
        layer.nOut = stock.getNOut();
        layer.hasBias = stock.hasBias();
        layer.weightInitFn = stock.getWeightInitFn();
        layer.biasInit = stock.getBiasInit();
        layer.dataFormat = stock instanceof RnnOutputLayer rnn ? format(rnn) : null;
        layer.retention = Objects.requireNonNull(retention, "retention");
        layer.teacher = teacher;
        layer.stockLayer = (BaseOutputLayer) stock.clone();
        return layer;
    }

    /**
     * The stock layer that computes the same activations: the one that this layer replaced, or a new
     * {@link RnnOutputLayer} ({@link OutputLayer} where no data format is set) with MCXENT. Training settings are this
     * layer's.
     */
    public BaseOutputLayer toStockLayer() {
        BaseOutputLayer stock = stockLayer == null ? newStockLayer() : (BaseOutputLayer) stockLayer.clone();
        stock.setLayerName(getLayerName());
        stock.setIDropout(getIDropout());
        stock.setConstraints(getConstraints());
        stock.setRegularization(getRegularization());
        stock.setRegularizationBias(getRegularizationBias());
        stock.setIUpdater(getUpdater());
        stock.setBiasUpdater(getBiasUpdater());
        stock.setGradientNormalization(getGradientNormalization());
        stock.setGradientNormalizationThreshold(getGradientNormalizationThreshold());
        return stock;
    }

    private BaseOutputLayer newStockLayer() {
        BaseOutputLayer stock = dataFormat == null
                ? new OutputLayer.Builder(LossFunction.MCXENT)
                        .activation(Activation.SOFTMAX)
                        .hasBias(hasBias)
                        .build()
                : new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .activation(Activation.SOFTMAX)
                        .hasBias(hasBias)
                        .dataFormat(dataFormat)
                        .build();
        stock.setNIn(nIn);
        stock.setNOut(nOut);
        stock.setWeightInitFn(weightInitFn);
        stock.setBiasInit(biasInit);
        return stock;
    }

    private static RNNFormat format(RnnOutputLayer rnn) {
        return rnn.getRnnDataFormat() == null ? RNNFormat.NCW : rnn.getRnnDataFormat();
    }

    /** Size of the input. */
    public long getNIn() {
        return nIn;
    }

    /** Size of the vocabulary. */
    public long getNOut() {
        return nOut;
    }

    /** Whether there is a bias {@code b}. */
    public boolean hasBias() {
        return hasBias;
    }

    /** Layout of sequences; null for a layer that was made for {@code [batch, nIn]}. */
    public RNNFormat getDataFormat() {
        return dataFormat;
    }

    /** The loss. */
    public RetentionConfiguration getRetention() {
        return retention;
    }

    /** SHA-256 of the teacher that this layer is trained with; null until it has met one. Saved with the network. */
    public String getTeacher() {
        return teacher;
    }

    void setTeacher(String sha256) {
        this.teacher = sha256;
    }

    int classAxis() {
        return dataFormat == RNNFormat.NWC ? 2 : 1;
    }

    @Override
    public void defineParameters(SDLayerParams params) {
        params.addWeightParam(DefaultParamInitializer.WEIGHT_KEY, nIn, nOut);
        if (hasBias) {
            params.addBiasParam(DefaultParamInitializer.BIAS_KEY, nOut);
        }
    }

    @Override
    public void initializeParameters(Map<String, INDArray> params) {
        INDArray weights = params.get(DefaultParamInitializer.WEIGHT_KEY);
        weightInitFn.init(nIn, nOut, weights.shape(), IWeightInit.DEFAULT_WEIGHT_INIT_ORDER, weights);
        if (hasBias) {
            params.get(DefaultParamInitializer.BIAS_KEY).assign(biasInit);
        }
    }

    /** 'f', as in stock layers, so that parameters, gradients and updater state can be exchanged with them as vectors. */
    @Override
    public char paramReshapeOrder(String param) {
        return 'f';
    }

    @Override
    public void applyGlobalConfigToLayer(NeuralNetConfiguration.Builder globalConfig) {
        if (weightInitFn == null) {
            weightInitFn =
                    globalConfig.getWeightInitFn() == null ? new WeightInitXavier() : globalConfig.getWeightInitFn();
        }
    }

    /**
     * Defines the loss on rows: input {@code [tokens, nIn]}, labels {@code [tokens, C]} of the kind that C says. Adds the
     * placeholders "weights" {@code [tokens, 1]}, the mask, and "factor", the scalar {@code lambda T^2}.
     */
    @Override
    public SDVariable defineLayer(
            SameDiff sd, SDVariable layerInput, SDVariable labels, Map<String, SDVariable> paramTable) {
        SDVariable projected = layerInput.mmul(paramTable.get(DefaultParamInitializer.WEIGHT_KEY));
        SDVariable unscaled = hasBias ? projected.add(paramTable.get(DefaultParamInitializer.BIAS_KEY)) : projected;
        DataType type = labels.dataType();
        SDVariable logits = unscaled.dataType() == type ? unscaled : unscaled.castTo(type);
        sd.nn.softmax(ACTIVATIONS, logits, 1);

        long size = labels.getShape()[1];
        LabelKind kind = LabelKind.of(size, nOut, "size " + size);
        long targetSize = kind.isClassId() ? 1 : nOut;
        SDVariable target = columns(labels, 0, targetSize);
        if (kind.isClassId()) {
            target = sd.oneHot(target.castTo(DataType.INT32).reshape(-1), (int) nOut, -1, 1.0, 0.0, type);
        }
        SDVariable weights = sd.placeHolder(WEIGHTS, type, -1, 1);
        SDVariable crossEntropy = TokenLossGraph.crossEntropy(target, TokenLossGraph.logProbabilities(sd, logits))
                .rename(CROSS_ENTROPY);
        SDVariable tokenLoss = crossEntropy;
        if (kind.hasTeacher()) {
            SDVariable factor = sd.placeHolder(FACTOR, type);
            SDVariable divergence = TokenLossGraph.divergence(
                            sd,
                            logits,
                            columns(labels, targetSize, size),
                            retention.getDivergence(),
                            retention.getTemperature())
                    .rename(DIVERGENCE);
            tokenLoss = crossEntropy.add(divergence.mul(factor));
        }
        SDVariable loss = tokenLoss.mul(weights).sum();
        loss.markAsLoss();
        return loss;
    }

    private static SDVariable columns(SDVariable labels, long from, long to) {
        return labels.get(SDIndex.all(), SDIndex.interval(from, to));
    }

    @Override
    public String activationsVertexName() {
        return ACTIVATIONS;
    }

    @Override
    public org.deeplearning4j.nn.api.Layer instantiate(
            NeuralNetConfiguration conf,
            Collection<TrainingListener> trainingListeners,
            int layerIndex,
            INDArray layerParamsView,
            boolean initializeParams,
            DataType networkDataType) {
        if (nIn <= 0) {
            throw new IllegalStateException("nIn: expected the size of the input of layer \"" + getLayerName()
                    + "\" (index " + layerIndex + "), got " + nIn + "; set nIn or the network's input type");
        }
        RetentionOutputLayerRuntime layer = new RetentionOutputLayerRuntime(conf, networkDataType);
        layer.setListeners(trainingListeners);
        layer.setIndex(layerIndex);
        layer.setParamsViewArray(layerParamsView);
        layer.setParamTable(initializer().init(conf, layerParamsView, initializeParams));
        layer.setConf(conf);
        return layer;
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType inputType) {
        return inputType instanceof InputType.InputTypeRecurrent sequence
                ? InputType.recurrent(nOut, sequence.getTimeSeriesLength(), sequence.getFormat())
                : InputType.feedForward(nOut);
    }

    @Override
    public void setNIn(InputType inputType, boolean override) {
        boolean sequence = inputType instanceof InputType.InputTypeRecurrent;
        if (sequence && (dataFormat == null || override)) {
            dataFormat = ((InputType.InputTypeRecurrent) inputType).getFormat();
        }
        if (nIn <= 0 || override) {
            nIn = sequence ? ((InputType.InputTypeRecurrent) inputType).getSize() : inputType.arrayElementsPerExample();
        }
    }

    @Override
    public InputPreProcessor getPreProcessorForInputType(InputType inputType) {
        return inputType instanceof InputType.InputTypeRecurrent
                ? InputTypeUtil.getPreprocessorForInputTypeRnnLayers(inputType, dataFormat, getLayerName())
                : null;
    }

    @Override
    public boolean equals(Object other) {
        return this == other
                || other instanceof RetentionOutputLayer that
                        && super.equals(that)
                        && nIn == that.nIn
                        && nOut == that.nOut
                        && hasBias == that.hasBias
                        && dataFormat == that.dataFormat
                        && Double.compare(biasInit, that.biasInit) == 0
                        && Objects.equals(weightInitFn, that.weightInitFn)
                        && Objects.equals(retention, that.retention)
                        && Objects.equals(teacher, that.teacher)
                        && Objects.equals(stockLayer, that.stockLayer);
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
        return "RetentionOutputLayer(nIn=" + nIn + ", nOut=" + nOut + ", hasBias=" + hasBias + ", dataFormat="
                + dataFormat + ", retention=" + retention + ", teacher=" + teacher + ")";
    }

    /** Builds a layer for a network configuration that is written by hand. */
    @SuppressWarnings("unchecked")
    public static final class Builder extends AbstractSameDiffLayer.Builder<Builder> {

        private long nIn;
        private long nOut;
        private boolean hasBias = true;
        private RNNFormat dataFormat;
        private IWeightInit weightInitFn;
        private RetentionConfiguration retention;

        /** @param retention the loss */
        public Builder(RetentionConfiguration retention) {
            this.retention = retention;
        }

        /** @param nIn size of the input; default: from the network's input type */
        public Builder nIn(long nIn) {
            this.nIn = nIn;
            return this;
        }

        /** @param nOut size of the vocabulary, at least 2; required */
        public Builder nOut(long nOut) {
            this.nOut = nOut;
            return this;
        }

        /** @param hasBias whether there is a bias; default true */
        public Builder hasBias(boolean hasBias) {
            this.hasBias = hasBias;
            return this;
        }

        /** @param dataFormat layout of sequences; default: from the network's input type, else {@code [batch, nIn]} */
        public Builder dataFormat(RNNFormat dataFormat) {
            this.dataFormat = dataFormat;
            return this;
        }

        /** @param weightInitFn initial weights; default: the network's, else Xavier */
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
