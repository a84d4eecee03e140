package io.github.dl4jretention.lm.layers;

import java.util.Collection;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.LayerValidation;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * DL4J's LSTM at native speed: the same settings and the same parameters, under the same names and in the same order.
 * {@link NativeLayers#of} puts it in the place of an {@link LSTM}.
 */
public final class NativeLSTM extends LSTM {

    private static final long serialVersionUID = 1L;

    /** For JSON; {@link NativeLayers#of} makes layers. */
    public NativeLSTM() {}

    @Override
    public Layer instantiate(
            NeuralNetConfiguration conf,
            Collection<TrainingListener> trainingListeners,
            int layerIndex,
            INDArray layerParamsView,
            boolean initializeParams,
            DataType networkDataType) {
        LayerValidation.assertNInNOutSet("LSTM", getLayerName(), layerIndex, getNIn(), getNOut());
        NativeLSTMRuntime layer = new NativeLSTMRuntime(conf, networkDataType);
        layer.setListeners(trainingListeners);
        layer.setIndex(layerIndex);
        layer.setParamsViewArray(layerParamsView);
        layer.setParamTable(initializer().init(conf, layerParamsView, initializeParams));
        layer.setConf(conf);
        return layer;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof NativeLSTM && super.equals(other);
    }

    @Override
    public boolean canEqual(Object other) {
        return other instanceof NativeLSTM;
    }

    @Override
    public int hashCode() {
        return super.hashCode();
    }
}
