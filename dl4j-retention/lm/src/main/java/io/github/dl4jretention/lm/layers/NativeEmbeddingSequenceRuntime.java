package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;
import static org.deeplearning4j.nn.params.DefaultParamInitializer.WEIGHT_KEY;

import java.util.Arrays;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.feedforward.embedding.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * The working part of {@link NativeEmbeddingSequenceLayer}. DL4J looks the rows up once more to go backward, copies their
 * gradients, and does all this on one processor. With a bias or weight noise, backward also with an activation or a mask, in types other than FLOAT and on other backends its own
 * code runs, which this class extends.
 */
final class NativeEmbeddingSequenceRuntime extends EmbeddingSequenceLayer {

    private static final long serialVersionUID = 1L;

    /** Ids in the vocabulary for a token; of more than that it's faster to pick single elements than to read whole columns. */
    private static final int WORTH = 16;

    /** While DL4J computes the way back, for which it needs what its own way forth keeps. */
    private transient boolean inStockBackprop;

    NativeEmbeddingSequenceRuntime(NeuralNetConfiguration conf, DataType dataType) {
        super(conf, dataType);
    }

    private boolean isNative(INDArray epsilon, INDArray gradients) {
        return isNative(gradients)
                && layerConf().getActivationFn() instanceof ActivationIdentity
                && maskArray == null
                && epsilon.rank() == 3;
    }

    /** @param table {@code [vocabulary, width]} */
    private boolean isNative(INDArray table) {
        return dataType == DataType.FLOAT
                && Nd4j.getEnvironment().isCPU()
                && layerConf().getOutputFormat() == RNNFormat.NCW
                && layerConf().getWeightNoise() == null
                && !hasBias()
                && table.stride(0) == 1
                && table.stride(1) == table.size(0);
    }

    @Override
    protected INDArray preOutput(boolean training, LayerWorkspaceMgr workspaceMgr) {
        INDArray table = requireNonNull(params.get(WEIGHT_KEY));
        if (inStockBackprop || input == null || input.rank() != 3 || input.size(1) != 1 || !isNative(table)) {
            return super.preOutput(training, workspaceMgr);
        }
        long vocabulary = table.size(0);
        int width = Math.toIntExact(table.size(1));
        int time = Math.toIntExact(input.size(2));
        boolean anyLength = layerConf().isInferInputLength();
        int[] ids = ids();
        if (!anyLength && layerConf().getInputLength() != time
                || vocabulary / WORTH > ids.length
                || Arrays.stream(ids).anyMatch(id -> id < 0 || id >= vocabulary)) {
            return super.preOutput(training, workspaceMgr);
        }
        if (anyLength) {
            layerConf().setInputLength(time);
        }
        INDArray rows = workspaceMgr.createUninitialized(
                ArrayType.ACTIVATIONS, dataType, new long[] {input.size(0), time, width}, 'c');
        FloatEmbedding.lookUp(ids, FloatRows.of(table, (int) vocabulary), FloatRows.of(rows, width));
        return rows.permute(0, 2, 1);
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaceMgr) {
        INDArray gradients = requireNonNull(gradientViews.get(WEIGHT_KEY));
        if (!isNative(epsilon, gradients)) {
            inStockBackprop = true;
            try {
                return super.backpropGradient(epsilon, workspaceMgr);
            } finally {
                inStockBackprop = false;
            }
        }
        assertInputSet(true);
        int[] ids = ids();
        int width = Math.toIntExact(gradients.size(1));
        FloatEmbedding.addColumns(ids, FloatRows.of(rows(epsilon, workspaceMgr), width), FloatRows.of(gradients, (int)
                gradients.size(0)));
        Gradient gradient = new DefaultGradient();
        gradient.gradientForVariable().put(WEIGHT_KEY, gradients);
        return new Pair<>(gradient, null);
    }

    private int[] ids() {
        INDArray whole = input.castTo(DataType.INT32);
        try {
            return whole.reshape(whole.length()).toIntVector();
        } finally {
            if (whole != input && whole.closeable()) {
                whole.close();
            }
        }
    }

    /** {@code [batch, width, time]} with memory in the order of rows. */
    private INDArray rows(INDArray sequences, LayerWorkspaceMgr workspaceMgr) {
        long batch = sequences.size(0);
        long width = sequences.size(1);
        long time = sequences.size(2);
        boolean inPlace = sequences.dataType() == dataType
                && (width == 1 || sequences.stride(1) == 1)
                && (time == 1 || sequences.stride(2) == width)
                && (batch == 1 || sequences.stride(0) == time * width);
        if (inPlace) {
            return sequences;
        }
        INDArray copied = workspaceMgr.createUninitialized(
                ArrayType.BP_WORKING_MEM, dataType, new long[] {batch, time, width}, 'c');
        copied.permute(0, 2, 1).assign(sequences);
        return copied;
    }
}
