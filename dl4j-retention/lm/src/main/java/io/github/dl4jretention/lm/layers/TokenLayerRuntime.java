package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import io.github.dl4jretention.internal.TokenSteps;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.samediff.SameDiffLayer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.regularization.Regularization;

/**
 * What the working parts of this package's layers have in common: parameters as DL4J's SameDiff layers hold them, and
 * activations as rows of tokens. DL4J's own runtime ignores setParam and scores no regularisation; this one does both.
 */
abstract class TokenLayerRuntime extends SameDiffLayer implements TokenSteps {

    private static final long serialVersionUID = 1L;

    /** System property: whether SameDiff computes layers that are made from now on, in every number type. */
    static final String SAMEDIFF = "dl4jretention.samediff";

    private @Nullable Gradient gradient;

    private final boolean isNative;

    TokenLayerRuntime(NeuralNetConfiguration conf, DataType dataType) {
        super(conf, dataType);
        isNative = isNative(dataType);
    }

    /** Whether loops in Java serve layers of a type. */
    static boolean isNative(DataType dataType) {
        return (dataType == DataType.FLOAT || dataType == DataType.DOUBLE)
                && Nd4j.getEnvironment().isCPU()
                && !Boolean.getBoolean(SAMEDIFF);
    }

    /** {@return whether loops in Java serve the layer; SameDiff does where they don't} */
    boolean isNative() {
        return isNative;
    }

    @Override
    public int stepWidth() {
        return isNative ? layerConf().getWidth() : 0;
    }

    @Override
    public long stepMemory(int batch) {
        return 0;
    }

    @Override
    public TokenLayer layerConf() {
        return (TokenLayer) super.layerConf();
    }

    /** An array of the layer's number type in a workspace. */
    INDArray array(LayerWorkspaceMgr workspaceMgr, ArrayType type, long... shape) {
        return workspaceMgr.createUninitialized(type, dataType, shape, 'c');
    }

    /** An array {@code [batch, width, time]} in a workspace, its memory that of rows {@code [batch * time, width]}. */
    INDArray sequences(LayerWorkspaceMgr workspaceMgr, ArrayType type, long batch, long time) {
        int width = layerConf().getWidth();
        // A view costs more than the array: while text is written, as much as a small product.
        return time == 1
                ? array(workspaceMgr, type, batch, width, 1)
                : array(workspaceMgr, type, batch, time, width).permute(0, 2, 1);
    }

    /**
     * Sequences {@code [batch, width, time]} in memory of rows {@code [batch * time, width]}: themselves, or a copy if their
     * memory isn't in this order.
     */
    INDArray inRows(INDArray sequences, String name, LayerWorkspaceMgr workspaceMgr, ArrayType copy) {
        int width = layerConf().getWidth();
        if (sequences.rank() != 3 || sequences.size(1) != width) {
            throw new IllegalArgumentException(name + ": expected [batch, " + width + ", time], got "
                    + Arrays.toString(sequences.shape()) + " " + layerId());
        }
        long batch = sequences.size(0);
        long time = sequences.size(2);
        boolean inPlace = sequences.dataType() == dataType
                && (width == 1 || sequences.stride(1) == 1)
                && (time == 1 || sequences.stride(2) == width)
                && (batch == 1 || sequences.stride(0) == time * width);
        return inPlace ? sequences : sequences(workspaceMgr, copy, batch, time).assign(sequences);
    }

    /** What lies in memory as rows, as a matrix of them where SameDiff computes; loops in Java read the memory. */
    INDArray rows(INDArray sequences) {
        return isNative
                ? sequences
                : sequences
                        .permute(0, 2, 1)
                        .reshape(
                                'c',
                                sequences.size(0) * sequences.size(2),
                                layerConf().getWidth());
    }

