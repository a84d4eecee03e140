package io.github.dl4jretention.lm.layers;

import java.util.Collection;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * DL4J's embedding of sequences with a faster way back: the same settings and the same parameters.
 * {@link NativeLayers#of} puts it in the place of an {@link EmbeddingSequenceLayer}.
 */
public final class NativeEmbeddingSequenceLayer extends EmbeddingSequenceLayer {

    private static final long serialVersionUID = 1L;

    /** For JSON; {@link NativeLayers#of} makes layers. */
    public NativeEmbeddingSequenceLayer() {}

    @Override
    public Layer instantiate(
            NeuralNetConfiguration conf,
            Collection<TrainingListener> trainingListeners,
            int layerIndex,
            INDArray layerParamsView,
            boolean initializeParams,
            DataType networkDataType) {
        NativeEmbeddingSequenceRuntime layer = new NativeEmbeddingSequenceRuntime(conf, networkDataType);
        layer.setListeners(trainingListeners);
        layer.setIndex(layerIndex);
        layer.setParamsViewArray(layerParamsView);
        layer.setParamTable(initializer().init(conf, layerParamsView, initializeParams));
        layer.setConf(conf);
        return layer;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof NativeEmbeddingSequenceLayer && super.equals(other);
    }

    @Override
    protected boolean canEqual(Object other) {
        return other instanceof NativeEmbeddingSequenceLayer;
    }

    @Override
    public int hashCode() {
        return super.hashCode();
    }
}
