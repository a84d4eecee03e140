package io.github.dl4jretention.lm;

import io.github.dl4jretention.internal.TiedWeights;
import io.github.dl4jretention.internal.Workers;
import io.github.dl4jretention.loss.LossPath;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import java.lang.ref.Reference;
import java.util.Map;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.openblas.global.openblas_nolapack;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.activations.impl.ActivationSoftmax;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * The logits {@code h W + b} of a network's last layer, a softmax, where h is what the layers before it give. W may be the
 * embedding's, and adapters may stand beside it.
 */
final class OutputLogits {

    /** Token ids whose weights in half precision are widened at once. */
    private static final int WIDENED = 2048;

    private static final int ROW_MAJOR = 101;
    private static final int NOT_TRANSPOSED = 111;

    private final MultiLayerNetwork network;

    /** @throws IllegalArgumentException if the network's last layer isn't a softmax */
    OutputLogits(MultiLayerNetwork network) {
        this.network = network;
        org.deeplearning4j.nn.conf.layers.Layer layer = network.getLayerWiseConfigurations()
                .getConf(network.getnLayers() - 1)
                .getLayer();
        boolean softmax = layer instanceof RetentionOutputLayer
                || layer instanceof BaseLayer stock && stock.getActivationFn() instanceof ActivationSoftmax;
        if (!softmax) {
            throw new IllegalArgumentException("network: expected a softmax output layer, got "
                    + layer.getClass().getSimpleName());
        }
    }

    /** {@return how many logits there are of a token with so many numbers} */
    int vocabulary(long width) {
        INDArray weights = weights(width);
        return Math.toIntExact(weights == null ? width : weights.size(1));
    }

    /**
     * {@return the logits of some tokens; the rows themselves if they are the logits}
     *
     * @param rows {@code [tokens, width]}
     */
    INDArray ofRows(INDArray rows) {
        INDArray weights = weights(rows.size(1));
        INDArray logits = weights == null ? rows : times(rows, weights);
        INDArray bias = bias();
        if (bias != null) {
            logits.addiRowVector(bias.reshape(1, bias.length()).castTo(logits.dataType()));
        }
        try (INDArray added = lowRank(rows)) {
            if (added != null) {
                logits.addi(added);
            }
        }
        return logits;
    }

    /**
     * {@return the logits of one token}
     *
     * @param hidden {@code [1, width]}, its numbers side by side
     */
    float[] ofToken(INDArray hidden) {
        INDArray weights = weights(hidden.length());
        float[] logits = weights == null ? hidden.toFloatVector() : product(hidden, weights);
        INDArray bias = bias();
        float[] biases = bias == null ? new float[0] : bias.toFloatVector();
        for (int i = 0; i < biases.length; i++) {
            logits[i] += biases[i];
        }
        try (INDArray added = lowRank(hidden)) {
            float[] numbers = added == null ? new float[0] : added.toFloatVector();
            for (int i = 0; i < numbers.length; i++) {
                logits[i] += numbers[i];
            }
        }
        return logits;
    }

    private org.deeplearning4j.nn.api.Layer last() {
        return network.getLayer(network.getnLayers() - 1);
    }

    private @Nullable INDArray parameter(String name) {
        Map<String, INDArray> parameters =
                last() instanceof RetentionOutputLayerRuntime own ? own.weights() : last().paramTable();
        return parameters == null ? null : parameters.get(name);
    }

    /** {@return what an adapter adds to the logits of some rows; null if the last layer has none} */
    private @Nullable INDArray lowRank(INDArray rows) {
        INDArray down = parameter(LossPath.DOWN);
        INDArray up = parameter(LossPath.UP);
        if (down == null || up == null || !(last() instanceof RetentionOutputLayerRuntime own)) {
            return null;
        }
        try (INDArray low = rows.mmul(down)) {
            return low.mmul(up).muli(own.lowRankScale());
        }
    }

    private @Nullable INDArray bias() {
        return parameter(DefaultParamInitializer.BIAS_KEY);
    }

    /** {@return weights of the last layer; null if its input is the logits} */
    private @Nullable INDArray weights(long width) {
        INDArray weights = parameter(DefaultParamInitializer.WEIGHT_KEY);
        return weights == null ? tied(width) : weights;
    }

    /** {@return the embedding's weights, if the last layer has none and takes numbers of a token; else null} */
    private @Nullable INDArray tied(long width) {
        return network.getLayer(0) instanceof TiedWeights.Owner owner
                        && owner.weights().size(0) == width
                ? owner.weights()
                : null;
    }

    /** {@return {@code h W}} of some rows; weights in half precision are widened a part at a time. */
    private static INDArray times(INDArray rows, INDArray weights) {
        if (weights.dataType() == rows.dataType()) {
            return rows.mmul(weights);
        }
        int vocabulary = Math.toIntExact(weights.size(1));
        INDArray product = Nd4j.createUninitialized(rows.dataType(), new long[] {rows.size(0), vocabulary}, 'f');
        int parts = (vocabulary + WIDENED - 1) / WIDENED;
        Workers.split(vocabulary, parts, (part, from, to) -> {
            INDArrayIndex columns = NDArrayIndex.interval(from, to);
            try (INDArray wide = weights.get(NDArrayIndex.all(), columns).castTo(rows.dataType());
                    INDArray some = rows.mmul(wide)) {
                product.get(NDArrayIndex.all(), columns).assign(some);
            }
        });
        return product;
    }

    /**
     * {@return {@code h W}} A part of the vocabulary on each processor, by OpenBLAS, which takes half the time of ND4J's own
     * product of a vector.
     */
    private static float[] product(INDArray hidden, INDArray weights) {
        int width = Math.toIntExact(weights.size(0));
        int vocabulary = Math.toIntExact(weights.size(1));
        boolean rows = weights.dataType() == DataType.FLOAT && weights.stride(0) == 1 && weights.stride(1) == width;
        if (!rows || !Nd4j.getEnvironment().isCPU()) {
            try (INDArray product = times(hidden, weights)) {
                return product.toFloatVector();
            }
        }
        float[] result = new float[vocabulary];
        int parts = Math.min(Workers.ofMachine().products(), vocabulary);
        Workers.split(vocabulary, parts, (part, from, to) -> {
            int count = to - from;
            FloatPointer matrix = new FloatPointer(weights.data().addressPointer());
            FloatPointer vector = new FloatPointer(hidden.data().addressPointer());
            try (FloatPointer product = new FloatPointer(count)) {
                openblas_nolapack.cblas_sgemv(
                        ROW_MAJOR,
                        NOT_TRANSPOSED,
                        count,
                        width,
                        1,
                        matrix.position(matrix.position() + (long) from * width),
                        width,
                        vector,
                        1,
                        0,
                        product,
                        1);
                product.get(result, from, count);
            }
        });
        Reference.reachabilityFence(weights);
        Reference.reachabilityFence(hidden);
        return result;
    }
}
