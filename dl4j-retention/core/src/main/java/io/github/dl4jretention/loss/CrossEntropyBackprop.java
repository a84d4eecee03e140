package io.github.dl4jretention.loss;

import io.github.dl4jretention.loss.samediff.SameDiffLossPath;
import java.util.Map;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.util.TimeSeriesUtils;
import org.nd4j.linalg.activations.impl.ActivationSoftmax;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * The gradient where the cross-entropy is all there is: {@code softmax(h W + b) - y}, by the same operations on the
 * same memory layouts as stock output layers. Adam turns the rounding of a tiny gradient into a whole step, so only
 * bit-equal gradients keep a FLOAT network beside its stock twin for long.
 */
final class CrossEntropyBackprop {

    private CrossEntropyBackprop() {}

    /**
     * @param input the layer's input, in the network's data type; the logits themselves where there are no parameters
     * @param parameters W and b, or none
     * @param gradients  views to fill, by parameter name
     * @return the gradient with respect to the input, of its shape
     */
    static INDArray apply(
            INDArray input,
            TokenRows rows,
            int classAxis,
            Map<String, INDArray> parameters,
            Map<String, INDArray> gradients,
            LayerWorkspaceMgr workspaceMgr) {
        if (parameters.isEmpty()) {
            return withoutParameters(input, rows, classAxis, workspaceMgr);
        }
        INDArray weights = parameters.get(DefaultParamInitializer.WEIGHT_KEY);
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
        toGradient(delta, rows);

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
            INDArray logits, TokenRows rows, int classAxis, LayerWorkspaceMgr workspaceMgr) {
        INDArray delta = RetentionLabels.rows(logits, classAxis).dup('c');
        toGradient(delta, rows);
        return workspaceMgr.dup(ArrayType.ACTIVATION_GRAD, RetentionLabels.fromRows(delta, logits, classAxis));
    }

    /** Turns logits into {@code weight (sum_v y(v) softmax(logits) - y)} in place. */
    private static void toGradient(INDArray logits, TokenRows rows) {
        new ActivationSoftmax().getActivation(logits, true);
        subtractTarget(logits, rows);
        logits.muliColumnVector(TokenRows.column(rows.weights(), logits.dataType()));
    }

    private static void subtractTarget(INDArray delta, TokenRows rows) {
        INDArray labels = rows.checkedCopy(SameDiffLossPath.lossType(delta.dataType()));
        if (rows.kind().isClassId()) {
            int[] ids = labels.getColumn(0).toIntVector();
            for (int row = 0; row < ids.length; row++) {
                delta.putScalar(row, ids[row], delta.getDouble(row, ids[row]) - 1);
            }
        } else {
            INDArray target = labels.get(NDArrayIndex.all(), NDArrayIndex.interval(0, delta.size(1)))
                    .castTo(delta.dataType());
            // Times 1 exactly where labels are one-hot.
            delta.muliColumnVector(target.sum(true, 1));
            delta.subi(target);
        }
    }
}
