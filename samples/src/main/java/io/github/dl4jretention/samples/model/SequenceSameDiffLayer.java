package io.github.dl4jretention.samples.model;

import java.util.Collection;
import java.util.Map;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLayer;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Base of the sample transformer's layers: sequences {@code [batch, size, time]} in and out, worked on as rows
 * {@code [batch * time, size]}. A graph is defined for one sequence length and defined anew when the length changes.
 */
abstract class SequenceSameDiffLayer extends SameDiffLayer {

    private int size;

    SequenceSameDiffLayer() {}

    SequenceSameDiffLayer(int size) {
        this.size = size;
    }

    public int getSize() {
        return size;
    }

    public void setSize(int size) {
        this.size = size;
    }

    /** Defines the layer on rows {@code [batch * time, size]}, in the order batch, then time. */
    protected abstract SDVariable defineRows(SameDiff sd, SDVariable rows, long time, Map<String, SDVariable> params);

    @Override
    public SDVariable defineLayer(SameDiff sd, SDVariable input, Map<String, SDVariable> params, SDVariable mask) {
        long time = input.getShape()[2];
        SDVariable rows = input.permute(0, 2, 1).reshape(-1, size);
        return defineRows(sd, rows, time, params).reshape(-1, time, size).permute(0, 2, 1);
    }

    /** Layer normalisation of each row, with gain and bias. */
    static SDVariable norm(SameDiff sd, SDVariable rows, SDVariable gain, SDVariable bias) {
        return sd.nn.layerNorm(rows, gain, bias, false, 1);
    }

    @Override
    public org.deeplearning4j.nn.api.Layer instantiate(
            NeuralNetConfiguration conf,
            Collection<TrainingListener> trainingListeners,
            int layerIndex,
            INDArray layerParamsView,
            boolean initializeParams,
            DataType networkDataType) {
        Runtime layer = new Runtime(conf, networkDataType);
        layer.setIndex(layerIndex);
        layer.setParamsViewArray(layerParamsView);
        layer.setParamTable(initializer().init(conf, layerParamsView, initializeParams));
        layer.setConf(conf);
        return layer;
    }

    private static final class Runtime extends org.deeplearning4j.nn.layers.samediff.SameDiffLayer {

        private static final long serialVersionUID = 1L;

        private long definedFor = -1;

        Runtime(NeuralNetConfiguration conf, DataType dataType) {
            super(conf, dataType);
        }

        @Override
        public INDArray activate(boolean training, LayerWorkspaceMgr workspaceMgr) {
            redefineForNewLength();
            return super.activate(training, workspaceMgr);
        }

        @Override
        public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaceMgr) {
            redefineForNewLength();
            return super.backpropGradient(epsilon, workspaceMgr);
        }

        private void redefineForNewLength() {
            if (input.size(2) != definedFor) {
                sameDiff = null;
                definedFor = input.size(2);
            }
        }
    }
}
