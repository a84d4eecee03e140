package io.github.dl4jretention.loss;

import java.util.Map;
import java.util.Objects;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.util.TimeSeriesUtils;
import org.nd4j.linalg.activations.impl.ActivationSoftmax;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * The gradient where the cross-entropy is all there is: {@code softmax(h W + b) - y}, by the same operations on the
 * same memory layouts as stock output layers. Adam turns the rounding of a tiny gradient into a whole step, so only
 * bit-equal gradients keep a FLOAT network beside its stock twin for long.
 */
final class StockBackprop {

    /** From here on stock layers' own arithmetic costs several times the fused one. */
    private static final int LARGE_VOCABULARY = 4096;

    private StockBackprop() {}

    /** Whether cross-entropy alone is trained by it. */
    static boolean serves(RetentionConfiguration configuration, long vocabulary) {
        return configuration.getLabelSmoothing() == 0
                && configuration.getTokenWeight() == null
                && configuration.getPreference() == null
                && vocabulary < LARGE_VOCABULARY;
    }

    /**
     * @param given      the layer's input, in the network's data type; the logits themselves where there are no
     *     parameters
     * @param batch      whose losses are filled
     * @param losses     computes them of logits, as it does without parameters
     * @param parameters W and b, or none
     * @param gradients  views to fill, by parameter name
     * @return the gradient with respect to the input, of its shape
     */
    static INDArray apply(
            INDArray given,
            TokenBatch batch,
            LossPath losses,
            int classAxis,
            Map<String, INDArray> parameters,
            Map<String, INDArray> gradients,
            LayerWorkspaceMgr workspaceMgr) {
        INDArray rows = LabelLayout.rows(given, classAxis);
        INDArray finite = batch.finiteInput(rows);
        INDArray input = finite == rows ? given : LabelLayout.fromRows(finite, given, classAxis);
        if (parameters.isEmpty()) {
            return withoutParameters(input, batch, losses, classAxis, workspaceMgr);
        }
        INDArray weights = Objects.requireNonNull(parameters.get(DefaultParamInitializer.WEIGHT_KEY));
        INDArray features = input;
        if (input.rank() == 3) {
            INDArray timeLast = classAxis == 2 ? input.permute(0, 2, 1) : input;
            features = TimeSeriesUtils.reshape3dTo2d(timeLast, workspaceMgr, ArrayType.BP_WORKING_MEM);
        }
        INDArray delta = workspaceMgr.createUninitialized(
                ArrayType.ACTIVATION_GRAD, weights.dataType(), features.size(0), weights.size(1));
        features.mmuli(weights, delta);
        if (parameters.containsKey(DefaultParamInitializer.BIAS_KEY)) {
            delta.addiRowVector(parameters.get(DefaultParamInitializer.BIAS_KEY));
        }
        toGradient(delta, batch, losses);

        if (gradients.containsKey(DefaultParamInitializer.WEIGHT_KEY)) {
            Nd4j.gemm(features, delta, gradients.get(DefaultParamInitializer.WEIGHT_KEY), true, false, 1.0, 0.0);
        }
        if (gradients.containsKey(DefaultParamInitializer.BIAS_KEY)) {
            delta.sum(gradients.get(DefaultParamInitializer.BIAS_KEY), 0);
        }
        INDArray back = workspaceMgr.createUninitialized(
                ArrayType.ACTIVATION_GRAD, delta.dataType(), new long[] {weights.size(0), delta.size(0)}, 'f');
        back = weights.mmuli(delta.transpose(), back).transpose();
        if (input.rank() == 2) {
            return back;
        }
        INDArray timeLast = TimeSeriesUtils.reshape2dTo3d(back, input.size(0), workspaceMgr, ArrayType.ACTIVATION_GRAD);
        return classAxis == 2 ? timeLast.permute(0, 2, 1) : timeLast;
    }

    private static INDArray withoutParameters(
            INDArray logits, TokenBatch batch, LossPath losses, int classAxis, LayerWorkspaceMgr workspaceMgr) {
        INDArray delta = LabelLayout.rows(logits, classAxis).dup('c');
        toGradient(delta, batch, losses);
        return workspaceMgr.dup(ArrayType.ACTIVATION_GRAD, LabelLayout.fromRows(delta, logits, classAxis));
    }

    /** Fills the losses and turns logits into {@code weight (sum_v y(v) softmax(logits) - y)} in place. */
    private static void toGradient(INDArray logits, TokenBatch batch, LossPath losses) {
        losses.forward(logits, batch);
        new ActivationSoftmax().getActivation(logits, true);
        subtractLabels(logits, batch);
        logits.muliColumnVector(batch.weights(logits.dataType()));
    }

    private static void subtractLabels(INDArray delta, TokenBatch batch) {
        INDArray labels = batch.rows().labels(LossPath.lossType(delta.dataType()));
        if (batch.layout().isClassId()) {
            int[] ids = labels.getColumn(0).toIntVector();
            for (int row = 0; row < ids.length; row++) {
                delta.putScalar(row, ids[row], delta.getDouble(row, ids[row]) - 1);
            }
        } else {
            INDArray distributions = labels.castTo(delta.dataType());
            // Times 1 exactly where labels are one-hot.
            delta.muliColumnVector(distributions.sum(true, 1));
            delta.subi(distributions);
        }
    }
}
