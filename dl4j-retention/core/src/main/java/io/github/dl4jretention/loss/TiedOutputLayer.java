package io.github.dl4jretention.loss;

import java.util.Collection;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.params.EmptyParamInitializer;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.activations.impl.ActivationSoftmax;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.lossfunctions.impl.LossMCXENT;

/**
 * A softmax output layer that shares the weights of the network's embedding: {@code z = h W^T}, where W
 * {@code [vocabulary, nIn]} is the parameter of a {@code TokenEmbedding} before it. It has no parameter, no gradient and
 * no updater of its own; the embedding's gradient is the sum of both. Input {@code [batch, nIn, time]}, output
 * {@code [batch, vocabulary, time]}, loss MCXENT; labels one-hot, or class ids as in {@link RetentionOutputLayer}, whose
 * arithmetic it uses.
 *
 * <p>Source: Press and Wolf, "Using the Output Embedding to Improve Language Models", https://arxiv.org/abs/1608.05859.
 */
public final class TiedOutputLayer extends RnnOutputLayer {

    private static final long serialVersionUID = 1L;

    /** For JSON. */
    TiedOutputLayer() {}

    /** @param vocabulary number of token ids, the embedding's */
    public TiedOutputLayer(int vocabulary) {
        if (vocabulary < 2) {
            throw new IllegalArgumentException("vocabulary: expected a number of at least 2, got " + vocabulary);
        }
        setNOut(vocabulary);
        setHasBias(false);
        setActivationFn(new ActivationSoftmax());
        setLossFn(new LossMCXENT());
    }

    @Override
    public ParamInitializer initializer() {
        return EmptyParamInitializer.getInstance();
    }

    @Override
    public org.deeplearning4j.nn.api.Layer instantiate(
            NeuralNetConfiguration conf,
            Collection<TrainingListener> trainingListeners,
            int layerIndex,
            INDArray layerParamsView,
            boolean initializeParams,
            DataType networkDataType) {
        NeuralNetConfiguration own = conf.clone();
        RetentionConfiguration crossEntropyOnly =
                RetentionConfiguration.builder().coefficient(0).build();
        own.setLayer(RetentionOutputLayer.replacing(this, crossEntropyOnly, null));
        return own.getLayer()
                .instantiate(own, trainingListeners, layerIndex, layerParamsView, initializeParams, networkDataType);
    }

    @Override
    public boolean canEqual(Object other) {
        return other instanceof TiedOutputLayer;
    }
}
