package io.github.dl4jretention.loss;

import java.util.Collection;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.activations.impl.ActivationSoftmax;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.lossfunctions.impl.LossMCXENT;

/**
 * A softmax output layer without a bias, {@code z = h W} with W {@code [nIn, vocabulary]}, as most decoder language models
 * have it. DL4J's own RnnOutputLayer can't do without: asked to, it throws a NullPointerException. Input
 * {@code [batch, nIn, time]}, output {@code [batch, vocabulary, time]}, loss MCXENT; labels one-hot, or class ids as in
 * {@link RetentionOutputLayer}, whose arithmetic it uses.
 */
public class UnbiasedOutputLayer extends RnnOutputLayer {

    private static final long serialVersionUID = 1L;

    /** For JSON. */
    UnbiasedOutputLayer() {}

    /** @param vocabulary number of token ids */
    public UnbiasedOutputLayer(int vocabulary) {
        if (vocabulary < 2) {
            throw new IllegalArgumentException("vocabulary: expected a number of at least 2, got " + vocabulary);
        }
        setNOut(vocabulary);
        setHasBias(false);
        setActivationFn(new ActivationSoftmax());
        setLossFn(new LossMCXENT());
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
        return getClass().isInstance(other);
    }
}
