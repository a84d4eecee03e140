package io.github.dl4jretention.lm.onnx;

import java.util.List;
import java.util.Map;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.samediff.frameworkimport.hooks.annotations.PreHookRule;

/** DL4J M2.1 imports MatMul as 0 times the product, and refuses ranks 3 and 2. Not for users. */
@PreHookRule(
        nodeNames = {},
        opNames = "MatMul",
        frameworkName = "onnx")
public final class MatMulHook extends NodeHook {

    @Override
    SDVariable build(SameDiff sd, String name, List<SDVariable> inputs, Map<String, ?> attributes) {
        SDVariable left = inputs.get(0);
        SDVariable right = inputs.get(1);
        if (rank(left) == rank(right)) {
            return sd.mmul(name, left, right);
        }
        long[] weights = right.getArr().shape();
        SDVariable tokens = sd.slice(sd.shape(left), new int[] {0}, rank(left) - 1);
        SDVariable shape = sd.concat(0, tokens, sd.constant(Nd4j.createFromArray(weights[1])));
        return sd.reshape(name, left.reshape(-1, weights[0]).mmul(right), shape);
    }
}
