package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import io.github.dl4jretention.internal.JsonFields;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.samediff.SDLayerParams;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLayer;
import org.deeplearning4j.nn.weights.IWeightInit;
import org.deeplearning4j.nn.weights.WeightInitXavier;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * What the configurations of this package's layers have in common: their activations are sequences
 * {@code [batch, width, time]}, weights are initialised as the network's, gains with 1 and biases with 0.
 */
@JsonFields
abstract class TokenLayer extends SameDiffLayer {

    private static final long serialVersionUID = 1L;

    int width;
    private @Nullable IWeightInit weightInitFn;

    TokenLayer() {}

    TokenLayer(Builder<?> builder) {
        super(builder);
        width = builder.width;
        weightInitFn = builder.weightInitFn;
        initializeConstraints(builder);
    }

    /** {@return numbers of a token; 0 until it's set or known from the network's input type} */
    public int getWidth() {
        return width;
    }

    /** Names of the parameters that start with 1. */
    abstract List<String> gains();

    /** Fields beyond those of every layer, for equals. */
    abstract List<@Nullable Object> fields();

    /** Complains about settings that don't fit. */
    abstract void validate();

    void requireWidth() {
        if (width <= 0) {
            throw new IllegalStateException("width: expected the numbers of a token in layer \"" + getLayerName()
                    + "\", got " + width + "; set width or the network's input type");
        }
    }

    /** Numbers in the layer's flat view before a parameter; -1 if the layer has no such parameter. */
    static long offset(SameDiffLayer layer, String name) {
        Map<String, long[]> shapes = layer.getLayerParams().getParamShapes();
        long offset = 0;
        for (String key : layer.getLayerParams().getParameterKeys()) {
            if (key.equals(name)) {
                return offset;
            }
            offset += Arrays.stream(shapes.get(key)).reduce(1, (a, b) -> a * b);
        }
        return -1;
    }

    /** {@return the layer's parameters, or their gradients, by name: views of its flat view} */
    Map<String, INDArray> views(INDArray flat) {
        Map<String, INDArray> views = new LinkedHashMap<>();
        long[] offset = {0};
        getLayerParams().getParamShapes().forEach((name, shape) -> {
            long length = Arrays.stream(shape).reduce(1, (a, b) -> a * b);
            INDArray part = flat.reshape(flat.length()).get(NDArrayIndex.interval(offset[0], offset[0] + length));
            views.put(name, part.reshape(paramReshapeOrder(name), shape));
            offset[0] += length;
        });
        return views;
    }

    /** DL4J's base class asks for a graph; these layers' runtimes have passes of their own. */
    @Override
    public SDVariable defineLayer(
            SameDiff sd, SDVariable layerInput, Map<String, SDVariable> paramTable, SDVariable mask) {
        throw new UnsupportedOperationException(getClass().getSimpleName() + " defines no SameDiff layer");
    }

    @Override
    public void initializeParameters(Map<String, INDArray> params) {
        params.forEach((name, array) -> {
            if (gains().contains(name)) {
                array.assign(1);
            } else if (getLayerParams().isBiasParam(name)) {
                array.assign(0);
            } else {
                requireNonNull(weightInitFn, "weightInit")
                        .init(
                                (double) array.size(0),
                                (double) array.size(1),
                                array.shape(),
                                paramReshapeOrder(name),
                                array);
            }
        });
    }

    /** 'f', so that a weight {@code [nIn, nOut]} lies in memory as PyTorch's and Hugging Face's files have it. */
    @Override
    public char paramReshapeOrder(String param) {
        return 'f';
    }

    @Override
    public void applyGlobalConfigToLayer(NeuralNetConfiguration.Builder globalConfig) {
        if (weightInitFn == null) {
            IWeightInit ofNetwork = globalConfig.getWeightInitFn();
            weightInitFn = ofNetwork == null ? new WeightInitXavier() : ofNetwork;
        }
    }

    @Override
    public void setNIn(InputType inputType, boolean override) {
        if (inputType instanceof InputType.InputTypeRecurrent sequence && (width == 0 || override)) {
            width = Math.toIntExact(sequence.getSize());
        }
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType inputType) {
        long time = inputType instanceof InputType.InputTypeRecurrent sequence ? sequence.getTimeSeriesLength() : -1;
        return InputType.recurrent(width, time);
    }

    @Override
    public @Nullable InputPreProcessor getPreProcessorForInputType(InputType inputType) {
        return null;
    }

    @Override
    public SDLayerParams getLayerParams() {
        validate();
        return super.getLayerParams();
    }

    /** {@return a new working part, whose parameters aren't there yet} */
    abstract TokenLayerRuntime runtime(NeuralNetConfiguration conf, DataType dataType);

    @Override
    public Layer instantiate(
            NeuralNetConfiguration conf,
            Collection<TrainingListener> trainingListeners,
            int layerIndex,
            INDArray layerParamsView,
            boolean initializeParams,
            DataType networkDataType) {
        TokenLayerRuntime layer = runtime(conf, networkDataType);
        layer.setIndex(layerIndex);
        layer.setParamsViewArray(layerParamsView);
        layer.setParamTable(initializer().init(conf, layerParamsView, initializeParams));
        layer.setConf(conf);
        return layer;
    }

    @Override
    public boolean equals(Object other) {
        return this == other
                || other instanceof TokenLayer that
                        && super.equals(that)
                        && allFields().equals(that.allFields());
    }

    @Override
    public boolean canEqual(Object other) {
        return getClass().isInstance(other);
    }

    private List<@Nullable Object> allFields() {
        return Arrays.asList(width, weightInitFn, fields());
    }

    @Override
    public int hashCode() {
        return allFields().hashCode();
    }

    @Override
    public String toString() {
        return getClass().getSimpleName() + "(name=" + getLayerName() + ", width=" + width + ", " + fields() + ")";
    }

    /** Builds a layer. */
    @SuppressWarnings("unchecked")
    abstract static class Builder<T extends Builder<T>> extends SameDiffLayer.Builder<T> {

        private int width;
        private @Nullable IWeightInit weightInitFn;

        /**
         * @param width numbers of a token; default: from the network's input type or the layer before
         * @return this builder
         */
        public T width(int width) {
            this.width = width;
            return (T) this;
        }

        /**
         * @param weightInit initial weights; default: the network's, else Xavier
         * @return this builder
         */
        public T weightInit(IWeightInit weightInit) {
            this.weightInitFn = weightInit;
            return (T) this;
        }
    }
}
