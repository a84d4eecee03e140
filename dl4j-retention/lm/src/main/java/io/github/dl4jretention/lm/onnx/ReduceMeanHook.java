package io.github.dl4jretention.lm.onnx;

import java.util.List;
import java.util.Map;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.samediff.frameworkimport.hooks.annotations.PreHookRule;

/** M2.1 forgets that keepdims is 1 where the attribute is left out, and gets means over a negative axis wrong. */
@PreHookRule(
        nodeNames = {},
        opNames = "ReduceMean",
        frameworkName = "onnx")
public final class ReduceMeanHook extends NodeHook {

    @Override
    SDVariable build(SameDiff sd, String name, List<SDVariable> inputs, Map<String, ?> attributes) {
        SDVariable values = inputs.get(0);
        int[] axes = ((List<?>) attributes.get("axes"))
                .stream()
                        .mapToInt(axis -> Math.floorMod(((Number) axis).intValue(), rank(values)))
                        .toArray();
        return sd.mean(name, values, number(attributes, "keepdims", 1) != 0, axes);
    }
}
