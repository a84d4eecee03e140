package io.github.dl4jretention.lm.onnx;

import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.samediff.frameworkimport.hooks.annotations.PreHookRule;

/** DL4J M2.1 takes a missing keepdims for 0, where ONNX means 1, and gets negative axes wrong. Not for users. */
@PreHookRule(
        nodeNames = {},
        opNames = "ReduceMean",
        frameworkName = "onnx")
public final class ReduceMeanHook extends NodeHook {

    @Override
    SDVariable build(SameDiff sd, String name, List<SDVariable> inputs, Map<String, ?> attributes) {
        SDVariable values = inputs.get(0);
        int[] axes = ((List<?>) Objects.requireNonNull(attributes.get("axes"), "axes"))
                .stream()
                        .mapToInt(axis -> Math.floorMod(((Number) axis).intValue(), rank(values)))
                        .toArray();
        return sd.mean(name, values, number(attributes, "keepdims", 1) != 0, axes);
    }
}
