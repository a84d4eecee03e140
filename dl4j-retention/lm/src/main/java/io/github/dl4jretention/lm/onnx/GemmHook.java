package io.github.dl4jretention.lm.onnx;

import java.util.List;
import java.util.Map;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.samediff.frameworkimport.hooks.annotations.PreHookRule;

/** DL4J M2.1 imports Gemm as a product that loses the bias. Not for users. */
@PreHookRule(
        nodeNames = {},
        opNames = "Gemm",
        frameworkName = "onnx")
public final class GemmHook extends NodeHook {

    @Override
    SDVariable build(SameDiff sd, String name, List<SDVariable> inputs, Map<String, ?> attributes) {
        if (inputs.size() != 3 || number(attributes, "alpha", 1) != 1 || number(attributes, "beta", 1) != 1) {
            throw new IllegalArgumentException("expected a Gemm as nn.Linear exports it, got " + attributes);
        }
        boolean transposeLeft = number(attributes, "transA", 0) != 0;
        boolean transposeRight = number(attributes, "transB", 0) != 0;
        return sd.mmul(inputs.get(0), inputs.get(1), transposeLeft, transposeRight, false)
                .add(name, inputs.get(2));
    }
}
