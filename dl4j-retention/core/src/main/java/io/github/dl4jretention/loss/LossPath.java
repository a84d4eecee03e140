package io.github.dl4jretention.loss;

import java.util.Map;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.ndarray.INDArray;

/** A way to compute a layer's loss from its input's rows {@code [tokens, nIn]}. */
sealed interface LossPath permits FusedLoss, LayerGraphRunner {

    /**
     * The tokens' losses, and with them, where they are asked for, the gradients of their weighted sum
     *
     * <pre>
     * sum over tokens of [ weight CE + divergence weight * factor * D ]
     * </pre>
     *
     * @param values    of every token
     * @param inputRows the gradient with respect to the input, {@code [tokens, nIn]}, in the workspace of activation
     *     gradients
     */
    record Backprop(TokenValues values, INDArray inputRows) {}

    /**
     * @param factor    {@code lambda T^2}
     * @param agreement whether it is measured
     */
    TokenValues forward(INDArray input, TokenRows rows, double factor, boolean agreement);

    /** @param gradients views to fill, by the names of the parameters */
    Backprop backprop(
            INDArray input,
            TokenRows rows,
            double factor,
            boolean agreement,
            Map<String, INDArray> gradients,
            LayerWorkspaceMgr workspaceMgr);
}
