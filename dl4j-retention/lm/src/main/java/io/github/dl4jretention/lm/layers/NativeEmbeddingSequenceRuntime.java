package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;
import static org.deeplearning4j.nn.params.DefaultParamInitializer.WEIGHT_KEY;

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
 * gradients and adds them up on one processor. With a bias, an activation, weight noise or a mask, in types other than FLOAT and on other backends its own
 * code runs, which this class extends.
 */
final class NativeEmbeddingSequenceRuntime extends EmbeddingSequenceLayer {

    private static final long serialVersionUID = 1L;

    NativeEmbeddingSequenceRuntime(NeuralNetConfiguration conf, DataType dataType) {
        super(conf, dataType);
    }

    private boolean isNative(INDArray epsilon, INDArray gradients) {
        return dataType == DataType.FLOAT
                && Nd4j.getEnvironment().isCPU()
                && layerConf().getActivationFn() instanceof ActivationIdentity
                && layerConf().getOutputFormat() == RNNFormat.NCW
                && layerConf().getWeightNoise() == null
                && !hasBias()
                && maskArray == null
                && epsilon.rank() == 3
                && gradients.stride(0) == 1
                && gradients.stride(1) == gradients.size(0);
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaceMgr) {
        INDArray gradients = requireNonNull(gradientViews.get(WEIGHT_KEY));
        if (!isNative(epsilon, gradients)) {
            return super.backpropGradient(epsilon, workspaceMgr);
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
