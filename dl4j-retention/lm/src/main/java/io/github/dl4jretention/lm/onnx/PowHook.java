package io.github.dl4jretention.lm.onnx;

import java.util.List;
import java.util.Map;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.samediff.frameworkimport.hooks.annotations.PreHookRule;

/** DL4J M2.1 takes Pow for an operation of two outputs. Not for users. */
@PreHookRule(
        nodeNames = {},
        opNames = "Pow",
        frameworkName = "onnx")
public final class PowHook extends NodeHook {

    @Override
    SDVariable build(SameDiff sd, String name, List<SDVariable> inputs, Map<String, ?> attributes) {
        return sd.math.pow(name, inputs.get(0), inputs.get(1).getArr().getDouble(0));
    }
}