    /** Whether tokens may be attended to, {@code [batch][time]}; null if all may. */
    boolean @Nullable [][] keep(@Nullable INDArray mask, int batch, int time) {
        if (mask == null) {
            return null;
        }
        if (mask.length() != (long) batch * time) {
            throw new IllegalArgumentException("featuresMask: expected [" + batch + ", " + time + "], got "
                    + Arrays.toString(mask.shape()) + " " + layerId());
        }
        double[] values = mask.castTo(DataType.DOUBLE)
                .dup('c')
                .reshape((long) batch * time)
                .toDoubleVector();
        boolean[][] keep = new boolean[batch][time];
        for (int i = 0; i < values.length; i++) {
            keep[i / time][i % time] = values[i] != 0;
        }
        return keep;
    }

    /**
     * The first token of each token's document, {@code [batch][time]}; null if the mask names no documents. A document is
     * what lies side by side with the same number; masked tokens belong to the one before.
     *
     * @param past tokens before these
     */
    int @Nullable [][] starts(@Nullable INDArray mask, int batch, int time, int past) {
        if (mask == null || mask.maxNumber().doubleValue() <= 1) {
            return null;
        }
        double[] numbers = mask.castTo(DataType.DOUBLE)
                .dup('c')
                .reshape((long) batch * time)
                .toDoubleVector();
        boolean oneDocument = false;
        for (int i = 0; i < numbers.length; i++) {
            double number = numbers[i];
            oneDocument = i % time == 0 ? isOneDocument(numbers, i, time) : oneDocument;
            boolean whole = number == 1 && oneDocument;
            if (number != 0 && !whole && !(number >= DecoderBlock.FIRST_DOCUMENT && number == Math.rint(number))) {
                throw new IllegalArgumentException("featuresMask: expected 0 and 1, or 0 and numbers of documents from "
                        + DecoderBlock.FIRST_DOCUMENT + " on, got " + number
                        + "; weights of tokens belong in the labels mask " + layerId());
            }
        }
        if (past > 0) {
            throw new IllegalArgumentException("featuresMask: expected 0 and 1 after " + past
                    + " tokens before, got numbers of documents; give sequences as a whole " + layerId());
        }
        int[][] starts = new int[batch][time];
        for (int i = 0; i < batch; i++) {
            double document = 0;
            for (int t = 0; t < time; t++) {
                double number = numbers[i * time + t];
                boolean begins = number != 0 && number != document;
                starts[i][t] = begins ? t : t == 0 ? 0 : starts[i][t - 1];
                document = begins ? number : document;
            }
        }
        return starts;
    }

    /** Sequences that weren't packed may stand beside packed ones: text that a model wrote, say. */
    private static boolean isOneDocument(double[] numbers, int from, int time) {
        for (int t = from; t < from + time; t++) {
            if (numbers[t] != 0 && numbers[t] != 1) {
                return false;
            }
        }
        return true;
    }

    /** {@return whether nobody has given it memory for gradients: its parameters don't train} */
    boolean isFrozen() {
        return gradTable == null;
    }

    /** All gradient views as the gradient of this layer. */
    Gradient gradientOfViews() {
        Gradient made = new DefaultGradient();
        if (gradTable == null) {
            return made;
        }
        gradTable.forEach(
                (name, view) -> made.setGradientFor(name, view, layerConf().paramReshapeOrder(name)));
        gradient = made;
        return made;
    }

    @Override
    public @Nullable Gradient gradient() {
        return gradient;
    }

    @Override
    public double calcRegularizationScore(boolean backpropParamsOnly) {
        return regularization(layerConf(), paramTable, getIterationCount(), getEpochCount());
    }

    static double regularization(TrainingConfig layer, Map<String, INDArray> parameters, int iteration, int epoch) {
        double sum = 0;
        for (Map.Entry<String, INDArray> parameter : parameters.entrySet()) {
            List<Regularization> terms = layer.getRegularizationByParam(parameter.getKey());
            for (Regularization term : terms == null ? List.<Regularization>of() : terms) {
                sum += term.score(parameter.getValue(), iteration, epoch);
            }
        }
        return sum;
    }

    @Override
    public void setParam(String key, INDArray value) {
        super.setParam(key, value);
        requireNonNull(paramTable.get(key), key).assign(value);
    }

    @Override
    public void setParams(INDArray values) {
        if (params != null && values != null) {
            params.assign(values.reshape(params.shape()));
        }
    }

    @Override
    public Type type() {
        return Type.RECURRENT;
    }
}
